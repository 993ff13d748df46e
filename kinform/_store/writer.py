"""The writing end of a store: applies the steps of streams.

Notifies a listener of each change. Several streams (one for each namespace, or one for all) fill one table. A new
state of a stream is staged next to the state that readers see. Its commit is the change of one number. An object whose
uid and resourceVersion did not change is only marked. A sweep notifies of what the commit changed and frees the old
records, in slices.
Source: kube-runtime's reflector and store.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from threading import get_ident
from typing import Any

from kinform._errors import KinformError, MemoryLimitError
from kinform._events import Applied, Init, InitDone, Skipped, Step
from kinform._heap import start_trim
from kinform._objects import Meta
from kinform._options import Transform
from kinform._paths.index_program import parse_indexes
from kinform._sharding import ShardSet
from kinform._stats import MemoryUsage
from kinform._store.contents import StoreContents
from kinform._store.expectations import EXPECT_SECONDS, Expected
from kinform._store.transformer import Transformer
from kinform._throttled_log import ThrottledLog
from kinform_ext._scan import Batch
from kinform_ext._table import CHANGES, KEYS, NOTHING, OWNERS, Change

log = logging.getLogger("kinform.store")

# Changes of a sweep between two yields to the event loop: about 0.5 ms, and no more than the handlers process in
# their time slice, so that few changes wait.
SWEEP_OBJECTS = 64
COMPACT_SECONDS = 2.0  # between two checks whether memory can go back to the system
COMPACT_BYTES = 256 << 10  # moved by compaction between two yields to the event loop


class Writer:
    """Fills a store.

    Pass it to `reflector`, which calls its methods. They are not public: only the attributes are. Use a writer on one
    thread only. Readers can be on any thread, and never see a half-written object. They see each object of a batch as a
    change of its own. They see a commit, which replaces the old complete state of a stream by a new one, as one change.

    Attributes:
        listener: A function that is called with each change, after readers can see the change.
        key_listener: A function that is called with the keys of all changes of a call, if there is no `listener`.
            Without a `listener`, kinform does not create the objects that describe changes, which saves time.
        owner_listener: A function that is called with the owners of the changed objects of a call, before and after
            their changes, such as `"ReplicaSet.apps/shop/web-1"`. The store must have an index of controllers.
        transform: A function that takes the pruned bytes of an object. It returns the bytes to store, or None to store
            nothing.
        transform_seconds: Seconds spent in `transform`.
        transform_errors: Objects that were stored without the transformation, because `transform` raised or returned
            something else.
        wire_bytes: Bytes of all objects received, as the server sent them.
        memory_limit: Largest `held_bytes` that is allowed; None: no limit.
        peak_bytes: The largest `held_bytes` while the last complete state came in.
    """

    def __init__(self, contents: StoreContents) -> None:
        self.contents = contents  # which the readers share
        self.listener: Callable[[Change], None] | None = None
        self.key_listener: Callable[[list[str]], None] | None = None
        self.owner_listener: Callable[[list[str]], None] | None = None
        self.wire_bytes = 0
        self.memory_limit: int | None = None
        self.peak_bytes = 0
        self._table = contents.table
        self._numbers: dict[str, int] = {}  # of streams, as the table knows them
        self._open: dict[str, object] = {}  # streams between begin and commit, with their owners
        self._unswept: set[str] = set()  # streams whose last commit or drop is not swept yet
        self._dropping: set[str] = set()  # streams whose drop is not finished
        self._incomplete: set[str] = set()  # open streams that skipped an object without a key
        self._transformer = Transformer(contents.name)
        self._writes = 0
        self._background_lock = asyncio.Lock()
        self._log = ThrottledLog(log)
        self._index_lock = asyncio.Lock()  # indexes are added and dropped one after another
        self._thread = 0  # the one that writes, as soon as one does

    async def write(self, stream: str, step: Step, owner: object = None) -> None:
        """Applies one step of a stream; yields to the event loop during a sweep.

        Args:
            stream: The namespace that the stream follows, `""` for all.
            step: The step that the stream received.
            owner: Whose state an `Init` starts: see `abort`.

        Raises:
            MemoryLimitError: The store takes more than `memory_limit`.
            KinformError: Another thread has written before.
        """
        self._check_thread()
        self.contents.turns.note_write()
        match step:
            case Init():
                self.begin(stream, owner)
            case Applied(batch, initial):
                self.apply(stream, batch, initial=initial)
                if not initial:
                    self.reached(stream, batch.last_resource_version)
            case Skipped():
                self.skip(stream, step)
            case InitDone(resource_version):
                self.commit(stream)
                self.reached(stream, resource_version)
                while self.sweep(stream):
                    await asyncio.sleep(0)

    def begin(self, stream: str, owner: object = None) -> None:
        """Starts a new state of a stream; discards one that was not committed."""
        while self.sweep(stream):
            pass
        if not self._open:
            self.peak_bytes = 0
        self._table.begin(self._number(stream))
        self._open[stream] = owner
        self._incomplete.discard(stream)

    def apply(self, stream: str, batch: Batch, *, initial: bool, keys: Container[str] | None = None) -> None:
        """Adds a batch to the staged state (`initial`), or to the state that readers see.

        Args:
            stream: The stream that received it.
            batch: The batch.
            initial: The batch belongs to a staged state.
            keys: Objects with other keys are ignored. None: all are added.

        Raises:
            MemoryLimitError: The store takes more than `memory_limit`.
        """
        self.wire_bytes += batch.wire_bytes
        self._writes += 1
        ignores = keys is not None and any(batch.key(i) not in keys for i in range(len(batch)))
        if self._transformer.function is None and not ignores:
            self._notify(self._table.apply(self._number(stream), batch, initial, self._listens))
        else:
            for i in range(len(batch)):
                if keys is None or batch.key(i) in keys:
                    self._apply_one(stream, batch, i, initial=initial)
        self._check_memory()

    def apply_to_streams(self, batch: Batch, streams: Collection[str], *, initial: bool) -> None:
        """Adds each object of a batch to the stream of its namespace, or drops it.

        Args:
            batch: The objects.
            streams: The namespaces that are streams. Objects of other namespaces are dropped.
            initial: As for `apply`.

        Raises:
            MemoryLimitError: The store takes more than `memory_limit`.
        """
        self._check_thread()
        self.contents.turns.note_write()
        self.wire_bytes += batch.wire_bytes
        self._writes += 1
        for i in range(len(batch)):
            namespace = batch.namespace(i)
            if namespace in streams:
                self._apply_one(namespace, batch, i, initial=initial)
        self._check_memory()

    def skip(self, stream: str, skipped: Skipped) -> None:
        """Records that an object was skipped: its old record stays and counts as stale.

        Without a key, any missing object may be the skipped one. So the staged state will delete nothing.
        """
        number = self._number(stream)
        if skipped.key is None:
            if skipped.initial and skipped.verb != "DELETED":
                self._incomplete.add(stream)
        elif skipped.verb == "DELETED":
            self._notify(self._table.delete(number, skipped.key, self._listens, skipped.initial))
        else:
            self._table.skip(number, skipped.key, skipped.initial)

    def heal(self, stream: str, key: str, batch: Batch | None) -> None:
        """Replaces an object that was skipped. The stream must not have a staged state.

        Args:
            stream: The stream that skipped it.
            key: Its key.
            batch: The newest version of the object alone; None if it does not exist any more.

        Raises:
            MemoryLimitError: The store takes more than `memory_limit`.
        """
        if batch is not None:
            self.apply(stream, batch, initial=False)
            return
        deleted = self._table.delete(self._number(stream), key, self._listens)
        if self.listener is not None and deleted:
            deleted = [Change(key, old=change.old, synthetic=True) for change in deleted]
        self._notify(deleted)

    def commit(self, stream: str) -> None:
        """Makes the staged state the one that readers see; `sweep` has to follow."""
        del self._open[stream]
        complete = stream not in self._incomplete
        if not complete:
            why = "a list skipped an object without a readable key; objects that are missing from the list stay"
            log.warning("%s: %s", self.contents.name, why)
        self._unswept.add(stream)
        self._table.commit(self._number(stream), complete)

    def retain(self, stream: str, shards: ShardSet) -> None:
        """Removes the objects of all other shards for readers; `sweep` has to follow.

        Discards a staged state of the stream.
        """
        while self.sweep(stream):
            pass
        self._table.begin(self._number(stream))
        self._table.retain(self._number(stream), shards.mask())
        self._open[stream] = None
        self._incomplete.discard(stream)
        self.contents.expectations.retain(stream, shards)
        self.commit(stream)

    def sweep(self, stream: str) -> bool:
        """Notifies of and frees one slice of what a commit changed.

        Returns:
            Whether more is left.
        """
        changes, more = self._table.sweep(self._number(stream), SWEEP_OBJECTS, self._listens)
        return self._finish_slice(stream, changes, more)

    def catch_up(self) -> None:
        """Finishes all sweeps and drops now: a new listener gets later changes only."""
        for stream in self._numbers:
            advance = self.drop if stream in self._dropping else self.sweep
            while advance(stream):
                pass

    def abort(self, stream: str, owner: object = None) -> None:
        """Discards the staged state of a stream, if this owner has started it."""
        if stream in self._open and self._open[stream] is owner:
            del self._open[stream]
            self._table.abort(self._number(stream))

    def drop(self, stream: str) -> bool:
        """Removes a stream's objects, a slice at a time.

        The first calls finish a running sweep. From the next call on, readers see none of the objects.

        Returns:
            Whether more is left to free and to notify of.
        """
        self._open.pop(stream, None)
        self.contents.expectations.discard(stream)
        self._unswept.add(stream)
        self._dropping.add(stream)
        changes, more = self._table.drop(self._number(stream), SWEEP_OBJECTS, self._listens)
        if not more:
            self._dropping.discard(stream)
        return self._finish_slice(stream, changes, more)

    # Own writes

    def expect(self, stream: str, batch: Batch, *, excluded: bool) -> None:
        """Lets readers see an own write until the stream has reached its resourceVersion.

        Listeners are not notified of it.

        Args:
            stream: The stream that will bring it.
            batch: The object alone, pruned, as the stream will bring it.
            excluded: Readers must not see an object under this key: the stream does not bring such objects.
        """
        self._check_thread()
        meta = Meta(batch.namespace(0), batch.name(0), batch.uid(0), batch.resource_version(0))
        raw = None if excluded else self._transformer.transform(meta.key, batch.raw(0))
        expected = Expected(meta, raw, stream, time.monotonic() + EXPECT_SECONDS)
        self.contents.expectations.add(self._table, expected)

    def reached(self, stream: str, resource_version: str) -> None:
        """Ends the expectations that a stream has reached: the table has its changes."""
        expectations = self.contents.expectations
        if expectations.entries:
            expectations.release(self._table, stream, resource_version)
            expectations.expire(time.monotonic())

    # Background

    async def run_background(self) -> None:
        """Returns free memory to the system each time that writing pauses.

        Runs until it is cancelled.
        """
        async with self._background_lock:  # a second caller continues when the first is cancelled
            seen = compacted = 0
            while True:
                await asyncio.sleep(COMPACT_SECONDS)
                paused, seen = seen == self._writes, self._writes
                if paused and compacted != seen:
                    compacted = seen
                    try:
                        while self._table.compact(COMPACT_BYTES):
                            await asyncio.sleep(0)
                    except Exception as error:  # the next pause may have enough memory
                        self._log.error("compaction", f"{self.contents.name}: compaction: {type(error).__name__}")
                    start_trim()

    @property
    def swept(self) -> bool:
        """True if all sweeps and drops are finished: the listener knows of each change."""
        return not self._unswept

    @property
    def idle(self) -> bool:
        """True if no new state is coming in, and all sweeps are finished."""
        return not self._open and not self._unswept

    # Indexes

    async def add_indexes(self, indexes: Mapping[str, str]) -> None:
        """Adds indexes, and returns when readers can use them.

        Yields to the event loop about each millisecond; writes go on meanwhile. A path that is indexed already costs
        nothing: its users share the index. If this raises or is cancelled, no index is added.

        Args:
            indexes: The path of each index, by any name: readers have their own names.

        Raises:
            OptionError: A name is empty, or a path is not valid, cannot lead to a value, or overlaps too much with
                others.
            MemoryLimitError: With the indexes, the store takes more than `memory_limit`.
            KinformError: Another thread has written before.
        """
        self._check_thread()
        paths = list(parse_indexes(indexes).values())
        async with self._index_lock:
            self.contents.indexes.add_users(paths)
            try:
                for _ in self.contents.indexes.update():
                    self._check_memory()
                    await asyncio.sleep(0)
                self._check_memory()
            except BaseException:
                self.contents.indexes.remove_users(paths)
                for _ in self.contents.indexes.update():
                    pass
                raise

    async def drop_indexes(self, indexes: Mapping[str, str]) -> None:
        """Drops indexes that `add_indexes` has added. Frees those without another user.

        Args:
            indexes: As for `add_indexes`.

        Raises:
            KinformError: Another thread has written before.
        """
        self._check_thread()
        self.contents.indexes.remove_users(parse_indexes(indexes).values())
        async with self._index_lock:
            for _ in self.contents.indexes.update():
                await asyncio.sleep(0)

    # Snapshots

    def numbers(self, streams: Iterable[str]) -> dict[str, int]:
        """Returns the table's numbers of these streams."""
        return {stream: self._number(stream) for stream in streams}

    async def adopt(self, loaded: StoreContents, numbers: Mapping[str, int]) -> None:
        """Takes over the contents of a snapshot, before the first write.

        Args:
            loaded: The contents that a snapshot was loaded into.
            numbers: The number of each stream in its table.
        """
        async with self._index_lock:
            loaded.indexes.follow(self.contents.indexes)  # they may have changed during the load
            for _ in loaded.indexes.update():
                await asyncio.sleep(0)
            self.contents.adopt(loaded)
        self._table = self.contents.table
        self._numbers = dict(numbers)
        self.peak_bytes = self.memory_usage().held_bytes

    def memory_usage(self) -> MemoryUsage:
        """Returns what the store takes now."""
        return self.contents.memory_usage()

    @property
    def _listens(self) -> int:
        """Flags for what the listeners take: `NOTHING`, `KEYS` or `CHANGES`, and `OWNERS`."""
        changes = CHANGES if self.listener is not None else KEYS if self.key_listener is not None else NOTHING
        return changes if self.owner_listener is None else changes | OWNERS

    def _number(self, stream: str) -> int:
        return self._numbers.setdefault(stream, len(self._numbers))

    def _check_thread(self) -> None:
        self._thread = self._thread or get_ident()
        if self._thread != get_ident():
            raise KinformError(f"{self.contents.name}: this thread is not the one that wrote first: write in that one")

    def _check_memory(self) -> None:
        if self.memory_limit is None and not self._open:
            return
        usage = self.contents.memory_usage()
        if self._open:
            self.peak_bytes = max(self.peak_bytes, usage.held_bytes)
        if self.memory_limit is not None and usage.held_bytes > self.memory_limit:
            raise MemoryLimitError(
                self.contents.name,
                self._table.stats()["records"],
                usage.held_bytes,
                usage.pruned_bytes,
                self.memory_limit,
            )

    def _finish_slice(self, stream: str, changes: list[Any], more: bool) -> bool:
        self._writes += 1
        self._notify(changes)
        if not more:
            self._unswept.discard(stream)
        return more

    def _notify(self, changes: list[Any] | None) -> None:
        if self.owner_listener is not None and (owners := self._table.take_owners()):
            self.owner_listener(owners)
        if not changes:
            return
        if self.listener is not None:
            for change in changes:
                self.listener(change)
        elif self.key_listener is not None:
            self.key_listener(changes)

    # Transforms

    @property
    def transform(self) -> Transform | None:
        """The transform, or None."""
        return self._transformer.function

    @transform.setter
    def transform(self, function: Transform | None) -> None:
        self._transformer.function = function

    @property
    def transform_seconds(self) -> float:
        """Seconds spent in `transform`."""
        return self._transformer.seconds

    @property
    def transform_errors(self) -> int:
        """Objects that were stored without the transformation."""
        return self._transformer.errors

    def _apply_one(self, stream: str, batch: Batch, i: int, *, initial: bool) -> None:
        key, number, listens = batch.key(i), self._number(stream), self._listens
        raw = self._transformer.transform(key, batch.raw(i))
        meta = batch.namespace(i), batch.name(i), batch.uid(i), batch.resource_version(i)
        if batch.verb(i) == "DELETED":
            if not initial:
                if not self._contains(key, batch.uid(i)):
                    return
                if raw is not None:  # listeners get the last state of the object
                    self._table.put(number, *meta, raw, False, listens & OWNERS)
            self._notify(self._table.delete(number, key, listens, initial))
        elif raw is None:
            self._notify(self._table.delete(number, key, listens, initial))
        else:
            self._notify(self._table.put(number, *meta, raw, initial, listens))

    def _contains(self, key: str, uid: str) -> bool:
        meta = self._table.meta(key)
        return meta is not None and (not uid or not meta[2] or meta[2] == uid)
