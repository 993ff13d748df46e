"""Histograms of durations, in the form of Prometheus.

Cheap enough for each key of a work queue. Never reads a clock.
"""

from __future__ import annotations

from bisect import bisect_left

import msgspec

_BOUNDS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0, float("inf"))


class Durations(msgspec.Struct, frozen=True, gc=False):
    """A histogram of durations.

    Attributes:
        counts: Maps the upper bound of each bucket, in seconds, to the number of durations in it. The bounds are 1e-6,
            1e-5, and so on up to 1000, and infinity. A duration counts in one bucket only.
        total_seconds: The sum of all durations.
    """

    counts: dict[float, int]
    total_seconds: float


class Histogram:
    """Counts durations."""

    def __init__(self) -> None:
        self._counts = [0] * len(_BOUNDS)
        self._total = 0.0

    def add(self, seconds: float) -> None:
        """Counts one duration."""
        self._counts[bisect_left(_BOUNDS, seconds)] += 1
        self._total += seconds

    def read(self) -> Durations:
        """Returns the counts so far."""
        return Durations(dict(zip(_BOUNDS, self._counts, strict=True)), self._total)
