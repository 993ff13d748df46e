"""Declares index/ for Cython: the indexes of a store."""

from libc.stdint cimport uint32_t, uint64_t


cdef extern from "index/extract.h":
    enum:
        KX_NONE
        KX_PAGE_SLOTS

    ctypedef struct kx_idset:
        uint32_t count

    ctypedef struct kx_value:
        kx_idset ids
        uint32_t index
        uint32_t len
        const unsigned char *text

    ctypedef struct kx_child:
        unsigned char *name
        size_t len
        int target

    ctypedef struct kx_node:
        kx_child *children
        uint32_t count
        int other
        uint32_t *ends
        uint32_t end_count
        uint32_t owner

    ctypedef struct kx_indexes:
        kx_node *nodes
        uint32_t node_count
        uint32_t owner_index
        uint32_t pages

    uint32_t kx_idset_next(kx_idset *s, uint32_t id) nogil
    int kx_init(kx_indexes *x, uint64_t seed) nogil
    void kx_free(kx_indexes *x) nogil
    void kx_free_nodes(kx_node *nodes, uint32_t count) nogil
    bint kx_index_json(kx_indexes *x, uint32_t id, const unsigned char *raw, size_t len) nogil
    void kx_release(kx_indexes *x, uint32_t id) nogil
    void kx_forget(kx_indexes *x, uint32_t number, uint32_t id) nogil
    kx_value *kx_value_or_null(const kx_indexes *x, uint32_t number) nogil
    const kx_value *kx_next_value(const kx_indexes *x, uint32_t id, uint32_t index, uint32_t *at) nogil
    kx_idset *kx_ids_with(const kx_indexes *x, uint32_t index, const unsigned char *text, size_t len) nogil
    uint64_t kx_bytes(const kx_indexes *x) nogil
