"""From the bytes of a LIST or WATCH body to batches of pruned objects, whatever the chunks.

An object that lies whole in a chunk is walked where it is, once. One that is cut off is copied to `carry`; the search
for its end goes on chunk by chunk without looking back, and it is walked when it is complete: the work is linear in
the bytes, also with chunks of one byte. Held are at most the object in hand and what the last feed gave.

Never imports kinform, never keeps a reference to a chunk, never puts the contents of an object into an error.
Source: the Kubernetes API concepts page (LIST, WATCH, bookmarks), RFC 8259; paths: kinform/_paths.py.
"""

import json

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memchr, memcpy, memset


cdef extern from "_json.h":
    ctypedef const unsigned char *kj_ptr

    enum:
        KJ_OK
        KJ_MORE
        KJ_BAD
        KJ_DEEP
        KJ_NOMEM
        KJ_MAX_DEPTH

    ctypedef struct kj_unit:
        unsigned char first

    kj_ptr kj_space(kj_ptr p, kj_ptr end) nogil
    bint kj_is_delimiter(unsigned char c) nogil
    int kj_value(kj_ptr *pp, kj_ptr end, int depth) nogil
    int kj_unit_end(kj_unit *u, kj_ptr *pp, kj_ptr end) nogil
    size_t kj_unescape(kj_ptr p, size_t len, unsigned char *out) nogil


cdef extern from "_prune.h":
    enum:
        KP_KEEP
        KP_DROP
        KP_FIELD
        KP_KIND
        KP_API
        KP_FRAME
        KP_ITEM

    ctypedef struct kp_child:
        kj_ptr name
        size_t len
        int target

    ctypedef struct kp_node:
        kp_child *children
        int count
        int other
        int keep_scalar
        size_t keep_last

    ctypedef struct kp_text:
        kj_ptr at
        size_t len
        int how

    ctypedef struct kp_key_found:
        kp_text verb
        kp_text field[4]
        int complete

    ctypedef struct kp_element:
        pass

    ctypedef struct kp_walk:
        unsigned char *block
        size_t used
        size_t room
        kp_node *nodes
        int root
        int metadata
        unsigned char *kind
        unsigned char *api
        size_t kind_len
        size_t api_len
        kp_element *elements

    bint kp_is(const kp_text *t, const char *plain) nogil
    int kp_key(kj_ptr *pp, kj_ptr end, kp_text *key) nogil
    int kp_string(kj_ptr *pp, kj_ptr end, kp_text *t) nogil
    int kp_take(kp_walk *w, kj_ptr *pp, kj_ptr end, kb_record *rec) nogil
    void kp_peek(kj_ptr *pp, kj_ptr end, int level, kp_key_found *found) nogil


MAX_DEPTH = KJ_MAX_DEPTH

cdef tuple VERBS = ("ADDED", "MODIFIED", "DELETED")
cdef enum:
    FLOOR_OF_CARRY = 4096
    CEILING_OF_CARRY = 1 << 20  # a larger one is given back as soon as it is empty

# What is expected next.
cdef enum State:
    FRAME, ENVELOPE, FIRST_MEMBER, MEMBER, COLON, VALUE, AFTER_MEMBER, FIRST_ITEM, ITEM, AFTER_ITEM, DONE

# What may be cut off by the end of a chunk.
cdef enum Unit:
    NO_UNIT, FRAME_UNIT, ITEM_UNIT, NAME_UNIT, VALUE_UNIT

# Members of the LIST envelope.
cdef enum Member:
    OTHER, KIND, API_VERSION, METADATA, ITEMS


cdef class Batch:
    """Complete objects in the order of the wire, in one block of bytes. Nothing in it changes any more.

    No Python object exists per object held; each method makes what it returns. An index out of range is an
    IndexError; negative indexes are out of range.

    Attributes:
        wire_bytes: What its items (LIST) or frames (WATCH) took in the body.
        pruned_bytes: What `raw` of all of them takes together.
    """

    def __dealloc__(self):
        free(self.block)
        free(self.records)

    def __len__(self):
        return self.count

    cdef kb_record *at(self, Py_ssize_t i) except NULL:
        if i < 0 or i >= self.count:
            raise IndexError("batch index out of range")
        return &self.records[i]

    cdef str text(self, Py_ssize_t i, int which):
        cdef kb_span *span = &self.at(i).text[which]
        return PyUnicode_DecodeUTF8(<char *>self.block + span.at, span.len, NULL)

    def verb(self, Py_ssize_t i):
        """`"ADDED"`, `"MODIFIED"` or `"DELETED"`; items of a LIST are `"ADDED"`."""
        return VERBS[self.at(i).verb]

    def key(self, Py_ssize_t i):
        """`"namespace/name"`, or `"name"` where there is no namespace."""
        cdef str namespace = self.text(i, KB_NAMESPACE)
        cdef str name = self.text(i, KB_NAME)
        return f"{namespace}/{name}" if namespace else name

    def namespace(self, Py_ssize_t i):
        """`metadata.namespace`, `""` where there is none."""
        return self.text(i, KB_NAMESPACE)

    def name(self, Py_ssize_t i):
        """`metadata.name`, never empty."""
        return self.text(i, KB_NAME)

    def uid(self, Py_ssize_t i):
        """`metadata.uid`, `""` where there is none."""
        return self.text(i, KB_UID)

    def resource_version(self, Py_ssize_t i):
        """`metadata.resourceVersion`, `""` where there is none."""
        return self.text(i, KB_VERSION)

    def raw(self, Py_ssize_t i):
        """The pruned JSON: `apiVersion` and `kind` first, then what the server sent. A copy.

        Both are left out only where neither the object nor the envelope nor the scanner's defaults know them.
        """
        cdef kb_record *record = self.at(i)
        return PyBytes_FromStringAndSize(<char *>self.block + record.raw.at, record.raw.len)

    def offset(self, Py_ssize_t i):
        """Where its item (LIST) or frame (WATCH) began in the body, in bytes."""
        return self.at(i).offset

    @property
    def last_resource_version(self):
        """The resourceVersion of the last object, `""` for an empty batch."""
        return self.text(self.count - 1, KB_VERSION) if self.count else ""


cdef class Scanner:
    """Cuts one LIST or WATCH body into objects, and prunes them, from chunks of any size.

    A body's bytes are looked at once (twice where a chunk cut an object off). At most `max_object_bytes` of an
    unfinished object are held; a larger one is skipped, and reported with its key where that stood in what was held.
    Kept values have passed the grammar of JSON, in valid UTF-8, nested at most `MAX_DEPTH` deep; of dropped ones only
    the end was sought. Not thread-safe.

    Args:
        mode: `"list"` for one `...List` envelope, `"watch"` for a stream of frames.
        program: What `kinform._paths.compile` gives; None keeps everything.
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
        object program  # keeps the names alive that the nodes point at
        int node_count
        kp_walk walk
        kb_record *records
        size_t record_count
        size_t record_room
        uint64_t batch_wire
        uint64_t batch_pruned
        list items  # what the present feed gives
        State state
        readonly uint64_t offset
        str failed  # why nothing can be fed any more
        kj_ptr origin  # the bytes at hand begin here ...
        uint64_t origin_offset  # ... which is this byte of the body
        Unit pending  # what is not complete yet
        kj_unit unit
        uint64_t unit_offset
        uint64_t unit_size
        bint dropping  # of the unit, only the end is awaited
        tuple left_out  # verb and key of an oversized unit
        unsigned char *carry
        size_t carried
        size_t carry_room
        size_t next_look
        Member member
        bint seen_items
        str list_kind
        str list_api
        tuple list_metadata  # resourceVersion, continue, remainingItemCount, shard selector

    def __init__(self, str mode not None, program=None, *, max_object_bytes=16 << 20, str kind not None="",
                 str api_version not None=""):
        if mode not in ("list", "watch"):
            raise ValueError("mode: expected 'list' or 'watch'")
        if self.nodes_loaded():
            raise ValueError("a scanner reads one body")
        if not isinstance(max_object_bytes, int) or isinstance(max_object_bytes, bool):
            raise TypeError("max_object_bytes: expected a number of bytes")
        if not 0 < max_object_bytes < 1 << 62:
            raise ValueError("max_object_bytes: expected at least 1")
        self.watch = mode == "watch"
        self.limit = max_object_bytes
        self.default_kind = kind
        self.default_api = api_version
        self.list_kind = self.list_api = ""
        self.list_metadata = ("", "", None, "")
        self.state = FRAME if self.watch else ENVELOPE
        self.load(program if program is not None else (((), KP_KEEP, True, 0),))
        self.set_defaults()

    def __dealloc__(self):
        cdef int i
        if self.walk.nodes:
            for i in range(self.node_count):
                free(self.walk.nodes[i].children)
        free(self.walk.nodes)
        free(self.walk.block)
        free(self.walk.kind)
        free(self.walk.api)
        free(self.walk.elements)
        free(self.records)
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
            free(self.walk.block)
            self.walk.block = NULL
            self.walk.room = 0
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

    # -- setting up --

    cdef bint nodes_loaded(self):
        return self.walk.nodes != NULL

    cdef int load(self, program) except -1:
        """Nodes as they are, then copies of the root and of its `metadata` that know the fields which always stay."""
        cdef int count, i, metadata = KP_KEEP
        if not isinstance(program, tuple) or not program:
            raise TypeError("program: expected a tuple of nodes")
        count = len(program)
        root_children, other, keep_scalar, _ = program[0]
        children = dict(root_children)
        metadata = children.get(b"metadata", other)
        if metadata < KP_KEEP:
            raise ValueError("program: metadata must be a node")
        if metadata >= count:
            raise ValueError("program: no such node")
        source = program[metadata] if metadata >= 0 else ((), KP_KEEP, True, 0)
        children |= {b"metadata": count + 1, b"kind": KP_FIELD - KP_KIND, b"apiVersion": KP_FIELD - KP_API}
        inner = dict(source[0])
        inner |= {
            b"namespace": KP_FIELD - KB_NAMESPACE,
            b"name": KP_FIELD - KB_NAME,
            b"uid": KP_FIELD - KB_UID,
            b"resourceVersion": KP_FIELD - KB_VERSION,
        }
        self.program = (*program, (tuple(children.items()), other, keep_scalar, 0),
                        (tuple(inner.items()), *source[1:]))
        self.walk.nodes = <kp_node *>calloc(count + 2, sizeof(kp_node))
        if self.walk.nodes == NULL:
            raise MemoryError
        self.node_count = count + 2
        for i in range(count + 2):
            self.load_node(&self.walk.nodes[i], self.program[i], count if i < count else count + 2)
        self.walk.root = count
        self.walk.metadata = count + 1
        return 0

    cdef int load_node(self, kp_node *node, tuple source, int count) except -1:
        cdef int i, lowest = KP_FIELD - KP_API if count == self.node_count else KP_DROP
        children, other, keep_scalar, keep_last = source
        node.other = other
        node.keep_scalar = bool(keep_scalar)
        node.keep_last = keep_last
        if not KP_DROP <= node.other < count:
            raise ValueError("program: no such node")
        node.children = <kp_child *>calloc(len(children) + 1, sizeof(kp_child))
        if node.children == NULL:
            raise MemoryError
        for i, (name, target) in enumerate(children):
            if not isinstance(name, bytes):
                raise TypeError("program: expected names as bytes")
            if not lowest <= target < count:
                raise ValueError("program: no such node")
            node.children[i].name = <kj_ptr><char *>name
            node.children[i].len = len(name)
            node.children[i].target = target
            node.count = i + 1
        return 0

    cdef int set_defaults(self) except -1:
        """What an object is that does not tell: what the envelope says so far, else what the caller said."""
        kind = self.list_kind[:-4] if self.list_kind.endswith("List") else ""
        self.walk.kind_len = fill(&self.walk.kind, kind or self.default_kind)
        self.walk.api_len = fill(&self.walk.api, self.list_api or self.default_api)
        return 0

    # -- what a feed gives --

    cdef int flush(self) except -1:
        cdef Batch batch
        cdef void *smaller
        if not self.record_count:
            return 0
        batch = Batch.__new__(Batch)
        batch.count = self.record_count
        batch.wire_bytes = self.batch_wire
        batch.pruned_bytes = self.batch_pruned
        smaller = realloc(self.walk.block, self.walk.used)
        batch.block = <unsigned char *>(smaller if smaller != NULL else self.walk.block)
        smaller = realloc(self.records, self.record_count * sizeof(kb_record))
        batch.records = <kb_record *>(smaller if smaller != NULL else self.records)
        self.walk.block = NULL
        self.walk.used = self.walk.room = 0
        self.records = NULL
        self.record_count = self.record_room = 0
        self.batch_wire = self.batch_pruned = 0
        self.items.append(batch)
        return 0

    cdef int control(self, tuple item) except -1:
        self.flush()
        self.items.append(item)
        return 0

    cdef kb_record *next_record(self) except NULL:
        cdef size_t room
        cdef void *grown
        if self.record_count == self.record_room:
            room = self.record_room * 2 if self.record_room else 8
            grown = realloc(self.records, room * sizeof(kb_record))
            if grown == NULL:
                raise MemoryError
            self.records = <kb_record *>grown
            self.record_room = room
        return &self.records[self.record_count]

    cdef int accept(self, kj_ptr start, kj_ptr end, int verb) except -1:
        """The object that was taken last is complete, and so is what it came in."""
        cdef kb_record *record = &self.records[self.record_count]
        record.offset = self.place(start)
        record.wire = <size_t>(end - start)
        record.verb = verb
        self.record_count += 1
        self.batch_wire += record.wire
        self.batch_pruned += record.raw.len
        return 0

    cdef int leave_out(self, tuple known, str reason, uint64_t offset, uint64_t size) except -1:
        """`known`: verb, namespace, name, uid, resourceVersion."""
        if self.watch and known[0] in ("BOOKMARK", "ERROR"):
            raise ValueError(f"{reason} control frame at byte {offset}")
        return self.control(("SKIP", offset, *known, reason, size))

    cdef tuple peek(self, kj_ptr p, kj_ptr end):
        cdef kp_key_found found
        memset(&found, 0, sizeof(found))
        if end - p > <Py_ssize_t>self.limit:
            end = p + self.limit
        kp_peek(&p, end, KP_FRAME if self.watch else KP_ITEM, &found)
        namespace = plain(&found.field[KB_NAMESPACE])
        if namespace is None and found.complete:
            namespace = ""
        return (
            (plain(&found.verb) or "") if self.watch else "ADDED",
            namespace,
            plain(&found.field[KB_NAME]) or None,
            plain(&found.field[KB_UID]) or "",
            plain(&found.field[KB_VERSION]) or "",
        )

    # -- reading --

    cdef uint64_t place(self, kj_ptr p) noexcept:
        return self.origin_offset + <uint64_t>(p - self.origin)

    cdef int reject(self, str why, kj_ptr p) except -1:
        raise ValueError(f"{why} at byte {self.place(p)}")

    cdef int run(self, kj_ptr p, kj_ptr end) except -1:
        cdef unsigned char c
        cdef State state
        self.origin = p
        self.origin_offset = self.offset
        if self.pending:
            self.resume(&p, end)
        while True:
            p = kj_space(p, end)
            if p == end:
                return 0
            c = p[0]
            state = self.state
            if state == FRAME:
                if c != b"{":
                    self.reject("expected a frame", p)
                if self.frame(&p, end, False) != KJ_OK:
                    self.start(FRAME_UNIT, FRAME, &p, end)
            elif state == ITEM or state == FIRST_ITEM:
                if c == b"]" and state == FIRST_ITEM:
                    p += 1
                    self.state = AFTER_MEMBER
                    continue
                if c == b"{" and self.item(&p, end, False) == KJ_OK:
                    self.state = AFTER_ITEM
                    continue
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
                if self.member == ITEMS and c == b"[":
                    p += 1
                    self.state = FIRST_ITEM
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
        r = kj_unit_end(&self.unit, pp, end)
        if r == KJ_OK:
            return self.whole(kind, p, pp[0])
        if r == KJ_BAD:
            self.reject("control character in a string", pp[0])
        self.pending = kind
        self.unit_offset = self.place(p)
        self.unit_size = 0
        self.carried = 0
        self.next_look = 0
        self.dropping = kind == VALUE_UNIT and self.member == OTHER
        return self.stash(p, end)

    cdef int resume(self, kj_ptr *pp, kj_ptr end) except -1:
        """Goes on with the unit that an earlier chunk began."""
        cdef kj_ptr p = pp[0]
        cdef Unit kind = self.pending
        cdef int r = kj_unit_end(&self.unit, pp, end)
        if r == KJ_BAD:
            self.reject("control character in a string", pp[0])
        self.stash(p, pp[0], r == KJ_OK)
        if r != KJ_OK:
            return 0
        self.pending = NO_UNIT
        if self.left_out is not None:
            known, self.left_out = self.left_out, None
            self.leave_out(known, "oversized", self.unit_offset, self.unit_size)
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
        cdef size_t more = <size_t>(end - p), room
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
            self.left_out = self.peek(self.carry, self.carry + self.carried)
            self.dropping = True
            self.give_up_carry()
        elif self.watch and not complete and memchr(p, b"\n", more) != NULL and self.carried >= self.next_look:
            self.look()
        return 0

    cdef int give_up_carry(self) except -1:
        free(self.carry)
        self.carry = NULL
        self.carried = self.carry_room = 0
        return 0

    cdef int look(self) except -1:
        """A frame that goes on over a line's end: servers send none, so see that it is not one whose end is lost.

        Doubling the size between looks keeps the work linear.
        """
        cdef kj_ptr p = self.carry
        self.next_look = 2 * self.carried
        if kj_value(&p, self.carry + self.carried, 0) == KJ_BAD:
            raise ValueError(f"a malformed frame without an end at byte {self.unit_offset + <uint64_t>(p - self.carry)}")
        return 0

    cdef int whole(self, Unit kind, kj_ptr p, kj_ptr end) except -1:
        if kind == FRAME_UNIT:
            self.frame(&p, end, True)
        elif kind == ITEM_UNIT:
            self.item(&p, end, True)
        elif kind == NAME_UNIT:
            self.read_name(p, end)
        else:
            self.read_value(p, end)
        return 0

    cdef int item(self, kj_ptr *pp, kj_ptr end, bint whole) except -1:
        """One item of a LIST. Unless `whole`, anything but KJ_OK says that nothing has happened."""
        cdef kj_ptr start = pp[0]
        cdef size_t used = self.walk.used
        cdef int r = KJ_BAD
        if start[0] == b"{":
            r = kp_take(&self.walk, pp, end, self.next_record())
        if r == KJ_NOMEM:
            raise MemoryError
        if r == KJ_OK and <size_t>(pp[0] - start) <= self.limit:
            self.accept(start, pp[0], 0)
            return KJ_OK
        if r == KJ_OK:
            self.walk.used = used
            self.leave_out(self.peek(start, pp[0]), "oversized", self.place(start), <size_t>(pp[0] - start))
            return KJ_OK
        if whole:
            reason = "oversized" if <size_t>(end - start) > self.limit else "too deep" if r == KJ_DEEP else "malformed"
            self.leave_out(self.peek(start, end), reason, self.place(start), <size_t>(end - start))
            return KJ_OK
        pp[0] = start
        return r

    cdef int frame(self, kj_ptr *pp, kj_ptr end, bint whole) except -1:
        """One frame of a WATCH. Unless `whole`, KJ_MORE says that nothing has happened; else KJ_OK or an error."""
        cdef kj_ptr start = pp[0], p = kj_space(start + 1, end), value, inner = NULL, inner_end = NULL
        cdef kp_text key, kind
        cdef size_t used = self.walk.used
        cdef int r = KJ_MORE, taken = -1, verb = -1
        kind.at = NULL
        while p < end:
            r = kp_key(&p, end, &key)
            if r == KJ_MORE:
                break
            if r != KJ_OK:
                self.reject("malformed frame", p)
            value = p
            if kp_is(&key, b"type"):
                if p[0] != b'"' or kind.at != NULL:
                    self.reject("malformed frame", p)
                r = kp_string(&p, end, &kind)
                if r == KJ_BAD:
                    self.reject("malformed frame", p)
                verb = verb_of(&kind) if r == KJ_OK else -1
            elif kp_is(&key, b"object"):
                if inner != NULL:
                    self.reject("malformed frame", p)
                if verb >= 0 and p[0] == b"{":
                    r = taken = kp_take(&self.walk, &p, end, self.next_record())
                if taken != KJ_OK and taken != KJ_MORE:
                    p = value
                    r = self.skip(&p, end)
                inner = value
                inner_end = p
            else:
                r = self.skip(&p, end)
            if r == KJ_MORE:
                break
            r = KJ_MORE
            p = kj_space(p, end)
            if p == end:
                break
            if p[0] == b"}":
                r = KJ_OK
                p += 1
                break
            if p[0] != b",":
                self.reject("malformed frame", p)
            p = kj_space(p + 1, end)
        if r != KJ_OK:
            self.walk.used = used
            if whole:
                self.reject("malformed frame", p)
            return KJ_MORE
        if kind.at == NULL or inner == NULL:
            self.reject("malformed frame", start)
        pp[0] = p
        if verb >= 0 and taken < 0:
            taken = KJ_BAD
            if inner[0] == b"{":
                value = inner
                taken = kp_take(&self.walk, &value, inner_end, self.next_record())
        if taken == KJ_NOMEM:
            raise MemoryError
        if taken == KJ_OK and <size_t>(p - start) <= self.limit:
            self.accept(start, p, verb)
            return KJ_OK
        self.walk.used = used
        reason = None
        if <size_t>(p - start) > self.limit:
            reason = "oversized"
        elif verb >= 0:
            reason = "too deep" if taken == KJ_DEEP else "malformed"
        elif not kp_is(&kind, b"BOOKMARK") and not kp_is(&kind, b"ERROR"):
            reason = "unknown event type"
        if reason is not None:
            self.leave_out(self.peek(start, p), reason, self.place(start), <size_t>(p - start))
            return KJ_OK
        value = inner
        if inner[0] != b"{" or kj_value(&value, inner_end, 0) != KJ_OK or value != inner_end:
            self.reject("malformed control frame", value)
        self.control((plain(&kind), self.place(start), PyBytes_FromStringAndSize(<char *>inner, inner_end - inner)))
        return KJ_OK

    cdef int skip(self, kj_ptr *pp, kj_ptr end) except -1:
        """Past a value of which nothing but its end matters: KJ_OK or KJ_MORE."""
        cdef kj_unit unit
        cdef int r
        memset(&unit, 0, sizeof(unit))
        if kj_is_delimiter(pp[0][0]) and pp[0][0] not in b'{["':
            self.reject("expected a value", pp[0])
        r = kj_unit_end(&unit, pp, end)
        if r == KJ_BAD:
            self.reject("control character in a string", pp[0])
        return r

    # -- the envelope of a LIST --

    cdef object decode(self, kj_ptr p, kj_ptr end):
        cdef kj_ptr q = p
        if p[0] in b'{["' and (kj_value(&q, end, 0) != KJ_OK or q != end):
            self.reject("malformed member of the list", q)
        try:
            return json.loads(PyUnicode_DecodeUTF8(<char *>p, end - p, NULL))
        except ValueError:
            pass
        self.reject("malformed member of the list", p)

    cdef int read_name(self, kj_ptr p, kj_ptr end) except -1:
        name = self.decode(p, end)
        self.member = MEMBERS.get(name, OTHER)
        if self.member == ITEMS:
            if self.seen_items:
                self.reject("a list with items twice", p)
            self.seen_items = True
        return 0

    cdef int read_value(self, kj_ptr p, kj_ptr end) except -1:
        if self.member == OTHER:
            return 0
        value = self.decode(p, end)
        if value is None:
            value = {} if self.member == METADATA else ""
        elif self.member == ITEMS or not isinstance(value, dict if self.member == METADATA else str):
            self.reject("malformed member of the list", p)
        if self.member == METADATA:
            shard = value.get("shardInfo") or {}
            remaining = value.get("remainingItemCount")
            texts = [value.get("resourceVersion") or "", value.get("continue") or ""]
            texts.append(shard.get("selector") or "" if isinstance(shard, dict) else None)
            if not all(isinstance(text, str) for text in texts) or type(remaining) not in (int, type(None)):
                self.reject("malformed member of the list", p)
            self.list_metadata = (texts[0], texts[1], remaining, texts[2])
        elif self.member == KIND:
            self.list_kind = value
        elif self.member == API_VERSION:
            self.list_api = value
        return self.set_defaults()

    cdef int close(self, kj_ptr p) except -1:
        if not self.seen_items:
            self.reject("a list without items", p)
        self.state = DONE
        return self.control(("LIST_END", self.place(p), self.list_kind, self.list_api, *self.list_metadata))


cdef dict MEMBERS = {"kind": KIND, "apiVersion": API_VERSION, "metadata": METADATA, "items": ITEMS}


cdef str plain(const kp_text *text):
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


cdef int verb_of(const kp_text *kind) noexcept:
    if kp_is(kind, b"ADDED"):
        return 0
    if kp_is(kind, b"MODIFIED"):
        return 1
    return 2 if kp_is(kind, b"DELETED") else -1


cdef size_t fill(unsigned char **to, str text) except? 0:
    """The inside of the JSON string that says `text`."""
    cdef bytes inside = json.dumps(text, ensure_ascii=False)[1:-1].encode()
    cdef void *grown = realloc(to[0], len(inside) + 1)
    if grown == NULL:
        raise MemoryError
    to[0] = <unsigned char *>grown
    memcpy(to[0], <char *>inside, len(inside))
    return len(inside)
