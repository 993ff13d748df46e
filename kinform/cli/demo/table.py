"""The output of the demo: progress on stderr, and the final table.

A terminal shows a live table. A pipe gets a line per step, and one every two seconds during a turn. Both name the
number of the step, and the seconds left once each contestant has had a turn. Measures nothing except how long the
current turn has lasted.
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
from kinform.cli.demo.scenario import RELIST, STORM, SYNC, Contestant, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

REFRESH_SECONDS = 0.25
LINE_SECONDS = 2.0


class ProgressDisplay:
    """Displays the progress of a run. A `ProgressListener`."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._step = ""
        self._number = 0
        self._turn: tuple[Contestant, str, float] | None = None
        self._last_line = 0.0
        self._live: Live | None = None
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)

    async def run(self) -> None:
        """Refreshes the display until the task is cancelled."""
        if self._live is not None:
            self._live.start()
        try:
            while True:
                self._refresh()
                await asyncio.sleep(REFRESH_SECONDS)
        finally:
            if self._live is not None:
                self._live.stop()

    def step_started(self, text: str) -> None:
        self._turn, self._step = None, text
        self._number += 1
        self._print(text)

    def turn_started(self, contestant: Contestant, phase: str) -> None:
        self._turn, self._step = (contestant, phase, time.monotonic()), f"{contestant.name}: {phase}"
        self._number += 1
        self._last_line = time.monotonic()
        self._print(f"{self._step} started")

    def turn_finished(self, contestant: Contestant, phase: str) -> None:
        self._turn = None
        measured = contestant.measured[phase]
        self._print(
            f"{contestant.name}: {phase} took {_seconds(measured.seconds)} s: {measured.objects:,} objects, "
            f"memory {mib(measured.resident_bytes)} MiB, peak {mib(measured.peak_bytes)} MiB"
        )

    def _print(self, line: str) -> None:
        if self._live is None:
            print(f"{self._progress()}: {line}", file=sys.stderr, flush=True)

    def _progress(self) -> str:
        step = f"step {self._number} of {self._scenario.plan.steps}"
        left = self._seconds_left()
        return step if left is None else f"{step}, about {left:.0f} s left"

    def _seconds_left(self) -> float | None:
        """Estimates the seconds of all turns to come. None before each had a turn."""
        left, now = 0.0, time.monotonic()
        for contestant in self._scenario.contestants:
            for phase in self._scenario.plan.phases:
                if phase in contestant.measured:
                    continue
                if (expected := self._scenario.expected_seconds(contestant, phase)) is None:
                    return None
                if self._turn is not None and self._turn[:2] == (contestant, phase):
                    expected = max(expected - (now - self._turn[2]), 0.0)
                left += expected
        return left if self._scenario.contestants else None

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
        elif self._turn is not None and time.monotonic() - self._last_line >= LINE_SECONDS:
            contestant, phase, start = self._turn
            if phase in contestant.measured:  # over: only its memory is still to be read
                return
            gauge, self._last_line = contestant.child.gauge, time.monotonic()
            self._print(
                f"{contestant.name}: {phase} for {time.monotonic() - start:.0f} s: "
                f"{contestant.child.objects:,} objects, memory {mib(or_none(gauge.rss_estimate))} MiB, "
                f"peak {mib(or_none(gauge.peak))} MiB"
            )

    def _table(self) -> Table | Text:
        text, server = f"{self._progress()}: {self._step}", self._scenario.server
        if not self._scenario.contestants:
            return Text(text + (f": {server.objects:,} objects" if server is not None and server.objects else ""))
        table = Table(title=text, title_justify="left", title_style="bold")
        table.add_column("")
        for heading in ("objects", "memory, MiB", "peak, MiB"):
            table.add_column(heading, justify="right")
        for phase in self._scenario.plan.phases:
            table.add_column(phase, justify="right", min_width=len("100 s ..."))
        for contestant in self._scenario.contestants:
            gauge = contestant.child.gauge
            times = [self._time(contestant, phase) for phase in self._scenario.plan.phases]
            table.add_row(
                contestant.name,
                f"{contestant.child.objects:,}",
                mib(or_none(gauge.rss_estimate)),
                mib(or_none(gauge.peak)),
                *times,
            )
        return table

    def _time(self, contestant: Contestant, phase: str) -> str:
        if measured := contestant.measured.get(phase):
            return f"{_seconds(measured.seconds)} s"
        if self._turn is not None and self._turn[:2] == (contestant, phase):
            return f"[bold]{time.monotonic() - self._turn[2]:.0f} s ...[/bold]"
        return ""


def result(scenario: Scenario) -> Table:
    """Builds the final table: a column per contestant, and the ratio of the two."""
    plan = scenario.plan
    source = "the embedded API server" if plan.embedded else "the cluster"
    size = sum(scenario.json_bytes.values())
    objects = scenario.contestants[-1].measured[SYNC].objects
    table = Table(title=f"{objects:,} objects, {mib(size)} MiB of JSON on {source}", title_justify="left")
    table.add_column("")
    for contestant in scenario.contestants:
        table.add_column(contestant.name, justify="right")
    table.add_column("ratio", justify="right")

    def row(
        heading: str,
        value: Callable[[Contestant], float | None],
        text: Callable[[float | None], str],
        ratio: bool = True,
    ) -> None:
        values = [value(contestant) for contestant in scenario.contestants]
        first, last = values[0], values[-1]
        shown = f"{first / last:,.1f}" if first is not None and last else "-"
        table.add_row(heading, *map(text, values), shown if ratio else "")

    names = {SYNC: "initial sync", STORM: f"storm of {plan.updates:,} updates", RELIST: "relist"}
    names[RELIST] += " after 410" if plan.embedded else ""
    for phase in plan.phases:
        row(f"{names[phase]}, s", lambda each, phase=phase: each.measured[phase].seconds, _seconds)  # type: ignore[misc]
        row("  CPU time, s", lambda each, phase=phase: each.measured[phase].cpu_seconds, _seconds)  # type: ignore[misc]
        row("  peak memory, MiB", lambda each, phase=phase: each.measured[phase].peak_bytes, _mib)  # type: ignore[misc]
        row("  memory afterwards, MiB", lambda each, phase=phase: each.measured[phase].resident_bytes, _mib)  # type: ignore[misc]
        table.add_section()
    row("idle process, MiB", lambda each: each.idle_bytes, _mib)
    row("bytes per object after sync", lambda each: each.bytes_per_object, _count)
    table.add_section()
    row("objects at the end", lambda each: each.agreement.objects if each.agreement else None, _count, ratio=False)
    table.add_row("same versions as the server", *map(_same_versions, scenario.contestants), "")
    table.add_row("same contents as the server", *map(_same_contents, scenario.contestants), "")
    return table


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}" if value < 10 else f"{value:,.1f}"


def _mib(value: float | None) -> str:
    return mib(None if value is None else int(value))


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _same_versions(contestant: Contestant) -> str:
    agreement = contestant.agreement
    if agreement is None:
        return "-"
    return "yes" if agreement.same_versions else f"NO: {agreement.different:,} differ"


def _same_contents(contestant: Contestant) -> str:
    agreement = contestant.agreement
    if agreement is None or agreement.same_contents is None:
        return "not kept"
    return "yes" if agreement.same_contents else "NO"
