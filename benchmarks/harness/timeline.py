"""What a process holds over time: read from outside many times a second, thinned out to what a plot can show.

RSS as /proc/PID/statm tells it: cheap to read, off by some pages at most. Figures are read by `gauge`, not here.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

PERIOD = 0.02
POINTS = 240
PAGE = os.sysconf("SC_PAGE_SIZE")


class Timeline:
    """Reads a process in a thread of its own until it is told to stop."""

    def __init__(self, pid: int) -> None:
        self._file = Path("/proc") / str(pid) / "statm"
        self._begun = time.perf_counter()
        self._points: list[tuple[float, int]] = []
        self._phases: list[tuple[str, float]] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def phase(self, name: str) -> None:
        """A phase begins here."""
        self._phases.append((name, round(time.perf_counter() - self._begun, 3)))

    def stop(self) -> dict[str, Any]:
        """Seconds and bytes, of each bucket of time the largest reading; and when which phase began."""
        self._stopped.set()
        self._thread.join()
        end = self._points[-1][0] if self._points else 1.0
        buckets: dict[int, tuple[float, int]] = {}
        for at, rss in self._points:
            place = int(at / end * (POINTS - 1))
            if place not in buckets or buckets[place][1] < rss:
                buckets[place] = (round(at, 3), rss)
        return {"points": [list(point) for point in buckets.values()], "phases": [list(each) for each in self._phases]}

    def _read(self) -> None:
        while not self._stopped.wait(PERIOD):
            try:
                pages = int(self._file.read_text().split()[1])
            except OSError:  # it has ended
                return
            self._points.append((time.perf_counter() - self._begun, pages * PAGE))
