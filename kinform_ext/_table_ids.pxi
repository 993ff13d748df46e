"""Ids: the iterator over the ids of one state; part of `_table`."""


@cython.final
@cython.no_gc_clear
cdef class Ids:
    """Iterates over the ids of one state of a table.

    An id can be read until the next one is requested, regardless of writes. The versions that the iterator has
    not passed stay in memory until it passes them, ends, or is closed or garbage-collected.
    """

    def __cinit__(self, _TableStorage table not None):
        self.passed = KR_NONE
        self.table = table

    cdef int pin(self, str namespace, kx_idset *ids) except -1:
        """Pins what readers see now.

        Args:
            namespace: None: all namespaces.
            ids: Only ids of this set; NULL: all ids.
        """
        cdef kt_table *t = &self.table.t
        cdef kr_text name
        cdef uint32_t number = KR_NONE
        cdef int64_t count
        if namespace is not None:
            name = utf8(namespace)
            number = kr_namespace_find(&t.namespaces, &name, kr_namespace_hash(&t.namespaces, &name))
            if number == KR_NONE:
                return 0
        count = kt_pin_all(t, &self.pinned, number) if ids == NULL else kt_pin_ids(t, &self.pinned, number, ids)
        if count < 0:
            raise MemoryError
        self.left = count
        return 0

    def __dealloc__(self):
        if self.table is not None:
            kt_pin_release(&self.table.t, &self.pinned)

    def __len__(self):
        """Returns how many ids are left."""
        return self.left

    def __iter__(self):
        return self

    def __next__(self):
        cdef uint32_t id = self.advance()
        if id == KR_NONE:
            raise StopIteration
        return id

    cdef uint32_t advance(self):
        if not self.left:
            kt_pin_release(&self.table.t, &self.pinned)
            return KR_NONE
        self.passed = kt_pin_advance(&self.table.t, &self.pinned, self.passed)
        self.left -= 1
        return self.passed

    def copy(self):
        """Returns another iterator over the ids that are left."""
        cdef Ids ids = Ids.__new__(Ids, self.table)
        if not kt_pin_copy(&self.table.t, &ids.pinned, &self.pinned):
            raise MemoryError
        ids.left = self.left
        ids.passed = self.passed
        return ids

    def find(self, str key not None):
        """Returns the id of a key among those that are left, or -1.

        Does not find versions that the table has removed since: see `removed_ids`.
        """
        cdef kr_text whole = utf8(key), namespace, name
        cdef uint32_t id = KR_NONE
        cdef int form
        for form in range(2):
            if id == KR_NONE and split(&whole, form, &namespace, &name):
                id = kt_pin_find(&self.table.t, &self.pinned, &namespace, &name)
        return -1 if id == KR_NONE else <Py_ssize_t>id

    @property
    def removed(self):
        """Number of ids whose versions the table has removed since."""
        return self.pinned.removed

    def removed_ids(self):
        """Returns these ids, except those that the iterator has passed."""
        cdef list found = []
        cdef uint32_t i
        cdef uint64_t bits
        cdef int bit
        for i in range(self.pinned.words if self.pinned.removed else 0):
            bits = self.pinned.bits[i] & self.pinned.bits[self.pinned.words + i]
            for bit in range(64 if bits else 0):
                if bits >> bit & 1:
                    found.append(i * 64 + bit)
        return found

    def keys(self):
        """Iterates over the keys of the ids that are left."""
        cdef uint32_t id
        while True:
            id = self.advance()
            if id == KR_NONE:
                return
            yield self.table.key_of(id)

    def owners(self):
        """Iterates over the owners of the ids that are left: see `owners_of`.

        Skips ids whose versions the table has removed.
        """
        cdef list found = []
        cdef uint32_t id
        while True:
            id = self.advance()
            if id == KR_NONE:
                return
            self.table.add_owners(found, id)
            while found:
                yield found.pop()

    def close(self):
        """Ends the iteration and releases its versions; a second call does nothing."""
        self.left = 0
        kt_pin_release(&self.table.t, &self.pinned)
