"""Dump: one state of a table as bytes. _TableSnapshot: how a dump is loaded; part of `_table`.

A dump has two parts. The first one holds what many records need: tables of literals, and the templates in an order in
which each follows the one it is coded against, so that a number in the dump is a position. The second one holds all
other records. A dump is loaded into an empty table, and its bytes are not trusted.

    first part   varint: tables; each: varint: literals; each: varint: length, bytes
                 varint: templates; each: varint: table, varint: siblings, mean as f32, KC_MAX_LISTS slot lists (varint:
                 slots + 1, 0 for no list; slots as u16), record
    second part  records
    record       flags (1: stale, 2: hidden), varint: stream, varint: length of the namespace, namespace, and the record
                 as in a slab
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

cdef enum:
    DUMP_STALE = 1
    DUMP_HIDDEN = 2  # a template that is not in the collection

cdef str NOT_A_DUMP = "data: expected a part of a dump"


cdef bytes varint(uint64_t n):
    cdef kr_byte room[10]
    return PyBytes_FromStringAndSize(<char *>room, <size_t>kr_put_varint(room, n) - <size_t>room)


@cython.final
cdef class Dump:
    """One state of a table as bytes, made in pieces.

    Later writes do not change it. Versions that it has not reached stay in memory, as those of any `Ids`.

    Attributes:
        templates: The first part.
    """

    cdef:
        Ids ids
        _TableStorage table
        uint16_t *number  # in the dump, by number in the table
        readonly bytes templates

    def __cinit__(self, _TableStorage table not None):
        cdef list held = []
        cdef kc_templates *templates = &table.t.coder.templates
        cdef uint32_t number
        self.table = table
        self.ids = table.ids()
        # Each later allocation may run the garbage collector, which may release what else keeps a template.
        for number in range(1, templates.count + 1):
            if kc_number_is_used(templates, number):
                held.append(table.version(kc_entry_of(templates, number).record))
        self.number = <uint16_t *>calloc(templates.count + 1, sizeof(uint16_t))
        if self.number == NULL:
            raise MemoryError
        self.templates = self.dump_templates()

    def __dealloc__(self):
        free(self.number)

    cdef bytes dump_templates(self):
        cdef kc_templates *templates = &self.table.t.coder.templates
        cdef list order = [], tables = [], parts = []
        cdef dict positions = {}  # of tables, by their address
        cdef uint32_t number
        cdef kc_entry *e
        cdef kc_slots *slots
        cdef int i
        for number in range(1, templates.count + 1):
            if kc_number_is_used(templates, number):
                order.append(number)
        order.sort(key=self.depth_of)
        for number in order:
            e = kc_entry_of(templates, number)
            self.number[number] = len(parts) + 1
            if <size_t>e.literals not in positions:
                positions[<size_t>e.literals] = len(tables)
                tables.append(dump_literals(e.literals))
            part = varint(positions[<size_t>e.literals]) + varint(e.siblings) + (<char *>&e.mean)[:sizeof(float)]
            lists = []
            slots = e.list
            while slots != NULL:
                lists.append(varint(slots.count + 1) + (<char *>slots.slot)[:slots.count * sizeof(uint16_t)])
                slots = slots.older
            part += b"".join(reversed(lists)) + b"\0" * (KC_MAX_LISTS - len(lists))
            parts.append(part + self.dump_record(e.record, not self.ids.has(e.record)))
        return varint(len(tables)) + b"".join(tables) + varint(len(parts)) + b"".join(parts)

    def depth_of(self, uint32_t number):
        return kc_entry_of(&self.table.t.coder.templates, number).depth

    cdef bytes dump_record(self, uint32_t id, bint hidden):
        cdef kr_view v
        cdef kr_new record
        cdef kr_identity identity
        cdef kr_text namespace
        cdef uint32_t stream
        cdef bytes made
        cdef kr_byte *to
        kr_read(kt_record(&self.table.t, id), &v)
        kr_new_from_view(&v, &record, &identity)
        record.codec = self.number[v.codec]
        record.number = self.number[v.number]
        namespace = kr_partition_namespace(&self.table.t.namespaces, v.partition)
        stream = self.table.t.namespaces.partition[v.partition].stream
        made = PyBytes_FromStringAndSize(
            NULL, 1 + kr_varint_size(stream) + kr_varint_size(namespace.len) + namespace.len + kr_size(&record)
        )
        to = <kr_byte *>PyBytes_AS_STRING(made)
        to[0] = DUMP_HIDDEN if hidden else DUMP_STALE if kt_is_stale(&self.table.t.stream[stream], v.word) else 0
        to = kr_put_varint(kr_put_varint(to + 1, stream), namespace.len)
        kr_write(kr_put_text(to, &namespace), &record, 0)
        return made

    def __len__(self):
        """Returns how many objects are left."""
        return len(self.ids)

    def records(self, Py_ssize_t budget):
        """Returns about `budget` bytes of the second part; `b""` at its end."""
        cdef list parts = []
        cdef Py_ssize_t size = 0
        cdef uint32_t id
        cdef kr_view v
        while size < budget:
            id = self.ids.advance()
            if id == KR_NONE:
                break
            kr_read(kt_record(&self.table.t, id), &v)
            if not v.number:
                part = self.dump_record(id, False)
                size += len(part)
                parts.append(part)
        return b"".join(parts)

    def close(self):
        """Ends the dump and releases its versions; a second call does nothing."""
        self.ids.close()


# Untrusted bytes, and what is known of them.
ctypedef struct Reading:
    const kr_byte *at
    const kr_byte *end
    size_t most  # bytes of the largest object that is allowed
    uint32_t number  # of the template that is being loaded, 0: none is


cdef uint64_t read_varint(Reading *r) except? 0xFFFFFFFF:
    cdef uint64_t n = 0
    if not kr_try_read_varint(&r.at, r.end, &n):
        raise ValueError(NOT_A_DUMP)
    return n


cdef const kr_byte *read_bytes(Reading *r, uint64_t size) except NULL:
    cdef const kr_byte *found = r.at
    if size > <size_t>r.end - <size_t>r.at:
        raise ValueError(NOT_A_DUMP)
    r.at += size
    return found


@cython.final
cdef class Literals:
    """A table of literals while a dump is loaded."""

    cdef kc_literals *table

    def __cinit__(self):
        self.table = kc_literals_new()
        if self.table == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.table != NULL:
            kc_literals_release(self.table)

    cdef int load(self, Reading *r) except -1:
        cdef uint64_t i, size, count = read_varint(r)
        for i in range(count):
            size = read_varint(r)
            if not kc_literals_add(self.table, read_bytes(r, size), size):
                raise ValueError(NOT_A_DUMP)
        return 0


cdef bytes dump_literals(const kc_literals *l):
    cdef list parts = [varint(l.count)]
    cdef kr_text literal
    cdef uint32_t i
    for i in range(l.count):
        literal = kc_literal_at(l, i)
        parts += (varint(literal.len), (<char *>literal.at)[:literal.len])
    return b"".join(parts)


@cython.no_gc_clear
cdef class _TableSnapshot(_TableStreams):
    """The part of a table that loads a dump.

    Each record is decoded once, which shows that it can be read, and indexes it. If a call raises, the table holds a
    part of the dump, and should be discarded.
    """

    def load_templates(self, stream_of, bytes data not None, Py_ssize_t most):
        """Loads the first part of a dump into an empty table; returns the number of objects.

        Args:
            stream_of: Maps the streams in the dump to those here.
            data: The part.
            most: Bytes of the largest object that is allowed.

        Raises:
            ValueError: The part is damaged, or the table is not empty.
            KeyError: The mapping lacks a stream of the dump.
        """
        cdef Reading r
        cdef uint64_t i, count
        cdef Py_ssize_t before = self.t.visible
        cdef list tables = []
        if self.t.records or self.t.coder.templates.used:
            raise ValueError("a dump is loaded into an empty table")
        r.at = <const kr_byte *>PyBytes_AS_STRING(data)
        r.end = r.at + PyBytes_GET_SIZE(data)
        r.most = min(most, KC_MAX_TEMPLATE)
        count = read_varint(&r)
        for i in range(count):
            tables.append(Literals())
            (<Literals>tables[i]).load(&r)
        count = read_varint(&r)
        for i in range(count):
            self.load_template(stream_of, tables, &r)
        if r.at != r.end:
            raise ValueError(NOT_A_DUMP)
        return self.t.visible - before

    cdef int load_template(self, stream_of, list tables, Reading *r) except -1:
        cdef uint64_t table = read_varint(r), siblings = read_varint(r), count
        cdef float mean = 0
        cdef kc_slots *slots[KC_MAX_LISTS]
        cdef kc_entry *e
        cdef int i
        if table >= <uint64_t>len(tables):
            raise ValueError(NOT_A_DUMP)
        memcpy(&mean, read_bytes(r, sizeof(float)), sizeof(float))
        for i in range(KC_MAX_LISTS):
            slots[i] = NULL
        try:
            for i in range(KC_MAX_LISTS):
                count = read_varint(r)
                if count:
                    slots[i] = kc_slots_copy(read_bytes(r, 2 * (count - 1)), count - 1)
                    if slots[i] == NULL:
                        raise ValueError(NOT_A_DUMP)
            kc_literals_use(&self.t.coder.templates, (<Literals>tables[table]).table)
            r.number = kc_adopt_reserve(&self.t.coder)
            if not r.number:
                raise ValueError(NOT_A_DUMP)
            self.load_record(stream_of, r)
            e = kc_entry_of(&self.t.coder.templates, r.number)
            e.siblings = min(siblings, 255)
            e.mean = mean if 0 <= mean < KC_MAX_TEMPLATE else 0
            for i in range(KC_MAX_LISTS):
                kc_list_add(&self.t.coder.templates, r.number, slots[i])
                slots[i] = NULL
        finally:
            for i in range(KC_MAX_LISTS):
                free(slots[i])
        return 0

    def load(self, stream_of, bytes data not None, Py_ssize_t most):
        """Loads a piece of the second part of a dump; returns the number of objects.

        Args:
            stream_of: Maps the streams in the dump to those here.
            data: Whole records, as `Dump.records` returns them.
            most: Bytes of the largest object that is allowed.

        Raises:
            ValueError: The piece is damaged, a key is in the table already, or a stream is not idle.
            KeyError: The mapping lacks a stream of the dump.
        """
        cdef Reading r
        cdef Py_ssize_t before = self.t.visible
        r.at = <const kr_byte *>PyBytes_AS_STRING(data)
        r.end = r.at + PyBytes_GET_SIZE(data)
        r.most = most
        r.number = 0
        while r.at < r.end:
            self.load_record(stream_of, &r)
        return self.t.visible - before

    def finish_load(self):
        """Ends the loading of a dump: frees templates that nothing needs."""
        cdef uint32_t number
        for number in range(self.t.coder.templates.count, 0, -1):
            if kc_number_is_used(&self.t.coder.templates, number):
                kt_free_if_unneeded(&self.t, kc_entry_of(&self.t.coder.templates, number).record)

    cdef int load_record(self, stream_of, Reading *r) except -1:
        cdef int flags = read_bytes(r, 1)[0]
        cdef uint64_t dumped_stream = read_varint(r)
        cdef kr_text namespace
        cdef kr_view v
        cdef uint32_t stream
        cdef kr_byte uid[36]
        cdef kr_byte number[20]
        cdef kc_object x
        cdef bytes raw
        namespace.len = read_varint(r)
        namespace.at = read_bytes(r, namespace.len) if namespace.len else r.at
        if not kr_try_read(r.at, r.end, &v) or v.number != r.number or v.raw_len > r.most:
            raise ValueError(NOT_A_DUMP)
        if flags & ~(DUMP_STALE | DUMP_HIDDEN) or flags & DUMP_HIDDEN and not r.number:
            raise ValueError(NOT_A_DUMP)
        r.at += v.size
        stream = self.stream_number(stream_of[dumped_stream])
        if self.t.stream[stream].phase != KT_IDLE:
            raise ValueError(f"stream {stream}: a relist, sweep or drop is in progress")
        x.identity[0] = namespace
        x.identity[1] = v.name
        x.identity[2] = kr_uid_text(&v, uid)
        x.identity[3] = kr_rv_text(&v, number)
        try:
            for i in range(4):
                text(&x.identity[i])
        except UnicodeDecodeError:
            raise ValueError(NOT_A_DUMP) from None
        raw = PyBytes_FromStringAndSize(NULL, v.raw_len)
        x.raw = <const kr_byte *>PyBytes_AS_STRING(raw)
        x.size = v.raw_len
        if not kc_decode(&self.t.coder, &v, &namespace, <kr_byte *>x.raw):
            raise ValueError(NOT_A_DUMP)
        return self.add_loaded(stream, &x, &v, flags)

    cdef int add_loaded(self, uint32_t stream, const kc_object *x, const kr_view *v, int flags) except -1:
        cdef kr_new record
        cdef kr_identity identity
        cdef kt_reservation room
        cdef kc_encoded encoded
        cdef kt_stream *s = &self.t.stream[stream]
        cdef uint64_t hash
        if v.number and not kc_describe(&self.t.coder, x, v.codec, &encoded):
            raise ValueError(NOT_A_DUMP)
        kr_new_from_view(v, &record, &identity)
        record.partition = kr_partition_acquire(&self.t.namespaces, stream, &x.identity[0])
        if record.partition == KR_NONE:
            raise MemoryError
        try:
            hash = kt_key_hash(&self.t.namespaces, record.partition, &record.name)
            if not flags & DUMP_HIDDEN and kt_find(&self.t, record.partition, &record.name, hash).plain != KR_NONE:
                raise ValueError(NOT_A_DUMP)
            if not kt_reserve(&self.t, &record, hash, &room):
                raise MemoryError
            if flags & DUMP_HIDDEN:
                kt_add_to_limbo(&self.t, &record, &room)
            else:
                self.index_json(room.id, x.raw, x.size)
                kt_add(&self.t, &record, hash, &room, s.epoch | (s.stale_bit if flags & DUMP_STALE else 0))
            if record.number:
                kc_adopt(&self.t.coder, record.number, room.id, x, &encoded)
        finally:
            kr_partition_release(&self.t.namespaces, record.partition)
        return 0
