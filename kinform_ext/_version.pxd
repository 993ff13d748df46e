"""Declares records/, and the copied versions that the table shares."""

cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef extern from "records/record.h":
    enum:
        KR_PLACEHOLDERS
        KR_UID_MASK

    ctypedef uint8_t kr_byte

    ctypedef struct kr_text:
        const kr_byte *at
        size_t len

    ctypedef struct kr_view:
        uint32_t word
        kr_byte form
        uint32_t partition
        uint32_t codec
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
        int placeholders
        size_t raw_len
        kr_text name
        kr_text blob
        const kr_identity *identity

    void kr_read(const kr_byte *at, kr_view *v) nogil
    kr_text kr_uid_text(const kr_view *v, kr_byte *to) nogil
    kr_text kr_rv_text(const kr_view *v, kr_byte *to) nogil
    size_t kr_size(const kr_new *n) nogil
    void kr_write(kr_byte *to, const kr_new *n, uint32_t word) nogil


cdef extern from "records/refcounts.h":
    ctypedef struct kr_refcounts:
        uint32_t *count
        uint32_t capacity

    int kr_refcounts_reserve(kr_refcounts *r, uint32_t codec) nogil


cdef extern from "records/placeholders.h":
    ctypedef struct kr_values:
        kr_text value[5]

    int kr_values_copy(kr_values *copy, const kr_view *v, const kr_text *namespace_) nogil
    void kr_values_release(kr_values *copy) nogil
    int kr_restore_values(kr_byte *to, size_t size, const kr_byte *source, size_t len, const kr_text *value) nogil


@cython.final
cdef class Codecs:
    cdef:
        dict decoders  # by codec
        kr_refcounts refcounts

    cdef bytes decode(self, uint32_t codec, bytes blob)
    cdef bytes raw(self, const kr_view *v, const kr_text *namespace)
    cdef str key(self, const kr_text *namespace, const kr_text *name)
    cdef Version new_version(self, const kr_text *namespace, const kr_new *n)
    cdef Version copy_record(self, const kr_text *namespace, const kr_view *v, const kr_byte *record)
    cdef Version version(self, bytes data, uint32_t codec)


@cython.final
cdef class Version:
    cdef:
        Codecs codecs
        bytes data  # length of the namespace in 4 bytes, namespace, record
        uint32_t counted  # the codec whose refcount includes this version

    cdef kr_text read(self, kr_view *v) except *


@cython.final
cdef class Change:
    cdef readonly:
        str key
        Version new
        Version old
        bint synthetic
