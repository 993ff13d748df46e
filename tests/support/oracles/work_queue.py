"""The oracle of the work queue: one dict, searched as a whole at each step.

Written from the documented behaviour of the queue. Shares no code with it.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass
class Waiting:
    """A key that waits.

    Attributes:
        due: When it gets ready; None: it is.
        order: Its place among all keys that got ready.
    """

    priority: int
    due: float | None
    order: int


class WorkQueueOracle:
    """Takes the same calls as the queue, with the time of each."""

    def __init__(self) -> None:
        self.waiting: dict[Hashable, Waiting] = {}
        self.processing: set[Hashable] = set()
        self._order = 0

    def put(self, key: Hashable, priority: int, now: float, delay: float) -> None:
        """Adds a key: the maximum of the priorities, the minimum of the times."""
        due = now + delay if delay > 0 else None
        waiting = self.waiting.get(key)
        if waiting is None:
            self.waiting[key] = Waiting(priority, due, self._next())
            return
        was_ready = waiting.due is None
        if waiting.due is not None:
            waiting.due = None if due is None else min(due, waiting.due)
        if priority > waiting.priority or (waiting.due is None and not was_ready):
            waiting.order = self._next()
        waiting.priority = max(priority, waiting.priority)

    def advance(self, now: float) -> None:
        """Makes delayed keys ready."""
        over = [each for each in self.waiting.values() if each.due is not None and each.due <= now]
        for waiting in sorted(over, key=lambda each: each.due or 0.0):
            waiting.due, waiting.order = None, self._next()

    def ready(self) -> list[Hashable]:
        """Returns the keys in the order in which they are to be handed out."""
        found = [key for key, each in self.waiting.items() if each.due is None and key not in self.processing]
        return sorted(found, key=lambda key: (-self.waiting[key].priority, self.waiting[key].order))

    def pop(self) -> Hashable:
        """Hands out a key."""
        key = self.ready()[0]
        del self.waiting[key]
        self.processing.add(key)
        return key

    def done(self, key: Hashable) -> None:
        """Ends the processing of a key. A dirty one gets ready now."""
        self.processing.remove(key)
        if key in self.waiting and self.waiting[key].due is None:
            self.waiting[key].order = self._next()

    def _next(self) -> int:
        self._order += 1
        return self._order
