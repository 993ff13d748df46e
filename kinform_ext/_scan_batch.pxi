"""Batch: a run of objects in one block of bytes. Builder makes it. In `_scan`.

Never splits a body into objects, never compresses, never stores.
"""

import msgspec

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy

from kinform_ext._json cimport KJ_NO_MEMORY, kj_ptr
from kinform_ext._prune cimport (
    KS_ADDED, KS_API_VERSION, KS_DELETED, KS_DROP, KS_FIELD, KS_KEEP, KS_KIND, KS_MODIFIED, KS_NAME, KS_NAMESPACE,
    KS_RESOURCE_VERSION, KS_UID, ks_child, ks_node, ks_object, ks_prune_object, ks_span,
)

cdef tuple VERBS = ("ADDED", "MODIFIED", "DELETED")  # by KS_ADDED, KS_MODIFIED, KS_DELETED
cdef tuple KEEP_ALL = ((), KS_KEEP, True, 0)
cdef enum:
    MIN_CAPACITY = 8  # objects


@cython.final
cdef class Batch:
    """A run of complete objects in wire order, immutable, in one block of bytes.

    Keeps no Python object for each object; each method creates what it returns. An index out of range raises
    IndexError. Negative indexes are out of range.

    Attributes:
        wire_bytes: Bytes of its items (LIST) or frames (WATCH) in the response body.
    """

    def __dealloc__(self):
        free(self.block)
        free(self.objects)

    def __len__(self):
        return self.count

    cdef ks_object *at(self, Py_ssize_t i) except NULL:
        if i < 0 or i >= self.count:
            raise IndexError(f"batch index {i}: expected 0 to {self.count - 1}")
        return &self.objects[i]

    cdef str text(self, Py_ssize_t i, int which):
        cdef ks_span *span = &self.at(i).text[which]
        return PyUnicode_DecodeUTF8(<char *>self.block + span.at, span.len, NULL)

    def verb(self, Py_ssize_t i):
        """Returns `"ADDED"`, `"MODIFIED"` or `"DELETED"`; `"ADDED"` for an item of a LIST."""
        return VERBS[self.at(i).verb]

    def key(self, Py_ssize_t i):
        """Returns `"namespace/name"`, or `"name"` without a namespace."""
        cdef str namespace = self.text(i, KS_NAMESPACE)
        cdef str name = self.text(i, KS_NAME)
        return f"{namespace}/{name}" if namespace else name

    def namespace(self, Py_ssize_t i):
        """Returns `metadata.namespace`, `""` if absent."""
        return self.text(i, KS_NAMESPACE)

    def name(self, Py_ssize_t i):
        """Returns `metadata.name`, never empty."""
        return self.text(i, KS_NAME)

    def uid(self, Py_ssize_t i):
        """Returns `metadata.uid`, `""` if absent."""
        return self.text(i, KS_UID)

    def resource_version(self, Py_ssize_t i):
        """Returns `metadata.resourceVersion`, `""` if absent."""
        return self.text(i, KS_RESOURCE_VERSION)

    def raw(self, Py_ssize_t i):
        """Returns a copy of the pruned JSON.

        `apiVersion` and `kind` come first, then the other members as sent. Either is absent only if neither the object
        nor the envelope has it.
        """
        cdef ks_object *found = self.at(i)
        return PyBytes_FromStringAndSize(<char *>self.block + found.raw.at, found.raw.len)

    def verb_counts(self):
        """Returns the number of ADDED, of MODIFIED and of DELETED objects, in this order."""
        cdef Py_ssize_t counts[3]
        cdef Py_ssize_t i
        counts[KS_ADDED] = counts[KS_MODIFIED] = counts[KS_DELETED] = 0
        for i in range(self.count):
            counts[self.objects[i].verb] += 1
        return counts[KS_ADDED], counts[KS_MODIFIED], counts[KS_DELETED]

    @property
    def last_resource_version(self):
        """The resourceVersion of the last object, `""` for an empty batch."""
        return self.text(self.count - 1, KS_RESOURCE_VERSION) if self.count else ""


@cython.final
cdef class Builder:
    """Prunes objects and collects accepted ones into a Batch; for extension modules.

    Args:
        program: The result of `kinform._paths.prune_program.compile_prune`; None keeps everything.

    Raises:
        ValueError, TypeError: `program` is not valid.
    """

    def __cinit__(self, program):
        if program is None:
            program = (KEEP_ALL,)
        if not isinstance(program, tuple) or not program:
            raise TypeError(f"program {program!r}: expected a tuple of nodes")
        self.load(program)

    def __dealloc__(self):
        cdef int i
        for i in range(self.node_count):
            free(self.pruner.nodes[i].children)
        free(self.pruner.nodes)
        free(self.pruner.block)
        free(self.pruner.kind)
        free(self.pruner.api_version)
        free(self.pruner.lists.elements)
        free(self.objects)

    cdef int load(self, tuple program) except -1:
        """Loads the nodes.

        Two more nodes, copies of the root and of its `metadata`, locate the fields that every program keeps.
        """
        cdef int count = <int>len(program), i
        children, other, keep_scalar, _ = program[0]
        children = dict(children)
        metadata = children.get(b"metadata", other)
        if not KS_KEEP <= metadata < count:
            raise ValueError(f"program: target {metadata} of `metadata`: expected {KS_KEEP} to {count - 1}")
        children |= {b"metadata": count + 1, b"kind": KS_FIELD - KS_KIND, b"apiVersion": KS_FIELD - KS_API_VERSION}
        fields, *rest = program[metadata] if metadata >= 0 else KEEP_ALL
        fields = dict(fields) | {
            b"namespace": KS_FIELD - KS_NAMESPACE,
            b"name": KS_FIELD - KS_NAME,
            b"uid": KS_FIELD - KS_UID,
            b"resourceVersion": KS_FIELD - KS_RESOURCE_VERSION,
        }
        self.program = (*program, (tuple(children.items()), other, keep_scalar, 0), (tuple(fields.items()), *rest))
        self.pruner.nodes = <ks_node *>calloc(count + 2, sizeof(ks_node))
        if self.pruner.nodes == NULL:
            raise MemoryError
        self.node_count = count + 2
        for i in range(count + 2):
            self.load_node(&self.pruner.nodes[i], self.program[i], count if i < count else count + 2)
        self.pruner.root = count
        self.pruner.metadata = count + 1
        return 0

    cdef int load_node(self, ks_node *node, tuple source, int count) except -1:
        cdef int i, lowest = KS_FIELD - KS_API_VERSION if count == self.node_count else KS_DROP
        children, other, keep_scalar, keep_last = source
        node.other = other
        node.keep_scalar = bool(keep_scalar)
        node.keep_last = keep_last
        if not KS_DROP <= node.other < count:
            raise ValueError(f"program: target {node.other}: expected {KS_DROP} to {count - 1}")
        node.children = <ks_child *>calloc(len(children) + 1, sizeof(ks_child))
        if node.children == NULL:
            raise MemoryError
        for i, (name, target) in enumerate(children):
            if not isinstance(name, bytes):
                raise TypeError(f"program: name {name!r}: expected bytes")
            if not lowest <= target < count:
                raise ValueError(f"program: target {target} of {name!r}: expected {lowest} to {count - 1}")
            node.children[i].name = <kj_ptr><char *>name
            node.children[i].len = len(name)
            node.children[i].target = target
            node.count = i + 1
        return 0

    cdef int set_defaults(self, str kind, str api_version) except -1:
        """Sets the kind and apiVersion of the next objects that do not have them."""
        self.pruner.kind_len = fill(&self.pruner.kind, kind)
        self.pruner.api_version_len = fill(&self.pruner.api_version, api_version)
        return 0

    cdef int read(self, kj_ptr *pp, kj_ptr end) except -1:
        """Prunes the object at `pp` and advances past it; returns KJ_OK or an error.

        Drops the object that was read before, unless it was accepted.
        """
        cdef size_t capacity
        cdef void *grown
        cdef int r
        if self.count == self.capacity:
            capacity = 2 * self.capacity if self.capacity else MIN_CAPACITY
            grown = realloc(self.objects, capacity * sizeof(ks_object))
            if grown == NULL:
                raise MemoryError
            self.objects = <ks_object *>grown
            self.capacity = capacity
        self.pruner.used = self.kept
        r = ks_prune_object(&self.pruner, pp, end, &self.objects[self.count])
        if r == KJ_NO_MEMORY:
            raise MemoryError
        return r

    cdef int accept(self, size_t wire_bytes, int verb) except -1:
        """Keeps the object that was read last.

        Args:
            wire_bytes: Length of its item or frame in the body.
            verb: KS_ADDED, KS_MODIFIED or KS_DELETED.
        """
        self.objects[self.count].verb = verb
        self.count += 1
        self.kept = self.pruner.used
        self.wire_bytes += wire_bytes
        return 0

    cdef Batch flush(self):
        """Returns the objects accepted since the last flush, or None.

        Keeps no buffer of objects afterwards.
        """
        cdef Batch batch = None
        cdef void *smaller
        if self.count:
            batch = Batch.__new__(Batch)
            batch.count = self.count
            batch.wire_bytes = self.wire_bytes
            smaller = realloc(self.pruner.block, self.kept)
            batch.block = <unsigned char *>(smaller if smaller != NULL else self.pruner.block)
            smaller = realloc(self.objects, self.count * sizeof(ks_object))
            batch.objects = <ks_object *>(smaller if smaller != NULL else self.objects)
        else:
            free(self.pruner.block)
            free(self.objects)
        self.pruner.block = NULL
        self.pruner.used = self.pruner.capacity = self.kept = 0
        self.objects = NULL
        self.count = self.capacity = 0
        self.wire_bytes = 0
        return batch


cdef size_t fill(unsigned char **to, str text) except? 0:
    """Stores the inside of the JSON string with this value; returns its length."""
    cdef bytes quoted = msgspec.json.encode(text)
    cdef bytes inside = quoted[1:len(quoted) - 1]
    cdef void *grown = realloc(to[0], len(inside) + 1)
    if grown == NULL:
        raise MemoryError
    to[0] = <unsigned char *>grown
    memcpy(to[0], <char *>inside, len(inside))
    return len(inside)
