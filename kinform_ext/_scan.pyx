"""The scanner: from chunks of a LIST or WATCH body to batches of pruned objects.

An object that is complete in a chunk is read in place, once. An object that a chunk cuts off is copied to `carry`. The
search for its end continues in the next chunks and never reads a byte again; the object is read when it is complete. So
the work is linear in the bytes, also with chunks of one byte. Memory: the incomplete object and the result of one feed.

Never keeps a reference to a chunk. No error shows the contents of an object. Over 500 lines, as it is one state machine
on C fields: its two grammars, frames and envelope, share the carry and the offsets.
Source: the Kubernetes API concepts page (LIST, WATCH, bookmarks), RFC 8259.
"""

include "_scan_batch.pxi"

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcpy, memset

from kinform_ext._json cimport (
    KJ_INCOMPLETE, KJ_MALFORMED, KJ_MAX_DEPTH, KJ_OK, KJ_TOO_DEEP,
    kj_check_value, kj_distance, kj_is, kj_is_delimiter, kj_ptr, kj_read_key, kj_read_string, kj_skip_part,
    kj_skip_space, kj_skip_state, kj_text, kj_unescape,
)
from kinform_ext._partial_key cimport (
    KS_FRAME, KS_ITEM, KS_NAME, KS_NAMESPACE, KS_RESOURCE_VERSION, KS_UID, ks_partial_key, ks_read_partial_key,
)
from kinform_ext._prune cimport KS_ADDED, KS_DELETED, KS_MODIFIED
from kinform_ext._shard cimport ks_shard_of

from kinform_ext._envelope import READ, Envelope, decode

__all__ = ["MAX_DEPTH", "Batch", "Scanner", "shard_of"]

MAX_DEPTH = KJ_MAX_DEPTH  # containers in each other

cdef enum:
    MIN_CARRY = 4096  # bytes
    MAX_IDLE_CARRY = 1048576  # bytes; a larger carry is freed when it is empty
    MAX_VERSION = 64  # bytes of a resourceVersion, which has 20 at most

# The token that is expected next.
cdef enum State:
    FRAME, ENVELOPE, FIRST_MEMBER, MEMBER, COLON, VALUE, AFTER_MEMBER, FIRST_ITEM, ITEM, AFTER_ITEM, DONE

# A unit: the bytes that are read as one, and that the end of a chunk may cut off.
cdef enum Unit:
    NO_UNIT, FRAME_UNIT, ITEM_UNIT, NAME_UNIT, VALUE_UNIT


@cython.final
cdef class Scanner:
    """Splits one LIST or WATCH body into objects and prunes them.

    Chunks may have any size. Each byte is read once, or twice if a chunk cut its object off. Buffers at most
    `max_object_bytes` of an incomplete object. A larger object is skipped, and reported with its key as far as the
    buffered bytes have it. Kept values have passed the JSON grammar: valid UTF-8, at most `MAX_DEPTH` nested
    containers. For dropped values only the end was found. Not thread-safe.

    Args:
        mode: `"list"` for one `...List` envelope, `"watch"` for a stream of frames.
        program: The result of `kinform._paths.prune_program.compile_prune`; None keeps everything.
        max_object_bytes: Limit of one item or frame.
        shards: One byte for each shard of the collection, not 0 for those to keep: objects of other shards are dropped.
            None keeps all. The shard of an object is `shard_of` its uid.
        names: The names of the objects to keep, in UTF-8: objects with other names are dropped. None keeps all.

    Raises:
        ValueError, TypeError: An argument is not valid.
    """

    cdef:
        bint watch  # False: a LIST
        size_t limit  # max_object_bytes
        Builder builder
        list items  # result of the current feed
        State state
        readonly uint64_t offset  # bytes of the body that were fed
        str error  # why no more bytes are accepted, or None
        kj_ptr chunk  # start of the bytes being read
        uint64_t chunk_offset  # offset of that byte in the body
        Unit pending  # the unit that is not complete yet
        kj_skip_state unit  # how far the search for its end has come
        uint64_t unit_offset  # its first byte in the body
        uint64_t unit_size  # its bytes so far
        bint discarding  # its bytes are not buffered, only its end is searched
        tuple skipped_key  # verb and key of an oversized unit, or None
        unsigned char *carry  # the buffered bytes of the pending unit; malloc'd
        size_t carry_used
        size_t carry_capacity
        size_t next_check  # bytes in the carry from which check_line is called again
        object envelope
        str member  # current member of the envelope, None for one that is ignored
        bytes shards  # see above
        frozenset names  # see above
        Py_ssize_t foreign  # objects of other shards or names since the last flush
        Py_ssize_t other_names  # those of them that have other names
        unsigned char foreign_version[MAX_VERSION]  # resourceVersion of the last of them, if no object came after it
        size_t foreign_version_len

    def __cinit__(self, *_, **__):
        self.error = "Scanner.__init__ was not called"

    def __init__(self, str mode not None, program=None, *, max_object_bytes=16 << 20, bytes shards=None,
                 frozenset names=None):
        if mode not in ("list", "watch"):
            raise ValueError(f"mode {mode!r}: expected 'list' or 'watch'")
        if self.builder is not None:
            raise ValueError("a scanner reads one body only")
        if not isinstance(max_object_bytes, int) or isinstance(max_object_bytes, bool):
            raise TypeError(f"max_object_bytes {max_object_bytes!r}: expected an int")
        if not 0 < max_object_bytes < 1 << 62:
            raise ValueError(f"max_object_bytes {max_object_bytes}: expected 1 to 2**62 - 1")
        if shards is not None and not 0 < len(shards) < 1 << 32:
            raise ValueError(f"{len(shards)} shards: expected at least 1")
        self.shards = shards
        self.names = names
        self.watch = mode == "watch"
        self.limit = max_object_bytes
        self.envelope = Envelope()
        self.state = FRAME if self.watch else ENVELOPE
        self.builder = Builder(program)
        self.error = None

    def __dealloc__(self):
        free(self.carry)

    def feed(self, chunk):
        """Reads the next bytes of the body.

        Args:
            chunk: bytes, bytearray or memoryview of any length; no reference is kept.

        Returns:
            In wire order: a Batch for each run of complete objects, and between them control items as tuples (see the
            stub). Empty if nothing became complete.

        Raises:
            ValueError: The body is malformed; the text has the offset of the byte. All objects of this chunk are lost,
                so resume from the results of earlier feeds. Every later feed raises too.
        """
        cdef Py_buffer view
        if self.error is not None:
            raise ValueError(self.error)
        PyObject_GetBuffer(chunk, &view, PyBUF_SIMPLE)
        self.items = []
        self.error = "the scanner failed before"
        try:
            self.run(<kj_ptr>view.buf, <kj_ptr>view.buf + view.len)
            self.flush()
            self.error = None
        except ValueError as error:
            self.error = str(error)
            raise
        finally:
            self.offset += <uint64_t>view.len
            PyBuffer_Release(&view)
            items, self.items = self.items, None
        return items

    def finish(self):
        """Ends the body.

        Raises:
            ValueError: The body is truncated: it ends inside an object, or before the end of the LIST envelope.
        """
        if self.error is not None:
            raise ValueError(self.error)
        if self.pending or self.state != (FRAME if self.watch else DONE):
            self.error = f"the body is truncated at byte {self.offset}"
            raise ValueError(self.error)
        self.error = f"the body has ended at byte {self.offset}"

    # -- the result of a feed --

    cdef int flush(self) except -1:
        batch = self.builder.flush()
        if batch is not None:
            self.items.append(batch)
        if self.foreign:
            version = PyUnicode_DecodeUTF8(<char *>self.foreign_version, self.foreign_version_len, NULL)
            self.items.append(("FOREIGN", self.foreign, version, self.other_names))
            self.foreign = self.other_names = 0
        return 0

    cdef int accept(self, size_t wire_bytes, int verb) except -1:
        """Keeps the object that was read last, if its name and its shard are selected."""
        cdef ks_object *object = &self.builder.objects[self.builder.count]
        cdef ks_span *name = &object.text[KS_NAME]
        cdef ks_span *uid = &object.text[KS_UID]
        cdef ks_span *version = &object.text[KS_RESOURCE_VERSION]
        cdef kj_ptr block = self.builder.pruner.block
        if not self.keeps_name(block + name.at, name.len) or not self.keeps_uid(block + uid.at, uid.len):
            self.foreign_version_len = version.len if version.len <= MAX_VERSION else 0
            memcpy(self.foreign_version, block + version.at, self.foreign_version_len)
            return 0
        self.foreign_version_len = 0
        return self.builder.accept(wire_bytes, verb)

    cdef bint keeps_name(self, kj_ptr name, size_t length) except -1:
        """Returns whether an object of this name is kept, and counts it otherwise."""
        if self.names is None or PyBytes_FromStringAndSize(<char *>name, length) in self.names:
            return True
        self.foreign += 1
        self.other_names += 1
        return False

    cdef bint keeps_uid(self, kj_ptr uid, size_t length) except -1:
        """Returns whether an object of this uid is kept, and counts it otherwise."""
        cdef kj_ptr shards
        if self.shards is None:
            return True
        shards = <kj_ptr><char *>self.shards
        if shards[ks_shard_of(uid, length, <uint32_t>len(self.shards))]:
            return True
        self.foreign += 1
        return False

    cdef int emit(self, tuple item) except -1:
        self.flush()
        self.items.append(item)
        return 0

    cdef int skip_object(self, str reason, kj_ptr start, kj_ptr end) except -1:
        return self.emit_skip(self.read_partial_key(start, end), reason, self.offset_at(start), kj_distance(start, end))

    cdef int emit_skip(self, tuple known, str reason, uint64_t offset, uint64_t size) except -1:
        """Emits a skipped object. `known`: verb, namespace, name, uid, resourceVersion."""
        if self.watch and known[0] in ("BOOKMARK", "ERROR"):
            raise ValueError(f"{reason} control frame at byte {offset}")
        cdef bytes name = (known[2] or "").encode(), uid = known[3].encode()
        if (name and not self.keeps_name(name, len(name))) or (uid and not self.keeps_uid(uid, len(uid))):
            self.foreign_version_len = 0  # not copied: the next object or bookmark has one
            return 0
        return self.emit(("SKIP", offset, *known, reason, size))

    cdef tuple read_partial_key(self, kj_ptr p, kj_ptr end):
        cdef ks_partial_key found
        memset(&found, 0, sizeof(found))
        if kj_distance(p, end) > self.limit:
            end = p + self.limit
        ks_read_partial_key(&p, end, KS_FRAME if self.watch else KS_ITEM, &found)
        namespace = value_of(&found.field[KS_NAMESPACE])
        if namespace is None and found.complete:
            namespace = ""
        return (
            (value_of(&found.verb) or "") if self.watch else "ADDED",
            namespace,
            value_of(&found.field[KS_NAME]) or None,
            value_of(&found.field[KS_UID]) or "",
            value_of(&found.field[KS_RESOURCE_VERSION]) or "",
        )

    # -- reading --

    cdef uint64_t offset_at(self, kj_ptr p) noexcept:
        return self.chunk_offset + kj_distance(self.chunk, p)

    cdef int reject(self, str why, kj_ptr p) except -1:
        raise ValueError(f"{why} at byte {self.offset_at(p)}")

    cdef int run(self, kj_ptr p, kj_ptr end) except -1:
        cdef unsigned char c
        cdef kj_ptr start
        cdef State state
        self.chunk = p
        self.chunk_offset = self.offset
        if self.pending:
            self.resume_unit(&p, end)
        while True:
            p = kj_skip_space(p, end)
            if p == end:
                return 0
            c = p[0]
            state = self.state
            if state == FRAME:
                if c != b"{":
                    self.reject("expected a frame", p)
                start = p
                if self.frame(&p, end, False) != KJ_OK:
                    p = start
                    self.start_unit(FRAME_UNIT, FRAME, &p, end)
            elif state == ITEM or state == FIRST_ITEM:
                if c == b"]" and state == FIRST_ITEM:
                    p += 1
                    self.state = AFTER_MEMBER
                    continue
                start = p
                if c == b"{" and self.item(&p, end, False) == KJ_OK:
                    self.state = AFTER_ITEM
                    continue
                p = start
                if kj_is_delimiter(c) and c not in b'{["':
                    self.reject("expected an item", p)
                self.start_unit(ITEM_UNIT, AFTER_ITEM, &p, end)
            elif state == AFTER_ITEM:
                if c != b"," and c != b"]":
                    self.reject("expected a comma or the end of the items", p)
                self.state = ITEM if c == b"," else AFTER_MEMBER
                p += 1
            elif state == ENVELOPE:
                if c != b"{":
                    self.reject("expected a list", p)
                p += 1
                self.state = FIRST_MEMBER
            elif state == FIRST_MEMBER or state == MEMBER:
                if c == b'"':
                    self.start_unit(NAME_UNIT, COLON, &p, end)
                elif c == b"}" and state == FIRST_MEMBER:
                    self.end_list(p)
                    p += 1
                else:
                    self.reject("expected a member of the list", p)
            elif state == COLON:
                if c != b":":
                    self.reject("expected a colon", p)
                p += 1
                self.state = VALUE
            elif state == VALUE:
                if c == b"[" and self.member == "items":
                    self.open_items(p)
                    p += 1
                elif kj_is_delimiter(c) and c not in b'{["':
                    self.reject("expected a value", p)
                else:
                    self.start_unit(VALUE_UNIT, AFTER_MEMBER, &p, end)
            elif state == AFTER_MEMBER:
                if c == b",":
                    self.state = MEMBER
                elif c == b"}":
                    self.end_list(p)
                else:
                    self.reject("expected a comma or the end of the list", p)
                p += 1
            else:
                self.reject("bytes after the end", p)

    cdef int start_unit(self, Unit kind, State after, kj_ptr *pp, kj_ptr end) except -1:
        """Reads the unit at `pp` if it is complete, else copies it to the carry."""
        cdef kj_ptr p = pp[0]
        cdef int r
        memset(&self.unit, 0, sizeof(self.unit))
        self.state = after
        r = kj_skip_part(&self.unit, pp, end)
        if r == KJ_OK:
            return self.complete_unit(kind, p, pp[0])
        if r == KJ_MALFORMED:
            self.reject("control character in a string", pp[0])
        self.pending = kind
        self.unit_offset = self.offset_at(p)
        self.unit_size = 0
        self.carry_used = 0
        self.next_check = 0
        self.discarding = kind == VALUE_UNIT and self.member is None
        return self.add_to_carry(p, end)

    cdef int resume_unit(self, kj_ptr *pp, kj_ptr end) except -1:
        """Continues the pending unit."""
        cdef kj_ptr p = pp[0]
        cdef Unit kind = self.pending
        cdef int r = kj_skip_part(&self.unit, pp, end)
        if r == KJ_MALFORMED:
            self.reject("control character in a string", pp[0])
        self.add_to_carry(p, pp[0], r == KJ_OK)
        if r != KJ_OK:
            return 0
        self.pending = NO_UNIT
        if self.skipped_key is not None:
            known, self.skipped_key = self.skipped_key, None
            self.emit_skip(known, "oversized", self.unit_offset, self.unit_size)
        elif not self.discarding:
            self.chunk = self.carry
            chunk_offset, self.chunk_offset = self.chunk_offset, self.unit_offset
            self.complete_unit(kind, self.carry, self.carry + self.carry_used)
            self.chunk = p
            self.chunk_offset = chunk_offset
        if self.carry_capacity > MAX_IDLE_CARRY:
            self.free_carry()
        return 0

    cdef int add_to_carry(self, kj_ptr p, kj_ptr end, bint complete=False) except -1:
        """Copies bytes of the unit to the carry; beyond the limit keeps its key only."""
        cdef size_t more = kj_distance(p, end), capacity
        cdef void *grown
        self.unit_size += more
        if self.discarding:
            return 0
        if self.unit_size > self.limit:
            more = self.limit - self.carry_used
        if self.carry_capacity - self.carry_used < more:
            capacity = max(self.carry_used + more, 2 * self.carry_capacity, <size_t>MIN_CARRY)
            grown = realloc(self.carry, capacity)
            if grown == NULL:
                raise MemoryError
            self.carry = <unsigned char *>grown
            self.carry_capacity = capacity
        memcpy(self.carry + self.carry_used, p, more)
        self.carry_used += more
        if self.unit_size > self.limit:
            if self.pending == NAME_UNIT or self.pending == VALUE_UNIT:
                raise ValueError(f"oversized member of the list at byte {self.unit_offset}")
            self.check_line(self.carry, self.carry + self.carry_used, self.unit_offset)
            self.skipped_key = self.read_partial_key(self.carry, self.carry + self.carry_used)
            self.discarding = True
            self.free_carry()
        elif not complete and self.carry_used >= self.next_check and memchr(p, b"\n", more) != NULL:
            self.next_check = 2 * self.carry_used  # so that all checks together are linear in the bytes
            self.check_line(self.carry, self.carry + self.carry_used, self.unit_offset)
        return 0

    cdef int free_carry(self) except -1:
        free(self.carry)
        self.carry = NULL
        self.carry_used = self.carry_capacity = 0
        return 0

    cdef int check_line(self, kj_ptr p, kj_ptr end, uint64_t offset) except -1:
        """Refuses the start of a malformed frame that continues after a line end.

        A server writes a frame on one line. The brackets on the next line may belong to the next frame, so a search for
        the end of this frame could read the rest of the stream.
        """
        if self.watch and memchr(p, b"\n", kj_distance(p, end)) != NULL and self.frame(&p, end, False) == KJ_MALFORMED:
            raise ValueError(f"malformed frame of several lines at byte {offset}")
        return 0

    cdef int complete_unit(self, Unit kind, kj_ptr p, kj_ptr end) except -1:
        """Reads a complete unit."""
        if kind == NAME_UNIT:
            return self.read_name(p, end)
        if kind == VALUE_UNIT:
            return self.read_member(p, end)
        if kj_distance(p, end) > self.limit:
            self.check_line(p, p + self.limit, self.offset_at(p))
            return self.skip_object("oversized", p, end)
        return self.frame(&p, end, True) if kind == FRAME_UNIT else self.item(&p, end, True)

    cdef int item(self, kj_ptr *pp, kj_ptr end, bint whole) except -1:
        """Reads one item of a LIST; only KJ_OK has an effect unless it is `whole`."""
        cdef kj_ptr start = pp[0]
        cdef int r = self.builder.read(pp, end) if start[0] == b"{" else KJ_MALFORMED
        if r == KJ_OK and kj_distance(start, pp[0]) <= self.limit:
            return self.accept(kj_distance(start, pp[0]), KS_ADDED)
        if not whole:
            return KJ_MALFORMED
        return self.skip_object("too deep" if r == KJ_TOO_DEEP else "malformed", start, end)

    cdef int frame(self, kj_ptr *pp, kj_ptr end, bint whole) except -1:
        """Reads one frame of a WATCH; only KJ_OK has an effect unless it is `whole`."""
        cdef kj_ptr start = pp[0], p = kj_skip_space(start + 1, end), value, inner = NULL, inner_end = NULL
        cdef kj_text key, type_
        cdef int r = KJ_INCOMPLETE, result = -1, verb = -1
        type_.at = NULL
        while p < end:
            r = kj_read_key(&p, end, &key)
            if r != KJ_OK:
                break
            r = KJ_MALFORMED
            value = p
            if kj_is(&key, b"type"):
                if p[0] != b'"' or type_.at != NULL:
                    break
                r = kj_read_string(&p, end, &type_)
                if r == KJ_OK:
                    verb = verb_of(&type_)
            elif kj_is(&key, b"object"):
                if inner != NULL:
                    break
                if verb >= 0 and p[0] == b"{":
                    r = result = self.builder.read(&p, end)
                if result != KJ_OK and result != KJ_INCOMPLETE:
                    p = value
                    r = skip(&p, end)
                inner = value
                inner_end = p
            else:
                r = skip(&p, end)
            if r != KJ_OK:
                break
            r = KJ_INCOMPLETE
            p = kj_skip_space(p, end)
            if p == end:
                break
            if p[0] != b",":
                r = KJ_OK if p[0] == b"}" and type_.at != NULL and inner != NULL else KJ_MALFORMED
                break
            p = kj_skip_space(p + 1, end)
        if r != KJ_OK:
            if whole:
                self.reject("malformed frame", p)
            return KJ_MALFORMED if result == KJ_MALFORMED else r
        pp[0] = p + 1
        if kj_distance(start, pp[0]) > self.limit:
            return KJ_INCOMPLETE  # complete_unit skips oversized frames
        if verb >= 0:
            if result < 0 and inner[0] == b"{":
                result = self.builder.read(&inner, inner_end)
            if result == KJ_OK:
                return self.accept(kj_distance(start, pp[0]), verb)
            if result == KJ_TOO_DEEP:
                return self.skip_object("too deep", start, pp[0])
            if memchr(start, b"\n", kj_distance(start, pp[0])) != NULL:
                raise ValueError(f"malformed frame of several lines at byte {self.offset_at(start)}")
            return self.skip_object("malformed", start, pp[0])
        if not kj_is(&type_, b"BOOKMARK") and not kj_is(&type_, b"ERROR"):
            return self.skip_object("unknown event type", start, pp[0])
        value = inner
        if inner[0] != b"{" or kj_check_value(&value, inner_end, 0) != KJ_OK or value != inner_end:
            return self.reject("malformed control frame", value) if whole else KJ_MALFORMED
        raw = PyBytes_FromStringAndSize(<char *>inner, kj_distance(inner, value))
        return self.emit((value_of(&type_), self.offset_at(start), raw))

    # -- the envelope of a LIST --

    cdef bytes member_text(self, kj_ptr p, kj_ptr end):
        cdef kj_ptr q = p
        if kj_distance(p, end) > self.limit:
            self.reject("oversized member of the list", p)
        if p[0] in b'{["' and (kj_check_value(&q, end, 0) != KJ_OK or q != end):
            self.reject("malformed member of the list", q)
        return PyBytes_FromStringAndSize(<char *>p, kj_distance(p, end))

    cdef int read_name(self, kj_ptr p, kj_ptr end) except -1:
        name = decode(self.member_text(p, end))
        self.member = name if name in READ else None
        return 0

    cdef int read_member(self, kj_ptr p, kj_ptr end) except -1:
        if self.member is None:
            return 0
        text = self.member_text(p, end)
        try:
            self.envelope.read(self.member, text)
        except ValueError as error:
            raise ValueError(f"{error} at byte {self.offset_at(p)}") from None
        return self.builder.set_defaults(self.envelope.item_kind, self.envelope.api_version)

    cdef int open_items(self, kj_ptr p) except -1:
        if self.envelope.has_items:
            self.reject("second member `items` of the list", p)
        self.envelope.has_items = True
        self.state = FIRST_ITEM
        return 0

    cdef int end_list(self, kj_ptr p) except -1:
        if not self.envelope.has_items:
            self.reject("list without `items`", p)
        self.state = DONE
        envelope = self.envelope
        return self.emit(("LIST_END", self.offset_at(p), envelope.kind, envelope.api_version, *envelope.metadata))


def shard_of(str uid not None, Py_ssize_t count):
    """Returns the index of the shard of a uid: 0 to count - 1.

    Raises:
        ValueError: `count` is not 1 to 2**32 - 1.
    """
    cdef Py_ssize_t length
    cdef const char *text = PyUnicode_AsUTF8AndSize(uid, &length)
    if not 0 < count < 1 << 32:
        raise ValueError(f"count {count}: expected 1 to 2**32 - 1")
    return ks_shard_of(<kj_ptr>text, length, <uint32_t>count)


cdef int skip(kj_ptr *pp, kj_ptr end) noexcept:
    """Advances past a value without its grammar."""
    cdef kj_skip_state state
    memset(&state, 0, sizeof(state))
    if kj_is_delimiter(pp[0][0]) and pp[0][0] not in b'{["':
        return KJ_MALFORMED
    return kj_skip_part(&state, pp, end)


cdef str value_of(const kj_text *text):
    """Returns the value of a JSON string, None if it is absent."""
    cdef unsigned char *out
    if text.at == NULL:
        return None
    if not text.has_escapes:
        return PyUnicode_DecodeUTF8(<char *>text.at, text.len, NULL)
    out = <unsigned char *>malloc(text.len)
    if out == NULL:
        raise MemoryError
    try:
        return PyUnicode_DecodeUTF8(<char *>out, kj_unescape(text.at, text.len, out), NULL)
    finally:
        free(out)


cdef int verb_of(const kj_text *type_) noexcept:
    if kj_is(type_, b"ADDED"):
        return KS_ADDED
    if kj_is(type_, b"MODIFIED"):
        return KS_MODIFIED
    return KS_DELETED if kj_is(type_, b"DELETED") else -1
