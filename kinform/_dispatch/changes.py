"""The reader of `Informer.changes()`: the objects in the store, then each change.

Each object is decoded when the reader reaches it. Holds records that wait, and those of `Kept`, never decoded
objects. Knows nothing of streams.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Generic

from kinform._decoding import T
from kinform._dispatch.event_decoder import EventDecoder, Kept
from kinform._dispatch.invoke import TimeSlice
from kinform._dispatch.queue import Entry, Queue
from kinform._events import Change
from kinform_ext._table import Version


class Changes(Generic[T]):
    """The async iterator that `Informer.changes` returns.

    Yields `Change[T]`: `Added`, `Synced`, `Updated` and `Deleted`.
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
        self.queue = queue  # the changes that wait
        self.allow_skipped = allow_skipped  # `Synced` does not wait for skipped objects
        self.synced = self._synced_pending = synced  # True if `Synced` was queued or read
        self._decoder = decoder
        self._present: Iterator[Version] | None = present
        self._check = check
        self._failure = failure
        self._kept: Kept = {}
        self._time_slice = TimeSlice()

    def notify_synced(self) -> None:
        """Queues `Synced`, unless it was queued before."""
        if not self.synced:
            self.synced = True
            self.queue.push(Entry("synced"))

    def __aiter__(self) -> AsyncIterator[Change[T]]:
        return self

    async def __anext__(self) -> Change[T]:
        while entries := await self.take(1):
            if event := self.decode(entries[0]):
                return event
        raise StopAsyncIteration

    async def take(self, most: int) -> list[Entry]:
        """Waits for the next change, and removes it with others that wait already.

        Removes nothing if it is cancelled.

        Args:
            most: Largest number of changes.

        Returns:
            The changes, for `decode`. An empty list is the end of the iteration.

        Raises:
            KinformError: As in the iteration.
        """
        self._check()  # not started, or in another thread, it would wait forever
        await self._time_slice.end()
        while (entry := self._pop_ready()) is None:
            if self.queue.closed:
                self._kept.clear()
                if failure := self._failure():
                    raise failure.with_traceback(None)  # an error that is raised again and again would collect frames
                return []
            await self.queue.wait()
        entries = [entry]
        while len(entries) < most and (entry := self._pop_ready()) is not None:
            entries.append(entry)
        return entries

    def decode(self, entry: Entry) -> Change[T] | None:
        """Returns the event, or None for an object that cannot be decoded.

        Call it in the order of the changes, from any thread, but not from two at once.
        """
        return self._decoder(entry, self._kept)

    def _pop_ready(self) -> Entry | None:
        while True:
            if self._present is not None:
                if version := next(self._present, None):
                    return Entry("added", version.key, version)
                self._present = None
            if self._synced_pending:
                self._synced_pending = False
                return Entry("synced")
            entry = self.queue.pop_ready()
            if entry is None or entry.kind != "present":
                return entry
            self._present = entry.present

    def close(self) -> None:
        """Ends the iteration; what waits is dropped."""
        self._present = None
        self._synced_pending = False
        self.queue.close()

    async def aclose(self) -> None:
        """Ends the iteration; what waits is dropped.

        An iterator to which nothing refers is released without it.
        """
        self.close()
