"""What the table takes from `_version`: versions copied out, and the decoders they share with it."""

cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef extern from "records/record.h":
    enum:
        KT_CUT
        KT_UID

    ctypedef uint8_t kt_byte

    ctypedef struct kt_text:
        const kt_byte *at
        size_t len

    ctypedef struct kt_view:
        uint32_t word
        kt_byte form
        uint32_t place
        uint32_t codec
        size_t raw_len
        kt_text name
        kt_text rv
        kt_text uid
        kt_text blob
        size_t size

    ctypedef struct kt_who:
        kt_byte form
        kt_text uid

    ctypedef struct kt_new:
        uint32_t place
        uint32_t codec
        int cut
        size_t raw_len
        kt_text name
        kt_text blob
        const kt_who *who

    void kt_read(const kt_byte *at, kt_view *v) nogil
    kt_text kt_uid_text(const kt_view *v, kt_byte *to) nogil
    kt_text kt_rv_text(const kt_view *v, kt_byte *to) nogil
    size_t kt_size(const kt_new *n) nogil
    void kt_write(kt_byte *to, const kt_new *n, uint32_t word) nogil


cdef extern from "records/refcounts.h":
    ctypedef struct kt_users:
        uint32_t *count
        uint32_t room

    int kt_users_room(kt_users *users, uint32_t codec) nogil


cdef extern from "records/placeholders.h":
    ctypedef struct kc_values:
        kt_text value[5]

    int kc_hold(kc_values *held, const kt_view *v, const kt_text *space) nogil
    void kc_let(kc_values *held) nogil
    int kc_restore(kt_byte *to, size_t room, const kt_byte *cut, size_t len, const kt_text *value) nogil


@cython.final
cdef class Codecs:
    cdef:
        dict decoders
        kt_users users

    cdef bytes decode(self, uint32_t codec, bytes blob)
    cdef bytes raw(self, const kt_view *v, const kt_text *space)
    cdef str key(self, const kt_text *space, const kt_text *name)
    cdef Version fresh(self, const kt_text *space, const kt_new *n)
    cdef Version copy(self, const kt_text *space, const kt_view *v, const kt_byte *record)
    cdef Version version(self, bytes data, uint32_t codec)


@cython.final
cdef class Version:
    cdef:
        Codecs codecs
        bytes data  # length of the namespace in 4 bytes, namespace, record
        uint32_t counted

    cdef kt_text read(self, kt_view *v) except *


@cython.final
cdef class Change:
    cdef readonly:
        str key
        Version new
        Version old
        Version held
        bint synthetic
        Py_ssize_t id
        Py_ssize_t held_id
