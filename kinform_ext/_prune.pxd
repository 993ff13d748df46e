"""Declares scan/batch.h and scan/prune.h: an object on its way into a batch."""

from kinform_ext._json cimport kj_ptr


cdef extern from "scan/batch.h":
    enum:
        KS_NAMESPACE
        KS_NAME
        KS_UID
        KS_RESOURCE_VERSION
        KS_TEXTS
        KS_ADDED
        KS_MODIFIED
        KS_DELETED

    ctypedef struct ks_span:
        size_t at
        size_t len

    ctypedef struct ks_object:
        ks_span raw
        ks_span text[4]
        int verb


cdef extern from "scan/prune.h":
    enum:
        KS_KEEP
        KS_DROP
        KS_FIELD
        KS_KIND
        KS_API_VERSION

    ctypedef struct ks_child:
        kj_ptr name
        size_t len
        int target

    ctypedef struct ks_node:
        ks_child *children
        int count
        int other
        int keep_scalar
        size_t keep_last

    ctypedef struct ks_element_stack:
        void *elements

    ctypedef struct ks_pruner:
        unsigned char *block
        size_t used
        size_t capacity
        ks_node *nodes
        int root
        int metadata
        unsigned char *kind
        unsigned char *api_version
        size_t kind_len
        size_t api_version_len
        ks_element_stack lists

    int ks_prune_object(ks_pruner *s, kj_ptr *pp, kj_ptr end, ks_object *object) nogil
