"""The answers of a read-through cache, and when each was current.

An answer is an object, or that there is no such object; after a failed request, it is an error for a while. Objects are
in a table, as in a store. The least recently read answer is evicted first. Never does I/O or reads a clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping

from kinform._errors import KinformError
from kinform._store.contents import StoreContents
from kinform._store.writer import Writer
from kinform_ext._scan import Batch

_STREAM = ""  # the table has one stream: no state of it is ever replaced as a whole


class AnswerCache:
    """Keeps at most a number of answers, and at most a number of bytes of objects.

    Args:
        name: The name of the cache, for messages.
        max_objects: The most answers, with those about missing objects.
        max_bytes: The most bytes of the table without its free space; None: no limit. One answer is always kept.

    Attributes:
        contents: The table.
        writer: Fills the table.
        evictions: Number of answers that made room for others.
    """

    def __init__(self, name: str, max_objects: int, max_bytes: int | None) -> None:
        self.contents = StoreContents(name, {})
        self.writer = Writer(self.contents)
        self.evictions = 0
        self._max_objects = max_objects
        self._max_bytes = max_bytes
        self._current: OrderedDict[str, float] = OrderedDict()  # from the least to the most recently read
        self._failures: dict[str, tuple[KinformError, float]] = {}  # with the time until which it is the answer

    def __len__(self) -> int:
        return len(self._current)

    @property
    def objects(self) -> int:
        """The number of objects."""
        return len(self.contents.table)

    def has_object(self, key: str) -> bool:
        """Returns whether the answer for a key is an object."""
        return key in self.contents.table

    def raw(self, key: str) -> bytes | None:
        """Returns the JSON of an object, or None without an object."""
        return self.contents.table.raw(key)

    def resource_version(self, key: str) -> str | None:
        """Returns the resourceVersion of an object, or None."""
        meta = self.contents.table.meta(key)
        return None if meta is None else meta[3]

    def current_at(self, key: str) -> float | None:
        """Returns the last time at which the answer was certainly current, or None."""
        return self._current.get(key)

    def note_read(self, key: str) -> None:
        """Makes an answer the most recently read one."""
        self._current.move_to_end(key)

    def put(self, current_at: Mapping[str, float], batches: Collection[Batch]) -> list[str]:
        """Adds or replaces answers, and evicts others.

        Args:
            current_at: For each key, a time at which the answer was current. From the least to the most recently read.
            batches: The objects. A key without an object here has none. Objects of other keys are ignored.

        Returns:
            The keys of the evicted answers.
        """
        found = set[str]()
        for batch in batches:
            self.writer.apply(_STREAM, batch, initial=False, keys=current_at)
            found.update(batch.key(i) for i in range(len(batch)))
        for key, then in current_at.items():
            if key not in found:
                self.writer.heal(_STREAM, key, None)
            self._failures.pop(key, None)
            self._current[key] = then
            self._current.move_to_end(key)
        return self._evict()

    def apply(self, batch: Batch, keys: Collection[str]) -> list[str]:
        """Applies the events of some keys, which have answers. Returns evicted keys."""
        self.writer.apply(_STREAM, batch, initial=False, keys=keys)
        return self._evict()

    def confirm(self, key: str, current_at: float) -> None:
        """Notes that an answer was current at a time."""
        if current_at > self._current[key]:
            self._current[key] = current_at
            self._failures.pop(key, None)

    def limit(self, key: str, current_at: float) -> None:
        """Notes that it is not certain that an answer was current after a time."""
        self._current[key] = min(current_at, self._current[key])

    def remove(self, key: str) -> None:
        """Removes an answer."""
        del self._current[key]
        self.writer.heal(_STREAM, key, None)

    def older_than(self, objects_before: float, missing_before: float) -> list[str]:
        """Returns the keys of answers that were last current before a time.

        Args:
            objects_before: The time for objects.
            missing_before: The time for answers about missing objects.
        """
        return [
            key
            for key, current_at in self._current.items()
            if current_at < (objects_before if self.has_object(key) else missing_before)
        ]

    def put_failure(self, key: str, error: KinformError, until: float) -> None:
        """Makes an error the answer until a time.

        It is for readers to whom the answer before is too old.
        """
        if len(self._failures) >= self._max_objects:
            del self._failures[next(iter(self._failures))]
        self._failures[key] = error, until

    def failure(self, key: str, now: float) -> KinformError | None:
        """Returns the error that is the answer, or None."""
        error, until = self._failures.get(key, (None, now))
        return error if now < until else None

    def drop_failures(self, now: float) -> None:
        """Removes the errors whose time is over."""
        for key in [key for key, (_, until) in self._failures.items() if until < now]:
            del self._failures[key]

    def _evict(self) -> list[str]:
        evicted = []
        while self._is_too_large():
            oldest = next(iter(self._current))
            self.remove(oldest)
            evicted.append(oldest)
        self.evictions += len(evicted)
        return evicted

    def _is_too_large(self) -> bool:
        if len(self._current) > self._max_objects:
            return True
        if self._max_bytes is None or len(self._current) == 1:
            return False
        usage = self.contents.memory_usage()
        return usage.held_bytes - usage.dead_bytes > self._max_bytes
