"""Loader: fills a table from a dump whose bytes are not trusted; part of `_table`.

The items of a dump are in _table_dump.pxi.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from kinform_ext._json cimport kj_is_utf8

cdef enum:
    ITEM_BYTES = 512  # by which `Loader.load` counts an item, in addition to the bytes of its object
    TEMPLATE_BYTES = 8192  # the same of a template, which takes longer
    MIN_LITERALS = 64  # of a table before another one starts: bounds the memory of tables by their bytes
    MAX_BLOB_EXCESS = 16  # bytes by which a blob may be longer than its object

cdef uint64_t HIGH_BITS = 0x8080808080808080
cdef str NOT_A_DUMP = "data: expected items of a dump"


# The bytes that are being loaded.
ctypedef struct Reading:
    const kr_byte *at
    const kr_byte *end


cdef uint64_t read_varint(Reading *r) except? 0xFFFFFFFF:
    cdef uint64_t n = 0
    if not kr_try_read_varint(&r.at, r.end, 32, &n):
        raise ValueError(NOT_A_DUMP)
    return n


cdef kr_text read_text(Reading *r, uint64_t size) except *:
    cdef kr_text found
    found.at = r.at
    found.len = size
    if size > <size_t>r.end - <size_t>r.at:
        raise ValueError(NOT_A_DUMP)
    r.at += size
    return found


cdef bint is_utf8(const kr_text *t) noexcept:
    cdef uint64_t bits = 0, word
    cdef size_t i = 0
    while i + 8 <= t.len:
        memcpy(&word, t.at + i, 8)
        bits |= word
        i += 8
    while i < t.len:
        bits |= t.at[i]
        i += 1
    return not bits & HIGH_BITS or kj_is_utf8(t.at, t.at + t.len)


cdef bint has_utf8(const kr_text *namespace, const kr_view *v) noexcept:
    """Returns whether the texts of a record are UTF-8; packed ones are."""
    if v.form & KR_UID_MASK == KR_UID_TEXT and not is_utf8(&v.uid):
        return False
    if v.form & KR_RV_MASK == KR_RV_TEXT and not is_utf8(&v.rv):
        return False
    return is_utf8(namespace) and is_utf8(&v.name)


@cython.final
@cython.no_gc_clear
cdef class _Literals:
    """A table of literals while a dump is loaded. It ends before the `Table`."""

    cdef:
        _TableStorage of
        kc_literals *table

    def __cinit__(self, _TableStorage of not None):
        self.of = of
        self.table = kc_literals_new()
        if self.table == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.table != NULL:
            kc_literals_release(self.table)


@cython.final
cdef class Loader:
    """Fills an empty table with a dump, whose bytes are not trusted.

    Each object is decoded once, which shows that it can be read, and indexed. No allocation is larger than the bytes
    that were passed in, than the largest object allowed, or than `objects` keys need. If a call raises, the table holds
    a part of the dump, and should be discarded.

    Args:
        table: The table.
        stream_of: Maps the streams in the dump to those of the table.
        max_object_bytes: Bytes of the largest object that is allowed.
        objects: How many objects are expected; 0: not known. Takes up to 8 bytes for each at once.

    Raises:
        ValueError: The table is not empty, or a stream is not from 0 to 65535.
    """

    cdef:
        _TableStreams table
        dict stream_of
        uint32_t max_object_bytes
        uint64_t dumped_stream  # the last one that was looked up, in the dump
        uint32_t stream  # the same in the table; KR_NONE: none was looked up
        list tables
        _Literals newest  # the last one of them; None: no table yet
        kr_byte *object  # room for an object
        size_t room  # its bytes

    def __cinit__(self, _TableStreams table not None, stream_of, Py_ssize_t max_object_bytes, uint64_t objects=0):
        if table.t.records or table.t.limbo or table.t.coder.templates.used:
            raise ValueError("table: expected an empty one")
        self.table = table
        self.stream_of = {number: table.stream_number(stream) for number, stream in stream_of.items()}
        self.max_object_bytes = min(max_object_bytes, MAX_BYTES)
        self.stream = KR_NONE
        self.tables = []
        kr_keymap_expect(&table.t.keys, <uint32_t>min(objects, <uint64_t>KR_ID_MASK))

    def __dealloc__(self):
        free(self.object)

    def load(self, bytes data not None, Py_ssize_t start, Py_ssize_t budget):
        """Loads items from byte `start` of a piece on.

        Args:
            data: Whole items, as `Dump.read` returns them.
            start: Where the next item starts.
            budget: Bytes of objects, decoded, after which the call returns.

        Returns:
            The byte to continue at, the length of `data` at its end.

        Raises:
            ValueError: The data is damaged, a stream has a key already, or a stream is not idle.
        """
        cdef Reading r
        if not 0 <= start <= PyBytes_GET_SIZE(data):
            raise ValueError(f"start {start}: expected 0 to {PyBytes_GET_SIZE(data)}")
        r.at = <const kr_byte *>PyBytes_AS_STRING(data) + start
        r.end = <const kr_byte *>PyBytes_AS_STRING(data) + PyBytes_GET_SIZE(data)
        while r.at < r.end and budget > 0:
            budget -= ITEM_BYTES + self.load_item(&r)
        return <size_t>r.at - <size_t>PyBytes_AS_STRING(data)

    def finish(self):
        """Ends the loading of a dump: frees templates that nothing needs."""
        cdef kt_table *t = &self.table.t
        cdef uint32_t number
        if self.newest is not None and t.coder.templates.used:
            kc_literals_use(&t.coder.templates, self.newest.table)
        for number in range(t.coder.templates.count, 0, -1):
            if kc_number_is_used(&t.coder.templates, number):
                kt_free_if_unneeded(t, kc_entry_of(&t.coder.templates, number).record)

    cdef Py_ssize_t load_item(self, Reading *r) except -1:
        """Loads an item; returns what it counts, in addition to ITEM_BYTES."""
        cdef int item = read_text(r, 1).at[0]
        if item == ITEM_LITERAL:
            return self.load_literal(r)
        if item == ITEM_TABLE:
            if self.newest is not None and self.newest.table.count < MIN_LITERALS:
                raise ValueError(NOT_A_DUMP)
            self.newest = _Literals(self.table)
            self.tables.append(self.newest)
            return 0
        if item & ~ITEM_FULL == ITEM_BASE:
            return self.load_base(item)
        if item & ITEM_KINDS != ITEM_RECORD or item & ~ITEM_FLAGS:
            raise ValueError(NOT_A_DUMP)
        if item & ITEM_TEMPLATE:
            return self.load_template(r, item)
        if item & (ITEM_HIDDEN | ITEM_MEMBER):
            raise ValueError(NOT_A_DUMP)
        return self.load_record(r, item, 0, 0)

    cdef Py_ssize_t load_base(self, int item) except -1:
        """Starts a base, or ends the last one."""
        cdef kc_bases *bases = &self.table.t.coder.bases
        if not item & ITEM_FULL:
            if not kc_base_begin(bases):
                raise ValueError(NOT_A_DUMP)
            return 0
        if not bases.current or not kc_base_of(bases, bases.current).count:
            raise ValueError(NOT_A_DUMP)
        kc_base_of(bases, bases.current).is_full = True
        return 0

    cdef Py_ssize_t load_literal(self, Reading *r) except -1:
        cdef uint64_t size = read_varint(r)
        cdef kr_text literal = read_text(r, size)
        if self.newest is None or size < KC_MIN_LITERAL:
            raise ValueError(NOT_A_DUMP)
        if not kc_literals_add(self.newest.table, literal.at, size):
            raise ValueError(NOT_A_DUMP)
        return 0

    cdef Py_ssize_t load_template(self, Reading *r, int item) except -1:
        cdef kc_templates *templates = &self.table.t.coder.templates
        cdef uint64_t joins = read_varint(r) if item & ITEM_MEMBER else 0
        cdef uint64_t table = read_varint(r), siblings = read_varint(r), count
        cdef uint32_t number = kc_number_reserve(templates)
        cdef kc_slots *lists[KC_MAX_LISTS]
        cdef kc_entry *e
        cdef float mean = 0
        cdef Py_ssize_t size
        cdef int i
        if not number or table >= <uint64_t>len(self.tables):
            raise ValueError(NOT_A_DUMP)
        memcpy(&mean, read_text(r, sizeof(float)).at, sizeof(float))
        for i in range(KC_MAX_LISTS):
            lists[i] = NULL
        try:
            count = read_varint(r)
            if count > KC_MAX_LISTS:
                raise ValueError(NOT_A_DUMP)
            for i in range(<int>count):
                lists[i] = self.load_list(r)
            kc_literals_use(templates, (<_Literals>self.tables[table]).table)
            size = self.load_record(r, item, number, joins)
            e = kc_entry_of(templates, number)
            e.siblings = min(siblings, <uint64_t>255)
            e.mean = mean if 0 <= mean < KC_MAX_TEMPLATE else 0
            for i in range(KC_MAX_LISTS):
                kc_list_add(templates, number, lists[i])
                lists[i] = NULL
        finally:
            for i in range(KC_MAX_LISTS):
                free(lists[i])
        return size + TEMPLATE_BYTES

    cdef kc_slots *load_list(self, Reading *r) except NULL:
        """Loads a slot list, whose words increase."""
        cdef uint64_t count = read_varint(r)
        cdef kc_slots *made
        cdef kr_text slots
        cdef uint64_t i
        slots = read_text(r, count * sizeof(uint16_t))
        made = kc_slots_copy(slots.at, count)
        if made == NULL:
            raise ValueError(NOT_A_DUMP)
        for i in range(1, made.count):
            if made.slot[i] & KC_SLOT_WORD <= made.slot[i - 1] & KC_SLOT_WORD:
                free(made)
                raise ValueError(NOT_A_DUMP)
        return made

    cdef Py_ssize_t load_record(self, Reading *r, int item, uint32_t number, uint32_t joins) except -1:
        """Loads a record; returns the size of its object.

        Args:
            r: The bytes.
            item: Kind and flags of the item.
            number: The number of the template; 0 for another object.
            joins: Bytes that a member adds to the last base.
        """
        cdef uint64_t dumped_stream = read_varint(r), namespace_len = read_varint(r)
        cdef kr_text namespace = read_text(r, namespace_len)
        cdef uint32_t stream = self.stream_in_table(dumped_stream), partition
        cdef kr_view v
        if not kr_try_read(r.at, r.end, &v) or v.number != number or v.size > MAX_BYTES:
            raise ValueError(NOT_A_DUMP)
        if v.raw_len > self.max_object_bytes or number and v.raw_len > KC_MAX_TEMPLATE:
            raise ValueError(f"an object of {v.raw_len} bytes")
        if v.blob.len > v.raw_len + MAX_BLOB_EXCESS:
            raise ValueError(NOT_A_DUMP)
        r.at += v.size
        if not has_utf8(&namespace, &v):
            raise ValueError(NOT_A_DUMP)
        partition = kr_partition_acquire(&self.table.t.namespaces, stream, &namespace)
        if partition == KR_NONE:
            raise MemoryError
        try:
            self.add(partition, &namespace, &v, item, joins)
        finally:
            kr_partition_release(&self.table.t.namespaces, partition)
        return v.raw_len

    cdef int decode(self, const kr_text *namespace, const kr_view *v, int item, uint32_t joins) except -1:
        """Decodes the object of a record."""
        cdef kc_base *base = NULL
        cdef bint is_valid
        self.reserve(v.raw_len)
        if item & ITEM_MEMBER:
            base = self.base_of_member(v, joins)
            base.is_full = True  # the members so far are its prefix
        is_valid = kc_decode(&self.table.t.coder, v, namespace, self.object)
        if base != NULL:
            base.is_full = False
        if not is_valid:
            raise ValueError(NOT_A_DUMP)
        return 0

    cdef kc_base *base_of_member(self, const kr_view *v, uint32_t joins) except NULL:
        """Returns the last base, if the template may join it."""
        cdef kc_bases *bases = &self.table.t.coder.bases
        cdef kc_base *base
        if not v.form & KR_FRAME or not v.codec or v.codec != bases.current or not joins:
            raise ValueError(NOT_A_DUMP)
        base = kc_base_of(bases, bases.current)
        if base.is_full or not kc_base_admits(base, joins):
            raise ValueError(NOT_A_DUMP)
        return base

    cdef uint32_t stream_in_table(self, uint64_t dumped_stream) except? 0xFFFFFFFF:
        if self.stream == KR_NONE or dumped_stream != self.dumped_stream:
            if dumped_stream not in self.stream_of:
                raise ValueError(NOT_A_DUMP)
            self.stream = self.stream_of[dumped_stream]
            self.dumped_stream = dumped_stream
        if self.table.t.stream[self.stream].phase != KT_IDLE:
            raise ValueError(f"stream {self.stream}: a relist, sweep or drop is in progress")
        return self.stream

    cdef int reserve(self, size_t size) except -1:
        """Makes room for an object."""
        if size > self.room or self.object == NULL:
            free(self.object)
            self.room = size + size // 4 + 4096
            self.object = <kr_byte *>malloc(self.room)
            if self.object == NULL:
                self.room = 0
                raise MemoryError
        return 0

    cdef int add(
        self, uint32_t partition, const kr_text *namespace, const kr_view *v, int item, uint32_t joins
    ) except -1:
        """Decodes the object of a record, and adds the record."""
        cdef kt_table *t = &self.table.t
        cdef kt_stream *s = kt_stream_of(t, partition)
        cdef kr_new record
        cdef kr_identity identity
        cdef kt_reservation room
        cdef uint64_t hash = kt_key_hash(&t.namespaces, partition, &v.name)
        cdef kc_object x
        cdef kc_encoded described
        cdef kr_byte uid[36]
        cdef kr_byte version[20]
        kr_keymap_prefetch(&t.keys, hash)
        self.decode(namespace, v, item, joins)
        if item & ITEM_TEMPLATE:
            x.raw, x.size = self.object, v.raw_len
            x.identity[0], x.identity[1] = namespace[0], v.name
            x.identity[2], x.identity[3] = kr_uid_text(v, uid), kr_rv_text(v, version)
            if not kc_describe(&t.coder, &x, 0 if v.form & KR_FRAME else v.codec, &described):
                raise ValueError(NOT_A_DUMP)
            described.codec, described.joins = v.codec, joins
        kr_new_from_view(v, &record, &identity)
        record.partition = partition
        if not item & ITEM_HIDDEN and kt_find(t, partition, &record.name, hash).plain != KR_NONE:
            raise ValueError(NOT_A_DUMP)
        if not kt_reserve(t, &record, hash, &room):
            raise MemoryError
        if item & ITEM_HIDDEN:
            kt_add_to_limbo(t, &record, &room)
        else:
            self.table.index_json(room.id, self.object, v.raw_len)
            kt_add(t, &record, hash, &room, s.epoch | (s.stale_bit if item & ITEM_STALE else 0))
        if item & ITEM_TEMPLATE:
            kc_adopt(&t.coder, v.number, room.id, &x, &described)
        if joins:
            self.check_member(room.id, v.codec)
        return 0

    cdef int check_member(self, uint32_t id, uint32_t base) except -1:
        """Counts the base as a user of its last member.

        Checks that the member adds what it states.
        """
        cdef kt_table *t = &self.table.t
        cdef kr_view v
        kr_read(kt_record(t, id), &v)
        if v.word & KR_LIMBO:
            kt_count_hidden(t, &v, 1)
        if kc_base_content(&t.coder, base, kc_base_of(&t.coder.bases, base).count).at == NULL:
            raise ValueError(NOT_A_DUMP)
        return 0
