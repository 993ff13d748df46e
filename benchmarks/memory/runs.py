"""One mode through a first sync and a relist in which all has changed: read from outside, and by memray.

Each is a fresh process. What it holds is compared with what the server has, before anything is told.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness.digest import agree
from benchmarks.harness.process import Process, python

QUIET = 1.5
"""Seconds in which next to nothing is done before a phase is over: its peak and what is held are those up to then."""
QUIET_LIMIT = 30.0
PHASES = ("sync", "relist")

Figures = Mapping[str, float | None]
Phase = tuple[float, float]
"""When it began and when it was over: seconds since the epoch."""


class WrongAnswer(Exception):
    """A process does not hold what the server has."""


class Source:
    """The process of a server, and what it says of itself.

    Args:
        process: A running `benchmarks/harness/server.py`.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.about: dict[str, Any] = process.do("open")

    def subject(self, mode: str) -> Process:
        """A process that is to follow the collection in that way; it is as it was at first."""
        self.process.do("reset")
        names = {name: self.about[name] for name in ("url", "resource")}
        return Process(python("benchmarks/memory/subject.py"), **names, mode=mode)


def resident(source: Source, mode: str, *, quiet: float = QUIET) -> Figures:
    """Bytes resident, as the system counts them: before anything, at the peaks, and once it is quiet after each.

    And CPU seconds of each phase, without what is done in the background after it.
    """
    with source.subject(mode) as subject:
        gauge = subject.gauge
        subject.do("connect")
        found: dict[str, float] = {"rss.idle": gauge.rss()}
        for name in PHASES:
            prepare(source, name)
            gauge.forget_peak()
            cpu = gauge.cpu_seconds()
            go(source, subject, name)
            found[f"cpu.{name}"] = gauge.cpu_seconds() - cpu
            gauge.until_quiet(QUIET_LIMIT, quiet=quiet)
            found |= {f"rss.{name}_peak": gauge.peak(), f"rss.{name}_held": gauge.rss()}
            check(source, subject, mode)
    return found


def captured(source: Source, mode: str, file: Path) -> dict[str, Phase]:
    """Has memray write down the same; when each phase was."""
    phases = dict[str, Phase]()
    with source.subject(mode) as subject:
        subject.do("track", capture=str(file), counted=False)
        subject.do("connect")
        for name in PHASES:
            prepare(source, name)
            begun = time.time()
            go(source, subject, name)
            subject.gauge.until_quiet(QUIET_LIMIT, quiet=QUIET)
            phases[name] = (begun, time.time())
        subject.do("untrack")
        check(source, subject, mode)  # only now, as it takes memory itself
    return phases


def counted(source: Source, mode: str, file: Path) -> None:
    """Has memray write down how often a first sync allocates, each object of Python's counted."""
    with source.subject(mode) as subject:
        subject.do("track", capture=str(file), counted=True)
        subject.do("connect", checked=False)
        subject.do("sync")
        subject.do("untrack")


def prepare(source: Source, phase: str) -> None:
    """Makes beforehand what the server will send."""
    if phase == "relist":
        source.process.do("prepare", change=1.0)


def go(source: Source, subject: Process, phase: str) -> None:
    """Carries out one phase, to its end."""
    if phase == "sync":
        subject.do("sync")
    else:
        subject.do("reach", version=source.process.do("expire"))


def check(source: Source, subject: Process, mode: str) -> None:
    """Compares the contents.

    Raises:
        WrongAnswer: They differ.
    """
    there, here = source.process.do("digest"), subject.do("digest")
    if "content" not in here or not agree(there, here):
        raise WrongAnswer(f"{mode}: the content differs ({here['objects']} objects, the server {there['objects']})")
