"""What other extension modules may cimport: a Batch, read without a Python object per object it holds, and its Builder.

`records[i]` says where in `block` the bytes and the key of the i-th object are. Both stay as they are while the Batch
lives.
"""

cimport cython

from kinform_ext._json cimport kj_ptr
from kinform_ext._prune cimport ks_object, ks_node, ks_pruner


@cython.final
cdef class Batch:
    cdef:
        unsigned char *block
        ks_object *records
        Py_ssize_t count
        readonly Py_ssize_t wire_bytes
        readonly Py_ssize_t pruned_bytes

    cdef ks_object *at(self, Py_ssize_t i) except NULL
    cdef str text(self, Py_ssize_t i, int which)


@cython.final
cdef class Builder:
    cdef:
        ks_pruner walk
        tuple program  # keeps the names alive that the nodes point at
        int node_count
        ks_object *records
        size_t count
        size_t room
        size_t kept  # bytes of the block that belong to objects accepted
        Py_ssize_t wire_bytes
        Py_ssize_t pruned_bytes

    cdef int load(self, tuple program) except -1
    cdef int load_node(self, ks_node *node, tuple source, int count) except -1
    cdef int expect(self, str kind, str api_version) except -1
    cdef int take(self, kj_ptr *pp, kj_ptr end) except -1
    cdef int accept(self, unsigned long long offset, size_t wire, int verb) except -1
    cdef Batch flush(self)
