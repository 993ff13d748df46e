"""Batch: a run of complete objects in one block of bytes. Builder: how objects get there, pruned.

Never splits a body (`_scan` does) and never compresses or stores.
"""

import json

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy

from kinform_ext._json cimport KJ_NO_MEMORY, kj_ptr
from kinform_ext._prune cimport (
    KS_NAME, KS_NAMESPACE, KS_UID, KS_RESOURCE_VERSION, KS_API_VERSION, KS_DROP, KS_FIELD, KS_KEEP, KS_KIND,
    ks_object, ks_span, ks_child, ks_node, ks_prune_object,
)

cdef tuple VERBS = ("ADDED", "MODIFIED", "DELETED")
cdef tuple KEEP_ALL = ((), KS_KEEP, True, 0)
cdef enum:
    FIRST_ROOM = 8  # records


@cython.final
cdef class Batch:
    """Complete objects in the order of the wire, in one block of bytes. Nothing in it changes any more.

    No Python object exists per object held; each method makes what it returns. An index out of range is an
    IndexError; negative indexes are out of range.

    Attributes:
        wire_bytes: What its items (LIST) or frames (WATCH) took in the body.
        pruned_bytes: What `raw` of all of them takes together.
    """

    def __dealloc__(self):
        free(self.block)
        free(self.records)

    def __len__(self):
        return self.count

    cdef ks_object *at(self, Py_ssize_t i) except NULL:
        if i < 0 or i >= self.count:
            raise IndexError("batch index out of range")
        return &self.records[i]

    cdef str text(self, Py_ssize_t i, int which):
        cdef ks_span *span = &self.at(i).text[which]
        return PyUnicode_DecodeUTF8(<char *>self.block + span.at, span.len, NULL)

    def verb(self, Py_ssize_t i):
        """`"ADDED"`, `"MODIFIED"` or `"DELETED"`; items of a LIST are `"ADDED"`."""
        return VERBS[self.at(i).verb]

    def key(self, Py_ssize_t i):
        """`"namespace/name"`, or `"name"` where there is no namespace."""
        cdef str namespace = self.text(i, KS_NAMESPACE)
        cdef str name = self.text(i, KS_NAME)
        return f"{namespace}/{name}" if namespace else name

    def namespace(self, Py_ssize_t i):
        """`metadata.namespace`, `""` where there is none."""
        return self.text(i, KS_NAMESPACE)

    def name(self, Py_ssize_t i):
        """`metadata.name`, never empty."""
        return self.text(i, KS_NAME)

    def uid(self, Py_ssize_t i):
        """`metadata.uid`, `""` where there is none."""
        return self.text(i, KS_UID)

    def resource_version(self, Py_ssize_t i):
        """`metadata.resourceVersion`, `""` where there is none."""
        return self.text(i, KS_RESOURCE_VERSION)

    def raw(self, Py_ssize_t i):
        """The pruned JSON: `apiVersion` and `kind` first, then what the server sent. A copy.

        Both are left out only where neither the object nor the envelope nor the scanner's defaults know them.
        """
        cdef ks_object *record = self.at(i)
        return PyBytes_FromStringAndSize(<char *>self.block + record.raw.at, record.raw.len)

    def offset(self, Py_ssize_t i):
        """Where its item (LIST) or frame (WATCH) began in the body, in bytes."""
        return self.at(i).offset

    @property
    def last_resource_version(self):
        """The resourceVersion of the last object, `""` for an empty batch."""
        return self.text(self.count - 1, KS_RESOURCE_VERSION) if self.count else ""


@cython.final
cdef class Builder:
    """Takes objects from the wire one by one, pruned, and makes a Batch of those accepted. For extension modules.

    Args:
        program: What `kinform._paths.grammar.compile` gives; None keeps everything.

    Raises:
        ValueError, TypeError: It is no program.
    """

    def __cinit__(self, program):
        if program is None:
            program = (KEEP_ALL,)
        if not isinstance(program, tuple) or not program:
            raise TypeError("program: expected a tuple of nodes")
        self.load(program)

    def __dealloc__(self):
        cdef int i
        for i in range(self.node_count):
            free(self.walk.nodes[i].children)
        free(self.walk.nodes)
        free(self.walk.block)
        free(self.walk.kind)
        free(self.walk.api)
        free(self.walk.lists.elements)
        free(self.records)

    cdef int load(self, tuple program) except -1:
        """The nodes as they are, then copies of the root and of its `metadata` that know the fields that stay."""
        cdef int count = <int>len(program), i
        children, other, keep_scalar, _ = program[0]
        children = dict(children)
        metadata = children.get(b"metadata", other)
        if not KS_KEEP <= metadata < count:
            raise ValueError("program: no such node for metadata")
        children |= {b"metadata": count + 1, b"kind": KS_FIELD - KS_KIND, b"apiVersion": KS_FIELD - KS_API_VERSION}
        within, *rest = program[metadata] if metadata >= 0 else KEEP_ALL
        within = dict(within) | {
            b"namespace": KS_FIELD - KS_NAMESPACE,
            b"name": KS_FIELD - KS_NAME,
            b"uid": KS_FIELD - KS_UID,
            b"resourceVersion": KS_FIELD - KS_RESOURCE_VERSION,
        }
        self.program = (*program, (tuple(children.items()), other, keep_scalar, 0), (tuple(within.items()), *rest))
        self.walk.nodes = <ks_node *>calloc(count + 2, sizeof(ks_node))
        if self.walk.nodes == NULL:
            raise MemoryError
        self.node_count = count + 2
        for i in range(count + 2):
            self.load_node(&self.walk.nodes[i], self.program[i], count if i < count else count + 2)
        self.walk.root = count
        self.walk.metadata = count + 1
        return 0

    cdef int load_node(self, ks_node *node, tuple source, int count) except -1:
        cdef int i, lowest = KS_FIELD - KS_API_VERSION if count == self.node_count else KS_DROP
        children, other, keep_scalar, keep_last = source
        node.other = other
        node.keep_scalar = bool(keep_scalar)
        node.keep_last = keep_last
        if not KS_DROP <= node.other < count:
            raise ValueError("program: no such node")
        node.children = <ks_child *>calloc(len(children) + 1, sizeof(ks_child))
        if node.children == NULL:
            raise MemoryError
        for i, (name, target) in enumerate(children):
            if not isinstance(name, bytes):
                raise TypeError("program: expected names as bytes")
            if not lowest <= target < count:
                raise ValueError("program: no such node")
            node.children[i].name = <kj_ptr><char *>name
            node.children[i].len = len(name)
            node.children[i].target = target
            node.count = i + 1
        return 0

    cdef int expect(self, str kind, str api_version) except -1:
        """What an object is from here on that does not tell."""
        self.walk.kind_len = fill(&self.walk.kind, kind)
        self.walk.api_len = fill(&self.walk.api, api_version)
        return 0

    cdef int take(self, kj_ptr *pp, kj_ptr end) except -1:
        """The object at `pp`, past it: KJ_OK, or why not. Forgets the one taken before unless that was accepted."""
        cdef size_t room
        cdef void *grown
        cdef int r
        if self.count == self.room:
            room = 2 * self.room if self.room else FIRST_ROOM
            grown = realloc(self.records, room * sizeof(ks_object))
            if grown == NULL:
                raise MemoryError
            self.records = <ks_object *>grown
            self.room = room
        self.walk.used = self.kept
        r = ks_prune_object(&self.walk, pp, end, &self.records[self.count])
        if r == KJ_NO_MEMORY:
            raise MemoryError
        return r

    cdef int accept(self, unsigned long long offset, size_t wire, int verb) except -1:
        """The object taken last stays: `wire` bytes that began at byte `offset` of the body."""
        cdef ks_object *record = &self.records[self.count]
        record.offset = offset
        record.wire = wire
        record.verb = verb
        self.count += 1
        self.kept = self.walk.used
        self.wire_bytes += wire
        self.pruned_bytes += record.raw.len
        return 0

    cdef Batch flush(self):
        """The objects accepted since the last flush, None if there were none; nothing but the program is held then."""
        cdef Batch batch = None
        cdef void *smaller
        if self.count:
            batch = Batch.__new__(Batch)
            batch.count = self.count
            batch.wire_bytes = self.wire_bytes
            batch.pruned_bytes = self.pruned_bytes
            smaller = realloc(self.walk.block, self.kept)
            batch.block = <unsigned char *>(smaller if smaller != NULL else self.walk.block)
            smaller = realloc(self.records, self.count * sizeof(ks_object))
            batch.records = <ks_object *>(smaller if smaller != NULL else self.records)
        else:
            free(self.walk.block)
            free(self.records)
        self.walk.block = NULL
        self.walk.used = self.walk.room = self.kept = 0
        self.records = NULL
        self.count = self.room = 0
        self.wire_bytes = self.pruned_bytes = 0
        return batch


cdef size_t fill(unsigned char **to, str text) except? 0:
    """The inside of the JSON string that says `text`."""
    cdef str quoted = json.dumps(text, ensure_ascii=False)
    cdef bytes inside = quoted[1:len(quoted) - 1].encode()
    cdef void *grown = realloc(to[0], len(inside) + 1)
    if grown == NULL:
        raise MemoryError
    to[0] = <unsigned char *>grown
    memcpy(to[0], <char *>inside, len(inside))
    return len(inside)
