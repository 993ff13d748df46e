"""Measures for how long kinform blocks its event loop, phase by phase.

A task on the event loop sleeps for one millisecond, again and again. The time between two wake-ups is a tick. The delay
is the time by which the task wakes up late. The CPU time of the loop's thread in each tick is reported too. It includes
the CPU time of the task itself. A delay beyond this CPU time was caused by other processes, or by a worker thread of
kinform. The task uses CPU time, so no other benchmark runs it. Percentiles are over ticks. A blocked loop has fewer
ticks.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.corpus import MADE
from benchmarks.harness.arguments import count, plain
from benchmarks.harness.digest import agree
from benchmarks.harness.process import SERVER, Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Column, rows
from benchmarks.peers.catalogue import KINFORM
from benchmarks.peers.compare import progress
from benchmarks.peers.lifecycle import Source
from benchmarks.peers.phase import SETTLE_SECONDS


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--kind", choices=sorted(MADE), default="pods", help="kind of the objects; default: %(default)s"
    )
    parser.add_argument("--objects", type=count, metavar="N", help="the number of objects; the default depends on kind")
    parser.add_argument("--rounds", type=count, default=3, help="number of rounds; default: %(default)s")
    plain(parser)


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each phase."""
    objects = options.objects or MADE[options.kind][2]
    served = {"resource": options.kind, "objects": objects, "seed": options.seed, "corpus": None}
    with Process(python(SERVER), **served, tls=not options.plain) as server:
        source = Source(server)
        rounds = [_round(source) for _ in range(options.rounds)]
    for phase in rounds[0]:
        yield {
            "benchmark": options.benchmark,
            "record": "phase",
            "kind": options.kind,
            "objects": objects,
            "phase": phase,
            "figures": spreads([found[phase] for found in rounds]),  # type: ignore[misc]
        }


def _round(source: Source) -> dict[str, dict[str, float]]:
    delays: dict[str, dict[str, float]] = {}
    source.do("reset")
    progress("delays of the event loop")
    with source.start(KINFORM) as process:
        process.do("connect")

        @contextmanager
        def recorded(phase: str) -> Iterator[None]:
            process.do("watch_loop")
            yield
            delays[phase] = process.do("delays")

        with recorded("first sync"):
            process.do("sync")
        with recorded("10 s after the first sync"):
            time.sleep(2 * SETTLE_SECONDS)
        source.do("prepare", events=source.about["objects"])
        with recorded("update burst"):
            process.do("reach", version=str(source.do("send")))
        for phase, change in (("relist, nothing changed", 0.0), ("relist, all changed", 1.0)):
            if change:
                source.do("prepare", change=change)
            with recorded(phase):
                process.do("reach", version=str(source.do("expire")))
            with recorded(f"5 s after the {phase}"):
                time.sleep(SETTLE_SECONDS)
        source.do("prepare", delete=0.9)
        with recorded("90 % deleted"):
            process.do("reach", version=str(source.do("send")))
        if not agree(source.do("digest"), process.do("digest")):
            raise SystemExit("delays: kinform holds other objects than the server; no figures are reported")
    return delays


COLUMNS: tuple[Column, ...] = (
    ("delay: p99", "p99", "ms"),
    ("delay: longest", "longest", "ms"),
    ("CPU time in a tick: p99", "busy_p99", "ms"),
    ("CPU time in a tick: longest", "busy_longest", "ms"),
)


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    lines = [f"{records[0]['objects']:,} {records[0]['kind']}; delay of the event loop; median, min, max"]
    for each in records:
        lines += [f"\n{each['phase']}", *rows(COLUMNS, each["figures"])]
    return "\n".join(lines)
