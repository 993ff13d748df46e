"""Runs a mode through a first sync and a relist in which all objects have changed.

Each run is a new process, read from outside or under memray. Its content is compared with the server's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness.digest import WrongContent, agree
from benchmarks.harness.process import Process, python
from benchmarks.harness.waiting import IDLE_SECONDS, wait_until_idle

IDLE_TIMEOUT = 30.0
"""Seconds that a process may take to come to rest after a phase. Its peak and the memory after it are read then."""
MEMRAY_IDLE_SECONDS = 1.5
"""Seconds without CPU time that count as rest under memray, which uses CPU time itself: 5 s would never come."""
PHASES = ("sync", "relist")

Figures = Mapping[str, float | None]
Phase = tuple[float, float]
"""Start and end, in seconds since the epoch."""


class Source:
    """A server process.

    Args:
        process: A running `benchmarks/harness/server.py`.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.about: dict[str, Any] = process.do("open")

    def start(self, mode: str) -> Process:
        """Resets the collection and starts a process that will follow it in this mode."""
        self.process.do("reset")
        names = {name: self.about[name] for name in ("url", "ca", "resource")}
        return Process(python("benchmarks/memory/mode_process.py"), **names, mode=mode)


def resident(source: Source, mode: str, *, idle_seconds: float = IDLE_SECONDS) -> Figures:
    """Measures the resident bytes of a mode.

    They are read before the first phase, at each phase's peak, and when the process is at rest after it. Also measures
    each phase's CPU seconds until it is at rest.
    """
    with source.start(mode) as process:
        gauge = process.gauge
        process.do("connect")
        found: dict[str, float] = {"rss.idle": gauge.rss()}
        for phase in PHASES:
            prepare(source, phase)
            gauge.reset_peak()
            cpu = gauge.cpu_seconds()
            run_phase(source, process, phase)
            wait_until_idle(gauge, IDLE_TIMEOUT, idle_seconds=idle_seconds)
            found[f"cpu.{phase}"] = gauge.cpu_seconds() - cpu
            found |= {f"rss.{phase}_peak": gauge.peak(), f"rss.{phase}_held": gauge.rss()}
            check(source, process, mode)
    return found


def captured(source: Source, mode: str, file: Path) -> dict[str, Phase]:
    """Runs the phases under memray. Returns when each was."""
    phases = dict[str, Phase]()
    with source.start(mode) as process:
        process.do("track", capture=str(file), every_allocation=False)
        process.do("connect")
        for phase in PHASES:
            prepare(source, phase)
            start = time.time()
            run_phase(source, process, phase)
            wait_until_idle(process.gauge, IDLE_TIMEOUT, idle_seconds=MEMRAY_IDLE_SECONDS)
            phases[phase] = (start, time.time())
        process.do("untrack")
        check(source, process, mode)  # takes memory itself
    return phases


def count_allocations(source: Source, mode: str, file: Path) -> None:
    """Runs a first sync under memray, which records each allocation of an object."""
    with source.start(mode) as process:
        process.do("track", capture=str(file), every_allocation=True)
        process.do("connect", checked=False)
        process.do("sync")
        process.do("untrack")


def prepare(source: Source, phase: str) -> None:
    """Prepares in advance what the server will send."""
    if phase == "relist":
        source.process.do("prepare", change=1.0)


def run_phase(source: Source, process: Process, phase: str) -> None:
    """Runs one phase to its end."""
    if phase == "sync":
        process.do("sync")
    else:
        process.do("reach", version=source.process.do("expire"))


def check(source: Source, process: Process, mode: str) -> None:
    """Compares the content of a process with the server's.

    Raises:
        WrongContent: They differ.
    """
    server, client = source.process.do("digest"), process.do("digest")
    if "content" not in client or not agree(server, client):
        counts = f"{client['objects']} objects, the server {server['objects']}"
        raise WrongContent(f"{mode} holds other objects than the server ({counts})")
