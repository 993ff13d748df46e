"""From the bytes of a LIST or WATCH body to batches of pruned objects, whatever the chunks.

An object that lies whole in a chunk is walked where it is, once. One that is cut off is copied to `carry`; the search
for its end goes on chunk by chunk without looking back, and it is walked when it is complete: the work is linear in
the bytes, also with chunks of one byte. Held are at most the object in hand and what the last feed gave.

Never imports kinform, never keeps a reference to a chunk, never puts the contents of an object into an error. Over 500
lines because it is one state machine on C fields.
Source: the Kubernetes API concepts page (LIST, WATCH, bookmarks), RFC 8259; paths: kinform/_paths.py.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcpy, memset

from kinform_ext._batch cimport Builder
from kinform_ext._json cimport (
    KJ_MALFORMED, KJ_TOO_DEEP, KJ_MAX_DEPTH, KJ_INCOMPLETE, KJ_OK,
    kj_is, kj_is_delimiter, kj_read_key, kj_ptr, kj_skip_space, kj_distance, kj_read_string, kj_text, kj_unescape, kj_skip_state, kj_skip_part,
    kj_check_value,
)
from kinform_ext._partial_key cimport KS_NAME, KS_NAMESPACE, KS_UID, KS_RESOURCE_VERSION, KS_FRAME, KS_ITEM, ks_partial_key, ks_read_partial_key

from kinform_ext._batch import Batch
from kinform_ext._envelope import READ, Envelope, decode

__all__ = ["MAX_DEPTH", "Batch", "Scanner"]

MAX_DEPTH = KJ_MAX_DEPTH  # containers in each other

cdef enum:
    FLOOR_OF_CARRY = 4096
    CEILING_OF_CARRY = 1048576  # a larger one is given back as soon as it is empty

# What is expected next.
cdef enum State:
    FRAME, ENVELOPE, FIRST_MEMBER, MEMBER, COLON, VALUE, AFTER_MEMBER, FIRST_ITEM, ITEM, AFTER_ITEM, DONE

# What may be cut off by the end of a chunk.
cdef enum Unit:
    NO_UNIT, FRAME_UNIT, ITEM_UNIT, NAME_UNIT, VALUE_UNIT


@cython.final
cdef class Scanner:
    """Cuts one LIST or WATCH body into objects, and prunes them, from chunks of any size.

    A body's bytes are looked at once (twice where a chunk cut an object off). At most `max_object_bytes` of an
    unfinished object are held; a larger one is skipped, and reported with its key where that stood in what was held.
    Kept values have passed the grammar of JSON, in valid UTF-8, nested at most `MAX_DEPTH` deep; of dropped ones only
    the end was sought. Not thread-safe.

    Args:
        mode: `"list"` for one `...List` envelope, `"watch"` for a stream of frames.
        program: What `kinform._paths.grammar.compile` gives; None keeps everything.
        max_object_bytes: Bound of one item or frame.
        kind, api_version: Of items where neither they nor the envelope tell them.

    Raises:
        ValueError, TypeError: An argument that cannot mean anything.
    """

    cdef:
        bint watch
        size_t limit
        str default_kind
        str default_api
        Builder builder
        list items  # what the present feed gives
        State state
        readonly uint64_t offset
        str failed  # why nothing can be fed any more
        kj_ptr origin  # the bytes at hand begin here ...
        uint64_t origin_offset  # ... which is this byte of the body
        Unit pending  # what is not complete yet
        kj_skip_state unit
        uint64_t unit_offset
        uint64_t unit_size
        bint dropping  # of the unit, only the end is awaited
        tuple left_out  # verb and key of an oversized unit
        unsigned char *carry
        size_t carried
        size_t carry_room
        size_t next_look
        object envelope
        str member  # of the envelope, None for one that means nothing here

    def __cinit__(self, *_, **__):
        self.failed = "the scanner was never set up"

    def __init__(self, str mode not None, program=None, *, max_object_bytes=16 << 20, str kind not None="",
                 str api_version not None=""):
        if mode not in ("list", "watch"):
            raise ValueError("mode: expected 'list' or 'watch'")
        if self.builder is not None:
            raise ValueError("a scanner reads one body")
        if not isinstance(max_object_bytes, int) or isinstance(max_object_bytes, bool):
            raise TypeError("max_object_bytes: expected a number of bytes")
        if not 0 < max_object_bytes < 1 << 62:
            raise ValueError("max_object_bytes: expected at least 1")
        self.watch = mode == "watch"
        self.limit = max_object_bytes
        self.default_kind = kind
        self.default_api = api_version
        self.envelope = Envelope()
        self.state = FRAME if self.watch else ENVELOPE
        self.builder = Builder(program)
        self.expect()
        self.failed = None

    def __dealloc__(self):
        free(self.carry)

    def feed(self, chunk):
        """Takes the next bytes of the body.

        Args:
            chunk: bytes, bytearray or memoryview of any length; not kept.

        Returns:
            In the order of the wire: a Batch for each run of complete objects, and between them the control items as
            tuples (see the stub). Empty where nothing came to its end.

        Raises:
            ValueError: The bytes are no such body; the text names the byte. What else ended in this chunk is lost
                with it, so resume from what earlier feeds gave. Every later feed raises too.
        """
        cdef Py_buffer view
        if self.failed is not None:
            raise ValueError(self.failed)
        PyObject_GetBuffer(chunk, &view, PyBUF_SIMPLE)
        self.items = []
        self.failed = "the scanner failed before"
        try:
            self.run(<kj_ptr>view.buf, <kj_ptr>view.buf + view.len)
            self.flush()
            self.failed = None
        except ValueError as error:
            self.failed = str(error)
            raise
        finally:
            self.offset += <uint64_t>view.len
            PyBuffer_Release(&view)
            items, self.items = self.items, None
        return items

    def finish(self):
        """Says that the body has ended.

        Raises:
            ValueError: It ended too early: inside an object, or before the LIST envelope was closed.
        """
        if self.failed is not None:
            raise ValueError(self.failed)
        if self.pending or self.state != (FRAME if self.watch else DONE):
            self.failed = f"the body ends too early at byte {self.offset}"
            raise ValueError(self.failed)
        self.failed = f"the body has ended at byte {self.offset}"

    # -- what a feed gives --

    cdef int flush(self) except -1:
        batch = self.builder.flush()
        if batch is not None:
            self.items.append(batch)
        return 0

    cdef int control(self, tuple item) except -1:
        self.flush()
        self.items.append(item)
        return 0

    cdef int leave_out(self, str reason, kj_ptr start, kj_ptr end) except -1:
        return self.skipped(self.peek(start, end), reason, self.place(start), kj_distance(start, end))

    cdef int skipped(self, tuple known, str reason, uint64_t offset, uint64_t size) except -1:
        """`known`: verb, namespace, name, uid, resourceVersion."""
        if self.watch and known[0] in ("BOOKMARK", "ERROR"):
            raise ValueError(f"{reason} control frame at byte {offset}")
        return self.control(("SKIP", offset, *known, reason, size))

    cdef tuple peek(self, kj_ptr p, kj_ptr end):
        cdef ks_partial_key found
        memset(&found, 0, sizeof(found))
        if kj_distance(p, end) > self.limit:
            end = p + self.limit
        ks_read_partial_key(&p, end, KS_FRAME if self.watch else KS_ITEM, &found)
        namespace = plain(&found.field[KS_NAMESPACE])
        if namespace is None and found.complete:
            namespace = ""
        return (
            (plain(&found.verb) or "") if self.watch else "ADDED",
            namespace,
            plain(&found.field[KS_NAME]) or None,
            plain(&found.field[KS_UID]) or "",
            plain(&found.field[KS_RESOURCE_VERSION]) or "",
        )

    # -- reading --

    cdef uint64_t place(self, kj_ptr p) noexcept:
        return self.origin_offset + kj_distance(self.origin, p)

    cdef int reject(self, str why, kj_ptr p) except -1:
        raise ValueError(f"{why} at byte {self.place(p)}")

    cdef int run(self, kj_ptr p, kj_ptr end) except -1:
        cdef unsigned char c
        cdef kj_ptr start
        cdef State state
        self.origin = p
        self.origin_offset = self.offset
        if self.pending:
            self.resume(&p, end)
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
                    self.start(FRAME_UNIT, FRAME, &p, end)
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
                self.start(ITEM_UNIT, AFTER_ITEM, &p, end)
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
                    self.start(NAME_UNIT, COLON, &p, end)
                elif c == b"}" and state == FIRST_MEMBER:
                    self.close(p)
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
                    self.start(VALUE_UNIT, AFTER_MEMBER, &p, end)
            elif state == AFTER_MEMBER:
                if c == b",":
                    self.state = MEMBER
                elif c == b"}":
                    self.close(p)
                else:
                    self.reject("expected a comma or the end of the list", p)
                p += 1
            else:
                self.reject("bytes after the end", p)

    cdef int start(self, Unit kind, State after, kj_ptr *pp, kj_ptr end) except -1:
        """Seeks the end of a unit; handles it if that is in this chunk, else carries it to the next."""
        cdef kj_ptr p = pp[0]
        cdef int r
        memset(&self.unit, 0, sizeof(self.unit))
        self.state = after
        r = kj_skip_part(&self.unit, pp, end)
        if r == KJ_OK:
            return self.whole(kind, p, pp[0])
        if r == KJ_MALFORMED:
            self.reject("control character in a string", pp[0])
        self.pending = kind
        self.unit_offset = self.place(p)
        self.unit_size = 0
        self.carried = 0
        self.next_look = 0
        self.dropping = kind == VALUE_UNIT and self.member is None
        return self.stash(p, end)

    cdef int resume(self, kj_ptr *pp, kj_ptr end) except -1:
        """Goes on with the unit that an earlier chunk began."""
        cdef kj_ptr p = pp[0]
        cdef Unit kind = self.pending
        cdef int r = kj_skip_part(&self.unit, pp, end)
        if r == KJ_MALFORMED:
            self.reject("control character in a string", pp[0])
        self.stash(p, pp[0], r == KJ_OK)
        if r != KJ_OK:
            return 0
        self.pending = NO_UNIT
        if self.left_out is not None:
            known, self.left_out = self.left_out, None
            self.skipped(known, "oversized", self.unit_offset, self.unit_size)
        elif not self.dropping:
            self.origin = self.carry
            origin_offset, self.origin_offset = self.origin_offset, self.unit_offset
            self.whole(kind, self.carry, self.carry + self.carried)
            self.origin = p
            self.origin_offset = origin_offset
        if self.carry_room > CEILING_OF_CARRY:
            self.give_up_carry()
        return 0

    cdef int stash(self, kj_ptr p, kj_ptr end, bint complete=False) except -1:
        """Adds to the carry, as far as its bound allows; beyond that, only the key of the unit is kept."""
        cdef size_t more = kj_distance(p, end), room
        cdef void *grown
        self.unit_size += more
        if self.dropping:
            return 0
        if self.unit_size > self.limit:
            more = self.limit - self.carried
        if self.carry_room - self.carried < more:
            room = max(self.carried + more, 2 * self.carry_room, <size_t>FLOOR_OF_CARRY)
            grown = realloc(self.carry, room)
            if grown == NULL:
                raise MemoryError
            self.carry = <unsigned char *>grown
            self.carry_room = room
        memcpy(self.carry + self.carried, p, more)
        self.carried += more
        if self.unit_size > self.limit:
            if self.pending == NAME_UNIT or self.pending == VALUE_UNIT:
                raise ValueError(f"oversized member of the list at byte {self.unit_offset}")
            self.look(self.carry, self.carry + self.carried, self.unit_offset)
            self.left_out = self.peek(self.carry, self.carry + self.carried)
            self.dropping = True
            self.give_up_carry()
        elif not complete and self.carried >= self.next_look and memchr(p, b"\n", more) != NULL:
            self.next_look = 2 * self.carried  # so that all looks together stay linear
            self.look(self.carry, self.carry + self.carried, self.unit_offset)
        return 0

    cdef int give_up_carry(self) except -1:
        free(self.carry)
        self.carry = NULL
        self.carried = self.carry_room = 0
        return 0

    cdef int look(self, kj_ptr p, kj_ptr end, uint64_t offset) except -1:
        """Refuses the beginning of a frame that is malformed and goes on over a line's end.

        Servers write a frame on one line. Whether the brackets that follow are this one's or the next one's nobody
        can tell, and waiting for its end could swallow the rest of the stream.
        """
        if self.watch and memchr(p, b"\n", kj_distance(p, end)) != NULL and self.frame(&p, end, False) == KJ_MALFORMED:
            raise ValueError(f"a malformed frame of several lines at byte {offset}")
        return 0

    cdef int whole(self, Unit kind, kj_ptr p, kj_ptr end) except -1:
        """A unit that has come to its end."""
        if kind == NAME_UNIT:
            return self.read_name(p, end)
        if kind == VALUE_UNIT:
            return self.read_value(p, end)
        if kj_distance(p, end) > self.limit:
            self.look(p, p + self.limit, self.place(p))
            return self.leave_out("oversized", p, end)
        return self.frame(&p, end, True) if kind == FRAME_UNIT else self.item(&p, end, True)

    cdef int item(self, kj_ptr *pp, kj_ptr end, bint whole) except -1:
        """One item of a LIST. Unless `whole`, anything but KJ_OK says that nothing has happened."""
        cdef kj_ptr start = pp[0]
        cdef int r = self.builder.take(pp, end) if start[0] == b"{" else KJ_MALFORMED
        if r == KJ_OK and kj_distance(start, pp[0]) <= self.limit:
            return self.builder.accept(self.place(start), kj_distance(start, pp[0]), 0)
        if not whole:
            return KJ_MALFORMED
        return self.leave_out("too deep" if r == KJ_TOO_DEEP else "malformed", start, end)

    cdef int frame(self, kj_ptr *pp, kj_ptr end, bint whole) except -1:
        """One frame of a WATCH. Unless `whole`, anything but KJ_OK says that nothing has happened; KJ_MALFORMED that no byte
        more could make it right."""
        cdef kj_ptr start = pp[0], p = kj_skip_space(start + 1, end), value, inner = NULL, inner_end = NULL
        cdef kj_text key, kind
        cdef int r = KJ_INCOMPLETE, taken = -1, verb = -1
        kind.at = NULL
        while p < end:
            r = kj_read_key(&p, end, &key)
            if r != KJ_OK:
                break
            r = KJ_MALFORMED
            value = p
            if kj_is(&key, b"type"):
                if p[0] != b'"' or kind.at != NULL:
                    break
                r = kj_read_string(&p, end, &kind)
                if r == KJ_OK:
                    verb = verb_of(&kind)
            elif kj_is(&key, b"object"):
                if inner != NULL:
                    break
                if verb >= 0 and p[0] == b"{":
                    r = taken = self.builder.take(&p, end)
                if taken != KJ_OK and taken != KJ_INCOMPLETE:
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
                r = KJ_OK if p[0] == b"}" and kind.at != NULL and inner != NULL else KJ_MALFORMED
                break
            p = kj_skip_space(p + 1, end)
        if r != KJ_OK:
            if whole:
                self.reject("malformed frame", p)
            return KJ_MALFORMED if taken == KJ_MALFORMED else r
        pp[0] = p + 1
        if kj_distance(start, pp[0]) > self.limit:
            return KJ_INCOMPLETE  # `whole` has seen to it already
        if verb >= 0:
            if taken < 0 and inner[0] == b"{":
                taken = self.builder.take(&inner, inner_end)
            if taken == KJ_OK:
                return self.builder.accept(self.place(start), kj_distance(start, pp[0]), verb)
            if taken == KJ_TOO_DEEP:
                return self.leave_out("too deep", start, pp[0])
            if memchr(start, b"\n", kj_distance(start, pp[0])) != NULL:
                raise ValueError(f"a malformed frame of several lines at byte {self.place(start)}")
            return self.leave_out("malformed", start, pp[0])
        if not kj_is(&kind, b"BOOKMARK") and not kj_is(&kind, b"ERROR"):
            return self.leave_out("unknown event type", start, pp[0])
        value = inner
        if inner[0] != b"{" or kj_check_value(&value, inner_end, 0) != KJ_OK or value != inner_end:
            return self.reject("malformed control frame", value) if whole else KJ_MALFORMED
        raw = PyBytes_FromStringAndSize(<char *>inner, kj_distance(inner, value))
        return self.control((plain(&kind), self.place(start), raw))

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

    cdef int read_value(self, kj_ptr p, kj_ptr end) except -1:
        if self.member is None:
            return 0
        text = self.member_text(p, end)
        try:
            self.envelope.read(self.member, text)
        except ValueError as error:
            raise ValueError(f"{error} at byte {self.place(p)}") from None
        return self.expect()

    cdef int expect(self) except -1:
        """What an item is that does not tell: what the envelope says so far, else what the caller said."""
        return self.builder.expect(
            self.envelope.item_kind or self.default_kind, self.envelope.api_version or self.default_api
        )

    cdef int open_items(self, kj_ptr p) except -1:
        if self.envelope.has_items:
            self.reject("a list with items twice", p)
        self.envelope.has_items = True
        self.state = FIRST_ITEM
        return 0

    cdef int close(self, kj_ptr p) except -1:
        if not self.envelope.has_items:
            self.reject("a list without items", p)
        self.state = DONE
        envelope = self.envelope
        return self.control(("LIST_END", self.place(p), envelope.kind, envelope.api_version, *envelope.metadata))


cdef int skip(kj_ptr *pp, kj_ptr end) noexcept:
    """Past a value of which nothing but its end matters."""
    cdef kj_skip_state unit
    memset(&unit, 0, sizeof(unit))
    if kj_is_delimiter(pp[0][0]) and pp[0][0] not in b'{["':
        return KJ_MALFORMED
    return kj_skip_part(&unit, pp, end)


cdef str plain(const kj_text *text):
    """What a string means, None for an absent one."""
    cdef unsigned char *out
    if text.at == NULL:
        return None
    if not text.how:
        return PyUnicode_DecodeUTF8(<char *>text.at, text.len, NULL)
    out = <unsigned char *>malloc(text.len)
    if out == NULL:
        raise MemoryError
    try:
        return PyUnicode_DecodeUTF8(<char *>out, kj_unescape(text.at, text.len, out), NULL)
    finally:
        free(out)


cdef int verb_of(const kj_text *kind) noexcept:
    if kj_is(kind, b"ADDED"):
        return 0
    if kj_is(kind, b"MODIFIED"):
        return 1
    return 2 if kj_is(kind, b"DELETED") else -1
