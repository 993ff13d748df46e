"""The memory of a process over a run, and its slope."""

from __future__ import annotations

import asyncio
import statistics
import time

from kinform.cli._process_memory import Gauge

PERIOD = 1.0
HOUR = 3600.0


class MemoryRecord:
    """Samples of a process: the time in seconds, and the resident bytes."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._samples: list[tuple[float, int]] = []

    async def run(self) -> None:
        """Takes a sample each second until it is cancelled."""
        while True:
            self._samples.append((time.monotonic(), self._gauge.rss()))
            await asyncio.sleep(PERIOD)

    def figures(self) -> dict[str, float]:
        """Returns the memory in the second half of the run, and its slope.

        The slope is in bytes per hour, by least squares.
        """
        count = len(self._samples)
        found: dict[str, float] = {"rss.largest": max((rss for _, rss in self._samples), default=0)}
        if count >= 4:
            later = self._samples[count // 2 :]
            quarters = {"third": self._samples[count // 2 : count * 3 // 4], "fourth": self._samples[count * 3 // 4 :]}
            for name, samples in quarters.items():
                found[f"rss.{name}_quarter"] = statistics.median(rss for _, rss in samples)
            found["rss.slope"] = slope(later) * HOUR
        return found


def slope(samples: list[tuple[float, int]]) -> float:
    """Returns the slope of the line through the samples, by least squares.

    It is 0 if there is no line.
    """
    if len({x for x, _ in samples}) < 2:
        return 0.0
    return statistics.linear_regression([x for x, _ in samples], [y for _, y in samples]).slope
