"""_TableStorage: reading, indexes, codecs and memory of a table; part of `_table`."""

import os

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.string cimport memchr, memcmp

from kinform_ext._postings cimport (
    KX_NONE, KX_PAGE_SLOTS, kx_idset_next, kx_index_json, kx_value, kx_value_or_null,
)
from kinform_ext._version cimport (
    Change, Version, kr_read, kr_refcounts_reserve, kr_rv_text, kr_uid_text,
)

cdef enum:
    MAX_BYTES = 0x7FFFFFFF  # of a name, of the JSON, of a blob
    MOVED_PER_WRITTEN = 12  # bytes to move at most for each byte written: keeps the dead part below a twentieth


cdef kr_text utf8(str s) except *:
    cdef kr_text t
    cdef Py_ssize_t size
    t.at = <const kr_byte *>PyUnicode_AsUTF8AndSize(s, &size)
    t.len = size
    return t


cdef str text(const kr_text *t):
    return PyUnicode_DecodeUTF8(<const char *>t.at, t.len, NULL)


cdef bint split(const kr_text *key, int form, kr_text *namespace, kr_text *name) noexcept:
    """Splits a key into namespace and name, in one of two ways.

    Form 0 splits at the first slash. Form 1 takes a key with a slash as a name without a namespace.

    Returns:
        False if the key has no such form.
    """
    cdef const kr_byte *slash = <const kr_byte *>memchr(key.at, c"/", key.len)
    namespace.at = key.at
    namespace.len = 0
    name[0] = key[0]
    if form:
        return slash != NULL
    if slash != NULL:
        namespace.len = <size_t>slash - <size_t>key.at  # the checked build cannot subtract pointers
        name.at = slash + 1
        name.len = key.len - namespace.len - 1
    return True


cdef Change new_change(str key, Version new, Version old, bint synthetic):
    cdef Change made = Change.__new__(Change)
    made.key = key
    made.new = new
    made.old = old
    made.synthetic = synthetic
    return made


cdef Change removed(Version old, bint synthetic=True):
    return new_change(old.key, None, old, synthetic)


cdef int append_replacement(list changes, Version new, Version old, bint recreated) except -1:
    """Appends the change for a new version; a deletion and an addition if `recreated`."""
    if old is not None and recreated:
        changes.append(removed(old))
    if old is None or recreated:
        changes.append(new_change(new.key, new, None, False))
    else:
        changes.append(new_change(new.key, new, old, False))
    return 0


@cython.no_gc_clear
cdef class _TableStorage:
    """The part of a table that neither adds nor removes objects."""

    def __cinit__(self, Postings postings=None):
        self.codecs = Codecs()
        self.postings = postings
        if not kt_init(&self.t, &self.codecs.refcounts, int.from_bytes(os.urandom(8), "little")):
            raise MemoryError
        if not kr_refcounts_reserve(&self.codecs.refcounts, 0):
            raise MemoryError
        self.t.indexes = NULL if postings is None else &postings.x

    def __dealloc__(self):
        kt_free(&self.t)

    # ---- reading by key ----

    def __len__(self):
        return self.t.visible

    def __contains__(self, key):
        return isinstance(key, str) and self.find(key) >= 0

    @property
    def stale(self):
        """The number of objects whose version is known to be old."""
        return self.t.stale

    def find(self, str key not None):
        """Returns the id of the version that readers see under a key, or -1."""
        cdef kr_text whole = utf8(key), namespace, name
        cdef uint32_t id = KR_NONE
        cdef int form
        for form in range(2):
            if id == KR_NONE and split(&whole, form, &namespace, &name):
                id = kt_find_visible(&self.t, &namespace, &name)
        return -1 if id == KR_NONE else <Py_ssize_t>id

    def raw(self, str key not None):
        """Returns the JSON that readers see under a key, or None.

        Atomic, unlike `find` and then `raw_of`.
        """
        cdef Py_ssize_t id = self.find(key)
        return None if id < 0 else self.read_raw(id)

    def meta(self, str key not None):
        """Returns namespace, name, uid and resourceVersion under a key, or None."""
        cdef Py_ssize_t id = self.find(key)
        return None if id < 0 else self.meta_of(id)

    # ---- reading by id ----

    def raw_of(self, Py_ssize_t id):
        """Returns the JSON of a version, byte for byte as it was written.

        Raises:
            KeyError: There is no such id.
            ValueError: Its codec has no decoder, or the decoder returns other bytes than were encoded.
        """
        self.record(id)
        return self.read_raw(id)

    def meta_of(self, Py_ssize_t id):
        """Returns namespace, name, uid and resourceVersion of a version."""
        cdef kr_view v
        cdef kr_byte uid[36]
        cdef kr_byte number[20]
        cdef kr_text namespace, its_uid, its_version
        kr_read(self.record(id), &v)
        namespace = kr_partition_namespace(&self.t.namespaces, v.partition)
        its_uid = kr_uid_text(&v, uid)
        its_version = kr_rv_text(&v, number)
        return text(&namespace), text(&v.name), text(&its_uid), text(&its_version)

    def key_of(self, Py_ssize_t id):
        """Returns the key of a version."""
        cdef uint32_t partition
        cdef kr_text name = kr_name(self.record(id), &partition)
        cdef kr_text namespace = kr_partition_namespace(&self.t.namespaces, partition)
        return self.codecs.key(&namespace, &name)

    def version_of(self, Py_ssize_t id):
        """Returns a copy of a version."""
        self.record(id)
        return self.copy_version(id)

    def ids(self, str namespace=None):
        """Returns an iterator over the ids that readers see now.

        Only those of a namespace, if one is given. Later writes do not change what it shows.
        """
        cdef Ids ids = Ids.__new__(Ids, self)
        ids.pin(namespace, NULL)
        return ids

    cdef kr_byte *record(self, Py_ssize_t id) except NULL:
        if not 0 <= id <= <Py_ssize_t>KR_ID_MASK or not kr_id_is_used(&self.t.ids, id):
            raise KeyError(id)
        return kt_record(&self.t, id)

    cdef bytes read_raw(self, uint32_t id):
        cdef kr_view v
        cdef kr_text namespace
        kr_read(kt_record(&self.t, id), &v)
        namespace = kr_partition_namespace(&self.t.namespaces, v.partition)
        return self.codecs.raw(&v, &namespace)

    cdef Version copy_version(self, uint32_t id):
        cdef kr_view v
        cdef const kr_byte *record = kt_record(&self.t, id)
        cdef kr_text namespace
        kr_read(record, &v)
        namespace = kr_partition_namespace(&self.t.namespaces, v.partition)
        return self.codecs.copy_record(&namespace, &v, record)

    # ---- indexes ----

    def index_keys(self, Py_ssize_t index, str value not None):
        """Returns the keys that readers see under a value, in no particular order."""
        cdef list found = []
        cdef kx_idset *ids = self.ids_with(index, value)
        cdef uint32_t id = KX_NONE if ids == NULL else kx_idset_next(ids, 0)
        while id != KX_NONE:
            if kt_is_selected(&self.t, id, KR_NONE):
                found.append(self.key_of(id))
            id = kx_idset_next(ids, id + 1)
        return found

    def index_ids(self, Py_ssize_t index, str value not None, str namespace=None):
        """Returns ids like `ids`, but only of objects that have a value."""
        cdef Ids ids = Ids.__new__(Ids, self)
        cdef kx_idset *having = self.ids_with(index, value)
        if having != NULL:
            ids.pin(namespace, having)
        return ids

    def index_values(self, Py_ssize_t index):
        """Returns the values of all objects that readers see, in no particular order."""
        cdef list found = []
        cdef kx_value *value
        cdef uint32_t number, id, wanted
        if self.postings is None:
            raise IndexError(index)
        wanted = self.postings.index(index)
        for number in range(self.t.indexes.pages * KX_PAGE_SLOTS):
            value = kx_value_or_null(self.t.indexes, number)
            if value == NULL or value.index != wanted:
                continue
            id = kx_idset_next(&value.ids, 0)
            while id != KX_NONE and not kt_is_selected(&self.t, id, KR_NONE):
                id = kx_idset_next(&value.ids, id + 1)
            if id != KX_NONE:
                found.append(PyUnicode_DecodeUTF8(<const char *>value.text, value.len, NULL))
        return found

    def reindex(self, Py_ssize_t start, Py_ssize_t limit):
        """Indexes up to `limit` versions anew, from id `start` on, by decoding their JSON.

        Returns:
            The id to continue with, or -1 at the end.
        """
        cdef uint32_t id = max(start, 0)
        cdef uint64_t revision
        cdef bytes raw
        while limit > 0 and self.t.indexes != NULL:
            id = kr_id_next_used(&self.t.ids, id)
            if id == KR_NONE:
                return -1
            if not kr_word(kt_record(&self.t, id)) & KR_LIMBO:
                revision = self.t.revision
                raw = self.read_raw(id)
                if self.t.revision != revision:
                    continue
                self.index_json(id, <const kr_byte *>PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))
                limit -= 1
            id += 1
        return -1 if self.t.indexes == NULL else <Py_ssize_t>id

    cdef int index_json(self, uint32_t id, const kr_byte *raw, size_t len) except -1:
        if self.t.indexes != NULL and not kx_index_json(self.t.indexes, id, raw, len):
            raise MemoryError
        return 0

    cdef kx_idset *ids_with(self, Py_ssize_t index, str value) except? NULL:
        if self.postings is None:
            raise IndexError(index)
        return self.postings.ids_with(index, value)

    # ---- codecs ----

    def set_decoder(self, Py_ssize_t codec, decode):
        """Sets the decoder of a codec; None removes it.

        A decoder is called with a blob and returns the bytes that were encoded.

        Raises:
            ValueError: A codec to remove is in use, or the codec is not 1 to 65535.
        """
        if not 0 < codec <= 0xFFFF:
            raise ValueError(f"codec {codec}: expected 1 to 65535")
        if decode is not None:
            self.codecs.decoders[codec] = decode
        elif self.refcount(codec):
            raise ValueError(f"codec {codec} is in use by {self.refcount(codec)} versions")
        else:
            self.codecs.decoders.pop(codec, None)

    def refcount(self, Py_ssize_t codec):
        """Returns how many versions have a codec; in limbo and copied ones included."""
        return self.codecs.refcounts.count[codec] if 0 <= codec < self.codecs.refcounts.capacity else 0

    def ids_with_codec(self, Py_ssize_t codec, Py_ssize_t start, Py_ssize_t limit):
        """Returns up to `limit` ids from `start` on whose versions have a codec.

        Staged versions and those in limbo are skipped.
        """
        cdef list found = []
        cdef uint32_t id = max(start, 0)
        cdef kr_view v
        while len(found) < limit and self.refcount(codec):
            id = kr_id_next_used(&self.t.ids, id)
            if id == KR_NONE:
                break
            kr_read(kt_record(&self.t, id), &v)
            if v.codec == codec and not v.word & (KR_STAGED | KR_LIMBO):
                found.append(id)
            id += 1
        return found

    def blob_of(self, Py_ssize_t id):
        """Returns the encoded form of a version."""
        cdef kr_view v
        kr_read(self.record(id), &v)
        return PyBytes_FromStringAndSize(<const char *>v.blob.at, v.blob.len)

    def encoder_input(self, Py_ssize_t id):
        """Decodes a version to the bytes that the encoder received: with placeholders."""
        cdef kr_view v
        kr_read(self.record(id), &v)
        return self.codecs.decode(v.codec, PyBytes_FromStringAndSize(<const char *>v.blob.at, v.blob.len))

    def recode(
        self, Py_ssize_t id, Py_ssize_t expected_codec, Py_ssize_t codec, bytes blob not None, bytes expected=None
    ):
        """Replaces the encoded form of a version, which keeps its id.

        Args:
            id: The version.
            expected_codec: Its codec when `encoder_input` or `blob_of` was called.
            codec: The codec whose decoder decodes `blob` to the same bytes.
            blob: The new encoded form.
            expected: The result of `blob_of`. Needed if the id may have been released and used again since then.

        Returns:
            False if the version has another encoded form than expected, or is staged or in limbo.

        Raises:
            ValueError: A codec above 65535, or a blob of 2 GiB.
        """
        cdef kr_view v
        cdef kr_text t
        if not 0 <= codec <= 0xFFFF:
            raise ValueError(f"codec {codec}: expected 0 to 65535")
        if not 0 <= id <= <Py_ssize_t>KR_ID_MASK or not kr_id_is_used(&self.t.ids, id):
            return False
        kr_read(kt_record(&self.t, id), &v)
        if v.codec != expected_codec or v.word & (KR_STAGED | KR_LIMBO):
            return False
        if expected is not None and not (
            <size_t>PyBytes_GET_SIZE(expected) == v.blob.len
            and not memcmp(PyBytes_AS_STRING(expected), v.blob.at, v.blob.len)
        ):
            return False
        t.at = <const kr_byte *>PyBytes_AS_STRING(blob)
        t.len = PyBytes_GET_SIZE(blob)
        if t.len > MAX_BYTES:
            raise ValueError(f"blob of {t.len} bytes: expected less than 2 GiB")
        if not kt_recode(&self.t, id, codec, &t):
            raise MemoryError
        self.compact_after(v.size)
        return True

    # ---- memory ----

    cdef int compact_after(self, size_t written) except -1:
        """Moves records out of sparse slabs, an amount in proportion to the bytes written."""
        if self.t.slabs.dead * 20 > self.t.slabs.live:
            kt_compact(&self.t, kt_allowed_dead(&self.t), MOVED_PER_WRITTEN * written + 4096)
        return 0

    def compact(self, Py_ssize_t budget):
        """Moves about `budget` bytes out of sparse slabs; returns whether there is more."""
        cdef bint more = kt_compact(&self.t, self.t.slabs.live // 100, max(budget, 0))
        if not more:
            kr_slabs_unmap_spare(&self.t.slabs)
        return more

    def stats(self):
        """Returns counts, and sizes in bytes.

        `objects` counts visible versions, `stale` those of them that are old, `records` visible and staged ones.
        `name_bytes`, `blob_bytes` and `pruned_bytes` (as `raw_of` returns them) are sums over `records`. In the slabs,
        `record_bytes` are live, `dead_bytes` released, `limbo_bytes` those of `limbo_records`, which only iterators can
        read. `mapped_bytes` are the resident pages of the slabs, `map_bytes` those of ids, keys and namespaces.
        `overhead_bytes` is all of that except names and blobs.
        """
        cdef uint64_t mapped = kr_slabs_bytes(&self.t.slabs)
        cdef uint64_t maps = self.map_bytes()
        return {
            "objects": self.t.visible,
            "records": self.t.records,
            "stale": self.t.stale,
            "name_bytes": self.t.totals.names,
            "blob_bytes": self.t.totals.blobs,
            "pruned_bytes": self.t.totals.raws,
            "record_bytes": self.t.slabs.live,
            "dead_bytes": self.t.slabs.dead,
            "limbo_records": self.t.limbo,
            "limbo_bytes": self.t.limbo_bytes,
            "mapped_bytes": mapped,
            "map_bytes": maps,
            "overhead_bytes": mapped + maps - self.t.totals.names - self.t.totals.blobs,
        }

    cdef uint64_t map_bytes(self) noexcept:
        return kr_ids_bytes(&self.t.ids) + kr_keymap_bytes(&self.t.keys) + kr_namespaces_bytes(&self.t.namespaces)

    def __sizeof__(self):
        return sizeof(kt_table) + kr_slabs_bytes(&self.t.slabs) + self.map_bytes() + self.t.streams * sizeof(kt_stream)

    # ---- dump ----

    cdef bytes dump_one(self, uint32_t id):
        """Returns one record of a dump: flags (1: stale), stream, namespace, record."""
        cdef kr_view v
        cdef const kr_byte *record = kt_record(&self.t, id)
        cdef kr_text namespace, whole
        cdef uint32_t stream
        cdef bytes made
        cdef kr_byte *to
        kr_read(record, &v)
        namespace = kr_partition_namespace(&self.t.namespaces, v.partition)
        stream = self.t.namespaces.partition[v.partition].stream
        whole.at = record
        whole.len = v.size
        made = PyBytes_FromStringAndSize(
            NULL, 1 + kr_varint_size(stream) + kr_varint_size(namespace.len) + namespace.len + v.size
        )
        to = <kr_byte *>PyBytes_AS_STRING(made)
        to[0] = kt_is_stale(&self.t.stream[stream], v.word)
        to = kr_put_varint(kr_put_varint(to + 1, stream), namespace.len)
        kr_put_text(kr_put_text(to, &namespace), &whole)
        return made
