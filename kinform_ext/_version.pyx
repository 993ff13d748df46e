"""Version: an encoded copy of one version of an object. Change: a change of a key.

A version decodes only when `raw` is called. It has no reference to the table, only to the decoders that both share.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy


cdef str text(const kr_text *t):
    return PyUnicode_DecodeUTF8(<const char *>t.at, t.len, NULL)


cdef kr_byte *write_namespace(bytes data, const kr_text *namespace) noexcept:
    cdef kr_byte *p = <kr_byte *>PyBytes_AS_STRING(data)
    cdef uint32_t size = <uint32_t>namespace.len
    memcpy(p, &size, 4)
    if size:
        memcpy(p + 4, namespace.at, size)
    return p + 4 + size


@cython.final
@cython.no_gc_clear
cdef class Codecs:
    """The decoders of a table by codec, and their refcounts; creates versions."""

    def __cinit__(self):
        self.decoders = {}

    def __dealloc__(self):
        free(self.refcounts.count)

    cdef bytes decode(self, uint32_t codec, bytes blob):
        if not codec:
            return blob
        decoder = self.decoders.get(codec)
        if decoder is None:
            raise ValueError(f"codec {codec} has no decoder")
        found = decoder(blob)
        if not isinstance(found, bytes):
            raise TypeError(f"codec {codec}: its decoder returned {type(found).__name__}: expected bytes")
        return found

    cdef str key(self, const kr_text *namespace, const kr_text *name):
        cdef kr_byte small[320]
        cdef kr_byte *to = small
        cdef size_t size = namespace.len + 1 + name.len
        if not namespace.len:
            return text(name)
        if size > sizeof(small):
            to = <kr_byte *>malloc(size)
            if to == NULL:
                raise MemoryError
        memcpy(to, namespace.at, namespace.len)
        to[namespace.len] = c"/"
        memcpy(to + namespace.len + 1, name.at, name.len)
        try:
            return PyUnicode_DecodeUTF8(<char *>to, size, NULL)
        finally:
            if to != small:
                free(to)

    cdef Version new_version(self, const kr_text *namespace, const kr_new *n):
        """Creates a version from fields that are in no table."""
        cdef bytes data = PyBytes_FromStringAndSize(NULL, 4 + namespace.len + kr_size(n))
        if not kr_refcounts_reserve(&self.refcounts, n.codec):
            raise MemoryError
        kr_write(write_namespace(data, namespace), n, 0)
        return self.version(data, n.codec)

    cdef Version copy_record(self, const kr_text *namespace, const kr_view *v, const kr_byte *record):
        """Copies a record; nothing can change or free it before the copy is complete."""
        cdef bytes data = PyBytes_FromStringAndSize(NULL, 4 + namespace.len + v.size)
        memcpy(write_namespace(data, namespace), record, v.size)
        return self.version(data, v.codec)

    cdef Version version(self, bytes data, uint32_t codec):
        cdef Version made = Version.__new__(Version)
        made.codecs = self
        made.data = data
        made.counted = codec
        self.refcounts.count[codec] += 1
        return made

    cdef bytes raw(self, const kr_view *v, const kr_text *namespace):
        """Decodes the JSON of a record.

        The decoder may free or move the record, so `v` is not read after it was called.
        """
        cdef size_t size = v.raw_len
        cdef uint32_t codec = v.codec
        cdef bint has_placeholders = v.form & KR_PLACEHOLDERS
        cdef bytes blob, raw
        cdef kr_values values
        cdef bint whole
        if not has_placeholders:
            raw = self.decode(codec, PyBytes_FromStringAndSize(<const char *>v.blob.at, v.blob.len))
            whole = <size_t>PyBytes_GET_SIZE(raw) == size
        else:
            if not kr_values_copy(&values, v, namespace):
                raise MemoryError
            try:
                if codec:
                    blob = self.decode(codec, PyBytes_FromStringAndSize(<const char *>v.blob.at, v.blob.len))
                    raw = PyBytes_FromStringAndSize(NULL, size)
                    whole = kr_restore_values(
                        <kr_byte *>PyBytes_AS_STRING(raw), size,
                        <kr_byte *>PyBytes_AS_STRING(blob), PyBytes_GET_SIZE(blob), values.value,
                    )
                else:
                    raw = PyBytes_FromStringAndSize(NULL, size)
                    whole = kr_restore_values(
                        <kr_byte *>PyBytes_AS_STRING(raw), size, v.blob.at, v.blob.len, values.value
                    )
            finally:
                kr_values_release(&values)
        if not whole:
            raise ValueError(f"codec {codec}: the decoded bytes are not those that were encoded")
        return raw


@cython.final
@cython.no_gc
cdef class Version:
    """A version of an object, compressed as in the table.

    It stays the same when the table changes or is freed.

    Attributes:
        namespace: `metadata.namespace`, `""` for a cluster-scoped object.
        name: `metadata.name`.
        key: `"namespace/name"`, or `"name"` for a cluster-scoped object.
        uid: `metadata.uid`, `""` if absent.
        resource_version: `metadata.resourceVersion`, `""` if absent.
        codec: The codec of its encoded form; 0: not encoded.
        nbytes: Bytes of memory, without the decoders it shares.
    """

    def __dealloc__(self):
        if self.data is not None:
            self.codecs.refcounts.count[self.counted] -= 1

    cdef kr_text read(self, kr_view *v) except *:
        cdef kr_text namespace
        cdef uint32_t size
        cdef const kr_byte *p
        if self.data is None:
            raise TypeError("a Version is created by a table only")
        p = <const kr_byte *>PyBytes_AS_STRING(self.data)
        memcpy(&size, p, 4)
        namespace.at = p + 4
        namespace.len = size
        kr_read(p + 4 + size, v)
        return namespace

    @property
    def namespace(self):
        cdef kr_view v
        cdef kr_text namespace = self.read(&v)
        return text(&namespace)

    @property
    def name(self):
        cdef kr_view v
        self.read(&v)
        return text(&v.name)

    @property
    def key(self):
        cdef kr_view v
        cdef kr_text namespace = self.read(&v)
        return self.codecs.key(&namespace, &v.name)

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
        """Decodes the JSON of the object, at each call.

        Raises:
            ValueError: Its codec has no decoder any more, or the decoder returns other bytes than were encoded.
        """
        cdef kr_view v
        cdef kr_text namespace = self.read(&v)
        return self.codecs.raw(&v, &namespace)

    def __repr__(self):
        return f"Version({self.key!r}, {len(self.data)} bytes)"  # not the contents: it may be a Secret


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
