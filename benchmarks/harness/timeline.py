"""The resident memory of a process over time, thinned out for a plot."""

from __future__ import annotations

import threading
import time
from typing import Any

from kinform.cli._process_memory import Gauge

PERIOD = 0.02
POINTS = 240


class Timeline:
    """Samples a process in a background thread until `stop`."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._start = time.perf_counter()
        self._points: list[tuple[float, int]] = []
        self._phases: list[tuple[str, float]] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def phase(self, name: str) -> None:
        """Marks the start of a phase."""
        self._phases.append((name, round(time.perf_counter() - self._start, 3)))

    def stop(self) -> dict[str, Any]:
        """Returns the largest sample of each bucket of time, and the start of each phase."""
        self._stopped.set()
        self._thread.join()
        end = self._points[-1][0] if self._points else 1.0
        buckets: dict[int, tuple[float, int]] = {}
        for at, rss in self._points:
            bucket = int(at / end * (POINTS - 1))
            if bucket not in buckets or buckets[bucket][1] < rss:
                buckets[bucket] = (round(at, 3), rss)
        return {"points": [list(point) for point in buckets.values()], "phases": [list(each) for each in self._phases]}

    def _sample(self) -> None:
        while not self._stopped.wait(PERIOD):
            try:
                rss = self._gauge.rss_estimate()
            except OSError:  # the process has ended
                return
            self._points.append((time.perf_counter() - self._start, rss))
