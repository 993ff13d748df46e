"""The memory and the CPU time of a process, read from /proc. Source: proc(5).

RSS and PSS come from smaps_rollup, the peak from VmHWM (reset through clear_refs), CPU time from stat. Nothing is asked
of the process itself. This module imports only the standard library: programs that measure other processes use it too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_Reading = TypeVar("_Reading", int, float)


class Gauge:
    """Reads one process by its id.

    Each method raises OSError on a system without /proc, without the permission to read it, and after the end of the
    process.
    """

    def __init__(self, pid: int) -> None:
        self._proc = Path("/proc") / str(pid)

    def rss(self) -> int:
        """Returns the resident bytes.

        Exact, but walks the page tables: not for many calls a second.
        """
        return self._field("smaps_rollup", "Rss")

    def pss(self) -> int:
        """Returns the resident bytes, where a page that n processes share counts as 1/n.

        As slow as `rss`.
        """
        return self._field("smaps_rollup", "Pss")

    def rss_estimate(self) -> int:
        """Returns the resident bytes by the kernel's counters.

        Cheap, and wrong by a few pages at most.
        """
        return self._field("status", "VmRSS")

    def peak(self) -> int:
        """Returns the most bytes resident since `reset_peak`, or since the start."""
        return self._field("status", "VmHWM")

    def reset_peak(self) -> int:
        """Resets the peak to the bytes that are resident now, and returns it."""
        (self._proc / "clear_refs").write_text("5")
        return self.peak()

    def cpu_seconds(self) -> float:
        """Returns user and kernel time of all threads, in ticks of usually 10 ms."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _field(self, file: str, name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+) kB$", (self._proc / file).read_text(), re.MULTILINE)
        if found is None:
            raise OSError(f"no {name} in {self._proc / file}")
        return int(found[1]) << 10


def or_none(read: Callable[[], _Reading]) -> _Reading | None:
    """Returns a reading of a gauge, or None if it cannot be read."""
    try:
        return read()
    except OSError:
        return None


def mib(size: int | None) -> str:
    """Formats bytes as MiB: `"1,234"`, `"4.5"`, or a dash for None."""
    if size is None:
        return "-"
    value = size / (1 << 20)
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
