"""Table: the objects of a collection, compressed, outside of the Python heap.

Keeps no Python object for a stored one. Never compresses by itself (`encoder` does), never decodes JSON, never reads a
clock. Each call is atomic for other threads, except for its calls of encoder, observer and decoders. The table is
consistent whenever one of these runs, and the current record is looked up again afterwards. The C side is in table.h.

The class is built in three steps, one a file: `_TableStorage` (reading, indexes, codecs, memory), `_TableStreams`
(relists), and here `Table` (writes of objects).
"""

include "_table_storage.pxi"
include "_table_ids.pxi"
include "_table_streams.pxi"

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcmp

from kinform_ext._batch cimport Batch
from kinform_ext._prune cimport (
    KS_DELETED, KS_NAME, KS_NAMESPACE, KS_RESOURCE_VERSION, KS_TEXTS, KS_UID, ks_object,
)
from kinform_ext._version cimport Change, Version, kr_read

cdef enum:
    MIN_SPAN = 2  # bytes of a value that is worth a placeholder


@cython.final
@cython.no_gc_clear
cdef class Table(_TableStreams):
    """The objects of a collection, written by streams; each stream relists on its own.

    A stream is a small number that the caller chooses. One thread writes. Any thread reads: each call sees one complete
    state. Keys are `"namespace/name"`, or `"name"` for cluster-scoped objects. An id names a version of an object: it
    stays the same while the version lives, and is used again only when no iterator has it any more.

    Attributes:
        encoder: Compresses: called with the JSON of an object, with placeholders for some strings. None: the JSON is
            stored as it is, like JSON that does not become smaller. If it raises, the object is not written, and the
            exception is passed on.
        encoder_codec: The codec whose decoder decodes the result of `encoder`.
        observer: Called with the same bytes before `encoder`; None: not called.
        postings: The values of all versions, staged ones included; updated together with the version.
    """

    @property
    def encoder_codec(self):
        return self.codec

    @encoder_codec.setter
    def encoder_codec(self, Py_ssize_t codec):
        if not 0 <= codec <= 0xFFFF:
            raise ValueError(f"codec {codec}: expected 0 to 65535")
        self.codec = codec

    def apply(self, Py_ssize_t stream, Batch batch not None, bint initial, bint listen):
        """Writes a batch into the relist (`initial`) or into what readers see.

        An object whose uid and resourceVersion are in the table is not written again; if one of the two is empty, the
        bytes are compared. If a callback raises, the objects written before stay.

        Returns:
            The changes, None if not `listen` or if `initial`.

        Raises:
            ValueError: `initial` without a relist in progress, or not `initial` during one.
        """
        cdef list changes = [] if listen else None
        cdef Incoming incoming
        cdef ks_object *source
        cdef Py_ssize_t i
        cdef int which
        self.stream_in_phase(stream, initial)
        incoming.stream = stream
        incoming.initial = initial
        for i in range(batch.count):
            source = &batch.objects[i]
            incoming.raw = batch.block + source.raw.at
            incoming.raw_len = source.raw.len
            incoming.deleted = source.verb == KS_DELETED
            for which in range(KS_TEXTS):
                incoming.value[which].at = batch.block + source.text[which].at
                incoming.value[which].len = source.text[which].len
            find_spans(&incoming, source)
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
        bint listen,
    ):
        """Writes one object, as `apply` writes each of a batch."""
        cdef list changes = [] if listen else None
        cdef Incoming incoming
        self.stream_in_phase(stream, initial)
        incoming.stream = stream
        incoming.initial = initial
        incoming.deleted = False
        incoming.value[KS_NAMESPACE] = utf8(namespace)
        incoming.value[KS_NAME] = utf8(name)
        incoming.value[KS_UID] = utf8(uid)
        incoming.value[KS_RESOURCE_VERSION] = utf8(resource_version)
        incoming.raw = <const kr_byte *>PyBytes_AS_STRING(raw)
        incoming.raw_len = PyBytes_GET_SIZE(raw)
        find_spans(&incoming, NULL)
        self.write(&incoming, changes)
        return None if initial else changes

    def delete(self, Py_ssize_t stream, str key not None, bint listen, bint initial=False):
        """Deletes the object of a key, whatever its version; a missing one is ignored.

        Returns and raises as `apply` does.
        """
        cdef kr_text whole = utf8(key)
        cdef list changes = [] if listen else None
        cdef kt_found found
        cdef uint64_t revision
        self.stream_in_phase(stream, initial)
        if initial:
            self.unstage(stream, self.find_in_stream(stream, &whole))
            return None
        while True:
            found = self.find_in_stream(stream, &whole)
            if self.sweep_key(stream, found, changes):
                continue
            if found.plain == KR_NONE:
                return changes
            if listen:
                revision = self.t.revision
                change = removed(self.copy_version(found.plain), False)
                if self.t.revision != revision:
                    continue
                changes.append(change)
            kt_remove(&self.t, found.plain)
            self.compact_after(0)
            return changes

    def load(self, stream_of, bytes data not None):
        """Adds the objects of a dump in their encoded form; returns their number.

        Adds none of them if it raises.

        Args:
            stream_of: The stream for all of them, or a mapping from the streams in the dump to those here.
            data: Whole records, as `Ids.dump` returns them.

        Raises:
            ValueError: `data` is malformed, or a key is in the table already, or the stream is not idle.
            KeyError: The mapping lacks a stream of the dump.
        """
        cdef list loaded = []
        cdef const kr_byte *p = <const kr_byte *>PyBytes_AS_STRING(data)
        cdef const kr_byte *end = p + PyBytes_GET_SIZE(data)
        cdef bint done = False
        cdef uint32_t id
        try:
            while p < end:
                p = self.load_one(stream_of, p, end, &id)
                loaded.append(id)
            done = True
        finally:
            if not done:
                for id in loaded:
                    kt_remove(&self.t, id)
        return len(loaded)

    cdef const kr_byte *load_one(self, stream_of, const kr_byte *p, const kr_byte *end, uint32_t *id) except NULL:
        cdef uint64_t dumped_stream, size
        cdef bint stale = p[0] & 1
        cdef kr_text namespace
        cdef kr_view v
        cdef kr_new record
        cdef kr_identity identity
        cdef kt_reservation room
        cdef kt_found found
        cdef uint64_t hash
        cdef uint32_t stream
        p += 1
        if not kr_try_read_varint(&p, end, &dumped_stream) or not kr_try_read_varint(&p, end, &size):
            raise ValueError(NOT_RECORDS)
        if size > <size_t>end - <size_t>p:
            raise ValueError(NOT_RECORDS)
        namespace.at = p
        namespace.len = size
        p += size
        if not kr_try_read(p, end, &v) or v.codec > 0xFFFF:
            raise ValueError(NOT_RECORDS)
        stream = self.stream_number(stream_of if isinstance(stream_of, int) else stream_of[dumped_stream])
        if self.t.stream[stream].phase != KT_IDLE:
            raise ValueError(f"stream {stream}: a relist, sweep or drop is in progress")
        kr_new_from_view(&v, &record, &identity)
        record.partition = kr_partition_acquire(&self.t.namespaces, stream, &namespace)
        if record.partition == KR_NONE:
            raise MemoryError
        try:
            hash = kt_key_hash(&self.t.namespaces, record.partition, &record.name)
            found = kt_find(&self.t, record.partition, &record.name, hash)
            if found.plain != KR_NONE:
                raise ValueError(f"data: key {self.codecs.key(&namespace, &record.name)!r} is in the table already")
            if not kt_reserve(&self.t, &record, hash, &room):
                raise MemoryError
            kt_add(
                &self.t, &record, hash, &room,
                self.t.stream[stream].epoch | (self.t.stream[stream].stale_bit if stale else 0),
            )
            id[0] = room.id
        finally:
            kr_partition_release(&self.t.namespaces, record.partition)
        return p + v.size

    # ---- one object ----

    cdef int write(self, Incoming *incoming, list changes) except -1:
        if not incoming.value[KS_NAME].len:
            raise ValueError("name '': expected a name that is not empty")
        if incoming.raw_len > MAX_BYTES or incoming.value[KS_NAME].len > MAX_BYTES:
            raise ValueError(
                f"raw of {incoming.raw_len} bytes, name of {incoming.value[KS_NAME].len}: expected less than 2 GiB"
            )
        incoming.partition = kr_partition_acquire(&self.t.namespaces, incoming.stream, &incoming.value[KS_NAMESPACE])
        if incoming.partition == KR_NONE:
            raise MemoryError
        try:
            incoming.hash = kt_key_hash(&self.t.namespaces, incoming.partition, &incoming.value[KS_NAME])
            kr_identify(&incoming.identity, &incoming.value[KS_UID], &incoming.value[KS_RESOURCE_VERSION])
            if incoming.initial:
                return self.write_initial(incoming)
            if incoming.deleted:
                return self.write_deleted(incoming, changes)
            return self.write_live(incoming, changes)
        finally:
            kr_partition_release(&self.t.namespaces, incoming.partition)

    cdef int write_initial(self, Incoming *incoming) except -1:
        """Writes an object into the relist: marks the equal record, or stages a new one."""
        cdef kt_found found
        cdef kr_new record
        cdef kt_reservation room
        cdef kt_stream *s
        cdef uint64_t revision
        cdef int same = 0
        cdef bytes blob = None
        while True:
            found = kt_find(&self.t, incoming.partition, &incoming.value[KS_NAME], incoming.hash)
            if incoming.deleted:
                self.unstage(incoming.stream, found)
                return 0
            revision = self.t.revision
            if found.plain != KR_NONE:
                same = self.is_same(found.plain, incoming)
                if self.t.revision != revision:
                    continue
                if same:
                    s = &self.t.stream[incoming.stream]
                    if found.staged != KR_NONE:
                        kt_remove(&self.t, found.staged)
                    kt_set_shadowed(s, kt_record(&self.t, found.plain), False)
                    kt_mark(s, kt_record(&self.t, found.plain))
                    kt_set_stale_next(s, kt_record(&self.t, found.plain), False)
                    return 0
            if found.staged != KR_NONE and self.is_same_version(found.staged, incoming):
                kt_set_stale_next(&self.t.stream[incoming.stream], kt_record(&self.t, found.staged), False)
                return 0
            if blob is None:
                blob = self.prepare(incoming, &record)
                if self.t.revision != revision:
                    continue
            break
        self.check_phase(incoming)
        if not kt_reserve(&self.t, &record, incoming.hash, &room):
            raise MemoryError
        self.index_json(room.id, incoming.raw, incoming.raw_len)
        kt_add(&self.t, &record, incoming.hash, &room, KR_STAGED)
        if found.staged != KR_NONE:
            kt_remove(&self.t, found.staged)
        if found.plain != KR_NONE:
            s = &self.t.stream[incoming.stream]
            kt_unmark(s, kt_record(&self.t, found.plain))
            kt_set_shadowed(s, kt_record(&self.t, found.plain), True)
        return self.compact_after(kr_size(&record))

    cdef int write_live(self, Incoming *incoming, list changes) except -1:
        """Writes an ADDED or MODIFIED object into what readers see."""
        cdef kt_found found
        cdef kr_new record
        cdef kt_reservation room
        cdef uint64_t revision
        cdef bint recreated = False
        cdef int same
        cdef bytes blob = None
        cdef Version old = None, new
        while True:
            found = kt_find(&self.t, incoming.partition, &incoming.value[KS_NAME], incoming.hash)
            if self.sweep_key(incoming.stream, found, changes):
                continue
            revision = self.t.revision
            if found.plain != KR_NONE:
                same = self.is_same(found.plain, incoming)
                if self.t.revision != revision:
                    continue
                if same:
                    return 0
                recreated = self.has_other_uid(found.plain, &incoming.identity)
            if blob is None:
                blob = self.prepare(incoming, &record)
                if self.t.revision != revision:
                    continue
            old = self.copy_version(found.plain) if changes is not None and found.plain != KR_NONE else None
            if self.t.revision == revision:
                break
        self.check_phase(incoming)
        if not kt_reserve(&self.t, &record, incoming.hash, &room):
            raise MemoryError
        self.index_json(room.id, incoming.raw, incoming.raw_len)
        kt_add(&self.t, &record, incoming.hash, &room, self.t.stream[incoming.stream].epoch)
        if found.plain != KR_NONE:
            kt_remove(&self.t, found.plain)
        if changes is not None:
            new = self.copy_version(room.id)
            append_replacement(changes, new, old, recreated)
        return self.compact_after(kr_size(&record))

    cdef int write_deleted(self, Incoming *incoming, list changes) except -1:
        """Removes an object for a DELETED event; ignores one for an older uid."""
        cdef kt_found found
        cdef kr_new record
        cdef uint64_t revision
        cdef bytes _blob  # owns the bytes to which `record` points
        cdef Version last = None
        cdef Change change = None
        while True:
            found = kt_find(&self.t, incoming.partition, &incoming.value[KS_NAME], incoming.hash)
            if self.sweep_key(incoming.stream, found, changes):
                continue
            if found.plain == KR_NONE or self.has_other_uid(found.plain, &incoming.identity):
                return 0
            revision = self.t.revision
            if changes is not None:
                if last is None:
                    _blob = self.prepare(incoming, &record)
                    last = self.codecs.new_version(&incoming.value[KS_NAMESPACE], &record)
                    continue
                change = removed(last, False)
            if self.t.revision == revision:
                break
        self.check_phase(incoming)
        kt_remove(&self.t, found.plain)
        if change is not None:
            changes.append(change)
        return self.compact_after(0)

    cdef int check_phase(self, const Incoming *incoming) except -1:
        """Raises if a callback has changed the phase of the stream."""
        self.stream_in_phase(incoming.stream, incoming.initial)
        return 0

    cdef bytes prepare(self, Incoming *incoming, kr_new *record):
        """Encodes an object and fills `record`, which points into the bytes returned."""
        cdef size_t size = incoming.raw_len
        cdef int i
        cdef bytes source, blob
        for i in range(incoming.spans):
            size -= incoming.span[i].len - 1
        source = PyBytes_FromStringAndSize(NULL, size)
        kr_put_placeholders(
            <kr_byte *>PyBytes_AS_STRING(source), incoming.raw, incoming.raw_len, incoming.span, incoming.spans
        )
        blob = self.encode(source, &record.codec)
        record.partition = incoming.partition
        record.placeholders = incoming.spans > 0
        record.raw_len = incoming.raw_len
        record.name = incoming.value[KS_NAME]
        record.blob.at = <const kr_byte *>PyBytes_AS_STRING(blob)
        record.blob.len = PyBytes_GET_SIZE(blob)
        record.identity = &incoming.identity
        return blob

    cdef bytes encode(self, bytes source, uint32_t *codec):
        cdef uint32_t number = self.codec
        codec[0] = 0
        if self.observer is not None:
            self.observer(source)
        if self.encoder is None or not number:
            return source
        blob = self.encoder(source)
        if not isinstance(blob, bytes):
            raise TypeError(f"encoder returned {type(blob).__name__}: expected bytes")
        if PyBytes_GET_SIZE(blob) >= PyBytes_GET_SIZE(source):
            return source
        codec[0] = number
        return blob

    cdef int is_same(self, uint32_t id, const Incoming *incoming) except -1:
        """Returns whether a record has the same uid and resourceVersion.

        If one of these is empty, compares the bytes.
        """
        cdef kr_view v
        cdef bytes raw
        kr_read(kt_record(&self.t, id), &v)
        if kr_has_uid_and_rv(v.form) and kr_has_uid_and_rv(incoming.identity.form):
            return kr_same_uid(&v, &incoming.identity) and kr_same_rv(&v, &incoming.identity)
        if v.raw_len != incoming.raw_len:
            return 0
        raw = self.read_raw(id)
        return memcmp(PyBytes_AS_STRING(raw), incoming.raw, incoming.raw_len) == 0

    cdef bint is_same_version(self, uint32_t id, const Incoming *incoming) noexcept:
        """Returns whether a record has the same uid and resourceVersion, none empty."""
        cdef kr_view v
        kr_read(kt_record(&self.t, id), &v)
        if not kr_has_uid_and_rv(v.form) or not kr_has_uid_and_rv(incoming.identity.form):
            return False
        return kr_same_uid(&v, &incoming.identity) and kr_same_rv(&v, &incoming.identity)


cdef str NOT_RECORDS = "data: expected whole records, as `Ids.dump` returns them"


cdef int find_spans(Incoming *incoming, const ks_object *source) noexcept:
    """Finds the strings to replace by placeholders.

    `source`, if not NULL, has the positions of uid and resourceVersion, which are replaced only there.
    """
    cdef kr_text value[5]
    cdef int i
    cdef size_t at, len
    incoming.spans = 0
    for i in range(KS_TEXTS):
        value[i] = incoming.value[i]
        if value[i].len < MIN_SPAN:
            value[i].len = 0
    value[KR_VALUE_STEM] = kr_name_stem(&value[KS_NAME])
    if source == NULL:
        if kr_next_placeholder(incoming.raw, incoming.raw + incoming.raw_len) == incoming.raw + incoming.raw_len:
            incoming.spans = kr_find_spans(incoming.span, incoming.raw, incoming.raw_len, value)
        return 0
    value[KS_UID].len = value[KS_RESOURCE_VERSION].len = 0
    incoming.spans = kr_find_spans(incoming.span, incoming.raw, incoming.raw_len, value)
    for i in range(KS_UID, KR_VALUE_STEM):
        len = source.text[i].len
        if not len or source.text[i].at <= source.raw.at:
            continue
        at = source.text[i].at - source.raw.at
        if at + len < incoming.raw_len and incoming.raw[at - 1] == c'"' and incoming.raw[at + len] == c'"':
            incoming.spans = kr_add_span(incoming.span, incoming.spans, at, len, i)
    return 0
