"""Table: the objects of a collection, encoded, outside of the Python heap.

Keeps no Python object for a stored one. Never decodes JSON, never reads a clock, never calls back. Each call is atomic
for other threads. The C side is in table.h, and how objects are encoded in coder/.

The class is built in steps, one a file: `_TableStorage` (reading, indexes, memory), `_TableStreams` (relists), and here
`Table` (writes of objects).
"""

include "_table_postings.pxi"
include "_table_storage.pxi"
include "_table_versions.pxi"
include "_table_ids.pxi"
include "_table_streams.pxi"
include "_table_dump.pxi"
include "_table_loader.pxi"

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcmp

from kinform_ext._scan cimport Batch
from kinform_ext._prune cimport (
    KS_DELETED, KS_NAME, KS_NAMESPACE, KS_RESOURCE_VERSION, KS_TEXTS, KS_UID, ks_object,
)
from kinform_ext._shard cimport ks_shard_of


@cython.final
@cython.no_gc_clear
cdef class Table(_TableStreams):
    """The objects of a collection, written by streams; each stream relists on its own.

    A stream is a small number that the caller chooses. One thread writes. Any thread reads: each call sees one complete
    state. Keys are `"namespace/name"`, or `"name"` for cluster-scoped objects. An id names a version of an object: it
    stays the same while the version lives, and is used again only when no iterator has it any more.

    Attributes:
        postings: The values of all versions, staged ones included; updated together with the version.
    """

    def apply(self, Py_ssize_t stream, Batch batch not None, bint initial, int listen):
        """Writes a batch into the relist (`initial`) or into what readers see.

        An object whose uid and resourceVersion are in the table is not written again; if one of the two is empty, the
        bytes are compared.

        Args:
            stream: The stream.
            batch: The objects.
            initial: Whether they belong to a relist.
            listen: NOTHING, KEYS or CHANGES, with or without OWNERS.

        Returns:
            The changes, or only their keys; None if `listen` has neither, or if `initial`.

        Raises:
            ValueError: `initial` without a relist in progress, or not `initial` during one.
        """
        cdef list changes = self.start_changes(listen)
        cdef Incoming incoming
        cdef ks_object *source
        cdef Py_ssize_t i
        cdef int which
        self.stream_in_phase(stream, initial)
        incoming.stream = stream
        incoming.initial = initial
        for i in range(batch.count):
            source = &batch.objects[i]
            incoming.object.raw = batch.block + source.raw.at
            incoming.object.size = source.raw.len
            incoming.deleted = source.verb == KS_DELETED
            for which in range(KS_TEXTS):
                incoming.object.identity[which].at = batch.block + source.text[which].at
                incoming.object.identity[which].len = source.text[which].len
            self.write(&incoming, changes)
        return None if initial else changes

    def put(
        self,
        Py_ssize_t stream,
        str namespace not None,
        str name not None,
        str uid not None,
        str resource_version not None,
        bytes raw not None,
        bint initial,
        int listen,
    ):
        """Writes one object, as `apply` writes each of a batch."""
        cdef list changes = self.start_changes(listen)
        cdef Incoming incoming
        self.stream_in_phase(stream, initial)
        incoming.stream = stream
        incoming.initial = initial
        incoming.deleted = False
        incoming.object.identity[KS_NAMESPACE] = utf8(namespace)
        incoming.object.identity[KS_NAME] = utf8(name)
        incoming.object.identity[KS_UID] = utf8(uid)
        incoming.object.identity[KS_RESOURCE_VERSION] = utf8(resource_version)
        incoming.object.raw = <const kr_byte *>PyBytes_AS_STRING(raw)
        incoming.object.size = PyBytes_GET_SIZE(raw)
        self.write(&incoming, changes)
        return None if initial else changes

    def delete(self, Py_ssize_t stream, str key not None, int listen, bint initial=False):
        """Deletes the object of a key, whatever its version; a missing one is ignored.

        Returns and raises as `apply` does.
        """
        cdef kr_text whole = utf8(key)
        cdef list changes = self.start_changes(listen)
        cdef kt_found found
        self.stream_in_phase(stream, initial)
        if initial:
            self.unstage(stream, self.find_in_stream(stream, &whole))
            return None
        while True:
            found = self.find_in_stream(stream, &whole)
            if self.sweep_key(stream, found, changes):
                continue
            if found.plain != KR_NONE:
                self.remove(found.plain, changes, False)
                self.compact_after(0)
            return changes

    # ---- one object ----

    cdef int write(self, Incoming *incoming, list changes) except -1:
        cdef kc_object *x = &incoming.object
        if not x.identity[KS_NAME].len:
            raise ValueError("name '': expected a name that is not empty")
        if x.size > MAX_BYTES or x.identity[KS_NAME].len > MAX_BYTES:
            raise ValueError(
                f"raw of {x.size} bytes, name of {x.identity[KS_NAME].len}: expected less than 2 GiB"
            )
        incoming.partition = kr_partition_acquire(&self.t.namespaces, incoming.stream, &x.identity[KS_NAMESPACE])
        if incoming.partition == KR_NONE:
            raise MemoryError
        try:
            incoming.hash = kt_key_hash(&self.t.namespaces, incoming.partition, &x.identity[KS_NAME])
            kr_identify(&incoming.identity, &x.identity[KS_UID], &x.identity[KS_RESOURCE_VERSION])
            if incoming.initial:
                return self.write_initial(incoming)
            if incoming.deleted:
                return self.write_deleted(incoming, changes)
            return self.write_live(incoming, changes)
        finally:
            kr_partition_release(&self.t.namespaces, incoming.partition)

    cdef int write_initial(self, Incoming *incoming) except -1:
        """Writes an object into the relist: marks the equal record, or stages a new one."""
        cdef kt_found found = self.found_of(incoming)
        cdef uint32_t id
        cdef Py_ssize_t size
        cdef kt_stream *s = &self.t.stream[incoming.stream]
        if incoming.deleted:
            return self.unstage(incoming.stream, found)
        if found.plain != KR_NONE and self.is_same(found.plain, incoming):
            if found.staged != KR_NONE:
                kt_remove(&self.t, found.staged)
            kt_set_shadowed(s, kt_record(&self.t, found.plain), False)
            kt_mark(s, kt_record(&self.t, found.plain))
            kt_set_stale_next(s, kt_record(&self.t, found.plain), False)
            return 0
        if found.staged != KR_NONE and self.is_same_version(found.staged, incoming):
            kt_set_stale_next(s, kt_record(&self.t, found.staged), False)
            return 0
        size = self.add(incoming, found.plain if found.staged == KR_NONE else found.staged, KR_STAGED, &id)
        if found.staged != KR_NONE:
            kt_remove(&self.t, found.staged)
        if found.plain != KR_NONE:
            kt_unmark(s, kt_record(&self.t, found.plain))
            kt_set_shadowed(s, kt_record(&self.t, found.plain), True)
        return self.compact_after(size)

    cdef int write_live(self, Incoming *incoming, list changes) except -1:
        """Writes an ADDED or MODIFIED object into what readers see."""
        cdef kt_found found = self.found_of(incoming)
        cdef uint32_t id
        cdef Py_ssize_t size
        cdef bint recreated = False
        cdef Version old = None
        while self.sweep_key(incoming.stream, found, changes):
            found = self.found_of(incoming)
        if found.plain != KR_NONE:
            if self.is_same(found.plain, incoming):
                self.clear_stale(incoming.stream, kt_record(&self.t, found.plain))
                return 0
            recreated = self.has_other_uid(found.plain, &incoming.identity)
            if changes is not None and not self.keys_only:
                old = self.version(found.plain)
        size = self.add(incoming, found.plain, self.t.stream[incoming.stream].epoch, &id)
        if found.plain != KR_NONE:
            self.note_owners(found.plain)
            kt_remove(&self.t, found.plain)
        self.note_owners(id)
        if changes is not None:
            self.append_written(changes, id, old, recreated)
        return self.compact_after(size)

    cdef int write_deleted(self, Incoming *incoming, list changes) except -1:
        """Removes an object for a DELETED event; ignores one for an older uid."""
        cdef kt_found found = self.found_of(incoming)
        cdef Version last = None
        while self.sweep_key(incoming.stream, found, changes):
            found = self.found_of(incoming)
        if found.plain == KR_NONE or self.has_other_uid(found.plain, &incoming.identity):
            return 0
        if changes is None or self.keys_only:
            self.remove(found.plain, changes, False)
        else:
            last = self.last_version(incoming, found.plain)
            self.note_owners(found.plain)
            kt_remove(&self.t, found.plain)
            changes.append(new_change(last.key, None, last, False))
        return self.compact_after(0)

    cdef Version last_version(self, Incoming *incoming, uint32_t stored):
        """Creates the version that a DELETED event carries.

        It is the stored one, or a newer one that is put in limbo.
        """
        cdef Version made
        cdef uint32_t id
        if self.is_same_version(stored, incoming):
            return self.version(stored)
        made = Version.__new__(Version)
        if not kr_holds_reserve(&self.t.holds, 1):
            raise MemoryError
        self.add(incoming, stored, KR_LIMBO, &id)
        made.table = self
        made.id = id
        return made

    cdef kt_found found_of(self, const Incoming *incoming) noexcept:
        return kt_find(&self.t, incoming.partition, &incoming.object.identity[KS_NAME], incoming.hash)

    # Not traced line by line: nothing may run between the encoding and the addition, as readers share the buffers.
    @cython.linetrace(False)
    @cython.profile(False)
    cdef Py_ssize_t add(self, Incoming *incoming, uint32_t before, uint32_t state, uint32_t *id) except -1:
        """Encodes an object and adds its record; returns the bytes of the record.

        Args:
            incoming: The object.
            before: The version before, or KR_NONE.
            state: The state bits. With KR_LIMBO the record is not in the collection, and is held.
            id: The id of the record.
        """
        cdef kr_view v
        cdef kr_new record
        cdef kt_reservation room
        cdef kc_object *x = &incoming.object
        cdef kc_encoded *made = &incoming.encoded
        x.hint = x.hinted = x.is_replaced = 0
        x.may_be_template = not incoming.deleted
        if before != KR_NONE:
            kr_read(kt_record(&self.t, before), &v)
            x.hint = v.number if v.number else 0 if v.form & KR_FRAME else v.codec
            x.hinted = v.blob.len
            x.is_replaced = v.number and not kc_entry_of(&self.t.coder.templates, v.number).users
        if not kc_encode(&self.t.coder, x, made):
            raise MemoryError
        record.partition = incoming.partition
        record.codec = made.codec
        record.number = kc_adopt_reserve(&self.t.coder) if made.is_template else 0
        record.form = (KR_FRAME if made.is_frame else 0) | (KR_PLACEHOLDERS if made.placeholders else 0)
        record.raw_len = x.size
        record.name = x.identity[KS_NAME]
        record.blob = made.blob
        record.identity = &incoming.identity
        if not kt_reserve(&self.t, &record, incoming.hash, &room):
            raise MemoryError
        id[0] = room.id
        if state & KR_LIMBO:
            kt_add_to_limbo(&self.t, &record, &room)
            kr_hold_take(&self.t.holds, room.id)
            return kr_size(&record)
        if self.t.indexes != NULL and not kx_index_json(self.t.indexes, room.id, x.raw, x.size):
            raise MemoryError
        kt_add(&self.t, &record, incoming.hash, &room, state)
        if record.number:
            kc_adopt(&self.t.coder, record.number, room.id, x, made)
        return kr_size(&record)

    cdef int is_same(self, uint32_t id, const Incoming *incoming) except -1:
        """Returns whether a record has the same uid and resourceVersion.

        If one of these is empty, compares the bytes.
        """
        cdef kr_view v
        cdef bytes raw
        kr_read(kt_record(&self.t, id), &v)
        if kr_has_uid_and_rv(v.form) and kr_has_uid_and_rv(incoming.identity.form):
            return kr_same_uid(&v, &incoming.identity) and kr_same_rv(&v, &incoming.identity)
        if v.raw_len != incoming.object.size:
            return 0
        raw = self.read_raw(id)
        return memcmp(PyBytes_AS_STRING(raw), incoming.object.raw, incoming.object.size) == 0

    cdef bint is_same_version(self, uint32_t id, const Incoming *incoming) noexcept:
        """Returns whether a record has the same uid and resourceVersion, none empty."""
        cdef kr_view v
        kr_read(kt_record(&self.t, id), &v)
        if not kr_has_uid_and_rv(v.form) or not kr_has_uid_and_rv(incoming.identity.form):
            return False
        return kr_same_uid(&v, &incoming.identity) and kr_same_rv(&v, &incoming.identity)


def trim_heap():
    """Returns free memory of the C heap to the system. Takes some ms, without the GIL."""
    with nogil:
        kr_heap_trim()
