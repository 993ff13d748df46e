"""The limit of events for each object: a bucket of tokens, one for each write."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

BURST: Final = 25
REFILL_SECONDS: Final = 300.0
"""Seconds in which a bucket gets a token back."""
MAX_BUCKETS: Final = 4096
"""Buckets in memory. With more, the one that was used least recently is forgotten, and is full again."""


class EventLimits:
    """The buckets of all objects."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()  # tokens, and the time of the count

    def take(self, about: Hashable, now: float) -> bool:
        """Takes a token of an object.

        Returns:
            False if its bucket is empty.
        """
        tokens, since = self._buckets.pop(about, (float(BURST), now))
        tokens = min(BURST, tokens + (now - since) / REFILL_SECONDS)
        taken = tokens >= 1
        self._buckets[about] = (tokens - taken, now)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return taken
