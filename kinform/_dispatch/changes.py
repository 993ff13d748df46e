"""A reader's view of changes: the present state, then what happens, each object decoded as it is reached.

Holds records that wait, never decoded objects; knows nothing of streams.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

from kinform._dispatch.event_decoder import Event, EventDecoder
from kinform._dispatch.invoke import TimeSlice
from kinform._dispatch.queue import Entry, Queue
from kinform_ext._version import Version


class Changes:
    """What `Informer.changes` returns: an async iterator of `Added`, `Synced`, `Updated` and `Deleted`."""

    def __init__(
        self,
        retell: EventDecoder,
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
        self._time_slice = TimeSlice()

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
        await self._time_slice.end()
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
