"""Postings: the ids that have each value, for all indexes of a store; in `_table`.

Stores each value once, as UTF-8, and only while an id has it. Does not know which ids readers see: the table does,
which adds and removes the ids.
"""

import os

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdlib cimport calloc, malloc
from libc.string cimport memcpy

from kinform_ext._indexes cimport (
    KX_NONE, KX_PAGE_SLOTS, kx_bytes, kx_child, kx_forget, kx_free, kx_free_nodes, kx_idset, kx_idset_next, kx_ids_with,
    kx_index_json, kx_indexes, kx_init, kx_node, kx_release, kx_value, kx_value_or_null,
)


cdef enum:
    IDS = 67_108_864  # 2**26; a literal, as the checked build would check the sum at run time


cdef int load_node(kx_node *to, node, uint32_t count) except -1:
    """Loads a node of a program of `count` nodes."""
    cdef kx_child *child
    cdef bytes name
    children, other, ends, owner = node
    to.children = <kx_child *>calloc(len(children) + 1, sizeof(kx_child))
    to.ends = <uint32_t *>calloc(len(ends) + 1, sizeof(uint32_t))
    if to.children == NULL or to.ends == NULL:
        raise MemoryError
    to.other = node_number(other, count)
    for name, target in children:
        child = &to.children[to.count]
        child.len = PyBytes_GET_SIZE(name)
        child.target = node_number(target, count)
        child.name = <unsigned char *>malloc(child.len + 1)
        if child.name == NULL:
            raise MemoryError
        memcpy(child.name, PyBytes_AS_STRING(name), child.len)
        to.count += 1
    for index in ends:
        to.ends[to.end_count] = index
        to.end_count += 1
    to.owner = KX_NONE if owner < 0 else owner
    return 0


cdef int node_number(target, uint32_t count) except? -1:
    if not -1 <= target < <Py_ssize_t>count:
        raise ValueError(f"program: target {target} is not a node")
    return target


@cython.final
@cython.no_gc
cdef class Postings:
    """The values of ids.

    Args:
        program: The result of `kinform._paths.index_program.compile_index`. Nodes, the first is the root: targets of
            members by name, the target of all other members and elements (-1: no path), the numbers of the indexes for
            which a scalar at this node is a value, and the number of the index for which an object at this node is a
            controller reference (-1: none). At most one index has controller references.

    Raises:
        ValueError: A target is not a node.
    """

    def __cinit__(self, program not None):
        self.indexes = frozenset()
        if not kx_init(&self.x, int.from_bytes(os.urandom(8), "little")):
            raise MemoryError
        self.load(program)

    def __dealloc__(self):
        kx_free_nodes(self.x.nodes, self.x.node_count)
        kx_free(&self.x)

    def load(self, program not None):
        """Replaces the program. It applies to JSON that is indexed later.

        For the ids that have values already, index their JSON again if an index is new, and call `purge` if one is
        gone.
        """
        cdef uint32_t count = len(program), i = 0
        cdef kx_node *nodes = <kx_node *>calloc(count + 1, sizeof(kx_node))
        cdef uint32_t owner_index = KX_NONE
        cdef set indexes = set()
        if nodes == NULL:
            raise MemoryError
        try:
            for node in program:
                load_node(&nodes[i], node, count)
                indexes.update(node[2])
                if nodes[i].owner != KX_NONE:
                    owner_index = nodes[i].owner
                    indexes.add(owner_index)
                i += 1
            nodes, self.x.nodes = self.x.nodes, nodes
            count, self.x.node_count = self.x.node_count, count
            self.x.owner_index = owner_index
            self.indexes = frozenset(indexes)
            self.purged = 0
        finally:
            kx_free_nodes(nodes, count)

    def purge(self, Py_ssize_t budget):
        """Removes the values of indexes that the program lacks.

        Args:
            budget: How many values to look at, or ids to remove from one, before the call returns.

        Returns:
            Whether there is more to do.
        """
        cdef kx_value *value
        cdef uint32_t id = 0
        while self.purged < self.x.pages * KX_PAGE_SLOTS:
            if budget <= 0:
                return True
            budget -= 1
            value = kx_value_or_null(&self.x, self.purged)
            if value == NULL or value.index in self.indexes:
                self.purged += 1
                id = 0
                continue
            id = kx_idset_next(&value.ids, id)
            kx_forget(&self.x, self.purged, id)
        return False

    cdef uint32_t index(self, Py_ssize_t index) except? 0xFFFFFFFF:
        if index not in self.indexes:
            raise IndexError(index)
        return index

    cdef kx_idset *ids_with(self, Py_ssize_t index, str value) except? NULL:
        """Returns the ids that have a value, NULL for none; valid until the next change."""
        cdef Py_ssize_t size
        cdef const char *text
        cdef uint32_t number = self.index(index)
        try:
            text = PyUnicode_AsUTF8AndSize(value, &size)
        except UnicodeEncodeError:
            return NULL  # half a surrogate pair: not a value of any JSON string
        return kx_ids_with(&self.x, number, <const unsigned char *>text, size)

    def put(self, Py_ssize_t id, bytes raw not None):
        """Replaces the values of an id by those of JSON; malformed JSON has none.

        Raises:
            ValueError: The id is not below 2**26.
        """
        if not 0 <= id < IDS:
            raise ValueError(f"id {id}: expected 0 to 2**26 - 1")
        if not kx_index_json(&self.x, id, <const unsigned char *>PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw)):
            raise MemoryError

    def remove(self, Py_ssize_t id):
        """Removes all values of an id; an id without values is ignored."""
        if 0 <= id < IDS:
            kx_release(&self.x, id)

    def ids(self, Py_ssize_t index, str value not None):
        """Returns the ids that have a value, sorted.

        Raises:
            IndexError: There is no such index.
        """
        cdef list found = []
        cdef kx_idset *ids = self.ids_with(index, value)
        cdef uint32_t id = KX_NONE if ids == NULL else kx_idset_next(ids, 0)
        while id != KX_NONE:
            found.append(id)
            id = kx_idset_next(ids, id + 1)
        return found

    def count(self, Py_ssize_t index, str value not None):
        """Returns how many ids have a value."""
        cdef kx_idset *ids = self.ids_with(index, value)
        return 0 if ids == NULL else ids.count

    def values(self, Py_ssize_t index):
        """Returns all values that an id has, in no particular order."""
        cdef list found = []
        cdef kx_value *value
        cdef uint32_t number, wanted = self.index(index)
        for number in range(self.x.pages * KX_PAGE_SLOTS):
            value = kx_value_or_null(&self.x, number)
            if value != NULL and value.index == wanted:
                found.append(PyUnicode_DecodeUTF8(<const char *>value.text, value.len, NULL))
        return found

    def __sizeof__(self):
        return sizeof(kx_indexes) + 32 + kx_bytes(&self.x)
