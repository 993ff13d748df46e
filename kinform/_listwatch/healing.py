"""Skipped objects of a stream, and the times to request them again. No I/O.

A skipped object makes the copy *degraded*: the store lacks the object, or has an old version of it. An object whose key
is known is fetched alone. An object whose key is unknown needs a new complete state. Both wait, and the waits grow.
The stream reports what it skipped and received. The healer of the informer sends the requests.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from kinform._options import Backoff
from kinform._stats import UNKNOWN_KEYS

# Keys of one stream that are fetched one by one. A new complete state is cheaper than more of them.
MAX_KEYS = 100
# The longest waits. An object may stay too large for `max_object_bytes` for months.
MAX_FETCH_WAIT = 600.0
MAX_RELIST_WAIT = 3600.0


class Fetch(msgspec.Struct):
    """A key that has to be fetched.

    Attributes:
        due: The time from which on it may be fetched.
        failures: Fetches that did not heal it.
        skips: Skipped events of this key. An answer from before the last of them may be too old.
    """

    due: float
    failures: int = 0
    skips: int = 1


class Healing:
    """The skipped objects of one stream.

    Args:
        backoff: The delays between retries.
        random: Returns numbers from 0 up to 1, for jitter.

    Attributes:
        in_state: True between the start and the end of a complete state.
    """

    def __init__(self, backoff: Backoff, random: Callable[[], float]) -> None:
        self._backoff = backoff
        self._random = random
        self._fetches: dict[str, Fetch] = {}
        self._unknown = False
        self._incoming: dict[str, Fetch] = {}  # of the state that comes in
        self._incoming_unknown = False
        self.in_state = False
        self._next_fetch = -math.inf  # one key after another, however many there are
        self._relist_due = math.inf
        self._last_relist = -math.inf
        self._relists = 0  # in a row

    @property
    def degraded(self) -> tuple[str, ...]:
        """The keys that the store lacks or has in an old version.

        The last one is `UNKNOWN_KEYS` if there are others.
        """
        return (*self._fetches, UNKNOWN_KEYS) if self._unknown else tuple(self._fetches)

    @property
    def is_degraded(self) -> bool:
        """True if the stream skipped an object, and has not received it since."""
        return self._unknown or bool(self._fetches)

    # What the stream receives

    def begin(self) -> None:
        """Handles the start of a new complete state."""
        self.in_state = True
        self._incoming.clear()
        self._incoming_unknown = False

    def complete(self, now: float) -> None:
        """Handles the end of a complete state: only what this state skipped is degraded."""
        self.in_state = False
        self._fetches, self._incoming = self._incoming, {}
        self._unknown, self._incoming_unknown = self._incoming_unknown, False
        self._relist_due = math.inf
        if self._unknown:
            self._plan_relist(now)

    def skip(self, key: str | None, now: float, *, initial: bool) -> None:
        """Handles a skipped object.

        Args:
            key: Its key; None if it could not be read.
            now: The time.
            initial: The object belongs to a state that is not complete yet.
        """
        fetches = self._incoming if initial else self._fetches
        if key is not None and (known := fetches.get(key)) is not None:
            known.skips += 1
        elif key is not None and len(fetches) < MAX_KEYS:
            failures = self._fetches[key].failures if key in self._fetches else 0
            fetches[key] = Fetch(now + self._wait(self._backoff.initial, failures, MAX_FETCH_WAIT), failures)
        elif initial:
            self._incoming_unknown = True
        else:
            self._unknown = True
            if self._relist_due == math.inf:
                self._plan_relist(now)

    def receive(self, key: str, *, initial: bool) -> None:
        """Handles that the store has the newest version of an object.

        The object may also have been deleted.
        """
        (self._incoming if initial else self._fetches).pop(key, None)

    def expects(self, *, initial: bool) -> bool:
        """Returns whether `receive` can have an effect."""
        return bool(self._incoming if initial else self._fetches)

    # What the healer requests

    @property
    def due(self) -> float:
        """The time of the next request; infinity without one."""
        fetches = min((fetch.due for fetch in self._fetches.values()), default=math.inf)
        return min(max(fetches, self._next_fetch), self._relist_due)

    def next_key(self, now: float) -> str | None:
        """Returns the key to fetch now, or None if a new complete state is due."""
        if self._relist_due <= now:
            self._last_relist = now
            self._relist_due = math.inf
            self._relists += 1
            return None
        self._next_fetch = now + self._backoff.initial
        return min(self._fetches, key=lambda key: self._fetches[key].due)

    def attempt(self, key: str) -> tuple[Fetch, int] | None:
        """Returns a value that identifies a fetch: None if the key is healed.

        It changes with each skipped event of this key and with each complete state.
        """
        fetch = self._fetches.get(key)
        return None if fetch is None else (fetch, fetch.skips)

    def fail(self, key: str, now: float, at_least: float = 0.0) -> None:
        """Handles a fetch that did not heal the key.

        The next one waits longer, and at least `at_least` seconds.
        """
        if (fetch := self._fetches.get(key)) is not None:
            fetch.failures += 1
            wait = self._wait(self._backoff.initial, fetch.failures, MAX_FETCH_WAIT)
            fetch.due = now + max(wait, min(at_least, MAX_FETCH_WAIT))

    def _plan_relist(self, now: float) -> None:
        if now - self._last_relist > 2 * MAX_RELIST_WAIT:
            self._relists = 0
        self._relist_due = now + self._wait(self._backoff.maximum, self._relists, MAX_RELIST_WAIT)

    def _wait(self, first: float, failures: int, maximum: float) -> float:
        return min(maximum, first * 2.0 ** min(failures, 64)) * (1 + self._backoff.jitter * self._random())
