"""Version: one version of one object, copied out of a table as it is kept there. Change: what became of a key.

Never decodes more than it is asked for, and never holds the table, only the decoders that its versions need.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy


cdef str text(const kr_text *t):
    return PyUnicode_DecodeUTF8(<const char *>t.at, t.len, NULL)


cdef kr_byte *begin_data(bytes data, const kr_text *space) noexcept:
    cdef kr_byte *p = <kr_byte *>PyBytes_AS_STRING(data)
    cdef uint32_t size = <uint32_t>space.len
    memcpy(p, &size, 4)
    if size:
        memcpy(p + 4, space.at, size)
    return p + 4 + size


@cython.final
@cython.no_gc_clear
cdef class Codecs:
    """The decoders of a table by their numbers, and how many versions need each; makes versions that share them."""

    def __cinit__(self):
        self.decoders = {}

    def __dealloc__(self):
        free(self.users.count)

    cdef bytes decode(self, uint32_t codec, bytes blob):
        if not codec:
            return blob
        decoder = self.decoders.get(codec)
        if decoder is None:
            raise ValueError(f"codec {codec} has no decoder")
        found = decoder(blob)
        if not isinstance(found, bytes):
            raise TypeError(f"codec {codec}: expected its decoder to return bytes")
        return found

    cdef str key(self, const kr_text *space, const kr_text *name):
        cdef kr_byte small[320]
        cdef kr_byte *to = small
        cdef size_t size = space.len + 1 + name.len
        if not space.len:
            return text(name)
        if size > sizeof(small):
            to = <kr_byte *>malloc(size)
            if to == NULL:
                raise MemoryError
        memcpy(to, space.at, space.len)
        to[space.len] = c"/"
        memcpy(to + space.len + 1, name.at, name.len)
        try:
            return PyUnicode_DecodeUTF8(<char *>to, size, NULL)
        finally:
            if to != small:
                free(to)

    cdef Version fresh(self, const kr_text *space, const kr_new *n):
        """A version that no table holds."""
        cdef bytes data = PyBytes_FromStringAndSize(NULL, 4 + space.len + kr_size(n))
        if not kr_refcounts_reserve(&self.users, n.codec):
            raise MemoryError
        kr_write(begin_data(data, space), n, 0)
        return self.version(data, n.codec)

    cdef Version copy(self, const kr_text *space, const kr_view *v, const kr_byte *record):
        """A copy of a record, made before anything else can happen to it."""
        cdef bytes data = PyBytes_FromStringAndSize(NULL, 4 + space.len + v.size)
        memcpy(begin_data(data, space), record, v.size)
        return self.version(data, v.codec)

    cdef Version version(self, bytes data, uint32_t codec):
        cdef Version made = Version.__new__(Version)
        made.codecs = self
        made.data = data
        made.counted = codec
        self.users.count[codec] += 1
        return made

    cdef bytes raw(self, const kr_view *v, const kr_text *space):
        """The JSON of a record, which may go or move meanwhile."""
        cdef size_t size = v.raw_len
        cdef uint32_t codec = v.codec
        cdef bint cut = v.form & KR_PLACEHOLDERS
        cdef bytes blob, raw
        cdef kr_values held
        cdef bint whole
        if not cut:
            raw = self.decode(codec, PyBytes_FromStringAndSize(<const char *>v.blob.at, v.blob.len))
            whole = <size_t>PyBytes_GET_SIZE(raw) == size
        else:
            if not kr_values_copy(&held, v, space):
                raise MemoryError
            try:
                if codec:
                    blob = self.decode(codec, PyBytes_FromStringAndSize(<const char *>v.blob.at, v.blob.len))
                    raw = PyBytes_FromStringAndSize(NULL, size)
                    whole = kr_restore_values(
                        <kr_byte *>PyBytes_AS_STRING(raw), size,
                        <kr_byte *>PyBytes_AS_STRING(blob), PyBytes_GET_SIZE(blob), held.value,
                    )
                else:
                    raw = PyBytes_FromStringAndSize(NULL, size)
                    whole = kr_restore_values(
                        <kr_byte *>PyBytes_AS_STRING(raw), size, v.blob.at, v.blob.len, held.value
                    )
            finally:
                kr_values_release(&held)
        if not whole:
            raise ValueError(f"codec {codec}: what it decodes to is not what was encoded")
        return raw


@cython.final
@cython.no_gc
cdef class Version:
    """One version of one object, as the table keeps it: compressed. It stays as it is, whatever becomes of the table.

    Attributes:
        namespace: `""` for a cluster-scoped object.
        name: Its name.
        key: `"namespace/name"`, or `"name"`.
        uid: `""` where it has none.
        resource_version: Likewise.
        codec: What it is encoded with; 0: nothing.
        nbytes: What it holds in memory, without the decoders it shares.
    """

    def __dealloc__(self):
        if self.data is not None:
            self.codecs.users.count[self.counted] -= 1

    cdef kr_text read(self, kr_view *v) except *:
        cdef kr_text space
        cdef uint32_t size
        cdef const kr_byte *p
        if self.data is None:
            raise TypeError("versions come from a table")
        p = <const kr_byte *>PyBytes_AS_STRING(self.data)
        memcpy(&size, p, 4)
        space.at = p + 4
        space.len = size
        kr_read(p + 4 + size, v)
        return space

    @property
    def namespace(self):
        cdef kr_view v
        cdef kr_text space = self.read(&v)
        return text(&space)

    @property
    def name(self):
        cdef kr_view v
        self.read(&v)
        return text(&v.name)

    @property
    def key(self):
        cdef kr_view v
        cdef kr_text space = self.read(&v)
        return self.codecs.key(&space, &v.name)

    @property
    def uid(self):
        cdef kr_view v
        cdef kr_byte room[36]
        self.read(&v)
        cdef kr_text found = kr_uid_text(&v, room)
        return text(&found)

    @property
    def resource_version(self):
        cdef kr_view v
        cdef kr_byte room[20]
        self.read(&v)
        cdef kr_text found = kr_rv_text(&v, room)
        return text(&found)

    @property
    def codec(self):
        cdef kr_view v
        self.read(&v)
        return v.codec

    @property
    def nbytes(self):
        return 64 + 33 + len(self.data)

    def raw(self):
        """The object's JSON, decoded afresh.

        Raises:
            ValueError: Its codec has no decoder any more, or decodes to something else.
        """
        cdef kr_view v
        cdef kr_text space = self.read(&v)
        return self.codecs.raw(&v, &space)

    def __repr__(self):
        return f"Version({self.key!r}, {len(self.data)} bytes)"  # never the contents: it may be a Secret


@cython.final
cdef class Change:
    """What became of a key.

    Attributes:
        key: `"namespace/name"`, or `"name"`.
        new: The version that readers see now; None: deleted.
        old: The version before; None: added. For a deletion told by the server it is the state that came with the
            event, which may be newer than the one that was held.
        synthetic: A deletion that was not told but found.
        held: The version that left the table; None: there was none.
        id: The new version's id, or -1.
        held_id: The id that the old version had, or -1; another version may have it by now.
    """

    def __init__(self, str key not None, Version new=None, Version old=None, *, bint synthetic=False):
        self.key = key
        self.new = new
        self.old = self.held = old
        self.synthetic = synthetic
        self.id = self.held_id = -1

    def __repr__(self):
        return f"Change({self.key!r}, new={self.new!r}, old={self.old!r}, synthetic={bool(self.synthetic)})"
