"""WATCH: one open stream, from the history it starts with to its end.

A stream subscribes to its collection in the same step in which it takes its starting state, so that nothing
is lost or told twice between the two. Nothing but the deadline, an order of the server's owner, a fault or
the client ends it. Source: KEP-3157 (WatchList), KEP-956 (bookmarks), the cache watcher of apiserver 1.36.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable

import msgspec
from aiohttp import web

from kinform.testing import _status
from kinform.testing._damage import BROKEN_LINE, damaged
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
from kinform.testing._resources import Resource
from kinform.testing._shape import Shape
from kinform.testing._storage import Change, Collection, Compacted, Record, Selection, Storage, Verb
from kinform.testing._wire import PIECE, Wire

_END = "k8s.io/initial-events-end"
_BEFORE_THE_DEADLINE = 2.0  # seconds: a last bookmark, so that the client resumes from close by


class _Bookmark(msgspec.Struct, frozen=True):
    """An order to tell where the stream stands."""

    revision: int


class _Over(Exception):
    """The stream is to end cleanly."""


class Watcher:
    """One open WATCH stream."""

    def __init__(
        self,
        wire: Wire,
        storage: Storage,
        collection: Collection,
        options: ListOptions,
        shape: Shape,
        fault: Fault | None,
        bookmark_interval: float,
    ) -> None:
        self.collection = collection
        self._wire = wire
        self._storage = storage
        self._resource = collection.resource
        self._options = options
        self._shape = shape
        self._fault = fault
        self._bookmark_interval = bookmark_interval
        self._orders: deque[Change | _Bookmark | Fault] = deque()
        self._awake = asyncio.Event()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._events = 0
        self._late = fault.events if isinstance(fault, LateBookmark) else 0
        self._idle = False
        self._state: list[Record] | None = None
        self._refused: _status.Refusal | None = None
        self._from = 0

    @property
    def idle(self) -> bool:
        """Whether all that happened so far has been sent."""
        return self._idle and not self._orders

    def order_bookmark(self) -> None:
        """Tells the client where the stream stands, if it allowed bookmarks."""
        self._order(_Bookmark(self._storage.revision))

    def order(self, fault: Fault) -> None:
        """Makes this go wrong, after all that happened so far."""
        self._order(fault)

    def _order(self, order: Change | _Bookmark | Fault) -> None:
        self._orders.append(order)
        self._idle = False
        self._awake.set()

    def subscribe(self) -> Callable[[], None]:
        """Takes the starting state and hears of every change from there on; returns what ends that.

        Raises Refusal where the request is refused before a stream begins.
        """
        options, collection = self._options, self.collection
        try:
            asked = revision_of(options.version)
        except ValueError as error:
            raise _status.unreadable_version(str(error)) from None
        current = self._storage.revision
        if options.initial or (options.initial is None and asked == 0):
            if asked > current:
                self._refused = _status.too_large(asked, current)
            self._state = collection.present()
            self._from = current
        elif asked == 0:
            self._from = current
        else:
            self._from = asked
            try:
                self._orders.extend(collection.since(asked))
            except Compacted:
                self._refused = _status.expired(f"too old resource version: {asked} ({collection.floor})")
        collection.sinks[self._order] = None
        return lambda: collection.sinks.pop(self._order, None)

    async def run(self) -> None:
        """Sends the stream until it ends; the headers are out already."""
        loop = asyncio.get_running_loop()
        seconds = self._options.timeout or random.uniform(1800, 3600)
        deadline = loop.time() + seconds
        try:
            await self._break_here()
            if self._refused is not None:
                await self._refuse(self._refused)
            await self._tell_state()
            await self._tell_until(deadline)
        except _Over:
            await self._flush()

    async def _tell_state(self) -> None:
        if self._state is None:
            return
        state, self._state = self._state, None
        for record in state:
            if self._options.selection.takes(record):
                await self._tell("ADDED", record)
        if not self._late:
            await self._tell_end()

    async def _tell_end(self) -> None:
        if not (self._options.initial and self._options.bookmarks) or isinstance(self._fault, NoBookmark):
            return
        value = self._fault.value if isinstance(self._fault, BookmarkWithoutEnd) else "true"
        await self._tell_bookmark(max(self._from, self._storage.revision if not self._orders else 0), value)

    async def _tell_until(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        due = self._bookmark_due(loop.time(), deadline)
        while True:
            while self._orders:
                await self._obey(self._orders.popleft())
            await self._flush()
            if self._orders:
                continue
            self._idle = True
            self._awake.clear()
            self._wire.ring()
            try:
                async with asyncio.timeout_at(min(due, deadline)):
                    await self._awake.wait()
            except TimeoutError:
                if loop.time() >= deadline:
                    raise _Over from None
                self._order(_Bookmark(self._storage.revision))
                due = self._bookmark_due(loop.time(), deadline)

    def _bookmark_due(self, now: float, deadline: float) -> float:
        beat, last = now + self._bookmark_interval, deadline - _BEFORE_THE_DEADLINE
        return last if now < last < beat else beat

    async def _obey(self, order: Change | _Bookmark | Fault) -> None:
        match order:
            case _Bookmark():
                if self._options.bookmarks and not isinstance(self._fault, NoBookmark) and order.revision >= self._from:
                    await self._tell_bookmark(order.revision)
            case Trickle():
                self._wire.trickle = order
            case Fault():
                self._fault = order
                self._events = 0
                await self._break_here()
            case _:
                if order.revision > self._from and (seen := as_seen(self._resource, order, self._options.selection)):
                    await self._tell(*seen)
                    if self._late:
                        self._late -= 1
                        if not self._late:
                            await self._tell_end()

    async def _tell_bookmark(self, revision: int, end: str | None = None) -> None:
        annotations = None if end is None else {_END: end}
        await self._hold(bookmark_line(self._resource, revision, annotations, metadata_only=self._shape.metadata_only))

    async def _tell(self, verb: Verb, record: Record) -> None:
        fault = self._fault
        if fault is None or self._events != getattr(fault, "after", -1):
            await self._hold(event_line(verb, self._shape.single(self._resource, record)))
        else:
            await self._tell_spoilt(verb, record, fault)
        self._events += 1
        if fault is not None:
            await self._break_here()

    async def _tell_spoilt(self, verb: Verb, record: Record, fault: Fault) -> None:
        if isinstance(fault, (MalformedObject, Oversized)):
            record = damaged(self._resource, record, fault)
        # Damaged metadata cannot be cut out of its object.
        shape = Shape() if isinstance(fault, MalformedObject) else self._shape
        line = event_line(verb, shape.single(self._resource, record))
        match fault:
            case CutMidObject():
                await self._hold(line[: len(line) // 2])
                await self._flush()
                await self._wire.hang_up()
            case Stall():
                await self._hold(line[: fault.bytes])
                await self._flush()
                await self._wire.hang()
            case _:
                await self._hold(line)

    async def _break_here(self) -> None:
        """Does what the fault does between two events, if this is the place."""
        fault = self._fault
        match fault:
            case Answer() if self._events == fault.after:
                await self._refuse(fault.refusal(self._wire.request, self._storage.revision))
            case Empty():
                raise _Over
            case Hangup() if self._events == (fault.after or 0):
                await self._flush()
                await self._wire.hang_up()
            case Stall(bytes=0) if self._events == fault.after:
                await self._flush()
                await self._wire.hang()
            case MalformedFrame() if self._events == fault.after:
                self._fault = None
                await self._hold(BROKEN_LINE)
            case _:
                pass

    async def _refuse(self, refusal: _status.Refusal) -> None:
        await self._hold(event_line("ERROR", dumps(refusal.as_status())))
        raise _Over

    async def _hold(self, line: bytes) -> None:
        self._held.append(line)
        self._held_bytes += len(line)
        if self._held_bytes >= PIECE:
            await self._flush()

    async def _flush(self) -> None:
        if self._held:
            piece = b"".join(self._held)
            self._held.clear()
            self._held_bytes = 0
            await self._wire.write(piece)


def as_seen(resource: Resource, change: Change, selection: Selection) -> tuple[Verb, Record] | None:
    """What a watch with this selection is told of a change.

    An object that enters the selection is ADDED; one that leaves it is DELETED, with the state in which it
    was last seen and the resourceVersion of the change.
    """
    if not selection.filters:
        return (change.verb, change.new) if selection.takes(change.new) else None
    after = change.verb != "DELETED" and selection.takes(change.new)
    before = change.old is not None and selection.takes(change.old)
    if after:
        return ("MODIFIED" if before else "ADDED"), change.new
    if not before or change.old is None:
        return None
    if change.verb == "DELETED":
        return "DELETED", change.new
    last = change.old.decode()
    last["metadata"]["resourceVersion"] = str(change.revision)
    body = encode_body(resource, last)
    return "DELETED", Record(change.old.namespace, change.old.name, change.old.uid, change.revision, body)


async def answer_watch(wire: Wire, watcher: Watcher, open_watchers: dict[Watcher, None]) -> web.StreamResponse:
    """Opens the stream and sees it through; raises Refusal before anything is sent."""
    unsubscribe = watcher.subscribe()
    try:
        await wire.begin(200, "application/json")
        open_watchers[watcher] = None
        wire.ring()
        await watcher.run()
        open_watchers.pop(watcher, None)
        return await wire.end()
    finally:
        unsubscribe()
        open_watchers.pop(watcher, None)
        wire.ring()
