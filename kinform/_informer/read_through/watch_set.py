"""The watches of a cache: which keys they follow, and with how many connections.

Reads of the same moment share a watch, and a background task replaces many watches by one: both only for namespaces,
because no other resource has a label with the name of its objects. Each key has at most one watch.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import msgspec

from kinform._informer.read_through.answers import AnswerCache
from kinform._informer.read_through.names_watch import (
    MAX_NAMES_SIZE,
    NAMESPACES,
    End,
    NamesWatch,
    is_label_value,
    name_size,
)
from kinform._informer.read_through.request_turns import RequestTurns
from kinform._options import Resource
from kinform._printable import listed
from kinform._resource_versions import is_newer
from kinform._spec import CollectionSpec
from kinform._throttled_log import ThrottledLog
from kinform._transport.base import Transport
from kinform_ext._scan import Batch

MANY_WATCHES = 5  # are worth a request for one that replaces them
MERGE_SECONDS = 1.0  # from the watch that makes them many until their merge: more reads may follow
MAX_RETRY_SECONDS = 600.0  # after failures of watches of several names, which double the time from the last to the next


class _Gathering:
    """Keys whose watch is about to start."""

    def __init__(self, resource: Resource, key: str) -> None:
        self.keys = [key]
        self.watch: asyncio.Task[NamesWatch | None]
        self._resource = resource
        self._size = name_size(key)

    def __str__(self) -> str:
        return f"watch {self._resource} {listed(self.keys)}"

    def add(self, key: str) -> bool:
        """Adds a key, if there is room for it in a request."""
        if self._size + name_size(key) > MAX_NAMES_SIZE:
            return False
        self.keys.append(key)
        self._size += name_size(key)
        return True


class WatchSet:
    """Follows the objects of a cache.

    Args:
        transport: The transport to the cluster.
        spec: The collection.
        cache: The answers, which the watches keep current.
        turns: The turns of requests.
        max_watches: The most watches, with one that is about to replace others.
        ttl: Seconds after the last read of a key for which it is followed.
        throttled_log: The log of all watches.

    Attributes:
        requests: Number of watches that began with their objects.
    """

    def __init__(
        self,
        transport: Transport,
        spec: CollectionSpec,
        cache: AnswerCache,
        turns: RequestTurns,
        *,
        max_watches: int,
        ttl: float,
        throttled_log: ThrottledLog,
    ) -> None:
        self._transport = transport
        self._spec = spec
        self._cache = cache
        self._turns = turns
        self._max_watches = max_watches
        self._ttl = ttl
        self._log = throttled_log
        self.requests = 0
        self._watches: dict[NamesWatch, None] = {}
        self._by_key: dict[str, NamesWatch] = {}
        self._begins_with_state = True
        self._tasks: set[asyncio.Task[NamesWatch | None]] = set()  # each starts a watch
        # The rest is for namespaces only.
        self._by_label = spec.resource == NAMESPACES
        self._gathering: _Gathering | None = None
        self._waiting: dict[str, None] = {}  # keys with objects, which found no place
        self._merge_wanted = asyncio.Event()
        self._merging: NamesWatch | None = None
        self._retry_seconds = 0.0
        self._retry_at = float("-inf")

    def __len__(self) -> int:
        return len(self._watches) + (self._merging is not None)

    def __contains__(self, key: str) -> bool:
        """Returns whether a key is followed."""
        return key in self._by_key

    def current_at(self, key: str) -> float:
        """Returns the last time at which the watch of a key had all changes.

        Minus infinity without a watch.
        """
        watch = self._by_key.get(key)
        return float("-inf") if watch is None else watch.current_at

    def note_read(self, key: str, now: float) -> None:
        """Notes that a key is in use."""
        if (watch := self._by_key.get(key)) is not None:
            watch.keys[key] = now

    # Starts

    async def begin(self, key: str, deadline: float) -> NamesWatch | None:
        """Follows a key by a watch that begins with its object.

        Returns when the first state has come in, or does not come. Keys of concurrent calls can share a watch.

        Args:
            key: The key.
            deadline: The time until which the caller needs an answer.

        Returns:
            The watch; None without one.

        Raises:
            StalledError: The request has to wait too long.
        """
        if not self._max_watches or not self._begins_with_state or key in self._by_key:
            return None
        batched = self._can_batch(key) and time.monotonic() >= self._retry_at
        gathering = self._gathering if batched else None
        if gathering is None or not gathering.add(key):
            gathering = _Gathering(self._spec.resource, key)
            gathering.watch = asyncio.create_task(
                self._begin(gathering, deadline), name=f"kinform start of a watch of {self._spec.name()}"
            )
            self._tasks.add(gathering.watch)
            gathering.watch.add_done_callback(self._tasks.discard)
            if batched:
                self._gathering = gathering
        await asyncio.wait([gathering.watch])  # a reader that is cancelled leaves it to the others
        return gathering.watch.result()

    async def _begin(self, gathering: _Gathering, deadline: float) -> NamesWatch | None:
        try:
            async with self._turns.turn(gathering, deadline):
                self._close(gathering)
                keys = [key for key in gathering.keys if key not in self._by_key]
                if not keys or not self._make_place():
                    return None
                self.requests += 1
                watch = self._start(keys, "")
                # The rest of the time is for a LIST.
                await asyncio.wait([watch.first_state], timeout=(deadline - time.monotonic()) / 2)
                if not watch.first_state.done():
                    # Some servers ignore the parameters of WatchList, and send no end of the state.
                    self._begins_with_state = False
                if watch.by_label:
                    self._note_outcome(worked=watch.has_state and bool(watch.keys))
                if not watch.has_state or not any(map(self._cache.has_object, watch.keys)):
                    self._stop(watch)  # there is nothing to follow
                self._want_merge()
                return watch
        finally:
            self._close(gathering)

    def _close(self, gathering: _Gathering) -> None:
        if self._gathering is gathering:
            self._gathering = None

    def follow(self, key: str, resource_version: str) -> None:
        """Follows a key from the resourceVersion of its answer.

        Has no effect if there are `max_watches` in use; then a namespace waits for a shared watch.
        """
        if self._make_place():
            self._start([key], resource_version)
        elif self._max_watches and self._can_batch(key):
            self._waiting[key] = None
        self._want_merge()

    def _make_place(self) -> bool:
        if len(self) < self._max_watches:
            return True
        oldest = min(self._watches, key=lambda watch: watch.last_read, default=None)
        if oldest is None or oldest.last_read >= time.monotonic() - self._ttl:
            return False
        self._stop(oldest)
        return True

    def _start(self, keys: list[str], resource_version: str) -> NamesWatch:
        watch = self._new(keys, resource_version)
        self._watches[watch] = None
        for key in keys:
            self._waiting.pop(key, None)
            self._by_key[key] = watch
        return watch

    def _new(self, keys: list[str], resource_version: str, *, spec: CollectionSpec | None = None) -> NamesWatch:
        return NamesWatch(
            self._transport,
            self._spec if spec is None else spec,
            keys,
            resource_version,
            throttled_log=self._log,
            on_events=self._apply,
            on_state=self._replace,
            on_end=self._ended,
        )

    # Ends

    def release(self, key: str, *, lost: bool = False) -> None:
        """Stops following a key.

        Args:
            key: The key. It need not be followed.
            lost: The next read has to fetch the object: a change may have been missed.
        """
        self._waiting.pop(key, None)
        watch = self._by_key.pop(key, None)
        if watch is None:
            return
        del watch.keys[key]
        if not watch.keys:
            self._watches.pop(watch, None)
            watch.stop()
        if self._cache.current_at(key) is not None:  # it may be evicted
            self._cache.confirm(key, watch.current_at)
            if lost:
                self._cache.limit(key, time.monotonic() - self._ttl)

    def _stop(self, watch: NamesWatch) -> None:
        self._release_all(list(watch.keys))

    def tidy(self, now: float) -> None:
        """Releases the keys that were not read for the ttl."""
        for watch in list(self._watches):
            self._release_all([key for key, read in watch.keys.items() if read < now - self._ttl])

    def stop(self) -> list[asyncio.Task[None] | asyncio.Task[NamesWatch | None]]:
        """Ends all watches. Returns the tasks to wait for."""
        for task in self._tasks:
            task.cancel()
        watches = [*self._watches, *([self._merging] if self._merging is not None else [])]
        return [*self._tasks, *(watch.stop() for watch in watches)]

    def _ended(self, watch: NamesWatch, end: End) -> None:
        if watch in self._watches:
            self._release_all(list(watch.keys), lost=end == "lost")

    # Changes

    def _apply(self, watch: NamesWatch, batch: Batch) -> None:
        if watch not in self._watches:
            return  # it was stopped in the middle of a chunk
        if watch.by_label:
            # The server also says so of an object that has lost the label: only a request for it proves its deletion.
            deleted = {batch.key(i) for i in range(len(batch)) if batch.verb(i) == "DELETED"}
            self._release_all([key for key in watch.keys if key in deleted], lost=True)
        self._release_all(self._cache.apply(batch, watch.keys))

    def _replace(self, watch: NamesWatch, batches: list[Batch], resource_version: str) -> None:
        if watch is self._merging:
            self._take_over(watch, batches, resource_version)
            return
        if watch not in self._watches:
            return
        if watch.by_label:
            found = {batch.key(i) for batch in batches for i in range(len(batch))}
            self._release_all([key for key in watch.keys if key not in found], lost=True)
        self._put(watch, batches)

    def _put(self, watch: NamesWatch, batches: list[Batch]) -> None:
        """Replaces the answers for all keys of a watch by a state."""
        keys = sorted(watch.keys, key=watch.keys.__getitem__)  # in the order of their reads
        # The state is as old as its request, whose time is not known: it counts as no younger than the watch or before.
        current = {key: max(watch.started, watch.current_at, self._cache.current_at(key) or 0.0) for key in keys}
        self._release_all(self._cache.put(current, batches))

    def _release_all(self, keys: Iterable[str], *, lost: bool = False) -> None:
        for key in keys:
            self.release(key, lost=lost)

    # Watches of several names

    def stop_batching(self) -> None:
        """Handles that objects of this server lack the label.

        From now on, each new watch follows one object.
        """
        self._by_label = False
        self._waiting.clear()

    async def merge(self) -> None:
        """Replaces many watches by one, each time that there are many."""
        while self._by_label:
            await self._merge_wanted.wait()
            await asyncio.sleep(max(MERGE_SECONDS, self._retry_at - time.monotonic()))
            self._merge_wanted.clear()
            if self._by_label and (keys := self._keys_to_merge()):
                before = len(self._watches) + len(self._waiting)
                await self._merge(keys)
                self._note_outcome(worked=len(self._watches) + len(self._waiting) < before)
                self._want_merge()

    def _can_batch(self, key: str) -> bool:
        return self._by_label and is_label_value(key)

    def _want_merge(self) -> None:
        if self._by_label and (len(self._watches) >= MANY_WATCHES or self._waiting):
            self._merge_wanted.set()

    def _note_outcome(self, *, worked: bool) -> None:
        """Notes whether a watch of several names started. If not, the next one waits."""
        self._retry_seconds = 0.0 if worked else min(max(MERGE_SECONDS, 2 * self._retry_seconds), MAX_RETRY_SECONDS)
        self._retry_at = time.monotonic() + self._retry_seconds

    def _keys_to_merge(self) -> list[str]:
        """Returns the keys for a new watch, or an empty list if it would be no gain.

        They are those of the smallest watches, and then those without a watch.
        """
        self.tidy(time.monotonic())
        keys: list[str] = []
        size = merged = 0
        for watch in sorted(self._watches, key=lambda watch: len(watch.keys)):
            if watch.has_state and all(map(is_label_value, watch.keys)):
                size += sum(map(name_size, watch.keys))
                if size > MAX_NAMES_SIZE:
                    break
                keys += watch.keys
                merged += 1
        self._waiting = {key: None for key in self._waiting if self._cache.has_object(key)}
        followed = len(keys)
        size = sum(map(name_size, keys))
        for key in self._waiting:
            size += name_size(key)
            if size > MAX_NAMES_SIZE:
                break
            keys.append(key)
        has_place = followed > 0 or len(self._watches) < self._max_watches
        return keys if merged >= MANY_WATCHES or (has_place and len(keys) > followed) else []

    async def _merge(self, keys: list[str]) -> None:
        """Starts a watch that takes keys over with its first state."""
        if not self._make_place():
            smallest = min(map(self._by_key.__getitem__, filter(self._by_key.__contains__, keys)), key=_size)
            left = list(smallest.keys)
            self._stop(smallest)
            self._waiting |= dict.fromkeys(left)
        spec = self._spec
        if not self._begins_with_state:
            spec = msgspec.structs.replace(spec, options=msgspec.structs.replace(spec.options, initial="list"))
        watch = self._merging = self._new(keys, "", spec=spec)
        try:
            await asyncio.wait([watch.first_state], timeout=spec.options.headers_timeout)
        finally:
            if watch is self._merging:
                self._merging = None
                watch.stop()

    def _take_over(self, watch: NamesWatch, batches: list[Batch], resource_version: str) -> None:
        """Moves the keys that a first state has from their watches to the new one."""
        self._merging = None
        found = {batch.key(i): batch.resource_version(i) for batch in batches for i in range(len(batch))}
        moved = {}
        for key in watch.keys:
            if self._is_reached(key, found.get(key), resource_version):
                source = self._by_key.get(key)
                if key in found:
                    moved[key] = watch.started if source is None else source.keys[key]
                self.release(key)
        watch.keys = moved
        if not moved:
            watch.stop()
            return
        self._watches[watch] = None
        self._by_key |= dict.fromkeys(moved, watch)
        self._put(watch, batches)

    def _is_reached(self, key: str, found: str | None, resource_version: str) -> bool:
        """Returns whether a state has all changes of a key that the cache has.

        Args:
            key: The key.
            found: The resourceVersion of its object in the state; None without one, which proves nothing.
            resource_version: The resourceVersion of the state.
        """
        source = self._by_key.get(key)
        if source is None and key not in self._waiting:
            return False
        if source is not None and (not source.has_state or is_newer(source.resource_version, resource_version)):
            return False
        seen = self._cache.resource_version(key)
        return seen is None or (found is not None and not is_newer(seen, found))


def _size(watch: NamesWatch) -> int:
    return len(watch.keys)
