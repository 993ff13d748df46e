"""The memory of a process and its CPU time, read from outside.

RSS from /proc/PID/smaps_rollup; the peak from VmHWM, set back through /proc/PID/clear_refs; CPU time from
/proc/PID/stat. Source: proc(5).
"""

from __future__ import annotations

import os
import re
from pathlib import Path


class Gauge:
    """What one process holds in bytes and has used in seconds; None without /proc, or once the process is gone."""

    def __init__(self, pid: int) -> None:
        self._proc = Path("/proc") / str(pid)

    def held(self) -> int | None:
        """Resident memory, counted exactly: walks the page tables, so not for every tick."""
        return self._field("smaps_rollup", "Rss")

    def glance(self) -> int | None:
        """Resident memory as the kernel's cheap counters have it."""
        return self._field("status", "VmRSS")

    def peak(self) -> int | None:
        """The most that was resident since the last `forget_peak`."""
        return self._field("status", "VmHWM")

    def forget_peak(self) -> bool:
        """Starts the peak anew from what is resident now; False where the system does not allow it."""
        try:
            (self._proc / "clear_refs").write_text("5")
        except OSError:
            return False
        return True

    def cpu_seconds(self) -> float | None:
        """CPU time of all its threads so far, in user and kernel mode."""
        try:
            fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _field(self, file: str, name: str) -> int | None:
        try:
            found = re.search(rf"^{name}:\s+(\d+) kB$", (self._proc / file).read_text(), re.MULTILINE)
        except OSError:
            return None
        return int(found[1]) << 10 if found else None


def mib(size: int | None) -> str:
    """Bytes as MiB for reading: `"1,234"`, `"4.5"`, or a dash."""
    if size is None:
        return "-"
    value = size / (1 << 20)
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
