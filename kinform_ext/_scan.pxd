"""Declares Batch, for `_table`, and Builder.

`objects[i]` states where in `block` the bytes and the metadata of object i are. Both stay the same while the Batch
lives.
"""

cimport cython

from kinform_ext._json cimport kj_ptr
from kinform_ext._prune cimport ks_node, ks_object, ks_pruner


@cython.final
cdef class Batch:
    cdef:
        unsigned char *block
        ks_object *objects
        Py_ssize_t count  # of objects
        readonly Py_ssize_t wire_bytes

    cdef ks_object *at(self, Py_ssize_t i) except NULL
    cdef str text(self, Py_ssize_t i, int which)


@cython.final
cdef class Builder:
    cdef:
        ks_pruner pruner
        tuple program  # owns the names to which the nodes point
        int node_count
        ks_object *objects
        size_t count  # accepted objects
        size_t capacity  # of `objects`
        size_t kept  # bytes of the block that belong to accepted objects
        Py_ssize_t wire_bytes  # of accepted objects

    cdef int load(self, tuple program) except -1
    cdef int load_node(self, ks_node *node, tuple source, int count) except -1
    cdef int set_defaults(self, str kind, str api_version) except -1
    cdef int read(self, kj_ptr *pp, kj_ptr end) except -1
    cdef int accept(self, size_t wire_bytes, int verb) except -1
    cdef Batch flush(self)
