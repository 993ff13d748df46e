"""_TableStorage: reading, indexes and memory of a table; part of `_table`."""

import os

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcmp, memcpy

from kinform_ext._indexes cimport (
    KX_NONE, KX_PAGE_SLOTS, kx_idset_next, kx_index_json, kx_next_value, kx_value, kx_value_or_null,
)

cdef enum:
    MAX_BYTES = 0x7FFFFFFF  # of a name, of the JSON, of a blob
    BYTES_PER_RECORD = 64  # by which `reindex` counts a record, in addition to its JSON
    MOVED_PER_WRITTEN = 12  # bytes to move at most for each byte written: keeps the dead part below a twentieth

# The buffers that the coders of all tables share. Only code that holds the GIL, and does not release it, uses it.
cdef kc_process process


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


@cython.no_gc_clear
cdef class _TableStorage:
    """The part of a table that neither adds nor removes objects."""

    def __cinit__(self, Postings postings=None):
        if not kt_init(&self.t, &process, int.from_bytes(os.urandom(8), "little")):
            raise MemoryError
        self.use_postings(postings)

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

    def identity(self, str key not None):
        """Returns the identity of a version: see `identity_of`. None: the key is missing."""
        cdef Py_ssize_t id = self.find(key)
        return None if id < 0 else self.pack_identity(id)

    def identity_and_raw(self, str key not None):
        """Returns the identity and the JSON of one version, or None."""
        cdef Py_ssize_t id = self.find(key)
        return None if id < 0 else (self.pack_identity(id), self.read_raw(id))

    # ---- reading by id ----

    def raw_of(self, Py_ssize_t id):
        """Returns the JSON of a version, byte for byte as it was written.

        Raises:
            KeyError: There is no such id.
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

    def identity_of(self, Py_ssize_t id):
        """Returns uid and resourceVersion of a version in a packed form.

        Versions with the same identity are the same. It is empty if the version lacks one of the two.
        """
        self.record(id)
        return self.pack_identity(id)

    def key_of(self, Py_ssize_t id):
        """Returns the key of a version."""
        cdef uint32_t partition
        cdef kr_text name = kr_name(self.record(id), &partition)
        cdef kr_text namespace = kr_partition_namespace(&self.t.namespaces, partition)
        return self.key(&namespace, &name)

    def version_of(self, Py_ssize_t id):
        """Returns a version, which stays readable when it is replaced or deleted."""
        self.record(id)
        return self.version(id)

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
        cdef bytes raw
        kr_read(kt_record(&self.t, id), &v)
        raw = PyBytes_FromStringAndSize(NULL, v.raw_len)
        namespace = kr_partition_namespace(&self.t.namespaces, v.partition)
        if not kc_decode(&self.t.coder, &v, &namespace, <kr_byte *>PyBytes_AS_STRING(raw)):
            raise MemoryError
        return raw

    cdef bytes pack_identity(self, uint32_t id):
        cdef kr_view v
        cdef bytes packed
        cdef kr_byte *to
        cdef uint32_t size
        kr_read(kt_record(&self.t, id), &v)
        if not kr_has_uid_and_rv(v.form):
            return b""
        size = v.rv.len
        packed = PyBytes_FromStringAndSize(NULL, 1 + sizeof(size) + size + v.uid.len)
        to = <kr_byte *>PyBytes_AS_STRING(packed)
        to[0] = v.form & (KR_RV_MASK | KR_UID_MASK)
        memcpy(to + 1, &size, sizeof(size))
        kr_put_text(kr_put_text(to + 1 + sizeof(size), &v.rv), &v.uid)
        return packed

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

    # ---- versions ----

    cdef int hold(self, uint32_t id) except -1:
        """Holds a record: it stays in memory until `kt_release`."""
        if not kr_holds_reserve(&self.t.holds, 1):
            raise MemoryError
        kr_hold_take(&self.t.holds, id)
        return 0

    cdef Version version(self, uint32_t id):
        """Creates a version.

        Nothing else runs meanwhile, as the garbage collector does not track versions.
        """
        cdef Version made = Version.__new__(Version)
        self.hold(id)
        made.table = self
        made.id = id
        return made

    # ---- indexes ----

    def use_postings(self, Postings postings):
        """Replaces the postings. New ones are empty until `reindex`."""
        self.t.indexes = NULL if postings is None else &postings.x
        self.postings = postings

    @property
    def ids_end(self):
        """A bound: all ids in use are below it."""
        return kr_ids_end(&self.t.ids)

    def reindex(self, Py_ssize_t start, Py_ssize_t end, Py_ssize_t budget):
        """Reads the values of versions again, by the present program of the postings.

        Other writes can come between two calls.

        Args:
            start: The id to start at: 0, then what the last call returned.
            end: The id to end before: `ids_end` when the program was loaded, as later writes are indexed by it.
            budget: Bytes of JSON after which the call returns.

        Returns:
            The id to continue at, or -1 at the end.
        """
        cdef uint32_t id = kr_id_next_used(&self.t.ids, max(start, 0))
        cdef bytes raw
        while id != KR_NONE and id < end:
            if budget <= 0:
                return id
            budget -= BYTES_PER_RECORD
            if not kr_word(kt_record(&self.t, id)) & KR_LIMBO:
                raw = self.read_raw(id)
                self.index_json(id, <const kr_byte *>PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))
                budget -= PyBytes_GET_SIZE(raw)
            id = kr_id_next_used(&self.t.ids, id + 1)
        return -1

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

    def owners_of(self, Py_ssize_t id):
        """Returns the owners of a version, by its controller references: one, or none.

        Each is `"Kind.group/key"`, or `"Kind/key"` in the core group. The key has the namespace of the object, also for
        a cluster-scoped owner: the reference does not have its scope. Empty without an index of controllers.
        """
        cdef list found = []
        self.record(id)
        self.add_owners(found, id)
        return found

    cdef int add_owners(self, list found, uint32_t id) except -1:
        """Appends the owners of a version; skips one that is the last in the list."""
        cdef const kx_value *value
        cdef kr_text kind, name, namespace
        cdef uint32_t at = 0, partition
        cdef str owner
        if self.t.indexes == NULL or self.t.indexes.owner_index == KX_NONE:
            return 0
        kr_name(kt_record(&self.t, id), &partition)
        namespace = kr_partition_namespace(&self.t.namespaces, partition)
        value = kx_next_value(self.t.indexes, id, self.t.indexes.owner_index, &at)
        while value != NULL:
            kind.at = value.text
            kind.len = <size_t><const kr_byte *>memchr(value.text, c"/", value.len) - <size_t>value.text
            name.at = kind.at + kind.len + 1
            name.len = value.len - kind.len - 1
            owner = text(&kind) + "/" + self.key(&namespace, &name)
            if not found or found[len(found) - 1] != owner:
                found.append(owner)
            value = kx_next_value(self.t.indexes, id, self.t.indexes.owner_index, &at)
        return 0

    cdef int index_json(self, uint32_t id, const kr_byte *raw, size_t len) except -1:
        if self.t.indexes != NULL and not kx_index_json(self.t.indexes, id, raw, len):
            raise MemoryError
        return 0

    cdef kx_idset *ids_with(self, Py_ssize_t index, str value) except? NULL:
        if self.postings is None:
            raise IndexError(index)
        return self.postings.ids_with(index, value)

    # ---- the encoded form ----

    def blob_of(self, Py_ssize_t id):
        """Returns the encoded form of a version."""
        cdef kr_view v
        kr_read(self.record(id), &v)
        return PyBytes_FromStringAndSize(<const char *>v.blob.at, v.blob.len)

    def form_of(self, Py_ssize_t id):
        """Returns how a version is encoded.

        The result is `"template"`, `"sibling"`, `"frame"` or `"plain"`. Others may be coded against a template, and a
        sibling is coded against one.
        """
        cdef kr_view v
        kr_read(self.record(id), &v)
        if v.number:
            return "template"
        if v.form & KR_FRAME:
            return "frame"
        return "sibling" if v.codec else "plain"

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
            kc_process_shrink(&process)
        return more

    def stats(self):
        """Returns counts, and sizes in bytes.

        `objects` counts visible versions, `stale` those of them that are old, `records` visible and staged ones.
        `name_bytes`, `blob_bytes` and `pruned_bytes` (as `raw_of` returns them) are sums over `records`. In the slabs,
        `record_bytes` are live, `dead_bytes` released, `limbo_bytes` those of `limbo_records`, which are not in the
        collection any more; of those, `hidden_bytes` and `hidden_records` are templates that others need.
        `mapped_bytes` are the resident pages of the slabs, `map_bytes` those of ids, keys and namespaces.
        `coder_bytes` are what the coder keeps for its `templates`: slot lists, literals, and hints to find them.
        `cached_bytes` are templates of this table in the cache of the process, `shared_bytes` buffers that all tables
        share. `overhead_bytes` are pages, maps, coder and cached templates, less names and blobs.
        """
        cdef uint64_t mapped = kr_slabs_bytes(&self.t.slabs)
        cdef uint64_t maps = self.map_bytes()
        cdef uint64_t coder = kc_coder_bytes(&self.t.coder)
        cdef uint64_t cached = kc_coder_cached(&self.t.coder)
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
            "hidden_records": self.t.hidden,
            "hidden_bytes": self.t.hidden_bytes,
            "templates": self.t.coder.templates.used,
            "mapped_bytes": mapped,
            "map_bytes": maps,
            "coder_bytes": coder,
            "cached_bytes": cached,
            "shared_bytes": kc_process_bytes(&process),
            "overhead_bytes": mapped + maps + coder + cached - self.t.totals.names - self.t.totals.blobs,
        }

    cdef uint64_t map_bytes(self) noexcept:
        return (
            kr_ids_bytes(&self.t.ids) + kr_keymap_bytes(&self.t.keys) + kr_namespaces_bytes(&self.t.namespaces)
            + kr_holds_bytes(&self.t.holds)
        )

    def __sizeof__(self):
        return (
            sizeof(kt_table) + kr_slabs_bytes(&self.t.slabs) + self.map_bytes() + kc_coder_bytes(&self.t.coder)
            + kc_coder_cached(&self.t.coder) + self.t.streams * sizeof(kt_stream)
        )
