"""Changes on their way to a reader who may be slow: bounded, in order, the newest of each key never lost.

Holds records, never decoded objects. Up to the bound every change is kept; beyond it a change is merged into
the one of the same object that is still waiting. So at most two entries a key wait beyond the bound: that an
object went, and that another of the same name came.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Literal

import msgspec

from kinform._dispatch.invoke import Handler
from kinform_ext._version import Change, Version

QUEUE_BOUND = 1024
# Old versions that only a waiting `Updated` keeps alive; beyond it `old` is let go.
PINNED_BYTES = 16 << 20

Kind = Literal["added", "updated", "deleted", "present", "synced", "void"]


class Entry(msgspec.Struct, gc=False, eq=False):
    """One waiting change. `only` names the one handler that it is for, where it is not for all.

    `number` is that of the newest change in it, by the order in which they came to the queue. One of kind
    "present" stands for all that was there when a handler came.
    Python's collector is spared it: many may wait, and to look at them all would hold the loop.
    """

    kind: Kind
    key: str = ""
    new: Version | None = None
    old: Version | None = None
    synthetic: bool = False
    only: Handler | None = None
    present: Iterator[Version] | None = None
    number: int = 0

    @classmethod
    def of(cls, change: Change) -> Entry:
        kind: Kind = "deleted" if change.new is None else "added" if change.old is None else "updated"
        return cls(kind, change.key, change.new, change.old, synthetic=change.synthetic)


class Queue:
    """One reader's waiting changes.

    Args:
        bound: Entries up to which nothing is merged.

    Attributes:
        depth: Entries that wait.
        pushed: Entries that came so far.
        dropped_old: `Updated`s whose old version was let go.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._entries: deque[Entry] = deque()  # with those that came to nothing, until their turn
        self._latest: dict[str, Entry] = {}
        self._pinned = 0
        self._closed = False
        self._waiting: asyncio.Future[None] | None = None
        self.depth = 0
        self.pushed = 0
        self.dropped_old = 0

    def push(self, entry: Entry) -> None:
        """Adds a change, merged into an earlier one of the same object if the queue is full; none after `close`."""
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
        if _pinned(entry) + self._pinned > PINNED_BYTES:
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

    def close(self) -> None:
        """No more will come; what waits is let go."""
        self._closed = True
        self._entries.clear()
        self._latest.clear()
        self._pinned = self.depth = 0
        self._wake()

    async def pop(self) -> Entry | None:
        """The oldest change, once there is one; None after `close`."""
        while True:
            while self._entries:
                entry = self._entries.popleft()
                if entry.kind == "void":
                    continue
                self.depth -= 1
                if self._latest.get(entry.key) is entry:
                    del self._latest[entry.key]
                self._pinned -= _pinned(entry)
                return entry
            if self._closed:
                return None
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def _pinned(entry: Entry) -> int:
    return entry.old.nbytes if entry.kind == "updated" and entry.old is not None else 0


def _merge(waiting: Entry, entry: Entry) -> bool:
    """Merges a change into one of the same object that still waits; False where they do not belong together."""
    if waiting.only is not entry.only or _uid(waiting) != _uid(entry):
        return False
    match waiting.kind, entry.kind:
        case (("added" | "updated"), "updated"):
            waiting.new = entry.new
        case "added", "deleted":
            waiting.kind = "void"
        case "updated", "deleted":
            waiting.kind, waiting.new, waiting.old, waiting.synthetic = "deleted", None, entry.old, entry.synthetic
        case _:
            return False
    return True


def _uid(entry: Entry) -> str:
    found = entry.new if entry.new is not None else entry.old
    return found.uid if found is not None else ""
