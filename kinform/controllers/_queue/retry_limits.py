"""The delays of retries: by key, and over all keys.

Knows neither a queue nor a clock: the caller passes the time.
Source: client-go's `util/workqueue/default_rate_limiters.go`; the generic cell rate algorithm for the bucket.
"""

from __future__ import annotations

from collections.abc import Hashable

from kinform._checks import require_integer, require_number
from kinform._jitter import random_fraction
from kinform._options import Backoff

DEFAULT_BACKOFF = Backoff(initial=0.005, maximum=1000.0)
DEFAULT_RATE = 10.0
DEFAULT_BURST = 100


class RetryLimits:
    """Counts the failures of keys, and returns the delay of each retry.

    Args:
        backoff: The delays of one key.
        rate: Retries per second over all keys, after `burst` retries without a delay. None: no limit.
        burst: Number of retries over all keys that `rate` does not delay. Each second, `rate` of them come back.

    Raises:
        OptionError: An argument is not valid.
    """

    def __init__(self, backoff: Backoff, rate: float | None, burst: int) -> None:
        if rate is not None:
            require_number("rate", rate, "a positive number of retries per second, or None", lambda n: 0 < n < 1e9)
        require_integer("burst", burst, 1, "a positive number of retries")
        self._backoff = backoff
        self._interval = 0.0 if rate is None else 1.0 / rate
        self._tolerance = self._interval * (burst - 1)
        self._full_at = 0.0  # when all of the burst is there again
        self._failures: dict[Hashable, int] = {}

    def __len__(self) -> int:
        """Returns the number of keys with failures."""
        return len(self._failures)

    def next_delay(self, key: Hashable, now: float) -> float:
        """Counts a failure of a key, and returns the seconds until its retry.

        It is the longer one of the delay of the key and that of the bucket.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        backoff = self._backoff
        delay = self._without_jitter(failures) * (1 + backoff.jitter * random_fraction())
        if not self._interval:
            return delay
        full_at = max(self._full_at, now)
        self._full_at = full_at + self._interval
        return max(delay, full_at - self._tolerance - now)

    def grew(self, key: Hashable) -> bool:
        """Returns whether the last backoff of a key was longer than the one before."""
        failures = self._failures.get(key, 0)
        return failures == 1 or self._without_jitter(failures - 1) > self._without_jitter(failures - 2)

    def forget(self, key: Hashable) -> None:
        """Forgets the failures of a key."""
        self._failures.pop(key, None)

    def failures(self, key: Hashable) -> int:
        """Returns the failures of a key since it was forgotten."""
        return self._failures.get(key, 0)

    def _without_jitter(self, failures: int) -> float:
        return min(self._backoff.maximum, self._backoff.initial * 2.0 ** min(failures, 64))
