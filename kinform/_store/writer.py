"""The writing end of a store: takes what streams bring, and tells what changed.

Several streams (one a namespace, or one for all) fill one table. A stream's new state is staged beside the one that
is read, and takes its place by the change of one number; an object whose uid and resourceVersion did not change is
only marked. What a new state changed is told and freed afterwards, in slices.
Source: kube-runtime's reflector and store.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from kinform._errors import MemoryLimitError
from kinform._listwatch.frames import Skip
from kinform._options import Transform
from kinform._stats import MemoryUsage
from kinform._store.contents import StoreContents
from kinform._worker_thread import in_thread, trim_heap
from kinform_ext._batch import Batch
from kinform_ext._version import Change

log = logging.getLogger("kinform.store")

# Changes told between two turns of the loop: about half a millisecond's worth, and no more than handlers take in
# theirs, so that few of them wait.
SWEEP = 64
# Seconds between two looks at what could be given back, and bytes moved for that between two turns of the loop.
TIDY_SECONDS = 2.0
TIDY_BYTES = 256 << 10


class Writer:
    """Fills a store. All calls are made from one thread; each is atomic for readers on any thread.

    Attributes:
        listener: Called with each change after readers can see it; where it is None no change is made up.
        transform: Replaces an object's pruned bytes before they are stored, or leaves it out by None.
        transform_seconds: Time spent in `transform`.
        wire_bytes: Bytes of the objects that came, as sent.
        memory_limit: Bytes that the store may take; None: no limit.
        peak_bytes: The most that was held while the last complete state came in.
        contents: What it fills.
    """

    def __init__(self, contents: StoreContents) -> None:
        self.contents = contents
        self._table = contents.table
        self._numbers: dict[str, int] = {}
        self._begun: dict[str, object] = {}
        self._unswept: set[str] = set()
        self._stills = 0
        self._keyless: set[str] = set()
        self._background_lock = asyncio.Lock()
        self.listener: Callable[[Change], None] | None = None
        self.transform: Transform | None = None
        self.transform_seconds = 0.0
        self.wire_bytes = 0
        self.memory_limit: int | None = None
        self.peak_bytes = 0
        self._writes = 0

    def begin(self, stream: str, owner: object = None) -> None:
        """A new state of this stream begins; one that was begun and not committed leaves no trace."""
        while self.sweep(stream):
            pass
        if not self._begun:
            self.peak_bytes = 0
        self._table.begin(self._number(stream))
        self._begun[stream] = owner
        self._keyless.discard(stream)
        self.contents.codec.paused = True

    def apply(self, stream: str, batch: Batch, *, initial: bool) -> None:
        """Takes a batch whole, into the state that was begun (`initial`) or into what readers see.

        Raises:
            MemoryLimitError: The store takes more than `memory_limit`.
        """
        self.wire_bytes += batch.wire_bytes
        self._writes += 1
        if self.transform is None:
            self._notify(self._table.apply(self._number(stream), batch, initial, self._listens))
        else:
            for i in range(len(batch)):
                self._take(stream, batch, i, initial=initial)
        self._check_memory()

    def skip(self, stream: str, skip: Skip, *, initial: bool) -> None:
        """Takes note of an object that was left out: its old record stays, and counts as stale.

        Where its key is unknown, the state in hand deletes nothing: any object that is missing may be the one.
        """
        number = self._number(stream)
        if skip.key is None:
            if initial and skip.verb != "DELETED":
                self._keyless.add(stream)
        elif skip.verb == "DELETED":
            self._notify(self._table.delete(number, skip.key, self._listens, initial))
        else:
            self._table.skip(number, skip.key, initial)

    def commit(self, stream: str) -> None:
        """The state is complete: readers see it from here on. What it changed is told by `sweep`."""
        del self._begun[stream]
        if stream in self._keyless:
            why = "an object without a known key was left out of a list: what is missing from it stays"
            log.warning("%s: %s", self.contents.name, why)
        self._unswept.add(stream)
        self._table.commit(self._number(stream), stream not in self._keyless)

    def sweep(self, stream: str) -> bool:
        """Tells and frees a slice of what a commit changed; whether there is more."""
        changes, more = self._table.sweep(self._number(stream), SWEEP, self._listens)
        return self._finish_slice(stream, changes, more)

    def catch_up(self) -> None:
        """Tells at once what commits changed and was not told yet: who begins to listen now is to hear none of it."""
        for stream in self._numbers:
            while self.sweep(stream):
                pass

    def abort(self, stream: str, owner: object = None) -> None:
        """The state that was begun will not be completed; one that another owner has begun since then goes on."""
        if stream in self._begun and self._begun[stream] is owner:
            del self._begun[stream]
            self._table.abort(self._number(stream))
            self._update_pause()

    def drop(self, stream: str) -> bool:
        """The stream is no longer followed: readers see none of its objects from the first call on.

        Returns:
            Whether there is more to free and to tell.
        """
        self._begun.pop(stream, None)
        self._unswept.add(stream)
        changes, more = self._table.drop(self._number(stream), SWEEP, self._listens)
        return self._finish_slice(stream, changes, more)

    async def run_background(self) -> None:
        """Compresses better what was written, in the background, until cancelled."""
        async with self._background_lock:  # who comes second takes over when the first is cancelled
            tidying = asyncio.create_task(self._tidy(), name=f"kinform tidying of {self.contents.name}")
            try:
                await self.contents.codec.run()
            finally:
                tidying.cancel()
                await asyncio.gather(tidying, return_exceptions=True)

    async def _tidy(self) -> None:
        """Gives back to the system what is free, whenever writing has paused."""
        seen = tidied = 0
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            quiet, seen = seen == self._writes, self._writes
            if quiet and tidied != seen:
                tidied = seen
                while self._table.compact(TIDY_BYTES):
                    await asyncio.sleep(0)
                await in_thread(trim_heap)

    async def drain(self) -> None:
        """Waits until the background has nothing left to do."""
        await self.contents.codec.drain()

    @property
    def idle(self) -> bool:
        """Whether no new state is coming in, and all that the last ones changed was told."""
        return not self._begun and not self._unswept

    def numbers(self, streams: Iterable[str]) -> dict[str, int]:
        """The numbers that streams go by in the table."""
        return {stream: self._number(stream) for stream in streams}

    @contextmanager
    def recoding_paused(self) -> Iterator[StoreContents]:
        """Within it nothing is coded anew, so that the codec's state tells how to read all that is held now."""
        self._stills += 1
        self._update_pause()
        try:
            yield self.contents
        finally:
            self._stills -= 1
            self._update_pause()

    def adopt(self, contents: StoreContents, numbers: Mapping[str, int]) -> None:
        """Fills these from here on, where streams go by these numbers. Before anything was written."""
        self.contents = contents
        self._table = contents.table
        self._numbers = dict(numbers)
        self.peak_bytes = self.held().held_bytes

    def held(self) -> MemoryUsage:
        """What the store takes now."""
        return self.contents.memory()

    @property
    def _listens(self) -> bool:
        return self.listener is not None

    def _number(self, stream: str) -> int:
        return self._numbers.setdefault(stream, len(self._numbers))

    def _update_pause(self) -> None:
        self.contents.codec.paused = bool(self._begun or self._stills)

    def _check_memory(self) -> None:
        if self.memory_limit is None and not self._begun:
            return
        held = self.contents.memory()
        if self._begun:
            self.peak_bytes = max(self.peak_bytes, held.held_bytes)
        if self.memory_limit is not None and held.held_bytes > self.memory_limit:
            raise MemoryLimitError(
                self.contents.name,
                self._table.stats()["records"],
                held.held_bytes,
                held.pruned_bytes,
                self.memory_limit,
            )

    def _finish_slice(self, stream: str, changes: list[Change], more: bool) -> bool:
        """A slice of a sweep or a drop was freed; whether there is more."""
        self._writes += 1
        self._notify(changes)
        if not more:
            self._unswept.discard(stream)
            self._update_pause()
        return more

    def _notify(self, changes: list[Change] | None) -> None:
        if self.listener is not None:
            for change in changes or ():
                self.listener(change)

    def _take(self, stream: str, batch: Batch, i: int, *, initial: bool) -> None:
        """Takes one object of a batch, transformed."""
        key, number, listens = batch.key(i), self._number(stream), self._listens
        raw = self._transformed(key, batch.raw(i))
        meta = batch.namespace(i), batch.name(i), batch.uid(i), batch.resource_version(i)
        if batch.verb(i) == "DELETED":
            if not initial:
                if not self._holds(key, batch.uid(i)):
                    return
                if raw is not None:  # the state it died in is what is told
                    self._table.put(number, *meta, raw, False, False)
            self._notify(self._table.delete(number, key, listens, initial))
        elif raw is None:
            self._notify(self._table.delete(number, key, listens, initial))
        else:
            self._notify(self._table.put(number, *meta, raw, initial, listens))

    def _transformed(self, key: str, raw: bytes) -> bytes | None:
        assert self.transform is not None
        begun = time.perf_counter()
        try:
            return self.transform(raw)
        except Exception as error:
            # Its message may quote the object.
            log.error("%s: transform raised %s; the object is kept untransformed", key, type(error).__name__)
            return raw
        finally:
            self.transform_seconds += time.perf_counter() - begun

    def _holds(self, key: str, uid: str) -> bool:
        meta = self._table.meta(key)
        return meta is not None and (not uid or not meta[2] or meta[2] == uid)
