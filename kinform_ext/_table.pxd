"""Declares the headers that the table uses, and the classes of `_table`."""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from kinform_ext._indexes cimport kx_idset, kx_indexes


cdef extern from "records/record.h":
    enum:
        KR_NONE
        KR_ID_MASK
        KR_STAGED
        KR_LIMBO
        KR_RV_MASK
        KR_RV_TEXT
        KR_UID_MASK
        KR_UID_TEXT
        KR_FRAME
        KR_PLACEHOLDERS

    ctypedef uint8_t kr_byte

    ctypedef struct kr_text:
        const kr_byte *at
        size_t len

    ctypedef struct kr_view:
        uint32_t word
        kr_byte form
        uint32_t partition
        uint32_t codec
        uint32_t number
        size_t raw_len
        kr_text name
        kr_text rv
        kr_text uid
        kr_text blob
        size_t size

    ctypedef struct kr_identity:
        kr_byte form
        kr_text uid

    ctypedef struct kr_new:
        uint32_t partition
        uint32_t codec
        uint32_t number
        kr_byte form
        size_t raw_len
        kr_text name
        kr_text blob
        const kr_identity *identity

    uint32_t kr_word(const kr_byte *record) nogil
    void kr_set_word(kr_byte *record, uint32_t word) nogil
    kr_text kr_name(const kr_byte *record, uint32_t *partition) nogil
    void kr_read(const kr_byte *at, kr_view *v) nogil
    bint kr_try_read(const kr_byte *at, const kr_byte *end, kr_view *v) nogil
    bint kr_try_read_varint(const kr_byte **pp, const kr_byte *end, int bits, uint64_t *n) nogil
    kr_text kr_uid_text(const kr_view *v, kr_byte *to) nogil
    kr_text kr_rv_text(const kr_view *v, kr_byte *to) nogil
    void kr_identify(kr_identity *identity, const kr_text *uid, const kr_text *rv) nogil
    void kr_new_from_view(const kr_view *v, kr_new *n, kr_identity *identity) nogil
    bint kr_has_uid_and_rv(kr_byte form) nogil
    bint kr_same_uid(const kr_view *v, const kr_identity *identity) nogil
    bint kr_same_rv(const kr_view *v, const kr_identity *identity) nogil
    size_t kr_varint_size(uint64_t n) nogil
    kr_byte *kr_put_varint(kr_byte *to, uint64_t n) nogil
    kr_byte *kr_put_text(kr_byte *to, const kr_text *t) nogil
    size_t kr_size(const kr_new *n) nogil
    void kr_write(kr_byte *to, const kr_new *n, uint32_t word) nogil


cdef extern from "records/holds.h":
    ctypedef struct kr_holds:
        pass

    int kr_holds_reserve(kr_holds *h, uint32_t more) nogil
    void kr_hold_take(kr_holds *h, uint32_t id) nogil
    uint64_t kr_holds_bytes(const kr_holds *h) nogil


cdef extern from "records/heap.h":
    void kr_heap_trim() nogil


cdef extern from "records/slabs.h":
    ctypedef struct kr_slabs:
        uint64_t live
        uint64_t dead

    void kr_slabs_unmap_spare(kr_slabs *s) nogil
    uint64_t kr_slabs_bytes(const kr_slabs *s) nogil


cdef extern from "records/ids.h":
    ctypedef struct kr_ids:
        pass

    uint32_t kr_ids_end(const kr_ids *ids) nogil
    bint kr_id_is_used(const kr_ids *ids, uint32_t id) nogil
    uint32_t kr_id_next_used(const kr_ids *ids, uint32_t id) nogil
    uint64_t kr_ids_bytes(const kr_ids *ids) nogil


cdef extern from "records/keymap.h":
    ctypedef struct kr_keymap:
        pass

    void kr_keymap_expect(kr_keymap *keys, uint32_t count) nogil
    void kr_keymap_prefetch(const kr_keymap *keys, uint64_t hash) nogil
    uint64_t kr_keymap_bytes(const kr_keymap *keys) nogil


cdef extern from "records/namespaces.h":
    ctypedef struct kr_partition:
        uint32_t stream

    ctypedef struct kr_namespaces:
        kr_partition *partition

    uint32_t kr_partition_acquire(kr_namespaces *p, uint32_t stream, const kr_text *name) nogil
    uint32_t kr_partition_find(const kr_namespaces *p, uint32_t stream, const kr_text *name) nogil
    void kr_partition_release(kr_namespaces *p, uint32_t partition) nogil
    kr_text kr_partition_namespace(const kr_namespaces *p, uint32_t partition) nogil
    uint64_t kr_namespace_hash(const kr_namespaces *p, const kr_text *name) nogil
    uint32_t kr_namespace_find(const kr_namespaces *p, const kr_text *name, uint64_t hash) nogil
    uint64_t kr_namespaces_bytes(const kr_namespaces *p) nogil


cdef extern from "coder/coder.h":
    ctypedef struct kc_process:
        pass

    enum:
        KC_MAX_TEMPLATE
        KC_MAX_LISTS
        KC_MAX_SLOTS
        KC_MIN_LITERAL
        KC_SLOT_WORD

    ctypedef struct kc_slots:
        kc_slots *older
        uint16_t count
        uint16_t *slot

    ctypedef struct kc_literals:
        uint32_t count

    ctypedef struct kc_entry:
        kc_slots *list
        kc_literals *literals
        uint32_t record
        uint32_t users
        uint8_t siblings
        float mean

    ctypedef struct kc_templates:
        uint32_t count
        uint32_t used
        kc_literals *literals

    enum:
        KC_MAX_BASES

    ctypedef struct kc_base:
        uint16_t *member
        uint32_t *end
        uint8_t count
        uint8_t is_full

    ctypedef struct kc_bases:
        uint32_t count
        uint32_t current

    ctypedef struct kc_coder:
        kc_templates templates
        kc_bases bases

    ctypedef struct kc_object:
        const kr_byte *raw
        size_t size
        kr_text identity[4]
        uint32_t hint
        size_t hinted
        int is_replaced
        int may_be_template

    ctypedef struct kc_encoded:
        kr_text blob
        uint32_t codec
        uint32_t joins
        int is_frame
        int placeholders
        int is_template

    void kc_process_shrink(kc_process *p) nogil
    uint64_t kc_process_bytes(const kc_process *p) nogil
    uint64_t kc_coder_bytes(const kc_coder *c) nogil
    uint64_t kc_coder_cached(const kc_coder *c) nogil
    kc_literals *kc_literals_new() nogil
    int kc_literals_add(kc_literals *l, const kr_byte *p, size_t len) nogil
    void kc_literals_release(kc_literals *l) nogil
    void kc_literals_use(kc_templates *t, kc_literals *l) nogil
    kr_text kc_literal_at(const kc_literals *l, uint32_t number) nogil
    kc_slots *kc_slots_copy(const kr_byte *from_, size_t count) nogil
    void kc_list_add(kc_templates *t, uint32_t number, kc_slots *list) nogil
    int kc_describe(kc_coder *c, const kc_object *x, uint32_t template_, kc_encoded *made) nogil
    kc_base *kc_base_of(const kc_bases *b, uint32_t number) nogil
    bint kc_base_is_used(const kc_bases *b, uint64_t number) nogil
    int kc_base_begin(kc_bases *b) nogil
    kc_entry *kc_entry_of(const kc_templates *t, uint32_t number) nogil
    bint kc_number_is_used(const kc_templates *t, uint64_t number) nogil
    int kc_decode(kc_coder *c, const kr_view *v, const kr_text *namespace_, kr_byte *to) nogil
    int kc_encode(kc_coder *c, const kc_object *x, kc_encoded *made) nogil
    int kc_base_admits(kc_base *b, size_t size) nogil
    kr_text kc_base_content(kc_coder *c, uint32_t number, int members) nogil
    uint32_t kc_number_reserve(kc_templates *t) nogil
    uint32_t kc_adopt_reserve(kc_coder *c) nogil
    void kc_adopt(kc_coder *c, uint32_t number, uint32_t record, const kc_object *x, const kc_encoded *made) nogil


cdef extern from "stream.h":
    enum:
        KT_IDLE
        KT_RELISTING
        KT_SWEEPING
        KT_DROPPING

    ctypedef struct kt_stream:
        uint8_t phase
        uint8_t keep_missing
        uint32_t epoch
        uint32_t stale_bit
        uint32_t next_stale_bit
        uint32_t plain
        uint32_t staged
        uint32_t marked
        uint32_t stale
        uint32_t uncleared
        uint32_t cursor

    bint kt_is_visible(const kt_stream *s, uint32_t word) nogil
    bint kt_is_unswept(const kt_stream *s, uint32_t word) nogil
    bint kt_is_stale(const kt_stream *s, uint32_t word) nogil
    void kt_mark(kt_stream *s, kr_byte *record) nogil
    void kt_unmark(kt_stream *s, kr_byte *record) nogil
    void kt_set_stale_next(kt_stream *s, kr_byte *record, int stale) nogil
    void kt_set_shadowed(kt_stream *s, kr_byte *record, int shadowed) nogil
    void kt_keep_missing(kt_stream *s, kr_byte *record) nogil


cdef extern from "pins.h":
    ctypedef struct kt_pin:
        uint64_t *bits
        uint32_t words
        uint32_t removed

    ctypedef struct kt_totals:
        uint64_t names
        uint64_t blobs
        uint64_t raws

    ctypedef struct kt_table:
        kr_slabs slabs
        kr_ids ids
        kr_keymap keys
        kr_namespaces namespaces
        kt_stream *stream
        uint32_t streams
        kx_indexes *indexes
        kc_coder coder
        kr_holds holds
        kt_totals totals
        uint64_t visible
        uint64_t stale
        uint64_t records
        uint64_t limbo
        uint64_t limbo_bytes
        uint64_t hidden
        uint64_t hidden_bytes

    ctypedef struct kt_found:
        uint32_t plain
        uint32_t staged

    ctypedef struct kt_reservation:
        uint32_t id

    int kt_init(kt_table *t, kc_process *process, uint64_t seed) nogil
    void kt_free(kt_table *t) nogil
    kr_byte *kt_record(const kt_table *t, uint32_t id) nogil
    kt_stream *kt_stream_of(const kt_table *t, uint32_t partition) nogil
    int kt_stream_reserve(kt_table *t, uint32_t number) nogil
    uint64_t kt_key_hash(const kr_namespaces *p, uint32_t partition, const kr_text *name) nogil
    kt_found kt_find(const kt_table *t, uint32_t partition, const kr_text *name, uint64_t hash) nogil
    kt_found kt_find_same_key(const kt_table *t, uint32_t id) nogil
    uint32_t kt_find_visible(const kt_table *t, const kr_text *namespace_, const kr_text *name) nogil
    int kt_reserve(kt_table *t, const kr_new *n, uint64_t hash, kt_reservation *room) nogil
    void kt_add(kt_table *t, const kr_new *n, uint64_t hash, const kt_reservation *room, uint32_t state) nogil
    void kt_add_to_limbo(kt_table *t, const kr_new *n, const kt_reservation *room) nogil
    void kt_count_hidden(kt_table *t, const kr_view *v, int sign) nogil
    void kt_remove(kt_table *t, uint32_t id) nogil
    void kt_release(kt_table *t, uint32_t id) nogil
    void kt_free_if_unneeded(kt_table *t, uint32_t id) nogil
    void kt_commit(kt_table *t, kt_stream *s, int keep) nogil
    void kt_abort(kt_table *t, uint32_t number) nogil
    void kt_promote(kt_table *t, uint32_t id) nogil
    void kt_start_drop(kt_table *t, kt_stream *s) nogil
    int kt_compact(kt_table *t, uint64_t allowed, size_t budget) nogil
    uint64_t kt_allowed_dead(const kt_table *t) nogil
    void kt_pin_release(kt_table *t, kt_pin *pin) nogil
    bint kt_is_selected(const kt_table *t, uint32_t id, uint32_t number) nogil
    int64_t kt_pin_all(kt_table *t, kt_pin *pin, uint32_t number) nogil
    int kt_pin_copy(kt_table *t, kt_pin *pin, const kt_pin *from_) nogil
    uint32_t kt_pin_find(const kt_table *t, const kt_pin *pin, const kr_text *namespace_, const kr_text *name) nogil
    int64_t kt_pin_templates(kt_table *t, kt_pin *pin, kr_byte *added) nogil
    int64_t kt_pin_ids(kt_table *t, kt_pin *pin, uint32_t number, kx_idset *ids) nogil
    uint32_t kt_pin_advance(kt_table *t, kt_pin *pin, uint32_t passed) nogil


# An object that is being written. The caller owns all bytes.
ctypedef struct Incoming:
    uint32_t stream
    uint32_t partition  # of its stream and namespace
    uint64_t hash  # of its key
    kr_identity identity  # uid and resourceVersion, as a record stores them
    kc_object object  # the JSON and the identity as text
    kc_encoded encoded  # set by `encode`
    bint deleted  # the verb is DELETED
    bint initial  # it belongs to a relist


@cython.final
cdef class Postings:
    cdef kx_indexes x
    cdef frozenset indexes  # numbers of the indexes of the program
    cdef uint32_t purged  # the number of the value that `purge` continues at

    cdef uint32_t index(self, Py_ssize_t index) except? 0xFFFFFFFF
    cdef kx_idset *ids_with(self, Py_ssize_t index, str value) except? NULL


cdef class _TableStorage:
    cdef:
        kt_table t
        readonly Postings postings

    cdef kr_byte *record(self, Py_ssize_t id) except NULL
    cdef bytes read_raw(self, uint32_t id)
    cdef bytes pack_identity(self, uint32_t id)
    cdef str key(self, const kr_text *namespace, const kr_text *name)
    cdef int index_json(self, uint32_t id, const kr_byte *raw, size_t len) except -1
    cdef kx_idset *ids_with(self, Py_ssize_t index, str value) except? NULL
    cdef int compact_after(self, size_t written) except -1
    cdef uint64_t map_bytes(self) noexcept
    cdef int add_owners(self, list found, uint32_t id) except -1
    cdef int hold(self, uint32_t id) except -1
    cdef Version version(self, uint32_t id)


cdef class _TableStreams(_TableStorage):
    cdef bint keys_only  # of the current call
    cdef bint notes_owners  # likewise
    cdef list owners  # of changes, since the last `take_owners`

    cdef list start_changes(self, int listen)
    cdef int note_owners(self, uint32_t id) except -1
    cdef int append_written(self, list changes, uint32_t id, Version old, bint recreated) except -1
    cdef uint32_t stream_number(self, Py_ssize_t stream) except? 0xFFFFFFFF
    cdef kt_stream *stream_in_phase(self, Py_ssize_t number, bint initial) except NULL
    cdef kt_found find_in_stream(self, Py_ssize_t stream, const kr_text *key)
    cdef bint has_other_uid(self, uint32_t id, const kr_identity *identity) noexcept
    cdef int unstage(self, uint32_t stream, kt_found found) except -1
    cdef void clear_stale(self, Py_ssize_t stream, kr_byte *record) noexcept
    cdef int sweep_key(self, uint32_t stream, kt_found found, list changes) except -1
    cdef int sweep_slice(self, uint32_t number, Py_ssize_t limit, list changes) except -1
    cdef int remove(self, uint32_t id, list changes, bint synthetic) except -1


@cython.final
cdef class Table(_TableStreams):
    cdef int write(self, Incoming *incoming, list changes) except -1
    cdef int write_initial(self, Incoming *incoming) except -1
    cdef int write_live(self, Incoming *incoming, list changes) except -1
    cdef int write_deleted(self, Incoming *incoming, list changes) except -1
    cdef Version last_version(self, Incoming *incoming, uint32_t stored)
    cdef kt_found found_of(self, const Incoming *incoming) noexcept
    cdef Py_ssize_t add(self, Incoming *incoming, uint32_t before, uint32_t state, uint32_t *id) except -1
    cdef int is_same(self, uint32_t id, const Incoming *incoming) except -1
    cdef bint is_same_version(self, uint32_t id, const Incoming *incoming) noexcept


@cython.final
cdef class Version:
    cdef:
        _TableStorage table
        uint32_t id  # held

    cdef _TableStorage of(self)


@cython.final
cdef class Change:
    cdef readonly:
        str key
        Version new
        Version old
        bint synthetic


@cython.final
cdef class Ids:
    cdef:
        _TableStorage table
        kt_pin pinned
        Py_ssize_t left  # ids that were not returned yet
        uint32_t passed  # the id that was returned last, or KR_NONE

    cdef int pin(self, str namespace, kx_idset *ids) except -1
    cdef uint32_t advance(self)
