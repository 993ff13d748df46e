"""`_json.h` and `_bounds.h` for Cython: JSON on bytes."""


cdef extern from "json/json_skip.h":
    ctypedef const unsigned char *kj_ptr

    enum:
        KJ_OK
        KJ_MORE
        KJ_BAD
        KJ_DEEP
        KJ_NOMEM
        KJ_MAX_DEPTH

    ctypedef struct kj_text:
        kj_ptr at
        size_t len
        int how

    ctypedef struct kj_unit:
        unsigned char first

    size_t kj_span(kj_ptr p, kj_ptr end) nogil
    kj_ptr kj_space(kj_ptr p, kj_ptr end) nogil
    bint kj_is_delimiter(unsigned char c) nogil
    bint kj_is(const kj_text *t, const char *plain) nogil
    int kj_key(kj_ptr *pp, kj_ptr end, kj_text *key) nogil
    int kj_take(kj_ptr *pp, kj_ptr end, kj_text *t) nogil
    int kj_value(kj_ptr *pp, kj_ptr end, int depth) nogil
    int kj_unit_end(kj_unit *u, kj_ptr *pp, kj_ptr end) nogil
    size_t kj_unescape(kj_ptr p, size_t len, unsigned char *out) nogil
