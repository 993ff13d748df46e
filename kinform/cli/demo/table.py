"""How the demo is shown: while it runs on standard error, at the end as one table.

On a terminal a table in motion, in a pipe a line now and then. Draws what it is given and measures nothing but
how long a turn has lasted so far.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kinform.cli._process_memory import mib, or_none
from kinform.cli.demo.scenario import RELIST, STORM, SYNC, Course, Side

if TYPE_CHECKING:
    from collections.abc import Callable

TICK = 0.25
LINE_EVERY = 2.0


class Board:
    """What is shown of a run while it lasts."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._text = ""
        self._turn: tuple[Side, str, float] | None = None
        self._last_line = 0.0
        self._live: Live | None = None
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)

    async def run(self) -> None:
        """Keeps it in motion until it is cancelled."""
        if self._live is not None:
            self._live.start()
        try:
            while True:
                self._tick()
                await asyncio.sleep(TICK)
        finally:
            if self._live is not None:
                self._live.stop()

    def say(self, text: str) -> None:
        self._turn, self._text = None, text
        if self._live is None:
            self._line(text)

    def turn(self, side: Side, phase: str) -> None:
        self._turn, self._text = (side, phase, time.monotonic()), f"{side.name}: {phase}"
        self._last_line = time.monotonic()
        if self._live is None:
            self._line(self._text)

    def turned(self, side: Side, phase: str) -> None:
        self._turn = None
        done = side.done[phase]
        if self._live is None:
            self._line(
                f"{side.name}: {phase} done after {done.seconds:.1f} s: {done.objects:,} objects, "
                f"{mib(done.held_bytes)} MiB, peak {mib(done.peak_bytes)} MiB"
            )

    def _line(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def _tick(self) -> None:
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
        elif self._turn is not None and time.monotonic() - self._last_line >= LINE_EVERY:
            side, phase, begun = self._turn
            gauge, self._last_line = side.child.gauge, time.monotonic()
            self._line(
                f"{side.name}: {phase}, {time.monotonic() - begun:.0f} s: {side.child.objects:,} objects, "
                f"{mib(or_none(gauge.rss_estimate))} MiB, peak {mib(or_none(gauge.peak))} MiB"
            )

    def _table(self) -> Table | Text:
        text, server = self._text, self._course.server
        if not self._course.sides:
            return Text(text + (f": {server.objects:,}" if server is not None and server.objects else ""))
        table = Table(title=text, title_justify="left", title_style="bold")
        table.add_column("")
        for heading in ("objects", "MiB now", "peak MiB", *self._course.plan.phases):
            table.add_column(heading, justify="right")
        for side in self._course.sides:
            gauge = side.child.gauge
            spent = [self._spent(side, phase) for phase in self._course.plan.phases]
            sizes = (mib(or_none(gauge.rss_estimate)), mib(or_none(gauge.peak)))
            table.add_row(side.name, f"{side.child.objects:,}", *sizes, *spent)
        return table

    def _spent(self, side: Side, phase: str) -> str:
        if done := side.done.get(phase):
            return f"{done.seconds:.1f} s"
        if self._turn is not None and self._turn[:2] == (side, phase):
            return f"[bold]{time.monotonic() - self._turn[2]:.0f} s ...[/bold]"
        return ""


def result(course: Course) -> Table:
    """The one table at the end: the sides beside each other, and how many times the one takes the other."""
    plan = course.plan
    source = "the embedded API server" if plan.embedded else "the cluster"
    size = sum(course.json_bytes.values())
    objects = course.sides[-1].done[SYNC].objects
    table = Table(title=f"{objects:,} objects, {mib(size)} MiB of JSON on {source}", title_justify="left")
    table.add_column("")
    for side in course.sides:
        table.add_column(side.name, justify="right")
    table.add_column("times", justify="right")

    def row(heading: str, value: Callable[[Side], float | None], text: Callable[[float | None], str]) -> None:
        values = [value(side) for side in course.sides]
        first, last = values[0], values[-1]
        times = f"{first / last:,.1f}" if first is not None and last else "-"
        table.add_row(heading, *map(text, values), times)

    names = {SYNC: "initial sync", STORM: f"storm of {plan.updates:,} updates", RELIST: "relist"}
    names[RELIST] += " after 410" if plan.embedded else ""
    for phase in plan.phases:
        row(f"{names[phase]}, s", lambda side, phase=phase: side.done[phase].seconds, _seconds)  # type: ignore[misc]
        row("  CPU, s", lambda side, phase=phase: side.done[phase].cpu_seconds, _seconds)  # type: ignore[misc]
        row("  peak, MiB", lambda side, phase=phase: side.done[phase].peak_bytes, _mib)  # type: ignore[misc]
        row("  held after it, MiB", lambda side, phase=phase: side.done[phase].held_bytes, _mib)  # type: ignore[misc]
        table.add_section()
    row("idle process, MiB", lambda side: side.idle_bytes, _mib)
    row("bytes an object, after sync", lambda side: side.bytes_per_object, _count)
    table.add_section()
    row("objects at the end", lambda side: None if side.agreement is None else side.agreement.objects, _count)
    table.add_row("same objects as the server", *map(_same, course.sides), "")
    table.add_row("same contents, too", *map(_same_contents, course.sides), "")
    return table


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}" if value < 10 else f"{value:,.1f}"


def _mib(value: float | None) -> str:
    return mib(None if value is None else int(value))


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _same(side: Side) -> str:
    agreement = side.agreement
    if agreement is None:
        return "-"
    return "yes" if agreement.same_versions else f"NO: {agreement.different:,} differ"


def _same_contents(side: Side) -> str:
    agreement = side.agreement
    if agreement is None or agreement.same_contents is None:
        return "not kept"
    return "yes" if agreement.same_contents else "NO"
