"""The memory and CPU time of a process in a phase, read from outside, and rates."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.harness.waiting import IDLE_CPU_SECONDS, IDLE_SECONDS, wait_until_idle
from kinform.cli._process_memory import Gauge

IDLE_TIMEOUT = 120.0
"""Seconds that a process may take to come to rest."""
SETTLE_SECONDS = 5.0
"""Seconds from the end of a phase to the reading of `rss`."""
BRIEF_SECONDS = 1.0
"""The same, after phases where `rss` is not of interest."""
CPU_TICK = 0.01
"""Seconds: the resolution of CPU time."""

Figures = dict[str, float | None]


@contextmanager
def phase(found: Figures, name: str, gauge: Gauge, settle: float) -> Iterator[None]:
    """Measures memory and CPU time of the block, as figures `NAME.…`.

    `rss` is read soon after it, `rss_at_rest` when the process is at rest; `peak` covers the time up to then.
    `cpu_seconds` covers the block. `total_cpu_seconds` also covers the time until the process is at rest; a process
    that does not come to rest has no such figure. The `settle` seconds before `rss` is read count as rest, unless the
    process works in them.
    """
    gauge.reset_peak()
    start, cpu = time.perf_counter(), gauge.cpu_seconds()
    yield
    found[f"{name}.seconds"] = time.perf_counter() - start
    found[f"{name}.cpu_seconds"] = (used := gauge.cpu_seconds()) - cpu
    time.sleep(settle)
    found[f"{name}.rss"] = gauge.rss()
    rested = settle if gauge.cpu_seconds() - used <= IDLE_CPU_SECONDS else 0.0
    at_rest = wait_until_idle(gauge, IDLE_TIMEOUT, idle_seconds=IDLE_SECONDS - rested) is not None
    found[f"{name}.rss_at_rest"] = gauge.rss()
    found[f"{name}.pss_at_rest"] = gauge.pss()
    found[f"{name}.peak"] = gauge.peak()
    if at_rest:
        found[f"{name}.total_cpu_seconds"] = gauge.cpu_seconds() - cpu


def rates(found: Figures, name: str, count: float) -> Figures:
    """Computes how many objects or events a phase had per CPU second."""
    more = Figures()
    for part in ("cpu_second", "total_cpu_second"):
        if (seconds := found.get(f"{name}.{part}s")) is not None:
            more[f"{name}.per_{part}"] = count / max(seconds, CPU_TICK)
    return more
