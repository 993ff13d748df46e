"""`_table.h` for Cython."""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from kinform_ext._postings cimport Postings, kx_indexes, kx_posting
from kinform_ext._version cimport Codecs, Version, kt_byte, kt_new, kt_text, kt_users, kt_view, kt_who


cdef extern from "records/record.h":
    enum:
        KT_NONE
        KT_ID_MASK
        KT_STAGED
        KT_MARK
        KT_SHADOWED
        KT_LIMBO

    uint32_t kt_word(const kt_byte *record) nogil
    void kt_set_word(kt_byte *record, uint32_t word) nogil
    kt_text kt_name(const kt_byte *record, uint32_t *place) nogil
    void kt_describe(kt_who *who, const kt_text *uid, const kt_text *rv) nogil
    void kt_again(const kt_view *v, kt_new *n, kt_who *who) nogil
    bint kt_has_both(kt_byte form) nogil
    bint kt_same_uid(const kt_view *v, const kt_who *who) nogil
    bint kt_same_rv(const kt_view *v, const kt_who *who) nogil
    bint kt_try_varint(const kt_byte **pp, const kt_byte *end, uint64_t *n) nogil
    bint kt_try_read(const kt_byte *at, const kt_byte *end, kt_view *v) nogil
    size_t kt_varint_size(uint64_t n) nogil
    kt_byte *kt_put_varint(kt_byte *to, uint64_t n) nogil
    kt_byte *kt_put_text(kt_byte *to, const kt_text *t) nogil
    size_t kt_size(const kt_new *n) nogil


cdef extern from "records/placeholders.h":
    ctypedef struct kc_span:
        size_t at
        size_t len
        kt_byte code

    kt_text kc_stem(const kt_text *name) nogil
    const kt_byte *kc_next(const kt_byte *at, const kt_byte *end) nogil
    int kc_join(kc_span *span, int count, size_t at, size_t len, int which) nogil
    int kc_seek(kc_span *span, const kt_byte *raw, size_t len, const kt_text *value) nogil
    kt_byte *kc_cut(kt_byte *to, const kt_byte *raw, size_t len, const kc_span *span, int count) nogil


cdef extern from "table.h":
    enum:
        KT_CALM
        KT_BEGUN
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

    ctypedef struct kt_sums:
        uint64_t names
        uint64_t blobs
        uint64_t raws

    ctypedef struct kt_slabs:
        uint64_t live
        uint64_t dead

    ctypedef struct kt_ids:
        uint32_t count

    ctypedef struct kt_keymap:
        uint32_t pages

    ctypedef struct kt_place:
        uint32_t users
        uint32_t space
        uint32_t stream

    ctypedef struct kt_places:
        kt_place *place

    ctypedef struct kt_table:
        kt_slabs slabs
        kt_ids ids
        kt_keymap keys
        kt_places places
        kt_stream *stream
        uint32_t streams
        kt_users *users
        kx_indexes *indexes
        kt_pin *pins
        kt_sums sums
        uint64_t seen
        uint64_t stale
        uint64_t records
        uint64_t limbo
        uint64_t limbo_bytes
        uint64_t changes

    ctypedef struct kt_found:
        uint32_t plain
        uint32_t staged

    ctypedef struct kt_room:
        uint32_t id

    int kt_init(kt_table *t, kt_users *users, uint64_t seed) nogil
    void kt_close(kt_table *t) nogil
    kt_byte *kt_at(const kt_table *t, uint32_t id) nogil
    int kt_stream_room(kt_table *t, uint32_t number) nogil
    bint kt_seen(const kt_stream *s, uint32_t word) nogil
    bint kt_unswept(const kt_stream *s, uint32_t word) nogil
    bint kt_is_stale(const kt_stream *s, uint32_t word) nogil
    uint64_t kt_key_hash(const kt_places *p, uint32_t place, const kt_text *name) nogil
    kt_found kt_find(const kt_table *t, uint32_t place, const kt_text *name, uint64_t hash) nogil
    kt_found kt_find_like(const kt_table *t, uint32_t id) nogil
    uint32_t kt_find_seen(const kt_table *t, const kt_text *space, const kt_text *name) nogil
    int kt_reserve(kt_table *t, const kt_new *n, uint64_t hash, kt_room *room) nogil
    void kt_add(kt_table *t, const kt_new *n, uint64_t hash, const kt_room *room, uint32_t state) nogil
    void kt_release(kt_table *t, uint32_t id) nogil
    void kt_mark(kt_stream *s, kt_byte *record) nogil
    void kt_staler(kt_stream *s, kt_byte *record, int stale) nogil
    void kt_unmark(kt_stream *s, kt_byte *record) nogil
    void kt_shadow(kt_stream *s, kt_byte *record, int shadowed) nogil
    void kt_commit(kt_table *t, kt_stream *s, int keep) nogil
    void kt_abort(kt_table *t, uint32_t number) nogil
    void kt_settle(kt_table *t, uint32_t id) nogil
    void kt_stay(kt_stream *s, kt_byte *record) nogil
    void kt_drop(kt_table *t, kt_stream *s) nogil
    void kt_unpin(kt_table *t, kt_pin *pin) nogil
    int64_t kt_pin_all(kt_table *t, kt_pin *pin, uint32_t space) nogil
    int64_t kt_pin_some(kt_table *t, kt_pin *pin, uint32_t space, kx_posting *of) nogil
    bint kt_wanted(const kt_table *t, uint32_t id, uint32_t space) nogil
    uint32_t kt_pin_next(kt_table *t, kt_pin *pin, uint32_t passed) nogil
    int kt_tidy(kt_table *t, uint64_t slack, size_t budget) nogil
    uint64_t kt_slack(const kt_table *t) nogil
    int kt_recode(kt_table *t, uint32_t id, uint32_t codec, const kt_text *blob) nogil
    bint kt_id_used(const kt_ids *ids, uint32_t id) nogil
    uint32_t kt_id_from(const kt_ids *ids, uint32_t id) nogil
    uint32_t kt_place_take(kt_places *p, uint32_t stream, const kt_text *space) nogil
    uint32_t kt_place_find(const kt_places *p, uint32_t stream, const kt_text *space) nogil
    void kt_place_let(kt_places *p, uint32_t place) nogil
    uint64_t kt_space_hash(const kt_places *p, const kt_text *space) nogil
    uint32_t kt_space_find(const kt_places *p, const kt_text *space, uint64_t hash) nogil
    kt_text kt_space_of(const kt_places *p, uint32_t place) nogil
    void kt_slab_cool(kt_slabs *s) nogil
    uint64_t kt_slabs_bytes(const kt_slabs *s) nogil
    uint64_t kt_ids_bytes(const kt_ids *ids) nogil
    uint64_t km_bytes(const kt_keymap *keys) nogil
    uint64_t kt_places_bytes(const kt_places *p) nogil


ctypedef struct Given:
    # One object on its way into the table. The bytes are the caller's and stay as they are.
    uint32_t stream
    kt_text value[4]
    const kt_byte *raw
    size_t raw_len
    kc_span span[32]
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
    cdef kt_found find_in(self, Py_ssize_t stream, const kt_text *key)
    cdef kt_byte *record(self, Py_ssize_t id) except NULL
    cdef Version version_id(self, uint32_t id)
    cdef bytes raw_id(self, uint32_t id)
    cdef bytes encode(self, bytes cut, uint32_t *codec)
    cdef int index(self, uint32_t id, const kt_byte *raw, size_t len) except -1
    cdef kx_posting *posting(self, Py_ssize_t index, str value) except? NULL
    cdef bytes prepare(self, Given *given, uint32_t place, const kt_who *who, kt_new *new)
    cdef int same(self, uint32_t id, const kt_who *who, Given *given) except -1
    cdef bint same_version(self, uint32_t id, const kt_who *who) noexcept
    cdef bint replaced(self, uint32_t id, const kt_who *who) noexcept
    cdef int take(self, Given *given, list changes) except -1
    cdef int take_initial(self, Given *given, uint32_t place, uint64_t hash, const kt_who *who) except -1
    cdef int take_live(self, Given *given, uint32_t place, uint64_t hash, const kt_who *who, list changes) except -1
    cdef int take_deleted(self, Given *given, uint32_t place, uint64_t hash, const kt_who *who, list changes) except -1
    cdef int unstage(self, uint32_t stream, kt_found found) except -1
    cdef int settled(self, uint32_t stream, kt_found found, list changes) except -1
    cdef int sweep_some(self, uint32_t number, Py_ssize_t limit, list changes) except -1
    cdef bytes dumped(self, uint32_t id)
    cdef const kt_byte *load_one(self, stream_of, const kt_byte *p, const kt_byte *end, uint32_t *id) except NULL
    cdef int tidy(self, size_t written) except -1


@cython.final
cdef class Ids:
    cdef:
        Table table
        kt_pin pin
        Py_ssize_t left
        uint32_t passed

    cdef int pin_down(self, str namespace, kx_posting *of) except -1
    cdef uint32_t advance(self)
