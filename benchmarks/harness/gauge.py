"""What a process holds and has used, read from outside. Never asks the process itself.

RSS and PSS from /proc/PID/smaps_rollup, the peak from VmHWM (set back through clear_refs), CPU time from
/proc/PID/stat, in ticks of the kernel (10 ms, as a rule). Source: proc(5).
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

QUIET_SECONDS = 6.0
"""kinform looks every five seconds whether there is something to do in the background."""
QUIET_CPU_SECONDS = 0.03


class Gauge:
    """One process, by its id."""

    def __init__(self, pid: int) -> None:
        self._proc = Path("/proc") / str(pid)

    def rss(self) -> int:
        """Bytes resident, counted exactly by walking the page tables."""
        return self._field("smaps_rollup", "Rss")

    def pss(self) -> int:
        """Bytes resident, a page shared by n processes counted as an n-th."""
        return self._field("smaps_rollup", "Pss")

    def peak(self) -> int:
        """The most bytes resident since `forget_peak`."""
        return self._field("status", "VmHWM")

    def forget_peak(self) -> None:
        """The peak begins anew at what is resident now."""
        (self._proc / "clear_refs").write_text("5")

    def cpu_seconds(self) -> float:
        """CPU time of all threads since the process began, user and kernel."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def until_quiet(self, limit: float, *, quiet: float = QUIET_SECONDS) -> float | None:
        """Waits until the process has done next to nothing for so many seconds.

        Returns:
            Seconds until it began to do nothing; None if the limit, in seconds, came first.
        """
        begun = since = time.monotonic()
        used = self.cpu_seconds()
        while (now := time.monotonic()) - begun < limit:
            if self.cpu_seconds() - used > QUIET_CPU_SECONDS:
                since, used = now, self.cpu_seconds()
            elif now - since >= quiet:
                return since - begun
            time.sleep(0.05)
        return None

    def until_rss(self, most: float, limit: float) -> int:
        """Waits until no more bytes than that are resident, or the limit, in seconds, is over; the bytes then."""
        begun = time.monotonic()
        while (rss := self.rss()) > most and time.monotonic() - begun < limit:
            time.sleep(0.1)
        return rss

    def _field(self, file: str, name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+) kB$", (self._proc / file).read_text(), re.MULTILINE)
        if found is None:
            raise OSError(f"no {name} in {self._proc / file}")
        return int(found[1]) << 10
