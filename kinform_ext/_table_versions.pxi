"""Version and Change: a version that stays readable, and a change of a key."""

cdef enum:
    VERSION_BYTES = 64  # of a Version, and of the entry that holds its record


@cython.final
@cython.no_gc
cdef class Version:
    """A version of an object, held in its table as it was stored there.

    It stays readable and the same when it is replaced or deleted, and keeps the table in memory.

    Attributes:
        namespace: `metadata.namespace`, `""` for a cluster-scoped object.
        name: `metadata.name`.
        key: `"namespace/name"`, or `"name"` for a cluster-scoped object.
        uid: `metadata.uid`, `""` if absent.
        resource_version: `metadata.resourceVersion`, `""` if absent.
        nbytes: Bytes of memory: the object and its record, which other versions may share.
    """

    def __dealloc__(self):
        if self.table is not None:
            kt_release(&self.table.t, self.id)

    cdef _TableStorage of(self):
        if self.table is None:
            raise TypeError("a Version is created by a table only")
        return self.table

    @property
    def namespace(self):
        return self.of().meta_of(self.id)[0]

    @property
    def name(self):
        return self.of().meta_of(self.id)[1]

    @property
    def key(self):
        return self.of().key_of(self.id)

    @property
    def uid(self):
        return self.of().meta_of(self.id)[2]

    @property
    def resource_version(self):
        return self.of().meta_of(self.id)[3]

    @property
    def nbytes(self):
        cdef kr_view v
        kr_read(self.of().record(self.id), &v)
        return VERSION_BYTES + v.size

    def raw(self):
        """Decodes the JSON of the object, at each call."""
        return self.of().read_raw(self.id)

    def __repr__(self):
        return f"Version({self.key!r})"  # not the contents: it may be a Secret


@cython.final
cdef class Change:
    """A change of one key.

    Attributes:
        key: `"namespace/name"`, or `"name"` for a cluster-scoped object.
        new: The version that readers see now; None: deleted.
        old: The version before; None: added. For a DELETED event it is the state that the event carries, which may be
            newer than the version in the table.
        synthetic: True for a deletion without a DELETED event: a relist lacked the object, or its uid changed.
    """

    def __init__(self, str key not None, Version new=None, Version old=None, *, bint synthetic=False):
        self.key = key
        self.new = new
        self.old = old
        self.synthetic = synthetic

    def __repr__(self):
        return f"Change({self.key!r}, new={self.new!r}, old={self.old!r}, synthetic={bool(self.synthetic)})"


cdef Change new_change(str key, Version new, Version old, bint synthetic):
    cdef Change made = Change.__new__(Change)
    made.key = key
    made.new = new
    made.old = old
    made.synthetic = synthetic
    return made
