"""How long kinform holds up the event loop that it runs on: how late a ticker of a millisecond is, phase by phase.

Beside it stands what the loop's own thread computed meanwhile, the tick's millisecond included: what is late beyond
that was held up by others, be it processes or a thread of ours that trains. The ticker takes some CPU time itself,
which is why this is measured apart from the rest. Percentiles are over ticks, and a loop that is held up ticks less
often.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.corpus import MADE
from benchmarks.harness.arguments import count
from benchmarks.harness.digest import agree
from benchmarks.harness.process import Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import shown
from benchmarks.peers.catalogue import OURS
from benchmarks.peers.compare import SERVER, say
from benchmarks.peers.lifecycle import SETTLE, Source


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", choices=sorted(MADE), default="pods")
    parser.add_argument("--objects", type=count, metavar="N", help="how many; each kind has a number of its own")
    parser.add_argument("--rounds", type=count, default=3)


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """A record a phase."""
    objects = options.objects or MADE[options.kind][2]
    made = {"resource": options.kind, "objects": objects, "seed": options.seed, "corpus": None}
    with Process(python(SERVER), **made) as server:
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
    say("delays of the loop")
    with source.peer(OURS) as process:
        process.do("connect")

        @contextmanager
        def noting(phase: str) -> Iterator[None]:
            process.do("watch_loop")
            yield
            delays[phase] = process.do("delays")

        with noting("first sync"):
            process.do("sync")
        with noting("in the background after it"):
            time.sleep(2 * SETTLE)
        source.do("prepare", events=source.about["objects"])
        with noting("a storm of updates"):
            process.do("reach", version=str(source.do("go")))
        for phase, change in (("a relist, nothing changed", 0.0), ("a relist, all changed", 1.0)):
            if change:
                source.do("prepare", change=change)
            with noting(phase):
                process.do("reach", version=str(source.do("expire")))
            with noting(f"in the background after {phase}"):
                time.sleep(SETTLE)
        source.do("prepare", delete=0.9)
        with noting("nine in ten deleted"):
            process.do("reach", version=str(source.do("go")))
        if not agree(source.do("digest"), process.do("digest")):
            raise SystemExit("delays: it holds other objects than the server; no figure is told")
    return delays


def table(records: list[Record]) -> str:
    """The result for people: medians over the rounds, and the longest of all."""
    lines = [f"{records[0]['objects']:,} {records[0]['kind']}; ms late"]
    lines.append(f"{'':52}{'p99':>9}{'longest':>9}{'ours: p99':>11}{'longest':>9}{'of all':>9}")
    for each in records:
        found = each["figures"]
        columns = [(name, "median") for name in ("p99", "longest", "busy_p99", "busy_longest")]
        told = [shown(found[name][end], "ms") for name, end in (*columns, ("busy_longest", "max"))]
        lines.append(f"{each['phase']:52}{told[0]:>9}{told[1]:>9}{told[2]:>11}{told[3]:>9}{told[4]:>9}")
    return "\n".join(lines)
