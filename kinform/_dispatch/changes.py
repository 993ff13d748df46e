"""A reader's view of changes: the present state, then what happens, each object decoded as it is reached.

Holds records that wait, never decoded objects; knows nothing of streams.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec

from kinform._dispatch.invoke import Turn
from kinform._dispatch.queue import Entry, Queue
from kinform._errors import DecodeError
from kinform._events import Added, Deleted, Synced, Updated, decode
from kinform._throttled_log import SparingLog
from kinform_ext._version import Version

log = logging.getLogger("kinform.informer")

Event = Added | Updated | Deleted | Synced


class Retelling:
    """Turns what waits into what readers are told.

    Args:
        type: What objects are decoded to.
        name: What the objects are, for the log.

    Attributes:
        undecodable: Entries that could not be told, because an object did not fit the type.
    """

    def __init__(self, type: Any, name: str) -> None:
        self._decoder = msgspec.json.Decoder(type)
        self._name = name
        self._log = SparingLog(log)
        self.undecodable = 0

    def __call__(self, entry: Entry) -> Event | None:
        """The event; None, counted and logged, where the object cannot be decoded."""
        try:
            match entry.kind, entry.new, entry.old:
                case "synced", _, _:
                    return Synced()
                case "added", Version() as new, _:
                    return Added(entry.key, self._decode(new))
                case "updated", Version() as new, old:
                    return Updated(entry.key, self._decode(new), self._decode_old(old))
                case "deleted", _, Version() as old:
                    return Deleted(entry.key, self._decode(old), entry.synthetic)
        except DecodeError as error:
            self._untold(str(error))
        except Exception as error:  # a type's own code, such as `__post_init__`, may raise anything, and quote anything
            self._untold(f"{entry.key}: {type(error).__name__}")
        return None

    def _untold(self, why: str) -> None:
        self.undecodable += 1
        self._log.warning("undecodable", f"{self._name}: not told to readers: {why}")

    def _decode(self, found: Version) -> Any:
        return decode(self._decoder, found.key, found.raw())

    def _decode_old(self, old: Version | None) -> Any:
        try:
            return None if old is None else self._decode(old)
        except Exception:
            return None


class Changes:
    """What `Informer.changes` returns: an async iterator of `Added`, `Synced`, `Updated` and `Deleted`."""

    def __init__(
        self,
        retell: Retelling,
        queue: Queue,
        present: Iterator[Version],
        *,
        synced: bool,
        failure: Callable[[], Exception | None],
    ) -> None:
        self.queue = queue
        self._retell = retell
        self._present: Iterator[Version] | None = present
        self._owed_synced = synced
        self._failure = failure
        self._turn = Turn()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while entry := await self._next():
            if event := self._retell(entry):
                return event
        if failure := self._failure():
            raise failure.with_traceback(None)  # raised again and again it would gather frames
        raise StopAsyncIteration

    async def _next(self) -> Entry | None:
        await self._turn.end()
        while True:
            if self._present is not None:
                if found := next(self._present, None):
                    return Entry("added", found.key, found)
                self._present = None
            if self._owed_synced:
                self._owed_synced = False
                return Entry("synced")
            entry = await self.queue.pop()
            if entry is None or entry.kind != "present":
                return entry
            self._present = entry.present

    async def aclose(self) -> None:
        """No more is wanted."""
        self._present = None
        self.queue.close()
