"""Declares json/ for Cython: JSON on bytes."""


cdef extern from "json/json_skip.h":
    ctypedef const unsigned char *kj_ptr

    enum:
        KJ_OK
        KJ_INCOMPLETE
        KJ_MALFORMED
        KJ_TOO_DEEP
        KJ_NO_MEMORY
        KJ_MAX_DEPTH

    ctypedef struct kj_text:
        kj_ptr at
        size_t len
        int has_escapes

    ctypedef struct kj_skip_state:
        unsigned char first

    bint kj_is_utf8(kj_ptr p, kj_ptr end) nogil
    size_t kj_distance(kj_ptr p, kj_ptr end) nogil
    kj_ptr kj_skip_space(kj_ptr p, kj_ptr end) nogil
    bint kj_is_delimiter(unsigned char c) nogil
    bint kj_is(const kj_text *t, const char *plain) nogil
    int kj_read_key(kj_ptr *pp, kj_ptr end, kj_text *key) nogil
    int kj_read_string(kj_ptr *pp, kj_ptr end, kj_text *t) nogil
    int kj_check_value(kj_ptr *pp, kj_ptr end, int depth) nogil
    int kj_skip_part(kj_skip_state *s, kj_ptr *pp, kj_ptr end) nogil
    size_t kj_unescape(kj_ptr p, size_t len, unsigned char *out) nogil
