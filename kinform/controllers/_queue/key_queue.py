"""The rules of the work queue, without an event loop: which key is next, and when.

The caller passes the time. Holds keys only.
Source: client-go's `util/workqueue` (queue, delaying queue), controller-runtime's `priorityqueue`.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

import msgspec

K = TypeVar("K", bound=Hashable)

# A container is rebuilt without void entries if they are more than the others, and more than these.
_MIN_VOID = 64

_READY, _DELAYED, _DIRTY, _VOID = range(4)


class Item(msgspec.Struct, gc=False, eq=False):
    """A key that waits, or that is processed.

    Attributes:
        key: The key.
        priority: Its priority.
        time: Since when it is ready, dirty or processed; for a delayed one: when it gets ready.
        state: `_READY`: in the deque of its priority. `_DELAYED`: in the heap. `_DIRTY`: waits for `done`. `_VOID`: an
            entry of the deque or of the heap that has no effect.
    """

    key: Any
    priority: int
    time: float
    state: int = _READY

    def __lt__(self, other: Item) -> bool:
        return self.time < other.time


class KeyQueue(Generic[K]):
    """Keys that are ready, delayed, or processed.

    Attributes:
        processing: The keys that `pop` has returned, without `done`.
        depth: Number of ready keys.
        adds: Keys that got ready, or dirty while they were processed.
    """

    def __init__(self) -> None:
        self.processing: dict[K, Item] = {}
        self.depth = 0
        self.adds = 0
        self._items: dict[K, Item] = {}  # all that wait
        self._levels: dict[int, deque[Item]] = {}  # by priority; none is empty
        self._priorities: list[int] = []  # a heap of the negated keys of `_levels`
        self._heap: list[Item] = []  # delayed ones
        self._void_levels = self._void_heap = 0

    @property
    def delayed(self) -> int:
        """Number of delayed keys."""
        return len(self._heap) - self._void_heap

    def put(self, key: K, priority: int, now: float, delay: float = 0.0) -> None:
        """Adds a key, or changes how it waits.

        A key that waits gets the higher priority and the earlier time of both.
        """
        item = self._items.get(key)
        if item is None:
            self._insert(Item(key, priority, now), delay)
        elif item.state == _DELAYED:
            item.priority = max(item.priority, priority)
            if delay <= 0 or now + delay < item.time:
                self._drop_delayed(item)
                self._insert(Item(key, item.priority, now), delay)
        elif priority > item.priority:
            if item.state == _READY:
                self._drop_ready(item)
                item = self._items[key] = Item(key, priority, item.time)
                self._push(item)
            else:
                item.priority = priority

    def pop(self) -> Item | None:
        """Removes the next ready key, which is processed from now on; or returns None."""
        while self._priorities:
            priority = -self._priorities[0]
            level = self._levels[priority]
            item = level.popleft()
            if not level:
                heapq.heappop(self._priorities)
                del self._levels[priority]
            if item.state == _READY:
                self.depth -= 1
                del self._items[item.key]
                self.processing[item.key] = item
                return item
            self._void_levels -= 1
        return None

    def done(self, key: K) -> Item | None:
        """Ends the processing of a key, which gets ready if it is dirty.

        Returns:
            The item that `pop` returned, or None if the key is not processed.
        """
        processed = self.processing.pop(key, None)
        if processed is not None:
            item = self._items.get(key)
            if item is not None and item.state == _DIRTY:
                item.state = _READY
                self._push(item)
        return processed

    def advance(self, now: float) -> None:
        """Makes the delayed keys ready whose time has come."""
        while self._heap and (self._heap[0].state == _VOID or self._heap[0].time <= now):
            item = heapq.heappop(self._heap)
            if item.state == _VOID:
                self._void_heap -= 1
            else:
                item.time, item.state = now, _READY
                self._insert(item)

    def next_due(self) -> float | None:
        """Returns when the next delayed key gets ready, or None."""
        while self._heap and self._heap[0].state == _VOID:
            heapq.heappop(self._heap)
            self._void_heap -= 1
        return self._heap[0].time if self._heap else None

    def drop_all_delayed(self) -> None:
        """Removes all delayed keys."""
        for item in self._heap:
            if item.state == _DELAYED:
                del self._items[item.key]
        self._heap.clear()
        self._void_heap = 0

    def _insert(self, item: Item, delay: float = 0.0) -> None:
        self._items[item.key] = item
        if delay > 0:
            item.time += delay
            item.state = _DELAYED
            heapq.heappush(self._heap, item)
            return
        self.adds += 1
        if item.key in self.processing:
            item.state = _DIRTY
        else:
            self._push(item)

    def _push(self, item: Item) -> None:
        self.depth += 1
        level = self._levels.get(item.priority)
        if level is None:
            self._levels[item.priority] = deque((item,))
            heapq.heappush(self._priorities, -item.priority)
        else:
            level.append(item)

    def _drop_ready(self, item: Item) -> None:
        """Makes the entry of a ready item void."""
        item.state, item.key = _VOID, None
        self.depth -= 1
        self._void_levels += 1
        if self._void_levels > max(_MIN_VOID, self.depth):
            self._void_levels = 0
            for priority, level in list(self._levels.items()):
                left = deque(found for found in level if found.state == _READY)
                if left:
                    self._levels[priority] = left
                else:
                    del self._levels[priority]
            self._priorities = [-priority for priority in self._levels]
            heapq.heapify(self._priorities)

    def _drop_delayed(self, item: Item) -> None:
        """Makes the entry of a delayed item void."""
        item.state, item.key = _VOID, None
        self._void_heap += 1
        if self._void_heap > max(_MIN_VOID, self.delayed):
            self._heap = [found for found in self._heap if found.state == _DELAYED]
            heapq.heapify(self._heap)
            self._void_heap = 0
