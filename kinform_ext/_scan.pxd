"""What another extension module may cimport: a Batch, read without a Python object per object it holds.

`records[i]` says where in `block` the bytes and the key of the i-th object are. Both stay as they are while the Batch
lives.
"""

from libc.stdint cimport uint64_t


cdef extern from "_batch.h":
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
        uint64_t offset
        size_t wire
        int verb


cdef class Batch:
    cdef:
        unsigned char *block
        kb_record *records
        Py_ssize_t count
        readonly Py_ssize_t wire_bytes
        readonly Py_ssize_t pruned_bytes

    cdef kb_record *at(self, Py_ssize_t i) except NULL
    cdef str text(self, Py_ssize_t i, int which)
