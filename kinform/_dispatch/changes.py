"""The reader of `Informer.changes()`: the objects in the store, then each change.

Each object is decoded when the reader reaches it. Holds records that wait, never decoded objects. Knows nothing of
streams.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Generic

from kinform._decoding import T
from kinform._dispatch.event_decoder import EventDecoder
from kinform._dispatch.invoke import TimeSlice
from kinform._dispatch.queue import Entry, Queue
from kinform._events import Event
from kinform_ext._table import Version


class Changes(Generic[T]):
    """The async iterator that `Informer.changes` returns.

    Yields `Added`, `Synced`, `Updated` and `Deleted`.

    Attributes:
        queue: The changes that wait.
        allow_skipped: `Synced` does not wait for skipped objects.
        synced: True if `Synced` was queued or read.
    """

    def __init__(
        self,
        decoder: EventDecoder[T],
        queue: Queue,
        present: Iterator[Version],
        *,
        synced: bool,
        allow_skipped: bool,
        check: Callable[[], None],
        failure: Callable[[], Exception | None],
    ) -> None:
        self.queue = queue
        self.allow_skipped = allow_skipped
        self.synced = self._synced_pending = synced
        self._decoder = decoder
        self._present: Iterator[Version] | None = present
        self._check = check
        self._failure = failure
        self._time_slice = TimeSlice()

    def notify_synced(self) -> None:
        """Queues `Synced`, unless it was queued before."""
        if not self.synced:
            self.synced = True
            self.queue.push(Entry("synced"))

    def __aiter__(self) -> AsyncIterator[Event[T]]:
        return self

    async def __anext__(self) -> Event[T]:
        self._check()  # not started, or in another thread, it would wait forever
        while entry := await self._next():
            if event := self._decoder(entry):
                return event
        if failure := self._failure():
            raise failure.with_traceback(None)  # an error that is raised again and again would collect frames
        raise StopAsyncIteration

    async def _next(self) -> Entry | None:
        await self._time_slice.end()
        while True:
            if self._present is not None:
                if version := next(self._present, None):
                    return Entry("added", version.key, version)
                self._present = None
            if self._synced_pending:
                self._synced_pending = False
                return Entry("synced")
            entry = await self.queue.pop()
            if entry is None or entry.kind != "present":
                return entry
            self._present = entry.present

    async def aclose(self) -> None:
        """Ends the iteration; what waits is dropped."""
        self._present = None
        self.queue.close()
