"""Waiting until a process is at rest, or until its memory has shrunk.

Both are read from outside, and in the same way for all programs.
"""

from __future__ import annotations

import time

from kinform.cli._process_memory import Gauge

IDLE_SECONDS = 5.0
"""A process is at rest if it used next to no CPU time in this period.

It is longer than the pause after which a program does deferred work: kinform returns memory to the system within 4 s
after its last write.
"""
IDLE_CPU_SECONDS = 0.03


def wait_until_idle(gauge: Gauge, timeout: float, *, idle_seconds: float = IDLE_SECONDS) -> float | None:
    """Waits until a process has used next to no CPU time for `idle_seconds`.

    Returns:
        Seconds until the idle period began; None after `timeout` seconds.
    """
    start = idle_since = time.monotonic()
    used = gauge.cpu_seconds()
    while (now := time.monotonic()) - start < timeout:
        if gauge.cpu_seconds() - used > IDLE_CPU_SECONDS:
            idle_since, used = now, gauge.cpu_seconds()
        elif now - idle_since >= idle_seconds:
            return idle_since - start
        time.sleep(0.05)
    return None


def wait_until_rss(gauge: Gauge, limit: float, timeout: float) -> int:
    """Waits until at most `limit` bytes are resident, or for `timeout` seconds.

    Returns the resident bytes.
    """
    start = time.monotonic()
    while (rss := gauge.rss()) > limit and time.monotonic() - start < timeout:
        time.sleep(0.1)
    return rss
