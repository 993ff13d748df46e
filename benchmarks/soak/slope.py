"""The memory of a process over a run, and its slope."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable

from kinform.cli._process_memory import Gauge

PERIOD = 1.0
MILLION = 1_000_000


class MemoryRecord:
    """Samples of a process: the number of events so far, and the resident bytes."""

    def __init__(self, gauge: Gauge, events: Callable[[], int]) -> None:
        self._gauge = gauge
        self._events = events
        self._samples: list[tuple[int, int]] = []

    async def run(self) -> None:
        """Takes a sample each second until it is cancelled."""
        while True:
            self._samples.append((self._events(), self._gauge.rss()))
            await asyncio.sleep(PERIOD)

    def figures(self) -> dict[str, float]:
        """Returns the memory in the second half of the events, and its slope.

        The slope is in bytes per million events, by least squares.
        """
        end = self._samples[-1][0] if self._samples else 0
        later = [sample for sample in self._samples if sample[0] >= end / 2]
        third = [rss for events, rss in later if events < end * 3 / 4]
        fourth = [rss for events, rss in later if events >= end * 3 / 4]
        found: dict[str, float] = {"rss.largest": max((rss for _, rss in self._samples), default=0)}
        if third and fourth:
            found |= {"rss.third_quarter": statistics.median(third), "rss.fourth_quarter": statistics.median(fourth)}
            found["rss.slope"] = slope(later) * MILLION
        return found


def slope(samples: list[tuple[int, int]]) -> float:
    """Returns the slope of the line through the samples, by least squares.

    It is 0 if there is no line.
    """
    if len({x for x, _ in samples}) < 2:
        return 0.0
    return statistics.linear_regression([x for x, _ in samples], [y for _, y in samples]).slope
