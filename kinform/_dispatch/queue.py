"""The queue of changes that wait for a reader: bounded and in order.

It always has the newest change of each key. A resync passes objects again, but only while no change waits. Holds
records, never decoded objects.

Up to the bound every change is kept. If more changes wait, a new change is merged into the waiting change of the same
object. So in addition to the bound, at most two entries of a key wait: the deletion of an object, and the addition of
another one of the same name. Each `seal` permits two more.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Iterator
from typing import Literal

import msgspec

from kinform._dispatch.invoke import Handler
from kinform_ext._table import Change, Version

DEFAULT_QUEUE_BOUND = 1024
# Old versions that only waiting entries keep alive. If they take more, a new `Updated` entry gets no `old`.
MAX_PINNED_BYTES = 16 << 20

EntryKind = Literal["added", "updated", "deleted", "present", "synced", "void"]


class Entry(msgspec.Struct, gc=False, eq=False):
    """A waiting change.

    The garbage collector does not track entries (`gc=False`): many may wait, and a traversal would block the loop.

    Attributes:
        kind: The kind of change. `"present"` stands for all objects that existed when a handler was registered,
            `"void"` for an addition that a deletion has cancelled.
        only: The one handler that the entry is for; None: all.
        number: The position of the newest merged change in the order in which the queue got them.
        read: In a deletion that was merged with updates: the version before them, which the reader got.
    """

    kind: EntryKind
    key: str = ""
    new: Version | None = None
    old: Version | None = None
    synthetic: bool = False
    only: Handler | None = None
    present: Iterator[Version] | None = None
    number: int = 0
    read: Version | None = None

    @classmethod
    def of(cls, change: Change) -> Entry:
        kind: EntryKind = "deleted" if change.new is None else "added" if change.old is None else "updated"
        return cls(kind, change.key, change.new, change.old, synthetic=change.synthetic)


class Queue:
    """The waiting changes of one reader.

    Args:
        bound: Entries up to which nothing is merged.

    Attributes:
        depth: Entries that wait.
        pushed: Entries pushed so far.
        dropped_old: `Updated` entries whose old version was released.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._entries: deque[Entry] = deque()  # void entries included, until they are popped
        self._latest: dict[str, Entry] = {}
        self._pinned = 0
        self._closed = False
        self._waiters: list[asyncio.Future[None]] = []
        self._resync: Iterator[Version | None] | None = None
        self.depth = 0
        self.pushed = 0
        self.dropped_old = 0

    def push(self, entry: Entry) -> None:
        """Adds a change; in a full queue, merges it into one of the same object.

        After `close` it does nothing.
        """
        if self._closed:
            return
        self.pushed += 1
        entry.number = self.pushed
        waiting = self._latest.get(entry.key)
        if self.depth >= self._bound and waiting is not None:
            pinned = _pinned(waiting)
            if _merge(waiting, entry):
                self._pinned += _pinned(waiting) - pinned
                waiting.number = entry.number
                if waiting.kind == "void":
                    self._void(waiting)
                return
        if _pinned(entry) + self._pinned > MAX_PINNED_BYTES:
            entry.old = None
            self.dropped_old += 1
        self._pinned += _pinned(entry)
        self._entries.append(entry)
        self._latest[entry.key] = entry
        self.depth += 1
        self._wake()

    def _void(self, waiting: Entry) -> None:
        waiting.new = waiting.old = None
        del self._latest[waiting.key]
        self.depth -= 1
        if len(self._entries) > 2 * (self.depth + 1):
            self._entries = deque(entry for entry in self._entries if entry.kind != "void")

    def seal(self) -> None:
        """Merges no later change into the changes that wait now.

        For a new handler, which gets only later changes.
        """
        self._latest.clear()

    def resync(self, objects: Iterator[Version | None]) -> None:
        """Passes objects again, as updates of themselves, each time that no change waits.

        So a resync delays no change, and an object never comes in an older version than before. Has no effect while an
        earlier resync runs.

        Args:
            objects: The objects. None: no object can be passed now. Call `resume` when one can.
        """
        if self._resync is None and not self._closed:
            self._resync = objects
            self._wake()

    def resume(self) -> None:
        """Continues a resync that had to wait."""
        if self._resync is not None:
            self._wake()

    def open(self) -> None:
        """Takes changes again, after `close`."""
        self._closed = False

    def close(self) -> None:
        """Ends the queue and releases what waits."""
        self._closed = True
        self._entries.clear()
        self._latest.clear()
        self._pinned = self.depth = 0
        self._resync = None
        self._wake()

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed

    async def pop(self) -> Entry | None:
        """Waits for the oldest change and removes it; returns None after `close`.

        Without a change, returns the next object of a resync.
        """
        while (entry := self.pop_ready()) is None and not self._closed:
            await self.wait()
        return entry

    def pop_ready(self) -> Entry | None:
        """Removes the oldest change, or else takes the next object of a resync; or None."""
        while self._entries:
            entry = self._entries.popleft()
            if entry.kind == "void":
                continue
            self.depth -= 1
            if self._latest.get(entry.key) is entry:
                del self._latest[entry.key]
            self._pinned -= _pinned(entry)
            return entry
        return self._next_of_resync()

    def _next_of_resync(self) -> Entry | None:
        if self._resync is None:
            return None
        try:
            found = next(self._resync)
        except StopIteration:
            self._resync = None
            return None
        return None if found is None else Entry("updated", found.key, found, found, number=sys.maxsize)

    async def wait(self) -> None:
        """Waits for the next `push` or `close`. Several tasks may wait."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            self._waiters.remove(waiter)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


def _pinned(entry: Entry) -> int:
    version = entry.old if entry.kind == "updated" else entry.read
    return 0 if version is None else version.nbytes


def _merge(waiting: Entry, entry: Entry) -> bool:
    """Merges a change into a waiting one; returns False if they must stay apart."""
    if waiting.only is not entry.only or _uid(waiting) != _uid(entry):
        return False
    match waiting.kind, entry.kind:
        case (("added" | "updated"), "updated"):
            waiting.new = entry.new
        case "added", "deleted":
            waiting.kind = "void"
        case "updated", "deleted":
            waiting.kind, waiting.new, waiting.read = "deleted", None, waiting.old
            waiting.old, waiting.synthetic = entry.old, entry.synthetic
        case _:
            return False
    return True


def _uid(entry: Entry) -> str:
    found = entry.new if entry.new is not None else entry.old
    return found.uid if found is not None else ""
