"""`_prune.h` for Cython: one object from the wire to its place in a batch."""

from kinform_ext._json cimport kj_ptr


cdef extern from "scan/batch.h":
    enum:
        KB_NAMESPACE
        KB_NAME
        KB_UID
        KB_VERSION
        KB_TEXTS

    ctypedef struct kb_span:
        size_t at
        size_t len

    ctypedef struct kb_record:
        kb_span raw
        size_t body
        kb_span text[4]
        unsigned long long offset
        size_t wire
        int verb


cdef extern from "scan/prune.h":
    enum:
        KP_KEEP
        KP_DROP
        KP_FIELD
        KP_KIND
        KP_API

    ctypedef struct kp_child:
        kj_ptr name
        size_t len
        int target

    ctypedef struct kp_node:
        kp_child *children
        int count
        int other
        int keep_scalar
        size_t keep_last

    ctypedef struct kl_stack:
        void *elements

    ctypedef struct kp_walk:
        unsigned char *block
        size_t used
        size_t room
        kp_node *nodes
        int root
        int metadata
        unsigned char *kind
        unsigned char *api
        size_t kind_len
        size_t api_len
        kl_stack lists

    int kp_take(kp_walk *w, kj_ptr *pp, kj_ptr end, kb_record *rec) nogil
