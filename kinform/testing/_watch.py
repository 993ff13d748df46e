"""WATCH: one open stream, from its initial state to its end.

A stream takes its initial state and subscribes to its collection in one step, so that no write is lost or sent twice.
It ends by its deadline, a command of the test, a fault or the client.
Source: KEP-3157 (WatchList), KEP-956 (bookmarks), the cache watcher of apiserver 1.36.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable

import msgspec
from aiohttp import web

from kinform.testing import _status
from kinform.testing._corruption import MALFORMED_LINE, corrupted
from kinform.testing._encoding import bookmark_line, dumps, encode_body, event_line
from kinform.testing._faults import (
    Answer,
    BookmarkWithoutEnd,
    CutMidObject,
    Empty,
    Fault,
    Hangup,
    LateBookmark,
    MalformedFrame,
    MalformedObject,
    NoBookmark,
    Oversized,
    Stall,
    Trickle,
)
from kinform.testing._query import ListOptions, revision_of
from kinform.testing._representation import Representation
from kinform.testing._resources import ServedResource
from kinform.testing._response import MAX_WRITE, Responder
from kinform.testing._storage import Compacted, EventType, Record, Selection, Storage, StoredCollection, Write

_INITIAL_EVENTS_END = "k8s.io/initial-events-end"
_LAST_BOOKMARK = 2.0  # seconds before the deadline, so that the client can resume from a recent revision
_DEFAULT_TIMEOUTS = (1800, 3600)  # seconds


class _Bookmark(msgspec.Struct, frozen=True):
    """A queued bookmark."""

    revision: int


class _End(Exception):
    """Ends the stream cleanly."""


class WatchStream:
    """An open WATCH."""

    def __init__(
        self,
        responder: Responder,
        storage: Storage,
        collection: StoredCollection,
        options: ListOptions,
        representation: Representation,
        fault: Fault | None,
        bookmark_interval: float,
    ) -> None:
        self.collection = collection
        self._responder = responder
        self._storage = storage
        self._resource = collection.resource
        self._options = options
        self._representation = representation
        self._fault = fault
        self._bookmark_interval = bookmark_interval
        self._queue: deque[Write | _Bookmark | Fault] = deque()
        self._wake = asyncio.Event()
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._events = 0
        self._events_before_end = fault.events if isinstance(fault, LateBookmark) else 0
        self._waiting = False
        self._initial: list[Record] | None = None
        self._refusal: _status.Refusal | None = None
        self._start_revision = 0

    @property
    def idle(self) -> bool:
        """True if the stream has sent everything up to now."""
        return self._waiting and not self._queue

    def queue_bookmark(self) -> None:
        """Queues a bookmark of the current revision, for a client that allows bookmarks."""
        self._enqueue(_Bookmark(self._storage.revision))

    def queue_fault(self, fault: Fault) -> None:
        """Queues a fault behind everything up to now."""
        self._enqueue(fault)

    def _enqueue(self, item: Write | _Bookmark | Fault) -> None:
        self._queue.append(item)
        self._waiting = False
        self._wake.set()

    def subscribe(self) -> Callable[[], None]:
        """Takes the initial state and subscribes to later writes.

        Returns:
            A function that unsubscribes.

        Raises:
            Refusal: The server refuses the request before a stream begins.
        """
        options, collection = self._options, self.collection
        try:
            requested = revision_of(options.version)
        except ValueError as error:
            raise _status.unreadable_version(str(error)) from None
        current = self._storage.revision
        if options.initial or (options.initial is None and requested == 0):
            if requested > current:
                self._refusal = _status.too_large(requested, current)
            self._initial = collection.current()
            self._start_revision = current
        elif requested == 0:
            self._start_revision = current
        else:
            self._start_revision = requested
            try:
                self._queue.extend(collection.since(requested))
            except Compacted:
                message = f"too old resource version: {requested} ({collection.oldest})"
                self._refusal = _status.expired(message)
        collection.listeners[self._enqueue] = None
        return lambda: collection.listeners.pop(self._enqueue, None)

    async def run(self) -> None:
        """Sends the body until the stream ends. The headers have been sent."""
        timeout = self._options.timeout or random.uniform(*_DEFAULT_TIMEOUTS)
        deadline = asyncio.get_running_loop().time() + timeout
        try:
            await self._break_between_events()
            if self._refusal is not None:
                await self._send_error(self._refusal)
            await self._send_initial()
            await self._send_writes(deadline)
        except _End:
            await self._flush()

    async def _send_initial(self) -> None:
        if self._initial is None:
            return
        state, self._initial = self._initial, None
        for record in state:
            if self._options.selection.matches(record):
                await self._send_event("ADDED", record)
        if not self._events_before_end:
            await self._send_initial_end()

    async def _send_initial_end(self) -> None:
        if not (self._options.initial and self._options.bookmarks) or isinstance(self._fault, NoBookmark):
            return
        value = self._fault.value if isinstance(self._fault, BookmarkWithoutEnd) else "true"
        revision = max(self._start_revision, self._storage.revision if not self._queue else 0)
        await self._send_bookmark(revision, value)

    async def _send_writes(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        bookmark_due = self._next_bookmark(loop.time(), deadline)
        while True:
            while self._queue:
                await self._process(self._queue.popleft())
            await self._flush()
            if self._queue:
                continue
            self._waiting = True
            self._wake.clear()
            self._responder.notify_all()
            try:
                async with asyncio.timeout_at(min(bookmark_due, deadline)):
                    await self._wake.wait()
            except TimeoutError:
                if loop.time() >= deadline:
                    raise _End from None
                self._enqueue(_Bookmark(self._storage.revision))
                bookmark_due = self._next_bookmark(loop.time(), deadline)

    def _next_bookmark(self, now: float, deadline: float) -> float:
        regular, last = now + self._bookmark_interval, deadline - _LAST_BOOKMARK
        return last if now < last < regular else regular

    async def _process(self, item: Write | _Bookmark | Fault) -> None:
        match item:
            case _Bookmark(revision):
                allowed = self._options.bookmarks and not isinstance(self._fault, NoBookmark)
                if allowed and revision >= self._start_revision:
                    await self._send_bookmark(revision)
            case Trickle():
                self._responder.trickle = item
            case Fault():
                self._fault = item
                self._events = 0
                await self._break_between_events()
            case _:
                if item.revision > self._start_revision:
                    await self._send_write(item)

    async def _send_write(self, write: Write) -> None:
        event = event_of(self._resource, write, self._options.selection)
        if event is None:
            return
        await self._send_event(*event)
        if self._events_before_end:
            self._events_before_end -= 1
            if not self._events_before_end:
                await self._send_initial_end()

    async def _send_bookmark(self, revision: int, end: str | None = None) -> None:
        annotations = None if end is None else {_INITIAL_EVENTS_END: end}
        metadata_only = self._representation.metadata_only
        await self._send(bookmark_line(self._resource, revision, annotations, metadata_only=metadata_only))

    async def _send_event(self, event_type: EventType, record: Record) -> None:
        fault = self._fault
        if fault is None or self._events != getattr(fault, "after", -1):
            await self._send(event_line(event_type, self._representation.single(self._resource, record)))
        else:
            await self._send_broken_event(event_type, record, fault)
        self._events += 1
        if fault is not None:
            await self._break_between_events()

    async def _send_broken_event(self, event_type: EventType, record: Record, fault: Fault) -> None:
        if isinstance(fault, (MalformedObject, Oversized)):
            record = corrupted(self._resource, record, fault)
        # The metadata of a malformed object cannot be extracted: it is sent in full.
        representation = Representation() if isinstance(fault, MalformedObject) else self._representation
        line = event_line(event_type, representation.single(self._resource, record))
        match fault:
            case CutMidObject():
                await self._send(line[: len(line) // 2])
                await self._flush()
                await self._responder.close_connection()
            case Stall():
                await self._send(line[: fault.bytes])
                await self._flush()
                await self._responder.stall()
            case _:
                await self._send(line)

    async def _break_between_events(self) -> None:
        """Carries out a fault that is due between two events."""
        fault = self._fault
        match fault:
            case Answer() if self._events == fault.after:
                await self._send_error(fault.refusal(self._responder.request, self._storage.revision))
            case Empty():
                raise _End
            case Hangup() if self._events == (fault.after or 0):
                await self._flush()
                await self._responder.close_connection()
            case Stall(bytes=0) if self._events == fault.after:
                await self._flush()
                await self._responder.stall()
            case MalformedFrame() if self._events == fault.after:
                self._fault = None
                await self._send(MALFORMED_LINE)
            case _:
                pass

    async def _send_error(self, refusal: _status.Refusal) -> None:
        await self._send(event_line("ERROR", dumps(refusal.as_status())))
        raise _End

    async def _send(self, line: bytes) -> None:
        self._unsent.append(line)
        self._unsent_bytes += len(line)
        if self._unsent_bytes >= MAX_WRITE:
            await self._flush()

    async def _flush(self) -> None:
        if self._unsent:
            data = b"".join(self._unsent)
            self._unsent.clear()
            self._unsent_bytes = 0
            await self._responder.write(data)


def event_of(resource: ServedResource, write: Write, selection: Selection) -> tuple[EventType, Record] | None:
    """Returns the event that a watch with this selection gets for a write, or None.

    An object that enters the selection is ADDED. One that leaves it is DELETED, with its last state in the selection
    and the resourceVersion of the write.
    """
    if not selection.has_selector:
        return (write.type, write.new) if selection.matches(write.new) else None
    after = write.type != "DELETED" and selection.matches(write.new)
    before = write.old is not None and selection.matches(write.old)
    if after:
        return ("MODIFIED" if before else "ADDED"), write.new
    if not before or write.old is None:
        return None
    if write.type == "DELETED":
        return "DELETED", write.new
    last = write.old.decode()
    last["metadata"]["resourceVersion"] = str(write.revision)
    body = encode_body(resource, last)
    return "DELETED", Record(write.old.namespace, write.old.name, write.old.uid, write.revision, body)


async def answer_watch(
    responder: Responder, stream: WatchStream, open_streams: dict[WatchStream, None]
) -> web.StreamResponse:
    """Runs the stream to its end, or raises Refusal before it sends anything."""
    unsubscribe = stream.subscribe()
    try:
        await responder.begin(200, "application/json")
        open_streams[stream] = None
        responder.notify_all()
        await stream.run()
        open_streams.pop(stream, None)
        return await responder.end()
    finally:
        unsubscribe()
        open_streams.pop(stream, None)
        responder.notify_all()
