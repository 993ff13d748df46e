"""`_table.h` for Cython."""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from kinform_ext._postings cimport Postings, kx_indexes, kx_idset
from kinform_ext._version cimport Codecs, Version, kr_byte, kr_new, kr_text, kr_refcounts, kr_view, kr_identity


cdef extern from "records/record.h":
    enum:
        KR_NONE
        KR_ID_MASK
        KR_STAGED
        KR_MARK
        KR_SHADOWED
        KR_LIMBO

    uint32_t kr_word(const kr_byte *record) nogil
    void kr_set_word(kr_byte *record, uint32_t word) nogil
    kr_text kr_name(const kr_byte *record, uint32_t *place) nogil
    void kr_identify(kr_identity *who, const kr_text *uid, const kr_text *rv) nogil
    void kr_new_from_view(const kr_view *v, kr_new *n, kr_identity *who) nogil
    bint kr_has_uid_and_rv(kr_byte form) nogil
    bint kr_same_uid(const kr_view *v, const kr_identity *who) nogil
    bint kr_same_rv(const kr_view *v, const kr_identity *who) nogil
    bint kr_try_read_varint(const kr_byte **pp, const kr_byte *end, uint64_t *n) nogil
    bint kr_try_read(const kr_byte *at, const kr_byte *end, kr_view *v) nogil
    size_t kr_varint_size(uint64_t n) nogil
    kr_byte *kr_put_varint(kr_byte *to, uint64_t n) nogil
    kr_byte *kr_put_text(kr_byte *to, const kr_text *t) nogil
    size_t kr_size(const kr_new *n) nogil


cdef extern from "records/placeholders.h":
    ctypedef struct kr_span:
        size_t at
        size_t len
        kr_byte code

    kr_text kr_name_stem(const kr_text *name) nogil
    const kr_byte *kr_next_placeholder(const kr_byte *at, const kr_byte *end) nogil
    int kr_add_span(kr_span *span, int count, size_t at, size_t len, int which) nogil
    int kr_find_spans(kr_span *span, const kr_byte *raw, size_t len, const kr_text *value) nogil
    kr_byte *kr_put_placeholders(kr_byte *to, const kr_byte *raw, size_t len, const kr_span *span, int count) nogil


cdef extern from "table.h":
    enum:
        KT_IDLE
        KT_RELISTING
        KT_SWEEPING
        KT_DROPPING

    ctypedef struct kt_stream:
        uint8_t phase
        uint8_t keep
        uint32_t turn
        uint32_t now
        uint32_t later
        uint32_t plain
        uint32_t staged
        uint32_t marked
        uint32_t shadowed
        uint32_t stale
        uint32_t staler
        uint32_t unclean
        uint32_t cursor

    ctypedef struct kt_pin:
        uint64_t *bits
        uint32_t words

    ctypedef struct kt_totals:
        uint64_t names
        uint64_t blobs
        uint64_t raws

    ctypedef struct kr_slabs:
        uint64_t live
        uint64_t dead

    ctypedef struct kr_ids:
        uint32_t count

    ctypedef struct kr_keymap:
        uint32_t pages

    ctypedef struct kr_partition:
        uint32_t users
        uint32_t space
        uint32_t stream

    ctypedef struct kr_namespaces:
        kr_partition *place

    ctypedef struct kt_table:
        kr_slabs slabs
        kr_ids ids
        kr_keymap keys
        kr_namespaces places
        kt_stream *stream
        uint32_t streams
        kr_refcounts *users
        kx_indexes *indexes
        kt_pin *pins
        kt_totals sums
        uint64_t seen
        uint64_t stale
        uint64_t records
        uint64_t limbo
        uint64_t limbo_bytes
        uint64_t changes

    ctypedef struct kt_found:
        uint32_t plain
        uint32_t staged

    ctypedef struct kt_reservation:
        uint32_t id

    int kt_init(kt_table *t, kr_refcounts *users, uint64_t seed) nogil
    void kt_free(kt_table *t) nogil
    kr_byte *kt_record(const kt_table *t, uint32_t id) nogil
    int kt_stream_reserve(kt_table *t, uint32_t number) nogil
    bint kt_is_visible(const kt_stream *s, uint32_t word) nogil
    bint kt_is_unswept(const kt_stream *s, uint32_t word) nogil
    bint kt_is_stale(const kt_stream *s, uint32_t word) nogil
    uint64_t kt_key_hash(const kr_namespaces *p, uint32_t place, const kr_text *name) nogil
    kt_found kt_find(const kt_table *t, uint32_t place, const kr_text *name, uint64_t hash) nogil
    kt_found kt_find_same_key(const kt_table *t, uint32_t id) nogil
    uint32_t kt_find_visible(const kt_table *t, const kr_text *space, const kr_text *name) nogil
    int kt_reserve(kt_table *t, const kr_new *n, uint64_t hash, kt_reservation *room) nogil
    void kt_add(kt_table *t, const kr_new *n, uint64_t hash, const kt_reservation *room, uint32_t state) nogil
    void kt_remove(kt_table *t, uint32_t id) nogil
    void kt_mark(kt_stream *s, kr_byte *record) nogil
    void kt_set_stale_next(kt_stream *s, kr_byte *record, int stale) nogil
    void kt_unmark(kt_stream *s, kr_byte *record) nogil
    void kt_set_shadowed(kt_stream *s, kr_byte *record, int shadowed) nogil
    void kt_commit(kt_table *t, kt_stream *s, int keep) nogil
    void kt_abort(kt_table *t, uint32_t number) nogil
    void kt_promote(kt_table *t, uint32_t id) nogil
    void kt_keep_missing(kt_stream *s, kr_byte *record) nogil
    void kt_start_drop(kt_table *t, kt_stream *s) nogil
    void kt_pin_release(kt_table *t, kt_pin *pin) nogil
    int64_t kt_pin_all(kt_table *t, kt_pin *pin, uint32_t space) nogil
    int64_t kt_pin_ids(kt_table *t, kt_pin *pin, uint32_t space, kx_idset *of) nogil
    bint kt_is_selected(const kt_table *t, uint32_t id, uint32_t space) nogil
    uint32_t kt_pin_advance(kt_table *t, kt_pin *pin, uint32_t passed) nogil
    int kt_compact(kt_table *t, uint64_t slack, size_t budget) nogil
    uint64_t kt_allowed_dead(const kt_table *t) nogil
    int kt_recode(kt_table *t, uint32_t id, uint32_t codec, const kr_text *blob) nogil
    bint kr_id_is_used(const kr_ids *ids, uint32_t id) nogil
    uint32_t kr_id_next_used(const kr_ids *ids, uint32_t id) nogil
    uint32_t kr_partition_acquire(kr_namespaces *p, uint32_t stream, const kr_text *space) nogil
    uint32_t kr_partition_find(const kr_namespaces *p, uint32_t stream, const kr_text *space) nogil
    void kr_partition_release(kr_namespaces *p, uint32_t place) nogil
    uint64_t kr_namespace_hash(const kr_namespaces *p, const kr_text *space) nogil
    uint32_t kr_namespace_find(const kr_namespaces *p, const kr_text *space, uint64_t hash) nogil
    kr_text kr_partition_namespace(const kr_namespaces *p, uint32_t place) nogil
    void kr_slabs_unmap_spare(kr_slabs *s) nogil
    uint64_t kr_slabs_bytes(const kr_slabs *s) nogil
    uint64_t kr_ids_bytes(const kr_ids *ids) nogil
    uint64_t kr_keymap_bytes(const kr_keymap *keys) nogil
    uint64_t kr_namespaces_bytes(const kr_namespaces *p) nogil


ctypedef struct Given:
    # One object on its way into the table. The bytes are the caller's and stay as they are.
    uint32_t stream
    kr_text value[4]
    const kr_byte *raw
    size_t raw_len
    kr_span span[32]
    int spans
    bint deleted
    bint initial


@cython.final
cdef class Table:
    cdef:
        kt_table t
        Codecs codecs
        readonly Postings postings
        uint32_t codec
        public object encoder
        public object observer

    cdef uint32_t number(self, Py_ssize_t stream) except? 0xFFFFFFFF
    cdef kt_stream *stream(self, Py_ssize_t number, bint initial) except NULL
    cdef int check_phase(self, uint32_t stream, bint initial) except -1
    cdef kt_found find_in(self, Py_ssize_t stream, const kr_text *key)
    cdef kr_byte *record(self, Py_ssize_t id) except NULL
    cdef Version version_id(self, uint32_t id)
    cdef bytes raw_id(self, uint32_t id)
    cdef bytes encode(self, bytes cut, uint32_t *codec)
    cdef int index(self, uint32_t id, const kr_byte *raw, size_t len) except -1
    cdef kx_idset *posting(self, Py_ssize_t index, str value) except? NULL
    cdef bytes prepare(self, Given *given, uint32_t place, const kr_identity *who, kr_new *new)
    cdef int same(self, uint32_t id, const kr_identity *who, Given *given) except -1
    cdef bint same_version(self, uint32_t id, const kr_identity *who) noexcept
    cdef bint replaced(self, uint32_t id, const kr_identity *who) noexcept
    cdef int take(self, Given *given, list changes) except -1
    cdef int take_initial(self, Given *given, uint32_t place, uint64_t hash, const kr_identity *who) except -1
    cdef int take_live(self, Given *given, uint32_t place, uint64_t hash, const kr_identity *who, list changes) except -1
    cdef int take_deleted(self, Given *given, uint32_t place, uint64_t hash, const kr_identity *who, list changes) except -1
    cdef int unstage(self, uint32_t stream, kt_found found) except -1
    cdef int settled(self, uint32_t stream, kt_found found, list changes) except -1
    cdef int sweep_some(self, uint32_t number, Py_ssize_t limit, list changes) except -1
    cdef bytes dumped(self, uint32_t id)
    cdef const kr_byte *load_one(self, stream_of, const kr_byte *p, const kr_byte *end, uint32_t *id) except NULL
    cdef int tidy(self, size_t written) except -1


@cython.final
cdef class Ids:
    cdef:
        Table table
        kt_pin pin
        Py_ssize_t left
        uint32_t passed

    cdef int pin_down(self, str namespace, kx_idset *of) except -1
    cdef uint32_t advance(self)
