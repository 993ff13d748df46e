"""A small part of the measurements, with a gate: ratios within the run, between kinform and plain dicts, have bounds.

For a change that makes kinform larger or slower than it was by much. No absolute time or size has a bound, so that
whatever else the machine does matters little; what is held is compared at a size where a process' own megabytes, the
dictionary's among them, still weigh. Bounds leave room for noise: about twice what a ratio usually is.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import msgspec

from benchmarks import speed
from benchmarks.harness.arguments import count
from benchmarks.harness.process import Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.memory import runs

OBJECTS = 3_000
GROUPS = "drop or raw or put or relist or event"


class Gate(msgspec.Struct, frozen=True):
    """What must not be more than so many times something else: figures of two records."""

    what: str
    ours: tuple[str, str]
    theirs: tuple[str, str]
    bound: float


GATES = (
    Gate("held after the first sync, beyond idle", ("kinform", "sync_held"), ("naive", "sync_held"), 0.04),
    Gate("peak of the first sync, beyond idle", ("kinform", "sync_peak"), ("naive", "sync_peak"), 0.16),
    Gate("peak of a relist, all changed, beyond idle", ("kinform", "relist_peak"), ("naive", "relist_peak"), 0.06),
    Gate("peak of events alone, beyond idle", ("events", "relist_peak"), ("naive", "relist_peak"), 0.015),
    Gate("CPU time of the first sync", ("kinform", "sync_cpu"), ("naive", "sync_cpu"), 0.5),
    Gate("CPU time of a relist, all changed", ("kinform", "relist_cpu"), ("naive", "relist_cpu"), 0.35),
    Gate(
        "cutting a LIST, managedFields dropped", ("drop managedFields, LIST", "kinform"), ("", "msgspec, half cut"), 0.4
    ),
    Gate("raw", ("raw", "kinform"), ("", "dict of dicts, msgspec"), 0.4),
    Gate("put", ("put", "kinform"), ("", "dict of dicts, json"), 0.8),
    Gate("relist, nothing changed", ("relist, nothing changed", "kinform"), ("", "dict of bytes"), 0.7),
    Gate("an event to a handler", ("event to handler", "kinform, on_change: a key"), ("", "naive loop, json"), 0.6),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--objects", type=count, default=OBJECTS, metavar="N", help="pods; %(default)s")
    parser.add_argument("--rounds", type=count, default=2)


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """A record a gate."""
    known = dict(_memory(options)) | dict(_speed(options))
    for gate in GATES:
        group, name = gate.ours
        ours, theirs = known[group, name], known[gate.theirs[0] or group, gate.theirs[1]]
        ratio = ours / theirs
        told: Record = {"benchmark": options.benchmark, "record": "gate", "what": gate.what}
        yield told | {
            "ratio": ratio,
            "bound": gate.bound,
            "of": gate.theirs[1] if not gate.theirs[0] else gate.theirs[0],
        }


def _memory(options: argparse.Namespace) -> Iterator[tuple[tuple[str, str], float]]:
    made = {"resource": "pods", "objects": options.objects, "seed": options.seed, "corpus": None}
    with Process(python("benchmarks/harness/server.py"), **made) as server:
        source = runs.Source(server)
        for mode in ("naive", "kinform", "events"):
            found = spreads([runs.resident(source, mode) for _ in range(options.rounds)])
            idle = found["rss.idle"]["median"]
            for phase in runs.PHASES:
                for part in ("peak", "held"):
                    yield (mode, f"{phase}_{part}"), max(found[f"rss.{phase}_{part}"]["median"] - idle, 1.0)
                yield (mode, f"{phase}_cpu"), found[f"cpu.{phase}"]["median"]


def _speed(options: argparse.Namespace) -> Iterator[tuple[tuple[str, str], float]]:
    asked = {"benchmark": options.benchmark, "objects": None, "quick": True, "k": GROUPS, "save": False}
    for each in speed.measure(argparse.Namespace(**asked, seed=options.seed)):
        yield (each["group"], each["name"]), each["figures"]["ns"]["median"]


def verdict(records: list[Record]) -> int:
    """The exit code: 1 if a ratio is beyond its bound."""
    return int(any(each["ratio"] > each["bound"] for each in records))


def table(records: list[Record]) -> str:
    """The result for people."""
    lines = [f"{'':46}{'ratio':>8}{'bound':>8}"]
    for each in records:
        beyond = "   BEYOND" if each["ratio"] > each["bound"] else ""
        lines.append(f"{each['what']:46}{each['ratio']:8.3f}{each['bound']:8.3f}  of {each['of']}{beyond}")
    lines.append("kinform's figure as a share of the other's: less is better; " + _verdict(records))
    return "\n".join(lines)


def _verdict(records: list[Record]) -> str:
    beyond = sum(each["ratio"] > each["bound"] for each in records)
    return f"{beyond} of {len(records)} are beyond their bounds" if beyond else "all are within their bounds"
