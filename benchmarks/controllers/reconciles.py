"""Reconciles that change nothing, per second of CPU time.

    initial     from the start of the program until every object is reconciled: its list is part of it
    updates     one update of each object, in a burst
    requeue     the keys of all objects are added to the queue, without an event; kopf has no queue

The time of each phase ends when the process is at rest, which is seen from outside.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from benchmarks.harness.arguments import selected
from benchmarks.harness.process import SERVER, Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Column
from benchmarks.peers.catalogue import CONTROLLERS, Peer
from benchmarks.peers.compare import progress
from benchmarks.peers.phase import BRIEF_SECONDS, Figures, phase, rates

COLUMNS: tuple[Column, ...] = (
    ("initial: reconciles per CPU second", "initial.per_total_cpu_second", ""),
    ("updates: reconciles per CPU second", "updates.per_total_cpu_second", ""),
    ("requeue: reconciles per CPU second", "requeue.per_total_cpu_second", ""),
    ("at rest", "initial.rss_at_rest", "MiB"),
)


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each program.

    Raises:
        SystemExit: A program did not reconcile exactly the objects of the server.
    """
    programs = [each for each in CONTROLLERS if selected(each.name, options)]
    rounds: dict[str, list[Figures]] = {each.name: [] for each in programs}
    versions: dict[str, Any] = {}
    with Process(
        python(SERVER), resource="pods", objects=options.objects, seed=options.seed, corpus=None, tls=not options.plain
    ) as server:
        for number in range(options.rounds):
            for program in programs:
                if not program.absent:
                    progress(f"{program.name}, reconciles, round {number + 1}")
                    versions[program.name], found = _round(server, program, options.objects)
                    rounds[program.name].append(found)
    for program in programs:
        about = {"benchmark": options.benchmark, "record": "reconciles", "peer": program.name}
        if program.absent:
            yield about | {"absent": program.absent}
        else:
            figures = spreads(rounds[program.name])  # type: ignore[arg-type]
            yield about | {"objects": options.objects, "versions": versions[program.name], "figures": figures}


def _round(server: Process, program: Peer, objects: int) -> tuple[Any, Figures]:
    """Returns the versions of a program, and its figures in one run."""
    server.do("reset")
    about = server.do("open")
    found = Figures()
    given = {"url": about["url"], "ca": about["ca"], "resource": about["resource"], "mode": program.mode, "token": None}
    with Process(program.command, environment=program.environment, **given) as process:
        versions = process.do("versions")
        process.do("connect")
        with phase(found, "initial", process.gauge, BRIEF_SECONDS):
            process.do("start")
            count = process.do("settle", count=objects)
        found |= rates(found, "initial", count)
        _check(server, process, program, "initial")

        server.do("prepare", events=objects)
        with phase(found, "updates", process.gauge, BRIEF_SECONDS):
            if server.do("send") is None:
                raise SystemExit(f"controllers: {program.name} has opened no watch")
            before, count = count, process.do("settle", count=count + objects)
        found |= rates(found, "updates", count - before)
        _check(server, process, program, "updates")

        if program.family != "Python":
            with phase(found, "requeue", process.gauge, BRIEF_SECONDS):
                process.do("requeue")
                before, count = count, process.do("settle", count=count + objects)
            found |= rates(found, "requeue", count - before)
    return versions, found


def _check(server: Process, process: Process, program: Peer, name: str) -> None:
    """Checks that each object was reconciled in its last version, and nothing else."""
    expected, seen = server.do("versions"), process.do("seen")
    wrong = [key for key in expected.keys() | seen.keys() if expected.get(key) != seen.get(key)]
    if wrong:
        text = f"{len(wrong)} of {len(expected)} objects were not reconciled in their last version, such as {wrong[0]}"
        raise SystemExit(f"controllers: a wrong answer of {program.name} in {name}: {text}")
