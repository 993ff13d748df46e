"""What a process with one informer takes, phase by phase: memory and CPU time, read from outside.

A server of the benchmark's own sends bytes that are there already; its own ceiling is measured and told. Each round is
a fresh process that goes through a first sync, 5 s, the time until it is quiet (nothing is done in the background any
more), a storm of updates, a relist in which nothing and one in which everything has changed, and 90 % deleted; one that
is given only what was left; one with a handler, for a storm; and an idle one. After each phase a digest of the whole
content is compared with the server's: where they differ nothing is reported. Marginal is what a process holds less what
the idle one does, which is connected and has an informer on an empty collection. Delays of the event loop are measured
in a round of their own, as the ticker takes CPU time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.harness.ceiling import ceiling
from benchmarks.harness.gauge import Gauge
from benchmarks.harness.machine import machine
from benchmarks.corpus import MADE
from benchmarks.harness.process import Process, python
from benchmarks.harness.spread import spreads

QUIET_LIMIT = 120.0
"""Seconds that work in the background may take."""

MIB = float(1 << 20)

Figures = dict[str, float | None]


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    where = machine()  # with the load before there is any of ours
    sizes: list[int | None] = options.objects or [None if options.corpus else MADE[options.resource][2]]
    runs = [Run(options, size).measure() for size in sizes]
    told = {
        "benchmark": "memory",
        "resource": options.resource,
        "corpus": options.corpus and options.corpus.name,
        "seed": options.seed,
        "initial": options.initial,
        "rounds": options.rounds,
        "settle_seconds": options.settle,
        "machine": where,
        "runs": runs,
        "slope": slope(runs),
    }
    print(json.dumps(told, indent=2) if options.json else table(told))
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="write the result as JSON")
    parser.add_argument("--resource", choices=sorted(MADE), default="pods")
    parser.add_argument("--objects", type=int, action="append", metavar="N", help="twice: the slope between them")
    parser.add_argument("--corpus", type=Path, metavar="FILE", help="objects from `kubectl get -o json`, or one a line")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--initial", choices=("auto", "list", "stream"), default="auto", help="how the informer starts")
    parser.add_argument("--events", type=int, metavar="N", help="updates in a storm; as many as objects, if not told")
    parser.add_argument("--settle", type=float, default=5.0, metavar="SECONDS", help="between a phase and the reading")
    return parser.parse_args(arguments)


class Run:
    """All rounds with one number of objects."""

    def __init__(self, options: argparse.Namespace, objects: int | None) -> None:
        self._options = options
        corpus = options.corpus and str(options.corpus.resolve())
        made = {"resource": options.resource, "objects": objects, "seed": options.seed, "corpus": corpus}
        self._server = Process(python("benchmarks/harness/server.py"), **made)

    def measure(self) -> dict[str, Any]:
        """Everything there is to tell of this number of objects."""
        with self._server:
            self._about = self._server.do("open")
            most = ceiling(self._about["url"], self._about["path"], self._about["objects"])
            before = self._server.gauge.cpu_seconds()
            rounds = [self._round() for _ in range(self._options.rounds)]
            served = self._server.gauge.cpu_seconds() - before
            delays = self._delays()
        figures = spreads([found | derived(found, self._about) for found, _ in rounds])
        return {
            **{name: self._about[name] for name in ("objects", "raw_bytes", "pruned_bytes")},
            "server": {"ceiling": most, "cpu_seconds": served},
            "figures": figures,
            "delays": delays,
            "stats": rounds[-1][1],
        }

    def _subject(self, resource: str = "") -> Process:
        names = {"url": self._about["url"], "resource": resource or self._about["resource"]}
        return Process(python("benchmarks/harness/subject.py"), **names, initial=self._options.initial)

    def _round(self) -> tuple[Figures, dict[str, Any]]:
        found = Figures()
        self._idle(found)
        self._handler(found)
        stats = self._life(found)
        self._rest(found)
        return found, stats

    def _idle(self, found: Figures) -> None:
        """A process with one informer on an empty collection."""
        with self._subject("v1/nothings") as idle:
            idle.do("connect")
            idle.do("sync")
            time.sleep(self._options.settle)
            found |= {"idle.rss": idle.gauge.rss(), "idle.pss": idle.gauge.pss()}

    def _handler(self, found: Figures) -> None:
        """A storm with a handler; in a process of its own, for the sake of what comes after the other storm."""
        server, settle = self._server, self._options.settle
        server.do("reset")
        with self._subject() as subject:
            subject.do("connect")
            subject.do("sync")
            subject.do("listen")
            subject.gauge.until_quiet(QUIET_LIMIT)
            found["storm_handled.before"] = subject.gauge.rss()
            found["storm_handled.events"] = self._prepare_storm()
            with phase(found, "storm_handled", subject.gauge, settle):
                subject.do("handle", version=server.do("go"))
            self._check(subject)

    def _life(self, found: Figures) -> dict[str, Any]:
        """All the rest, one after another; returns what the informer said of itself when it was quiet at first."""
        server, settle = self._server, self._options.settle
        server.do("reset")
        with self._subject() as subject:
            gauge = subject.gauge
            subject.do("connect")
            found["before.rss"] = gauge.rss()
            cpu = gauge.cpu_seconds()
            with phase(found, "sync", gauge, settle):
                found["sync.seconds"] = subject.do("sync")
            gauge.forget_peak()
            quiet = gauge.until_quiet(QUIET_LIMIT)
            found["settled.seconds"] = None if quiet is None else settle + quiet
            found["settled.cpu_seconds"] = gauge.cpu_seconds() - cpu - (found["sync.cpu_seconds"] or 0.0)
            found |= {"settled.rss": gauge.rss(), "settled.pss": gauge.pss(), "settled.peak": gauge.peak()}
            self._check(subject)
            stats: dict[str, Any] = subject.do("stats")
            found["storm.events"] = self._prepare_storm()
            with phase(found, "storm", gauge, settle):
                subject.do("reach", version=server.do("go"))
            self._check(subject)
            gauge.until_quiet(QUIET_LIMIT)
            for name, change in (("unchanged", 0.0), ("changed", 1.0)):
                found[f"{name}.before"] = gauge.rss()
                if change:
                    server.do("prepare", change=change)
                with phase(found, name, gauge, settle):
                    subject.do("reach", version=server.do("expire"))
                self._end(found, name, subject)
            server.do("prepare", delete=0.9)
            with phase(found, "deleted", gauge, settle):
                subject.do("reach", version=server.do("go"))
            self._end(found, "deleted", subject)
        return stats

    def _rest(self, found: Figures) -> None:
        """A fresh process with what was left."""
        with self._subject() as fresh:
            fresh.do("connect")
            with phase(found, "fresh", fresh.gauge, self._options.settle):
                fresh.do("sync")
            self._end(found, "fresh", fresh)

    def _end(self, found: Figures, name: str, subject: Process) -> None:
        subject.gauge.until_quiet(QUIET_LIMIT)
        found[f"{name}.quiet_rss"] = subject.gauge.rss()
        self._check(subject)

    def _delays(self) -> dict[str, dict[str, float]]:
        """How long the loop was held up while something went on."""
        server, delays = self._server, {}
        server.do("reset")
        with self._subject() as subject:
            subject.do("connect")

            @contextmanager
            def noting(name: str) -> Iterator[None]:
                subject.do("watch_loop")
                yield
                delays[name] = subject.do("delays")

            with noting("sync"):
                subject.do("sync")
            with noting("settling"):
                time.sleep(self._options.settle)
            self._prepare_storm()
            with noting("storm"):
                subject.do("reach", version=server.do("go"))
            for name, change in (("unchanged", 0.0), ("changed", 1.0)):
                if change:
                    server.do("prepare", change=change)
                with noting(name):
                    subject.do("reach", version=server.do("expire"))
                with noting(f"after {name}"):
                    time.sleep(self._options.settle)
            server.do("prepare", delete=0.9)
            with noting("deleted"):
                subject.do("reach", version=server.do("go"))
            self._check(subject)
        return delays

    def _prepare_storm(self) -> int:
        events: int = self._server.do("prepare", events=self._options.events or self._about["objects"])["events"]
        return events

    def _check(self, subject: Process) -> None:
        there, here = self._server.do("digest"), subject.do("digest")
        if there != here:
            counts = f"{here['objects']} objects, the server {there['objects']}"
            raise SystemExit(f"memory: a wrong answer: the content differs ({counts}); nothing is reported")


@contextmanager
def phase(found: Figures, name: str, gauge: Gauge, settle: float) -> Iterator[None]:
    """Notes what goes on in the block: seconds and CPU seconds of it; then what is held, and the peak up to then."""
    gauge.forget_peak()
    begun, cpu = time.perf_counter(), gauge.cpu_seconds()
    yield
    found.setdefault(f"{name}.seconds", time.perf_counter() - begun)
    found[f"{name}.cpu_seconds"] = gauge.cpu_seconds() - cpu
    time.sleep(settle)
    found |= {f"{name}.rss": gauge.rss(), f"{name}.pss": gauge.pss(), f"{name}.peak": gauge.peak()}


def derived(found: Figures, about: dict[str, Any]) -> Figures:
    """Figures that follow from others of the same round."""
    values = {name: value or 0.0 for name, value in found.items()}
    objects, more = about["objects"], Figures()
    for name in ("sync", "settled"):
        marginal = values[f"{name}.rss"] - values["idle.rss"]
        more[f"{name}.bytes_per_object"] = marginal / objects
        more[f"{name}.of_raw"] = marginal / about["raw_bytes"]
        more[f"{name}.of_pruned"] = marginal / about["pruned_bytes"]
    # A tick is the least that can be told apart.
    for name in ("sync", "unchanged", "changed"):
        more[f"{name}.objects_per_second"] = objects / values[f"{name}.seconds"]
        more[f"{name}.objects_per_cpu_second"] = objects / max(values[f"{name}.cpu_seconds"], 0.01)
    more["settled.objects_per_cpu_second_in_all"] = objects / max(
        values["sync.cpu_seconds"] + values["settled.cpu_seconds"], 0.01
    )
    for name in ("storm", "storm_handled"):
        more[f"{name}.events_per_second"] = values[f"{name}.events"] / values[f"{name}.seconds"]
        more[f"{name}.events_per_cpu_second"] = values[f"{name}.events"] / max(values[f"{name}.cpu_seconds"], 0.01)
    steady = values["settled.rss"] - values["idle.rss"]
    for name in ("unchanged", "changed"):
        more[f"{name}.peak_of_marginal"] = (values[f"{name}.peak"] - values["idle.rss"]) / steady
    more["deleted.beyond_fresh"] = values["deleted.quiet_rss"] - values["fresh.quiet_rss"]
    return more


def slope(runs: list[dict[str, Any]]) -> dict[str, float] | None:
    """Bytes that one more object takes: between the least and the greatest number of objects, of the medians."""
    few, many = (choose(runs, key=lambda run: run["objects"]) for choose in (min, max))
    more = many["objects"] - few["objects"]
    if not more:
        return None
    names = {"steady": "sync.rss", "settled": "settled.rss"}
    return {
        name: (many["figures"][rss]["median"] - few["figures"][rss]["median"]) / more for name, rss in names.items()
    }


ROWS: tuple[tuple[str, str, str], ...] = (
    ("idle, an empty collection", "idle.rss", "MiB"),
    ("first sync: peak", "sync.peak", "MiB"),
    ("first sync: steady", "sync.rss", "MiB"),
    ("first sync: quiet, in the end", "settled.rss", "MiB"),
    ("first sync: PSS then", "settled.pss", "MiB"),
    ("storm: after", "storm.rss", "MiB"),
    ("storm, with a handler: before", "storm_handled.before", "MiB"),
    ("storm, with a handler: peak", "storm_handled.peak", "MiB"),
    ("storm, with a handler: after", "storm_handled.rss", "MiB"),
    ("relist, nothing changed: before", "unchanged.before", "MiB"),
    ("relist, nothing changed: peak", "unchanged.peak", "MiB"),
    ("relist, nothing changed: after", "unchanged.rss", "MiB"),
    ("relist, nothing changed: quiet again", "unchanged.quiet_rss", "MiB"),
    ("relist, all changed: before", "changed.before", "MiB"),
    ("relist, all changed: peak", "changed.peak", "MiB"),
    ("relist, all changed: after", "changed.rss", "MiB"),
    ("relist, all changed: quiet again", "changed.quiet_rss", "MiB"),
    ("90 % deleted: after", "deleted.rss", "MiB"),
    ("90 % deleted: quiet again", "deleted.quiet_rss", "MiB"),
    ("90 % deleted: the rest in a fresh process", "fresh.quiet_rss", "MiB"),
    ("marginal bytes an object, steady", "sync.bytes_per_object", ""),
    ("marginal bytes an object, quiet", "settled.bytes_per_object", ""),
    ("of their JSON without managedFields, quiet", "settled.of_pruned", "%"),
    ("of their JSON, quiet", "settled.of_raw", "%"),
    ("first sync: seconds", "sync.seconds", "s"),
    ("first sync: CPU seconds", "sync.cpu_seconds", "s"),
    ("CPU seconds from there until quiet", "settled.cpu_seconds", "s"),
    ("first sync: objects a second", "sync.objects_per_second", ""),
    ("first sync: objects a CPU second", "sync.objects_per_cpu_second", ""),
    ("and with the work until quiet", "settled.objects_per_cpu_second_in_all", ""),
    ("relist, nothing changed: objects a CPU second", "unchanged.objects_per_cpu_second", ""),
    ("relist, all changed: objects a CPU second", "changed.objects_per_cpu_second", ""),
    ("storm: events a second", "storm.events_per_second", ""),
    ("storm: events a CPU second", "storm.events_per_cpu_second", ""),
    ("storm, with a handler: events a CPU second", "storm_handled.events_per_cpu_second", ""),
)


def table(told: dict[str, Any]) -> str:
    """The result for people."""
    at, lines = told["machine"], list[str]()
    lines.append(f"{told['corpus'] or told['resource']}, seed {told['seed']}, {told['rounds']} rounds")
    lines.append(f"{at['cpu']}, {at['cores']} cores, {at['kernel']}, huge pages {at['transparent_huge_pages']}")
    lines.append(f"{at['python']}, {', '.join(f'{name} {version}' for name, version in at['versions'].items())}")
    for run in told["runs"]:
        objects, most = run["objects"], run["server"]["ceiling"]
        raw, pruned = (run[name] / objects for name in ("raw_bytes", "pruned_bytes"))
        lines.append(f"\n{objects:,} objects of {raw:,.0f} B, {pruned:,.0f} B without managedFields")
        each = [f"{name} {found['objects_per_second']:,.0f}" for name, found in most.items()]
        lines.append(f"the server's own ceiling, objects a second: {', '.join(each)}")
        lines.append(f"\n{'':46}{'median':>12}{'min':>12}{'max':>12}")
        for title, name, unit in ROWS:
            if figure := run["figures"].get(name):
                values = "".join(f"{shown(figure[end], unit):>12}" for end in ("median", "min", "max"))
                lines.append(f"{title:46}{values} {unit}".rstrip())
        lines.append(f"\n{'delays of the loop, ms':46}{'p99':>12}{'longest':>12}{'of it ours':>12}")
        for name, found in run["delays"].items():
            values = "".join(f"{found[end] * 1000:12.1f}" for end in ("p99", "longest", "busy_longest"))
            lines.append(f"{name:46}{values}")
    if told["slope"]:
        steady, settled = told["slope"]["steady"], told["slope"]["settled"]
        lines.append(f"\nbytes for one more object: steady {steady:,.0f}, quiet {settled:,.0f}")
    return "\n".join(lines)


def shown(value: float, unit: str) -> str:
    """A figure to read."""
    match unit:
        case "MiB":
            return f"{value / MIB:,.1f}"
        case "%":
            return f"{value * 100:.1f}"
        case "s":
            return f"{value:.2f}"
    return f"{value:,.0f}"
