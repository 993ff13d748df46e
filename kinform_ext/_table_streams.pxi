"""_TableStreams: the streams of a table and their relists, part of `_table`."""

NOTHING = 0  # no change is returned
CHANGES = 1  # changes are returned
KEYS = 2  # the keys of changes are returned
OWNERS = 4  # in addition to one of these: `take_owners` has the owners of changes

cdef enum:
    LISTEN_CHANGES = 1
    LISTEN_KEYS = 2
    LISTEN_OWNERS = 4
    LOOKS_PER_CHANGE = 64  # records that a sweep looks at in the time of one change


@cython.no_gc_clear
cdef class _TableStreams(_TableStorage):
    """The part of a table that relists and drops its streams."""

    def begin(self, Py_ssize_t stream):
        """Starts a relist of a stream, after an abort of one that was not committed.

        Raises:
            ValueError: The last one is still being swept, or the stream is being dropped.
        """
        cdef kt_stream *s = &self.t.stream[self.stream_number(stream)]
        if s.phase == KT_RELISTING:
            kt_abort(&self.t, stream)
        if s.phase != KT_IDLE:
            raise ValueError(f"stream {stream}: its sweep or drop is not finished")
        s.phase = KT_RELISTING

    def skip(self, Py_ssize_t stream, str key not None, bint initial):
        """Keeps the version of a key, as stale, in place of a skipped one.

        Returns:
            False if there is no version to keep.
        """
        cdef kr_text whole = utf8(key)
        cdef kt_stream *s = self.stream_in_phase(stream, initial)
        cdef kt_found found = self.find_in_stream(stream, &whole)
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
            kr_set_word(record, kr_word(record) | s.stale_bit)
            s.stale += 1
            self.t.stale += 1
        return True

    cdef void clear_stale(self, Py_ssize_t stream, kr_byte *record) noexcept:
        """Records that a swept version is the newest one after all."""
        cdef kt_stream *s = &self.t.stream[stream]
        if kt_is_stale(s, kr_word(record)):
            kr_set_word(record, kr_word(record) & ~s.stale_bit)
            s.stale -= 1
            self.t.stale -= 1

    def retain(self, Py_ssize_t stream, bytes shards not None):
        """Takes over the objects of these shards into the state that is being relisted.

        Call it before any other write to that state.

        Args:
            shards: One byte for each shard of the collection, not 0 for those to take over: see `_scan.shard_of`.

        Raises:
            ValueError: No relist is in progress, or there are no shards.
        """
        cdef kt_stream *s = self.stream_in_phase(stream, True)
        cdef const unsigned char *kept = <const unsigned char *>PyBytes_AS_STRING(shards)
        cdef uint32_t count = <uint32_t>len(shards), left = s.plain, id = 0
        cdef kr_byte packed[40]
        cdef kr_byte *record
        cdef kr_view v
        cdef kr_text uid
        if not count:
            raise ValueError("0 shards: expected at least 1")
        while left:
            id = kr_id_next_used(&self.t.ids, id)
            if id == KR_NONE:
                break
            record = kt_record(&self.t, id)
            kr_read(record, &v)
            id += 1
            if v.word & KR_LIMBO or self.t.namespaces.partition[v.partition].stream != stream:
                continue
            left -= 1
            uid = kr_uid_text(&v, packed)
            if kept[ks_shard_of(uid.at, uid.len, count)]:
                kt_mark(s, record)
                kt_set_stale_next(s, record, kt_is_stale(s, v.word))

    def commit(self, Py_ssize_t stream, bint sweep_missing=True):
        """Completes a relist: readers see the new state at once.

        The caller then calls `sweep` until it is done.

        Args:
            sweep_missing: False keeps objects that the new state lacks, as stale.

        Raises:
            ValueError: No relist is in progress.
        """
        cdef kt_stream *s = self.stream_in_phase(stream, True)
        kt_commit(&self.t, s, not sweep_missing)

    def sweep(self, Py_ssize_t stream, Py_ssize_t limit, int listen):
        """Frees up to `limit` versions that a commit replaced, and returns what changed.

        A live event between two calls first returns the change of the commit for its key.

        Returns:
            The changes or keys, empty if `listen` has neither CHANGES nor KEYS, and whether there is more to sweep.
        """
        cdef list changes = self.start_changes(listen)
        cdef bint more = self.sweep_slice(self.stream_number(stream), max(limit, 1), changes)
        return [] if changes is None else changes, more

    def abort(self, Py_ssize_t stream):
        """Ends a relist without a trace; does nothing if none is in progress."""
        if self.t.stream[self.stream_number(stream)].phase == KT_RELISTING:
            kt_abort(&self.t, stream)
            self.compact_after(0)

    def drop(self, Py_ssize_t stream, Py_ssize_t limit, int listen):
        """Removes all objects of a stream, up to `limit` in each call.

        A relist is aborted, and a sweep finished first. Then readers see no object of the stream any more.

        Returns:
            The changes or keys, empty if `listen` has neither CHANGES nor KEYS, and whether there is more to drop.
        """
        cdef list changes = self.start_changes(listen)
        cdef uint32_t number = self.stream_number(stream), id, partition, count = 0, looks = 0
        cdef kt_stream *s
        limit = max(limit, 1)
        self.abort(stream)
        if self.t.stream[number].phase == KT_SWEEPING:
            self.sweep_slice(number, limit, changes)
            return [] if changes is None else changes, True
        if self.t.stream[number].phase == KT_IDLE:
            kt_start_drop(&self.t, &self.t.stream[number])
        while count < limit and looks < LOOKS_PER_CHANGE * limit and self.t.stream[number].plain:
            s = &self.t.stream[number]
            id = kr_id_next_used(&self.t.ids, s.cursor)
            if id == KR_NONE:
                break
            looks += 1
            kr_name(kt_record(&self.t, id), &partition)
            if self.t.namespaces.partition[partition].stream != number or kr_word(kt_record(&self.t, id)) & KR_LIMBO:
                s.cursor = id + 1
                continue
            self.remove(id, changes, True)
            count += 1
        self.compact_after(0)
        s = &self.t.stream[number]
        if s.plain:
            return [] if changes is None else changes, True
        s.phase = KT_IDLE
        return [] if changes is None else changes, False

    def take_owners(self):
        """Returns the owners of the versions that changes have added or removed.

        Has those since the last call, and only from calls with OWNERS in `listen`. See `owners_of`. An owner may occur
        several times.
        """
        cdef list owners = self.owners
        self.owners = None
        return [] if owners is None else owners

    cdef uint32_t stream_number(self, Py_ssize_t stream) except? 0xFFFFFFFF:
        """Returns the number of a stream that exists; creates the stream if needed."""
        if not 0 <= stream <= 0xFFFF:
            raise ValueError(f"stream {stream}: expected 0 to 65535")
        if not kt_stream_reserve(&self.t, stream):
            raise MemoryError
        return stream

    cdef kt_stream *stream_in_phase(self, Py_ssize_t number, bint initial) except NULL:
        """Returns the stream; raises unless its phase allows such a write."""
        cdef kt_stream *s
        self.stream_number(number)
        s = &self.t.stream[number]
        if initial and s.phase != KT_RELISTING:
            raise ValueError(f"stream {number}: no relist is in progress")
        if not initial and s.phase != KT_IDLE and s.phase != KT_SWEEPING:
            raise ValueError(f"stream {number}: a relist or drop is in progress")
        return s

    cdef kt_found find_in_stream(self, Py_ssize_t stream, const kr_text *key):
        cdef kr_text namespace, name
        cdef kt_found found
        cdef uint32_t partition
        cdef int form
        for form in range(2):
            found.plain = found.staged = KR_NONE
            if not split(key, form, &namespace, &name):
                continue
            partition = kr_partition_find(&self.t.namespaces, stream, &namespace)
            if partition != KR_NONE:
                found = kt_find(&self.t, partition, &name, kt_key_hash(&self.t.namespaces, partition, &name))
            if found.plain != KR_NONE or found.staged != KR_NONE:
                break
        return found

    cdef bint has_other_uid(self, uint32_t id, const kr_identity *identity) noexcept:
        """Returns whether both uids are present and differ: a recreated object."""
        cdef kr_view v
        kr_read(kt_record(&self.t, id), &v)
        return v.form & KR_UID_MASK and identity.form & KR_UID_MASK and not kr_same_uid(&v, identity)

    cdef int unstage(self, uint32_t stream, kt_found found) except -1:
        """Removes a key from the state that is being relisted."""
        cdef kt_stream *s = &self.t.stream[stream]
        if found.staged != KR_NONE:
            kt_remove(&self.t, found.staged)
        if found.plain != KR_NONE:
            kt_unmark(s, kt_record(&self.t, found.plain))
            kt_set_shadowed(s, kt_record(&self.t, found.plain), False)
        return self.compact_after(0)

    cdef int sweep_key(self, uint32_t stream, kt_found found, list changes) except -1:
        """Sweeps one key, if the stream is in a sweep.

        Returns:
            0 if there was nothing to do; else the caller must look up the key again.
        """
        cdef kt_stream *s = &self.t.stream[stream]
        cdef Version old = None
        cdef kr_view v
        cdef kr_identity identity
        cdef kr_new unused
        cdef bint recreated = False
        if s.phase != KT_SWEEPING:
            return 0
        if found.staged == KR_NONE:
            if found.plain == KR_NONE or not kt_is_unswept(s, kr_word(kt_record(&self.t, found.plain))):
                return 0
            if s.keep_missing:
                kt_keep_missing(s, kt_record(&self.t, found.plain))
                return 1
            self.remove(found.plain, changes, True)
            return 1
        if changes is not None and not self.keys_only and found.plain != KR_NONE:
            old = self.version(found.plain)
        self.note_owners(found.staged)
        if found.plain != KR_NONE:
            self.note_owners(found.plain)
            kr_read(kt_record(&self.t, found.staged), &v)
            kr_new_from_view(&v, &unused, &identity)
            recreated = self.has_other_uid(found.plain, &identity)
            kt_remove(&self.t, found.plain)
        kt_promote(&self.t, found.staged)
        if changes is not None:
            self.append_written(changes, found.staged, old, recreated)
        return 1

    cdef int sweep_slice(self, uint32_t number, Py_ssize_t limit, list changes) except -1:
        """Sweeps up to `limit` keys; returns whether there is more."""
        cdef Py_ssize_t count = 0, looks = 0
        cdef kt_stream *s = &self.t.stream[number]
        cdef uint32_t id, partition, word
        if s.phase != KT_SWEEPING:
            return 0
        while count < limit and looks < LOOKS_PER_CHANGE * limit:
            s = &self.t.stream[number]
            id = KR_NONE
            if s.staged or s.uncleared or s.marked < s.plain:
                id = kr_id_next_used(&self.t.ids, s.cursor)
            if id == KR_NONE:
                s.phase = KT_IDLE
                s.keep_missing = s.marked = s.uncleared = s.cursor = 0
                self.compact_after(0)
                return 0
            looks += 1
            word = kr_word(kt_record(&self.t, id))
            kr_name(kt_record(&self.t, id), &partition)
            if word & KR_LIMBO or self.t.namespaces.partition[partition].stream != number:
                s.cursor = id + 1
            elif kt_is_unswept(s, word):
                self.sweep_key(number, kt_find_same_key(&self.t, id), changes)
                count += 1
            else:
                kr_set_word(kt_record(&self.t, id), word & ~s.next_stale_bit)
                s.cursor = id + 1
        self.compact_after(0)
        return 1

    cdef int remove(self, uint32_t id, list changes, bint synthetic) except -1:
        """Removes a version from the collection, and appends the change.

        `changes` is None if nothing listens.
        """
        cdef Version old = None if changes is None or self.keys_only else self.version(id)
        cdef str key = None if changes is None else self.key_of(id)
        self.note_owners(id)
        kt_remove(&self.t, id)
        if changes is not None:
            changes.append(key if old is None else new_change(key, None, old, synthetic))
        return 0

    cdef list start_changes(self, int listen):
        """Returns the list for the changes of a call, or None."""
        cdef list changes = [] if listen & (LISTEN_CHANGES | LISTEN_KEYS) else None
        self.keys_only = listen & LISTEN_KEYS
        self.notes_owners = listen & LISTEN_OWNERS
        return changes

    cdef int note_owners(self, uint32_t id) except -1:
        """Notes the owners of a version, if the call listens to owners.

        A change adds or removes the version.
        """
        if not self.notes_owners:
            return 0
        if self.owners is None:
            self.owners = []
        return self.add_owners(self.owners, id)

    cdef int append_written(self, list changes, uint32_t id, Version old, bint recreated) except -1:
        """Appends the change for a new version; a deletion and an addition if `recreated`."""
        cdef str key = self.key_of(id)
        if self.keys_only:
            changes.append(key)
            return 0
        new = self.version(id)
        if recreated and old is not None:
            changes.append(new_change(key, None, old, True))
        changes.append(new_change(key, new, None if recreated else old, False))
        return 0
