"""Dump: one state of a table as bytes; part of `_table`.

A dump is a sequence of items. Each refers only to items before it, so a dump is written and loaded in pieces.

    table     0: starts a table of literals; the last one is the newest
    literal   1, varint: length, bytes: the next entry of the last table
    record    2 | flags, varint: stream, varint: length of the namespace, namespace, and the record as in a slab
              TEMPLATE: before the stream: varint: table, varint: siblings, mean as f32, varint: slot lists, each of
              them, the oldest first: varint: slots, slots as u16
              MEMBER: before these: varint: bytes that the template adds to the last base
    base      3: starts a base; its members follow. FULL: ends the last one

Bases and templates come first, and their numbers are their positions from 1. A template follows the one it is coded
against. The word and the partition of a record mean nothing. u16 and f32 have the byte order of the host.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset

cdef enum:
    ITEM_TABLE = 0
    ITEM_LITERAL = 1
    ITEM_RECORD = 2
    ITEM_BASE = 3
    ITEM_KINDS = 3  # a mask
    ITEM_FULL = 4  # of a base
    ITEM_TEMPLATE = 4  # of a record, as all below
    ITEM_STALE = 8
    ITEM_HIDDEN = 16  # a template that is not in the collection
    ITEM_MEMBER = 32  # of the last base
    ITEM_FLAGS = ITEM_KINDS | ITEM_TEMPLATE | ITEM_STALE | ITEM_HIDDEN | ITEM_MEMBER


@cython.final
cdef class Dump:
    """Makes bytes of one state of a table, in pieces.

    Later writes do not change it. Versions that it has not reached stay in memory, as those of any `Ids`.
    """

    cdef:
        _TableStorage table
        Ids ids  # of the objects, and of the other templates
        Py_ssize_t objects
        uint16_t *position  # in the dump, by number in the table; 0: none yet
        uint16_t *number  # in the table, by position less 1
        kr_byte *hidden  # by number in the table: whether the template is not in the collection
        uint64_t *stale  # a bit for each id; NULL: no object is stale
        uint32_t templates
        uint32_t next_template
        uint8_t base_position[KC_MAX_BASES + 1]  # in the dump, by number in the table; 0: none
        uint8_t base[KC_MAX_BASES]  # number in the table, by position less 1; the current one is the last
        uint8_t members[KC_MAX_BASES]  # by position less 1
        uint8_t full[KC_MAX_BASES]  # by position less 1: whether no more members join
        uint32_t bases
        uint32_t next_base  # the one whose members are being written is the one before
        int next_member
        list tables  # addresses of the tables of literals, the newest last
        dict table_numbers  # their positions
        Py_ssize_t next_table  # the one that is being written is the one before
        uint32_t next_literal
        kr_byte *room
        size_t size, capacity

    def __cinit__(self, _TableStorage table not None):
        cdef uint32_t count = table.t.coder.templates.count, number
        self.table = table
        self.tables, self.table_numbers = [], {}
        self.position = <uint16_t *>calloc(count + 1, sizeof(uint16_t))
        self.number = <uint16_t *>calloc(count + 1, sizeof(uint16_t))
        self.hidden = <kr_byte *>calloc(count + 1, 1)
        if self.position == NULL or self.number == NULL or self.hidden == NULL:
            raise MemoryError
        self.ids = table.ids()
        self.objects = len(self.ids)
        # In one step: the garbage collector may free a template that is not pinned yet.
        self.ids.left += kt_pin_templates(&table.t, &self.ids.pinned, self.hidden)
        memset(self.base_position, 0, sizeof(self.base_position))
        for number in range(1, table.t.coder.bases.count + 1):
            if number != table.t.coder.bases.current:
                self.place_base(number)
        self.place_base(table.t.coder.bases.current)
        for number in range(1, count + 1):
            if kc_number_is_used(&table.t.coder.templates, number):
                self.place(number)
        self.place_tables()
        if table.t.stale:
            self.note_stale()

    def __dealloc__(self):
        free(self.position)
        free(self.number)
        free(self.hidden)
        free(self.stale)
        free(self.room)

    cdef int place_base(self, uint32_t number) except -1:
        """Gives a base and its members positions; ignores one without members."""
        cdef kc_base *base
        cdef int i
        if not kc_base_is_used(&self.table.t.coder.bases, number):
            return 0
        base = kc_base_of(&self.table.t.coder.bases, number)
        if not base.count:
            return 0
        self.base[self.bases] = number
        self.members[self.bases] = base.count
        self.full[self.bases] = base.is_full
        self.bases += 1
        self.base_position[number] = self.bases
        for i in range(base.count):
            self.place(base.member[i])
        return 0

    cdef int place(self, uint32_t number) except -1:
        """Gives a template a position, after the one it is coded against."""
        cdef uint32_t id = kc_entry_of(&self.table.t.coder.templates, number).record
        cdef kr_view v
        if self.position[number]:
            return 0
        kr_read(kt_record(&self.table.t, id), &v)
        if v.codec and not v.form & KR_FRAME:
            self.place(v.codec)
        self.number[self.templates] = number
        self.templates += 1
        self.position[number] = self.templates
        return 0

    cdef int place_tables(self) except -1:
        cdef size_t found, last = 0, newest = <size_t>self.table.t.coder.templates.literals
        cdef bint has_newest = False
        cdef uint32_t i
        for i in range(self.templates):
            found = <size_t>kc_entry_of(&self.table.t.coder.templates, self.number[i]).literals
            if found == newest:
                has_newest = True
            elif found != last and found not in self.table_numbers:
                self.table_numbers[found] = len(self.tables)
                self.tables.append(found)
            last = found
        if has_newest:
            self.table_numbers[newest] = len(self.tables)
            self.tables.append(newest)
        return 0

    cdef int note_stale(self) except -1:
        cdef kt_table *t = &self.table.t
        cdef uint32_t i, id, partition
        cdef uint64_t bits
        self.stale = <uint64_t *>calloc(self.ids.pinned.words + 1, sizeof(uint64_t))
        if self.stale == NULL:
            raise MemoryError
        for i in range(self.ids.pinned.words):
            bits = self.ids.pinned.bits[i]
            for id in range(i * 64, i * 64 + 64):
                if bits >> id % 64 & 1:
                    kr_name(kt_record(t, id), &partition)
                    if kt_is_stale(kt_stream_of(t, partition), kr_word(kt_record(t, id))):
                        self.stale[i] |= <uint64_t>1 << id % 64
        return 0

    def __len__(self):
        """Returns how many objects the dump has."""
        return self.objects

    def read(self, Py_ssize_t budget):
        """Returns the next items, about `budget` bytes; `b""` at the end."""
        self.size = 0
        while <Py_ssize_t>self.size < budget and self.write_next():
            pass
        return PyBytes_FromStringAndSize(<char *>self.room, self.size)

    def close(self):
        """Ends the dump and releases its versions; a second call does nothing."""
        self.ids.close()
        self.templates = self.next_template = self.bases = self.next_base = self.next_member = 0
        self.tables.clear()
        self.next_table = 0

    cdef kr_byte *reserve(self, size_t size) except NULL:
        """Returns where the next bytes are written; the caller sets `size`."""
        cdef size_t capacity = self.size + size
        if capacity > self.capacity:
            capacity += capacity // 4
            grown = realloc(self.room, capacity)
            if grown == NULL:
                raise MemoryError
            self.room = <kr_byte *>grown
            self.capacity = capacity
        return self.room + self.size

    cdef bint write_next(self) except -1:
        """Writes an item; returns whether there was one."""
        cdef uint32_t id
        cdef kr_view v
        if self.write_literal():
            return True
        if self.write_member():
            return True
        if self.next_template < self.templates:
            self.write_template(0)
            return True
        while True:
            id = self.ids.advance()
            if id == KR_NONE:
                return False
            kr_read(kt_record(&self.table.t, id), &v)
            if not v.number:
                self.reserve(1)[0] = ITEM_RECORD | self.stale_flag(id)
                self.size += 1
                self.write_record(&v)
                return True

    cdef bint write_literal(self) except -1:
        """Writes a literal, or the start of the next table; returns whether there was one."""
        cdef kc_literals *table
        cdef kr_text literal
        cdef kr_byte *to
        if self.next_table:
            table = <kc_literals *><size_t>self.tables[self.next_table - 1]
            if self.next_literal < table.count:
                literal = kc_literal_at(table, self.next_literal)
                self.next_literal += 1
                to = self.reserve(1 + kr_varint_size(literal.len) + literal.len)
                to[0] = ITEM_LITERAL
                self.wrote(kr_put_text(kr_put_varint(to + 1, literal.len), &literal))
                return True
        if self.next_table == len(self.tables):
            return False
        self.next_table += 1
        self.next_literal = 0
        self.reserve(1)[0] = ITEM_TABLE
        self.size += 1
        return True

    cdef bint write_member(self) except -1:
        """Writes a member of a base, or the start or end of one.

        Returns whether there was one.
        """
        cdef kc_bases *bases = &self.table.t.coder.bases
        cdef kc_base *base
        cdef int i = self.next_member
        if self.next_base:
            base = kc_base_of(bases, self.base[self.next_base - 1])
            self.next_member += 1
            if i < self.members[self.next_base - 1]:
                self.write_template(base.end[i] - (base.end[i - 1] if i else 0))
                return True
            if i == self.members[self.next_base - 1] and self.full[self.next_base - 1]:
                self.reserve(1)[0] = ITEM_BASE | ITEM_FULL
                self.size += 1
                return True
        if self.next_base == self.bases:
            return False
        self.next_base += 1
        self.next_member = 0
        self.reserve(1)[0] = ITEM_BASE
        self.size += 1
        return True

    cdef int write_template(self, uint32_t joins) except -1:
        """Writes the next template.

        `joins` are the bytes that it adds to a base; 0 if it does not join.
        """
        cdef kc_entry *e = kc_entry_of(&self.table.t.coder.templates, self.number[self.next_template])
        cdef kr_view v
        cdef kr_byte *to = self.reserve(32 + KC_MAX_LISTS * (10 + KC_MAX_SLOTS * sizeof(uint16_t)))
        cdef kr_text part
        cdef uint64_t table = self.table_numbers[<size_t>e.literals]
        cdef kc_slots *lists[KC_MAX_LISTS]
        cdef kc_slots *slots = e.list
        cdef int count = 0
        to[0] = ITEM_RECORD | ITEM_TEMPLATE | self.stale_flag(e.record)
        if self.hidden[self.number[self.next_template]]:
            to[0] |= ITEM_HIDDEN
        if joins:
            to[0] |= ITEM_MEMBER
        to += 1
        if joins:
            to = kr_put_varint(to, joins)
        part.at = <kr_byte *>&e.mean
        part.len = sizeof(float)
        to = kr_put_text(kr_put_varint(kr_put_varint(to, table), e.siblings), &part)
        while slots != NULL:
            lists[count] = slots
            count += 1
            slots = slots.older
        to = kr_put_varint(to, count)
        while count:
            count -= 1
            part.at = <kr_byte *>lists[count].slot
            part.len = lists[count].count * sizeof(uint16_t)
            to = kr_put_text(kr_put_varint(to, lists[count].count), &part)
        self.wrote(to)
        self.next_template += 1
        kr_read(kt_record(&self.table.t, e.record), &v)
        return self.write_record(&v)

    cdef int write_record(self, const kr_view *v) except -1:
        """Writes a record, with the numbers of templates in the dump."""
        cdef kt_table *t = &self.table.t
        cdef kr_new record
        cdef kr_identity identity
        cdef kr_text namespace = kr_partition_namespace(&t.namespaces, v.partition)
        cdef uint32_t stream = t.namespaces.partition[v.partition].stream
        cdef kr_byte *to
        kr_new_from_view(v, &record, &identity)
        record.partition = 0
        record.codec = self.base_position[v.codec] if v.form & KR_FRAME else self.position[v.codec]
        record.number = self.position[v.number]
        to = self.reserve(kr_varint_size(stream) + kr_varint_size(namespace.len) + namespace.len + kr_size(&record))
        to = kr_put_text(kr_put_varint(kr_put_varint(to, stream), namespace.len), &namespace)
        kr_write(to, &record, 0)
        return self.wrote(to + kr_size(&record))

    cdef int wrote(self, const kr_byte *end) except -1:
        """Sets `size` to what lies before `end`."""
        self.size = <size_t>end - <size_t>self.room
        return 0

    cdef int stale_flag(self, uint32_t id) noexcept:
        return ITEM_STALE if self.stale != NULL and self.stale[id // 64] >> id % 64 & 1 else 0
