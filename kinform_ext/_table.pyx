"""Table: a collection's objects, compressed, outside of Python's heap; relists by stream; iterators that see one state.

No Python object is kept per stored object. Never compresses by itself (`encoder` does), never decodes JSON, never
reads a clock. Everything but the calls of encoder, observer and decoders is one step for other threads; the table is
consistent whenever one of them is called, and the object at hand is found again after it. `_table.h` is its inside.

Longer than most: what a key goes through, live, in a relist and in its sweep, is told here in one piece.
"""

import os

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.string cimport memchr, memcmp

from kinform_ext._batch cimport Batch
from kinform_ext._postings cimport KX_NONE, KX_PAGE_SLOTS, kx_idset_next, kx_index_json, kx_value, kx_value_or_null
from kinform_ext._prune cimport KS_TEXTS, ks_object
from kinform_ext._version cimport (
    KR_UID_MASK,
    Change,
    Version,
    kr_read,
    kr_rv_text,
    kr_uid_text,
    kr_refcounts_reserve,
)


cdef enum:
    NAMESPACE, NAME, UID, VERSION, STEM
    SHORTEST = 2  # value worth a cut
    DELETED = 2
    LOOKED_AT = 64  # records a sweep looks at in the time that one change takes
    MOST = 0x7FFFFFFF
    COPIED = 12  # bytes moved, at most, for each that is written: what slack of a twentieth takes


cdef kr_text utf8(str s) except *:
    cdef kr_text t
    cdef Py_ssize_t size
    t.at = <const kr_byte *>PyUnicode_AsUTF8AndSize(s, &size)
    t.len = size
    return t


cdef str text(const kr_text *t):
    return PyUnicode_DecodeUTF8(<const char *>t.at, t.len, NULL)


cdef Change change(str key, Version new, Version old, bint synthetic, Version held, Py_ssize_t id, Py_ssize_t held_id):
    cdef Change made = Change.__new__(Change)
    made.key = key
    made.new = new
    made.old = old
    made.held = held
    made.synthetic = synthetic
    made.id = id
    made.held_id = held_id
    return made


cdef Change added(Version new, uint32_t id):
    return change(new.key, new, None, False, None, id, -1)


cdef Change updated(Version new, Version old, uint32_t id, uint32_t held_id):
    return change(new.key, new, old, False, old, id, held_id)


cdef Change removed(Version old, uint32_t held_id, bint synthetic=True):
    return change(old.key, None, old, synthetic, old, -1, held_id)


@cython.final
@cython.no_gc_clear
cdef class Table:
    """The objects of a collection, filled by streams (small numbers, the caller's), each with its own relists.

    One thread writes. Any thread reads: each call sees one complete state.

    Ids name versions of objects: an id stays while its version does, and is used again for another one only when
    no iterator holds it any more. Keys are `"namespace/name"`, or `"name"` for cluster-scoped objects.

    Attributes:
        encoder: Called with an object's JSON, some values cut out of it, to make it smaller; None: kept as it is, as is
            what does not become smaller. What it raises leaves the object out and is passed on.
        encoder_codec: The number under which a decoder can undo that.
        observer: Called with the same bytes before; None: nobody looks.
        postings: The values of what is held, staged versions included; each changes in one step with the version.
    """

    def __cinit__(self, Postings postings=None):
        self.codecs = Codecs()
        self.postings = postings
        if not kt_init(&self.t, &self.codecs.users, int.from_bytes(os.urandom(8), "little")):
            raise MemoryError
        if not kr_refcounts_reserve(&self.codecs.users, 0):
            raise MemoryError
        self.t.indexes = NULL if postings is None else &postings.x

    def __dealloc__(self):
        kt_free(&self.t)

    # ---- codecs ----

    @property
    def encoder_codec(self):
        return self.codec

    @encoder_codec.setter
    def encoder_codec(self, Py_ssize_t codec):
        if not 0 <= codec <= 0xFFFF:
            raise ValueError("codec: expected 0 to 65535")
        self.codec = codec

    def set_decoder(self, Py_ssize_t codec, decode):
        """Names what undoes an encoding: called with a blob, returns what was encoded. None: forgotten.

        Raises:
            ValueError: It is to be forgotten, but something needs it; or the number is none of 1 to 65535.
        """
        if not 0 < codec <= 0xFFFF:
            raise ValueError("codec: expected 1 to 65535")
        if decode is not None:
            self.codecs.decoders[codec] = decode
        elif self.users(codec):
            raise ValueError(f"codec {codec} is needed by {self.users(codec)} versions")
        else:
            self.codecs.decoders.pop(codec, None)

    def users(self, Py_ssize_t codec):
        """How many versions need this codec: held, staged, pinned by iterators, or copied out."""
        return self.codecs.users.count[codec] if 0 <= codec < self.codecs.users.room else 0

    cdef bytes encode(self, bytes cut, uint32_t *codec):
        cdef uint32_t number = self.codec
        codec[0] = 0
        if self.observer is not None:
            self.observer(cut)
        if self.encoder is None or not number:
            return cut
        found = self.encoder(cut)
        if not isinstance(found, bytes):
            raise TypeError("expected the encoder to return bytes")
        if PyBytes_GET_SIZE(found) >= PyBytes_GET_SIZE(cut):
            return cut
        codec[0] = number
        return found

    # ---- writing ----

    def begin(self, Py_ssize_t stream):
        """A new state of this stream begins; one that was begun and not committed leaves no trace.

        Raises:
            ValueError: The last one is still being swept, or the stream dropped.
        """
        cdef kt_stream *s = &self.t.stream[self.number(stream)]
        if s.phase == KT_RELISTING:
            kt_abort(&self.t, stream)
        if s.phase != KT_IDLE:
            raise ValueError(f"stream {stream}: a sweep or drop is not finished")
        s.phase = KT_RELISTING

    def apply(self, Py_ssize_t stream, Batch batch not None, bint initial, bint listen):
        """Takes a batch, into the state that was begun (`initial`) or into what readers see; tells the changes.

        An object whose uid and resourceVersion are held already is not taken again; where one of the two is empty, the
        bytes decide. What was taken stays if a callback raises.

        Raises:
            ValueError: `initial` and no state was begun, or not and one was.
        """
        cdef list changes = [] if listen else None
        cdef Given given
        cdef ks_object *record
        cdef Py_ssize_t i
        cdef int which
        self.stream(stream, initial)
        given.stream = stream
        given.initial = initial
        for i in range(batch.count):
            record = &batch.records[i]
            given.raw = batch.block + record.raw.at
            given.raw_len = record.raw.len
            given.deleted = record.verb == DELETED
            for which in range(KS_TEXTS):
                given.value[which].at = batch.block + record.text[which].at
                given.value[which].len = record.text[which].len
            find_spans(&given, record)
            self.take(&given, changes)
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
        """Takes one object given as bytes, as `apply` takes each of a batch."""
        cdef list changes = [] if listen else None
        cdef Given given
        self.stream(stream, initial)
        given.stream = stream
        given.initial = initial
        given.deleted = False
        given.value[NAMESPACE] = utf8(namespace)
        given.value[NAME] = utf8(name)
        given.value[UID] = utf8(uid)
        given.value[VERSION] = utf8(resource_version)
        given.raw = <const kr_byte *>PyBytes_AS_STRING(raw)
        given.raw_len = PyBytes_GET_SIZE(raw)
        find_spans(&given, NULL)
        self.take(&given, changes)
        return None if initial else changes

    def delete(self, Py_ssize_t stream, str key not None, bint listen, bint initial=False):
        """Deletes an object of which no newer state is known. What is not there is no error."""
        cdef kr_text whole = utf8(key)
        cdef list changes = [] if listen else None
        cdef kt_found found
        cdef uint64_t seen
        self.stream(stream, initial)
        if initial:
            self.unstage(stream, self.find_in(stream, &whole))
            return None
        while True:
            found = self.find_in(stream, &whole)
            if self.settled(stream, found, changes):
                continue
            if found.plain == KR_NONE:
                return changes
            if listen:
                seen = self.t.changes
                told = removed(self.version_id(found.plain), found.plain, False)
                if self.t.changes != seen:
                    continue
                changes.append(told)
            kt_remove(&self.t, found.plain)
            self.tidy(0)
            return changes

    def skip(self, Py_ssize_t stream, str key not None, bint initial):
        """An object of this key was left out: the version that is held stays, as stale. False: none is held."""
        cdef kr_text whole = utf8(key)
        cdef kt_stream *s = self.stream(stream, initial)
        cdef kt_found found = self.find_in(stream, &whole)
        cdef kr_byte *record
        if initial:
            if found.staged != KR_NONE:
                kt_set_stale_next(s, kt_record(&self.t, found.staged), True)
            elif found.plain != KR_NONE:
                record = kt_record(&self.t, found.plain)
                kt_mark(s, record)
                kt_set_stale_next(s, record, True)
            return found.staged != KR_NONE or found.plain != KR_NONE
        found.plain = found.plain if found.staged == KR_NONE else found.staged
        if found.plain == KR_NONE:
            return False
        record = kt_record(&self.t, found.plain)
        if not kt_is_visible(s, kr_word(record)):
            return False
        if not kt_is_stale(s, kr_word(record)):
            kr_set_word(record, kr_word(record) | s.now)
            s.stale += 1
            self.t.stale += 1
        return True

    def commit(self, Py_ssize_t stream, bint sweep_missing=True):
        """The state is complete: readers see it from now on. Its changes are told by `sweep`, which must follow.

        Args:
            sweep_missing: False: what is not in it stays, as stale.

        Raises:
            ValueError: No state was begun.
        """
        cdef kt_stream *s = self.stream(stream, True)
        kt_commit(&self.t, s, not sweep_missing)

    def sweep(self, Py_ssize_t stream, Py_ssize_t limit, bint listen):
        """Tells what a commit changed and frees what it replaced, up to `limit` keys at a time: (changes, more).

        Live events may come in between: what the commit changed under their keys is told before them.
        """
        cdef list changes = [] if listen else None
        cdef bint more = self.sweep_some(self.number(stream), max(limit, 1), changes)
        return changes if listen else [], more

    def abort(self, Py_ssize_t stream):
        """The state that was begun will not be completed; it leaves no trace. No error if none was."""
        if self.t.stream[self.number(stream)].phase == KT_RELISTING:
            kt_abort(&self.t, stream)
            self.tidy(0)

    def drop(self, Py_ssize_t stream, Py_ssize_t limit, bint listen):
        """The stream is no longer followed: readers see nothing of it from now on.

        Frees and tells up to `limit` objects at a time, after what is left of a sweep: (changes, more).
        """
        cdef list changes = [] if listen else None
        cdef uint32_t number = self.number(stream), id, place, told = 0, looked = 0
        cdef kt_stream *s
        cdef uint64_t seen
        limit = max(limit, 1)
        self.abort(stream)
        if self.t.stream[number].phase == KT_SWEEPING:
            self.sweep_some(number, limit, changes)
            return changes if listen else [], True
        if self.t.stream[number].phase == KT_IDLE:
            kt_start_drop(&self.t, &self.t.stream[number])
        while told < limit and looked < LOOKED_AT * limit and self.t.stream[number].plain:
            s = &self.t.stream[number]
            id = kr_id_next_used(&self.t.ids, s.cursor)
            if id == KR_NONE:
                break
            looked += 1
            kr_name(kt_record(&self.t, id), &place)
            if self.t.places.place[place].stream != number or kr_word(kt_record(&self.t, id)) & KR_LIMBO:
                s.cursor = id + 1
                continue
            if listen:
                seen = self.t.changes
                told_change = removed(self.version_id(id), id)
                if self.t.changes != seen:
                    continue
                changes.append(told_change)
            kt_remove(&self.t, id)
            told += 1
        self.tidy(0)
        s = &self.t.stream[number]
        if s.plain:
            return changes if listen else [], True
        s.phase = KT_IDLE
        return changes if listen else [], False

    cdef uint32_t number(self, Py_ssize_t stream) except? 0xFFFFFFFF:
        if not 0 <= stream <= 0xFFFF:
            raise ValueError("stream: expected 0 to 65535")
        if not kt_stream_reserve(&self.t, stream):
            raise MemoryError
        return stream

    cdef kt_stream *stream(self, Py_ssize_t number, bint initial) except NULL:
        """The stream, in the phase for such a write."""
        cdef kt_stream *s
        self.number(number)
        s = &self.t.stream[number]
        if initial and s.phase != KT_RELISTING:
            raise ValueError(f"stream {number}: no state was begun")
        if not initial and s.phase != KT_IDLE and s.phase != KT_SWEEPING:
            raise ValueError(f"stream {number}: a new state is coming in, or it is being dropped")
        return s

    cdef kt_found find_in(self, Py_ssize_t stream, const kr_text *key):
        """What one stream has under a key."""
        cdef kr_text space, name
        cdef kt_found found
        cdef uint32_t place
        cdef int form
        for form in range(2):
            found.plain = found.staged = KR_NONE
            if not split(key, form, &space, &name):
                continue
            place = kr_partition_find(&self.t.places, stream, &space)
            if place != KR_NONE:
                found = kt_find(&self.t, place, &name, kt_key_hash(&self.t.places, place, &name))
            if found.plain != KR_NONE or found.staged != KR_NONE:
                break
        return found

    cdef int take(self, Given *given, list changes) except -1:
        cdef kr_identity who
        cdef uint32_t place
        cdef uint64_t hash
        if given.raw_len > MOST or given.value[NAME].len > MOST or not given.value[NAME].len:
            raise ValueError("expected a name, and less than 2 GiB")
        place = kr_partition_acquire(&self.t.places, given.stream, &given.value[NAMESPACE])
        if place == KR_NONE:
            raise MemoryError
        try:
            hash = kt_key_hash(&self.t.places, place, &given.value[NAME])
            kr_identify(&who, &given.value[UID], &given.value[VERSION])
            if given.initial:
                return self.take_initial(given, place, hash, &who)
            if given.deleted:
                return self.take_deleted(given, place, hash, &who, changes)
            return self.take_live(given, place, hash, &who, changes)
        finally:
            kr_partition_release(&self.t.places, place)

    cdef int take_initial(self, Given *given, uint32_t place, uint64_t hash, const kr_identity *who) except -1:
        cdef kt_found found
        cdef kr_new new
        cdef kt_reservation room
        cdef kt_stream *s
        cdef uint64_t seen
        cdef int same = 0
        cdef bytes blob = None
        while True:
            found = kt_find(&self.t, place, &given.value[NAME], hash)
            if given.deleted:
                self.unstage(given.stream, found)
                return 0
            seen = self.t.changes
            if found.plain != KR_NONE:
                same = self.same(found.plain, who, given)
                if self.t.changes != seen:
                    continue
                if same:
                    s = &self.t.stream[given.stream]
                    if found.staged != KR_NONE:
                        kt_remove(&self.t, found.staged)
                    kt_set_shadowed(s, kt_record(&self.t, found.plain), False)
                    kt_mark(s, kt_record(&self.t, found.plain))
                    kt_set_stale_next(s, kt_record(&self.t, found.plain), False)
                    return 0
            if found.staged != KR_NONE and self.same_version(found.staged, who):
                kt_set_stale_next(&self.t.stream[given.stream], kt_record(&self.t, found.staged), False)
                return 0
            if blob is None:
                blob = self.prepare(given, place, who, &new)
                if self.t.changes != seen:
                    continue
            break
        self.check_phase(given.stream, True)
        if not kt_reserve(&self.t, &new, hash, &room):
            raise MemoryError
        self.index(room.id, given.raw, given.raw_len)
        kt_add(&self.t, &new, hash, &room, KR_STAGED)
        if found.staged != KR_NONE:
            kt_remove(&self.t, found.staged)
        if found.plain != KR_NONE:
            s = &self.t.stream[given.stream]
            kt_unmark(s, kt_record(&self.t, found.plain))
            kt_set_shadowed(s, kt_record(&self.t, found.plain), True)
        return self.tidy(kr_size(&new))

    cdef int take_live(self, Given *given, uint32_t place, uint64_t hash, const kr_identity *who, list changes) except -1:
        cdef kt_found found
        cdef kr_new new
        cdef kt_reservation room
        cdef uint64_t seen
        cdef bint replaced = False
        cdef int same
        cdef bytes blob = None
        cdef Version old = None, fresh
        while True:
            found = kt_find(&self.t, place, &given.value[NAME], hash)
            if self.settled(given.stream, found, changes):
                continue
            seen = self.t.changes
            if found.plain != KR_NONE:
                same = self.same(found.plain, who, given)
                if self.t.changes != seen:
                    continue
                if same:
                    return 0
                replaced = self.replaced(found.plain, who)
            if blob is None:
                blob = self.prepare(given, place, who, &new)
                if self.t.changes != seen:
                    continue
            old = self.version_id(found.plain) if changes is not None and found.plain != KR_NONE else None
            if self.t.changes == seen:
                break
        self.check_phase(given.stream, False)
        if not kt_reserve(&self.t, &new, hash, &room):
            raise MemoryError
        self.index(room.id, given.raw, given.raw_len)
        kt_add(&self.t, &new, hash, &room, self.t.stream[given.stream].turn)
        if found.plain != KR_NONE:
            kt_remove(&self.t, found.plain)
        if changes is not None:
            fresh = self.version_id(room.id)
            if old is not None and replaced:
                changes.append(removed(old, found.plain))
            if old is None or replaced:
                changes.append(added(fresh, room.id))
            else:
                changes.append(updated(fresh, old, room.id, found.plain))
        return self.tidy(kr_size(&new))

    cdef int take_deleted(self, Given *given, uint32_t place, uint64_t hash, const kr_identity *who, list changes) except -1:
        cdef kt_found found
        cdef kr_new new
        cdef uint64_t seen
        cdef bytes _encoded  # keeps alive what `new` points into
        cdef Version last = None, held
        cdef Change told = None
        while True:
            found = kt_find(&self.t, place, &given.value[NAME], hash)
            if self.settled(given.stream, found, changes):
                continue
            if found.plain == KR_NONE or self.replaced(found.plain, who):
                return 0  # a late word about a predecessor is no news
            seen = self.t.changes
            if changes is not None:
                if last is None:
                    _encoded = self.prepare(given, place, who, &new)
                    last = self.codecs.fresh(&given.value[NAMESPACE], &new)
                    continue
                held = self.version_id(found.plain)
                told = change(held.key, None, last, False, held, -1, found.plain)
            if self.t.changes == seen:
                break
        self.check_phase(given.stream, False)
        kt_remove(&self.t, found.plain)
        if told is not None:
            changes.append(told)
        return self.tidy(0)

    cdef int check_phase(self, uint32_t stream, bint initial) except -1:
        """A callback that turned the stream to something else must not have its object land there."""
        self.stream(stream, initial)
        return 0

    cdef int index(self, uint32_t id, const kr_byte *raw, size_t len) except -1:
        if self.t.indexes != NULL and not kx_index_json(self.t.indexes, id, raw, len):
            raise MemoryError
        return 0

    cdef bytes prepare(self, Given *given, uint32_t place, const kr_identity *who, kr_new *new):
        """Cuts and encodes: `new` points into the bytes returned."""
        cdef size_t size = given.raw_len
        cdef int i
        cdef bytes cut, blob
        for i in range(given.spans):
            size -= given.span[i].len - 1
        cut = PyBytes_FromStringAndSize(NULL, size)
        kr_put_placeholders(<kr_byte *>PyBytes_AS_STRING(cut), given.raw, given.raw_len, given.span, given.spans)
        blob = self.encode(cut, &new.codec)
        new.place = place
        new.cut = given.spans > 0
        new.raw_len = given.raw_len
        new.name = given.value[NAME]
        new.blob.at = <const kr_byte *>PyBytes_AS_STRING(blob)
        new.blob.len = PyBytes_GET_SIZE(blob)
        new.who = who
        return blob

    cdef int same(self, uint32_t id, const kr_identity *who, Given *given) except -1:
        """Whether a record says the same: by uid and resourceVersion, or else by its bytes."""
        cdef kr_view v
        cdef bytes raw
        kr_read(kt_record(&self.t, id), &v)
        if kr_has_uid_and_rv(v.form) and kr_has_uid_and_rv(who.form):
            return kr_same_uid(&v, who) and kr_same_rv(&v, who)
        if v.raw_len != given.raw_len:
            return 0
        raw = self.raw_id(id)
        return memcmp(PyBytes_AS_STRING(raw), given.raw, given.raw_len) == 0

    cdef bint same_version(self, uint32_t id, const kr_identity *who) noexcept:
        cdef kr_view v
        kr_read(kt_record(&self.t, id), &v)
        return kr_has_uid_and_rv(v.form) and kr_has_uid_and_rv(who.form) and kr_same_uid(&v, who) and kr_same_rv(&v, who)

    cdef bint replaced(self, uint32_t id, const kr_identity *who) noexcept:
        """Whether a record is of another object that had the same name."""
        cdef kr_view v
        kr_read(kt_record(&self.t, id), &v)
        return v.form & KR_UID_MASK and who.form & KR_UID_MASK and not kr_same_uid(&v, who)

    cdef int unstage(self, uint32_t stream, kt_found found) except -1:
        """The key is not in the state that comes in."""
        cdef kt_stream *s = &self.t.stream[stream]
        if found.staged != KR_NONE:
            kt_remove(&self.t, found.staged)
        if found.plain != KR_NONE:
            kt_unmark(s, kt_record(&self.t, found.plain))
            kt_set_shadowed(s, kt_record(&self.t, found.plain), False)
        return self.tidy(0)

    cdef int settled(self, uint32_t stream, kt_found found, list changes) except -1:
        """In a sweep, does its part for one key. 0: there was nothing to do; else the key must be looked up again."""
        cdef kt_stream *s = &self.t.stream[stream]
        cdef uint64_t seen = self.t.changes
        cdef Version old = None, new = None
        cdef kr_view v
        cdef kr_identity who
        cdef kr_new again
        cdef bint replaced = False
        if s.phase != KT_SWEEPING:
            return 0
        if found.staged == KR_NONE:
            if found.plain == KR_NONE or not kt_is_unswept(s, kr_word(kt_record(&self.t, found.plain))):
                return 0
            if s.keep:
                kt_keep_missing(s, kt_record(&self.t, found.plain))
                return 1
            if changes is not None:
                old = self.version_id(found.plain)
                if self.t.changes != seen:
                    return 1
                changes.append(removed(old, found.plain))
            kt_remove(&self.t, found.plain)
            return 1
        if changes is not None:
            if found.plain != KR_NONE:
                old = self.version_id(found.plain)
                if self.t.changes != seen:  # even making an object can run the collector, and that any finalizer
                    return 1
            new = self.version_id(found.staged)
            if self.t.changes != seen:
                return 1
        if found.plain != KR_NONE:
            kr_read(kt_record(&self.t, found.staged), &v)
            kr_new_from_view(&v, &again, &who)
            replaced = self.replaced(found.plain, &who)
            kt_remove(&self.t, found.plain)
        kt_promote(&self.t, found.staged)
        if changes is not None:
            if old is not None and replaced:
                changes.append(removed(old, found.plain))
            if old is None or replaced:
                changes.append(added(new, found.staged))
            else:
                changes.append(updated(new, old, found.staged, found.plain))
        return 1

    cdef int sweep_some(self, uint32_t number, Py_ssize_t limit, list changes) except -1:
        cdef Py_ssize_t told = 0, looked = 0
        cdef kt_stream *s = &self.t.stream[number]
        cdef uint32_t id, place, word
        if s.phase != KT_SWEEPING:
            return 0
        while told < limit and looked < LOOKED_AT * limit:
            s = &self.t.stream[number]
            id = KR_NONE
            if s.staged or s.unclean or s.marked < s.plain:
                id = kr_id_next_used(&self.t.ids, s.cursor)
            if id == KR_NONE:
                s.phase = KT_IDLE
                s.keep = s.marked = s.unclean = s.cursor = 0
                self.tidy(0)
                return 0
            looked += 1
            word = kr_word(kt_record(&self.t, id))
            kr_name(kt_record(&self.t, id), &place)
            if word & KR_LIMBO or self.t.places.place[place].stream != number:
                s.cursor = id + 1
            elif kt_is_unswept(s, word):
                self.settled(number, kt_find_same_key(&self.t, id), changes)
                told += 1
            else:
                kr_set_word(kt_record(&self.t, id), word & ~s.later)
                s.cursor = id + 1
        self.tidy(0)
        return 1

    # ---- reading ----

    def __len__(self):
        return self.t.seen

    def __contains__(self, key):
        return isinstance(key, str) and self.find(key) >= 0

    @property
    def stale(self):
        """How many objects are held in a version that is known to be old."""
        return self.t.stale

    def find(self, str key not None):
        """The id of the version that readers see under a key, or -1."""
        cdef kr_text whole = utf8(key), space, name
        cdef uint32_t id = KR_NONE
        cdef int form
        for form in range(2):
            if id == KR_NONE and split(&whole, form, &space, &name):
                id = kt_find_visible(&self.t, &space, &name)
        return -1 if id == KR_NONE else <Py_ssize_t>id

    def raw(self, str key not None):
        """The JSON of what readers see under a key, or None. One step with the look-up, unlike `find` and `raw_of`."""
        cdef Py_ssize_t id = self.find(key)
        return None if id < 0 else self.raw_id(id)

    def meta(self, str key not None):
        """Namespace, name, uid and resourceVersion of what readers see under a key, or None."""
        cdef Py_ssize_t id = self.find(key)
        return None if id < 0 else self.meta_of(id)

    def version(self, str key not None):
        """What readers see under a key, copied out as it is kept, or None."""
        cdef Py_ssize_t id = self.find(key)
        return None if id < 0 else self.version_id(id)

    def raw_of(self, Py_ssize_t id):
        """The JSON of a version: the bytes that were taken.

        Raises:
            KeyError: There is no such id.
            ValueError: Its codec has no decoder, or decodes to something else.
        """
        self.record(id)
        return self.raw_id(id)

    def meta_of(self, Py_ssize_t id):
        """Namespace, name, uid and resourceVersion of a version."""
        cdef kr_view v
        cdef kr_byte uid[36]
        cdef kr_byte number[20]
        cdef kr_text space, its_uid, its_version
        kr_read(self.record(id), &v)
        space = kr_partition_namespace(&self.t.places, v.place)
        its_uid = kr_uid_text(&v, uid)
        its_version = kr_rv_text(&v, number)
        return text(&space), text(&v.name), text(&its_uid), text(&its_version)

    def key_of(self, Py_ssize_t id):
        """The key of a version."""
        cdef uint32_t place
        cdef kr_text name = kr_name(self.record(id), &place)
        cdef kr_text space = kr_partition_namespace(&self.t.places, place)
        return self.codecs.key(&space, &name)

    def namespace_of(self, Py_ssize_t id):
        """The namespace of a version, `""` for a cluster-scoped object."""
        cdef uint32_t place
        kr_name(self.record(id), &place)
        cdef kr_text space = kr_partition_namespace(&self.t.places, place)
        return text(&space)

    def version_of(self, Py_ssize_t id):
        """A version, copied out as it is kept."""
        self.record(id)
        return self.version_id(id)

    def ids(self, str namespace=None):
        """The ids of what readers see now, of one namespace if named: stays so, whatever is written meanwhile."""
        cdef Ids ids = Ids.__new__(Ids, self)
        ids.pin_down(namespace, NULL)
        return ids

    def index_keys(self, Py_ssize_t index, str value not None):
        """The keys of what readers see under a value, in no particular order."""
        cdef list found = []
        cdef kx_idset *posting = self.posting(index, value)
        cdef uint32_t id = KX_NONE if posting == NULL else kx_idset_next(posting, 0)
        while id != KX_NONE:
            if kt_is_selected(&self.t, id, KR_NONE):
                found.append(self.key_of(id))
            id = kx_idset_next(posting, id + 1)
        return found

    def index_ids(self, Py_ssize_t index, str value not None, str namespace=None):
        """As `ids`, but only of what readers see under a value."""
        cdef Ids ids = Ids.__new__(Ids, self)
        cdef kx_idset *posting = self.posting(index, value)
        if posting != NULL:
            ids.pin_down(namespace, posting)
        return ids

    def index_values(self, Py_ssize_t index):
        """The values of what readers see, in no particular order."""
        cdef list found = []
        cdef kx_value *value
        cdef uint32_t number, id, its
        if self.postings is None:
            raise IndexError(index)
        its = self.postings.index(index)
        for number in range(self.t.indexes.pages * KX_PAGE_SLOTS):
            value = kx_value_or_null(self.t.indexes, number)
            if value == NULL or value.index != its:
                continue
            id = kx_idset_next(&value.ids, 0)
            while id != KX_NONE and not kt_is_selected(&self.t, id, KR_NONE):
                id = kx_idset_next(&value.ids, id + 1)
            if id != KX_NONE:
                found.append(PyUnicode_DecodeUTF8(<const char *>value.text, value.len, NULL))
        return found

    def reindex(self, Py_ssize_t start, Py_ssize_t limit):
        """Reads the values of up to `limit` versions from their JSON, from id `start` on.

        Returns:
            The id to go on from, or -1: that was all.
        """
        cdef uint32_t id = max(start, 0)
        cdef uint64_t seen
        cdef bytes raw
        while limit > 0 and self.t.indexes != NULL:
            id = kr_id_next_used(&self.t.ids, id)
            if id == KR_NONE:
                return -1
            if not kr_word(kt_record(&self.t, id)) & KR_LIMBO:
                seen = self.t.changes
                raw = self.raw_id(id)
                if self.t.changes != seen:
                    continue
                self.index(id, <const kr_byte *>PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))
                limit -= 1
            id += 1
        return -1 if self.t.indexes == NULL else <Py_ssize_t>id

    cdef kx_idset *posting(self, Py_ssize_t index, str value) except? NULL:
        if self.postings is None:
            raise IndexError(index)
        return self.postings.posting(index, value)

    cdef kr_byte *record(self, Py_ssize_t id) except NULL:
        if not 0 <= id <= <Py_ssize_t>KR_ID_MASK or not kr_id_is_used(&self.t.ids, id):
            raise KeyError(id)
        return kt_record(&self.t, id)

    cdef bytes raw_id(self, uint32_t id):
        cdef kr_view v
        cdef kr_text space
        kr_read(kt_record(&self.t, id), &v)
        space = kr_partition_namespace(&self.t.places, v.place)
        return self.codecs.raw(&v, &space)

    cdef Version version_id(self, uint32_t id):
        cdef kr_view v
        cdef const kr_byte *record = kt_record(&self.t, id)
        cdef kr_text space
        kr_read(record, &v)
        space = kr_partition_namespace(&self.t.places, v.place)
        return self.codecs.copy(&space, &v, record)

    # ---- encoding anew ----

    def coded(self, Py_ssize_t codec, Py_ssize_t start, Py_ssize_t limit):
        """Up to `limit` ids, from `start` on, of what is encoded so and is neither staged nor only pinned."""
        cdef list found = []
        cdef uint32_t id = max(start, 0)
        cdef kr_view v
        while len(found) < limit and self.users(codec):
            id = kr_id_next_used(&self.t.ids, id)
            if id == KR_NONE:
                break
            kr_read(kt_record(&self.t, id), &v)
            if v.codec == codec and not v.word & (KR_STAGED | KR_LIMBO):
                found.append(id)
            id += 1
        return found

    def blob_of(self, Py_ssize_t id):
        """A version as it is kept: encoded."""
        cdef kr_view v
        kr_read(self.record(id), &v)
        return PyBytes_FromStringAndSize(<const char *>v.blob.at, v.blob.len)

    def cut_of(self, Py_ssize_t id):
        """What the encoder was called with: decoded, but with values cut out."""
        cdef kr_view v
        kr_read(self.record(id), &v)
        return self.codecs.decode(v.codec, PyBytes_FromStringAndSize(<const char *>v.blob.at, v.blob.len))

    def recode(
        self, Py_ssize_t id, Py_ssize_t expected_codec, Py_ssize_t codec, bytes blob not None, bytes expected=None
    ):
        """Puts another encoding in the place of one, if it is still the one expected: False if not. The id stays.

        Args:
            id: The version.
            expected_codec: What it was encoded with when `cut_of` or `blob_of` was called.
            codec: What decodes `blob` to the same.
            blob: The new encoding.
            expected: What `blob_of` returned; makes it safe where the id may have been freed and used again meanwhile.
        """
        cdef kr_view v
        cdef kr_text t
        if not 0 <= codec <= 0xFFFF:
            raise ValueError("codec: expected 0 to 65535")
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
        if t.len > MOST:
            raise ValueError("expected less than 2 GiB")
        if not kt_recode(&self.t, id, codec, &t):
            raise MemoryError
        self.tidy(v.size)
        return True

    # ---- memory ----

    cdef int tidy(self, size_t written) except -1:
        if self.t.slabs.dead * 20 > self.t.slabs.live:
            kt_compact(&self.t, kt_allowed_dead(&self.t), COPIED * written + 4096)
        return 0

    def compact(self, Py_ssize_t budget):
        """Moves about `budget` bytes out of sparse slabs, so that these go back to the system: False when done."""
        cdef bint more = kt_compact(&self.t, self.t.slabs.live // 100, max(budget, 0))
        if not more:
            kr_slabs_unmap_spare(&self.t.slabs)
        return more

    def stats(self):
        """What is held, in bytes where it is no count.

        `mapped_bytes` are the pages of slabs that were touched, `map_bytes` what ids, keys and namespaces take,
        `overhead_bytes` all that is neither name nor blob. `name_bytes`, `blob_bytes` and `pruned_bytes` (as `raw_of`
        gives them) are those of `records`: what is held or staged, but not what only iterators pin (`limbo_...`).
        """
        cdef uint64_t mapped = kr_slabs_bytes(&self.t.slabs)
        cdef uint64_t maps = kr_ids_bytes(&self.t.ids) + kr_keymap_bytes(&self.t.keys) + kr_namespaces_bytes(&self.t.places)
        return {
            "objects": self.t.seen,
            "records": self.t.records,
            "stale": self.t.stale,
            "name_bytes": self.t.sums.names,
            "blob_bytes": self.t.sums.blobs,
            "pruned_bytes": self.t.sums.raws,
            "record_bytes": self.t.slabs.live,
            "dead_bytes": self.t.slabs.dead,
            "limbo_records": self.t.limbo,
            "limbo_bytes": self.t.limbo_bytes,
            "mapped_bytes": mapped,
            "map_bytes": maps,
            "overhead_bytes": mapped + maps - self.t.sums.names - self.t.sums.blobs,
        }

    def __sizeof__(self):
        return (
            sizeof(kt_table)
            + kr_slabs_bytes(&self.t.slabs)
            + kr_ids_bytes(&self.t.ids)
            + kr_keymap_bytes(&self.t.keys)
            + kr_namespaces_bytes(&self.t.places)
            + self.t.streams * sizeof(kt_stream)
        )

    # ---- to disk and back ----

    def dump(self, Py_ssize_t start_id, Py_ssize_t budget):
        """What readers see from `start_id` on, about `budget` bytes of it: (records, the next id or -1).

        Not one state if something is written in between; `Ids.dump` is.
        """
        cdef list parts = []
        cdef Py_ssize_t size = 0
        cdef uint32_t id = max(start_id, 0), place
        while True:
            id = kr_id_next_used(&self.t.ids, id)
            if id == KR_NONE:
                return b"".join(parts), -1
            if size >= budget and parts:
                return b"".join(parts), id
            kr_name(kt_record(&self.t, id), &place)
            if kt_is_visible(&self.t.stream[self.t.places.place[place].stream], kr_word(kt_record(&self.t, id))):
                part = self.dumped(id)
                size += len(part)
                parts.append(part)
            id += 1

    cdef bytes dumped(self, uint32_t id):
        """Flags, stream, namespace, record."""
        cdef kr_view v
        cdef const kr_byte *record = kt_record(&self.t, id)
        cdef kr_text space, whole
        cdef uint32_t stream
        cdef bytes made
        cdef kr_byte *to
        kr_read(record, &v)
        space = kr_partition_namespace(&self.t.places, v.place)
        stream = self.t.places.place[v.place].stream
        whole.at = record
        whole.len = v.size
        made = PyBytes_FromStringAndSize(
            NULL, 1 + kr_varint_size(stream) + kr_varint_size(space.len) + space.len + v.size
        )
        to = <kr_byte *>PyBytes_AS_STRING(made)
        to[0] = kt_is_stale(&self.t.stream[stream], v.word)
        to = kr_put_varint(kr_put_varint(to + 1, stream), space.len)
        kr_put_text(kr_put_text(to, &space), &whole)
        return made

    def load(self, stream_of, bytes data not None):
        """Takes what `dump` gave as it is, encoded: how many objects. Nothing if it raises.

        Args:
            stream_of: The stream for all of them, or a mapping from the streams they were of.
            data: Whole records.

        Raises:
            ValueError: These are no records, or a key is held already, or a stream is being relisted.
            KeyError: A stream has no place in the mapping.
        """
        cdef list taken = []
        cdef const kr_byte *p = <const kr_byte *>PyBytes_AS_STRING(data)
        cdef const kr_byte *end = p + PyBytes_GET_SIZE(data)
        cdef bint done = False
        cdef uint32_t id
        try:
            while p < end:
                p = self.load_one(stream_of, p, end, &id)
                taken.append(id)
            done = True
        finally:
            if not done:
                for id in taken:
                    kt_remove(&self.t, id)
        return len(taken)

    cdef const kr_byte *load_one(self, stream_of, const kr_byte *p, const kr_byte *end, uint32_t *id) except NULL:
        cdef uint64_t was, size
        cdef bint stale = p[0] & 1
        cdef kr_text space
        cdef kr_view v
        cdef kr_new new
        cdef kr_identity who
        cdef kt_reservation room
        cdef kt_found found
        cdef uint64_t hash
        cdef uint32_t stream
        p += 1
        if not kr_try_read_varint(&p, end, &was) or not kr_try_read_varint(&p, end, &size) or size > <size_t>end - <size_t>p:
            raise ValueError("these are no records")
        space.at = p
        space.len = size
        p += size
        if not kr_try_read(p, end, &v) or v.codec > 0xFFFF:
            raise ValueError("these are no records")
        number = stream_of if isinstance(stream_of, int) else stream_of[was]
        stream = self.number(number)
        if self.t.stream[stream].phase != KT_IDLE:
            raise ValueError(f"stream {number}: a new state is coming in, or being swept or dropped")
        kr_new_from_view(&v, &new, &who)
        new.place = kr_partition_acquire(&self.t.places, stream, &space)
        if new.place == KR_NONE:
            raise MemoryError
        try:
            hash = kt_key_hash(&self.t.places, new.place, &new.name)
            found = kt_find(&self.t, new.place, &new.name, hash)
            if found.plain != KR_NONE:
                raise ValueError("a key is held already")
            if not kt_reserve(&self.t, &new, hash, &room):
                raise MemoryError
            kt_add(
                &self.t, &new, hash, &room,
                self.t.stream[stream].turn | (self.t.stream[stream].now if stale else 0),
            )
            id[0] = room.id
        finally:
            kr_partition_release(&self.t.places, new.place)
        return p + v.size


@cython.final
@cython.no_gc_clear
cdef class Ids:
    """The ids of one state: each can be asked for until the next one is, whatever is written meanwhile.

    What it has not passed yet stays in memory until it is passed, or the iteration exhausted, closed or collected.
    """

    def __cinit__(self, Table table not None):
        self.passed = KR_NONE
        self.table = table

    cdef int pin_down(self, str namespace, kx_idset *of) except -1:
        cdef kt_table *t = &self.table.t
        cdef kr_text name
        cdef uint32_t space = KR_NONE
        cdef int64_t count
        if namespace is not None:
            name = utf8(namespace)
            space = kr_namespace_find(&t.places, &name, kr_namespace_hash(&t.places, &name))
            if space == KR_NONE:
                return 0
        count = kt_pin_all(t, &self.pin, space) if of == NULL else kt_pin_ids(t, &self.pin, space, of)
        if count < 0:
            raise MemoryError
        self.left = count
        return 0

    def __dealloc__(self):
        if self.table is not None:
            kt_pin_release(&self.table.t, &self.pin)

    def __len__(self):
        """How many are still to come."""
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
            kt_pin_release(&self.table.t, &self.pin)
            return KR_NONE
        self.passed = kt_pin_advance(&self.table.t, &self.pin, self.passed)
        self.left -= 1
        return self.passed

    def keys(self):
        """The same iteration, but of keys."""
        cdef uint32_t id
        while True:
            id = self.advance()
            if id == KR_NONE:
                return
            yield self.table.key_of(id)

    def dump(self, Py_ssize_t budget):
        """About `budget` bytes of the records still to come, for `Table.load`; `b""` at the end."""
        cdef list parts = []
        cdef Py_ssize_t size = 0
        cdef uint32_t id
        while size < budget or not parts:
            id = self.advance()
            if id == KR_NONE:
                break
            part = self.table.dumped(id)
            size += len(part)
            parts.append(part)
        return b"".join(parts)

    def close(self):
        """Lets go of what was not passed. No more ids come; again is no error."""
        self.left = 0
        kt_pin_release(&self.table.t, &self.pin)


cdef bint split(const kr_text *key, int form, kr_text *space, kr_text *name) noexcept:
    """The two readings of a key: with a namespace up to the first slash, and, if there is one, without any."""
    cdef const kr_byte *slash = <const kr_byte *>memchr(key.at, c"/", key.len)
    space.at = key.at
    space.len = 0
    name[0] = key[0]
    if form:
        return slash != NULL
    if slash != NULL:
        space.len = <size_t>slash - <size_t>key.at  # overflow checks know no pointers
        name.at = slash + 1
        name.len = key.len - space.len - 1
    return True


cdef int find_spans(Given *given, const ks_object *record) noexcept:
    """What of an object's JSON is cut. From a batch, uid and resourceVersion are known to stand where they stand."""
    cdef kr_text value[5]
    cdef int i
    cdef size_t at, len
    given.spans = 0
    for i in range(4):
        value[i] = given.value[i]
        if value[i].len < SHORTEST:
            value[i].len = 0
    value[STEM] = kr_name_stem(&value[NAME])
    if record == NULL:
        if kr_next_placeholder(given.raw, given.raw + given.raw_len) == given.raw + given.raw_len:
            given.spans = kr_find_spans(given.span, given.raw, given.raw_len, value)
        return 0
    value[UID].len = value[VERSION].len = 0
    given.spans = kr_find_spans(given.span, given.raw, given.raw_len, value)
    for i in range(UID, STEM):
        len = record.text[i].len
        if not len or record.text[i].at <= record.raw.at:
            continue
        at = record.text[i].at - record.raw.at
        if at + len < given.raw_len and given.raw[at - 1] == c'"' and given.raw[at + len] == c'"':
            given.spans = kr_add_span(given.span, given.spans, at, len, i)
    return 0
