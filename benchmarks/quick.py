"""Measures a few figures and fails if a ratio exceeds its bound.

It finds changes that make kinform much larger or slower. A ratio is a figure of kinform divided by the figure of a
simple program in the same run, mostly with plain dicts. No absolute time or size has a bound, so the load of the
machine hardly matters. With the default number of objects, the fixed memory of a process, such as its cache of
templates, is still a large part; and with the few pods of the speed gates, most templates have few users and many are
not in the cache. A bound leaves room for noise: most are less than twice the ratio that was reached. The CPU time of a
first sync and of a read differ most, with the caches of the processor.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import msgspec

from benchmarks import speed
from benchmarks.harness.arguments import count
from benchmarks.harness.process import SERVER, Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.memory import runs

OBJECTS = 3_000
TESTS = "test_drop_list or test_raw_in_random_order or test_put and not namespaces or test_relist or test_event"
"""The tests of `benchmarks/micro` whose figures the gates compare."""


class Gate(msgspec.Struct, frozen=True):
    """The bound of a ratio.

    Both figures are named by a group and a name, or by a mode and a figure.

    Attributes:
        what: The name in the table.
        ours: kinform's figure.
        theirs: The other figure; the group `""` means that of `ours`.
        bound: The largest ratio allowed.
    """

    what: str
    ours: tuple[str, str]
    theirs: tuple[str, str]
    bound: float


GATES = (
    Gate("memory at rest after the first sync, above idle", ("kinform", "sync_held"), ("naive", "sync_held"), 0.028),
    Gate("peak of the first sync, above idle", ("kinform", "sync_peak"), ("naive", "sync_peak"), 0.045),
    Gate("peak of a relist, all changed, above idle", ("kinform", "relist_peak"), ("naive", "relist_peak"), 0.028),
    Gate("peak of a relist without a store, above idle", ("events", "relist_peak"), ("naive", "relist_peak"), 0.01),
    Gate("CPU time of the first sync", ("kinform", "sync_cpu"), ("naive", "sync_cpu"), 0.5),
    Gate("CPU time of a relist, all changed", ("kinform", "relist_cpu"), ("naive", "relist_cpu"), 0.35),
    Gate(
        "split of a LIST, managedFields dropped",
        ("drop managedFields, LIST", "kinform"),
        ("", "msgspec, Raw members"),
        0.4,
    ),
    Gate("read of the JSON of one object", ("raw, random order", "kinform"), ("", "dict of dicts, msgspec"), 0.6),
    Gate("store of a new object", ("put, new pods", "kinform"), ("", "dict of dicts, json"), 1.4),
    Gate("store of a changed object", ("put, changed pods", "kinform"), ("", "dict of dicts, json"), 0.36),
    Gate(
        "store of an unchanged object in a relist", ("relist, nothing changed", "kinform"), ("", "dict of bytes"), 0.11
    ),
    Gate(
        "watch event to the call of a handler",
        ("event to handler", "kinform, on_change: a key"),
        ("", "naive loop, json"),
        0.45,
    ),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--objects", type=count, default=OBJECTS, metavar="N", help="number of pods; default: %(default)s"
    )
    parser.add_argument("--rounds", type=count, default=2, help="number of rounds; default: %(default)s")


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each gate."""
    known = dict(_memory(options)) | dict(_speed(options))
    for gate in GATES:
        group, name = gate.theirs
        ratio = known[gate.ours] / known[group or gate.ours[0], name]
        about: Record = {"benchmark": options.benchmark, "record": "gate", "what": gate.what}
        yield about | {"ratio": ratio, "bound": gate.bound, "of": group or name}


def _memory(options: argparse.Namespace) -> Iterator[tuple[tuple[str, str], float]]:
    served = {"resource": "pods", "objects": options.objects, "seed": options.seed, "corpus": None}
    with Process(python(SERVER), **served) as server:
        source = runs.Source(server)
        for mode in ("naive", "kinform", "events"):
            found = spreads([runs.resident(source, mode) for _ in range(options.rounds)])
            idle = found["rss.idle"]["median"]
            for phase in runs.PHASES:
                for part in ("peak", "held"):
                    yield (mode, f"{phase}_{part}"), max(found[f"rss.{phase}_{part}"]["median"] - idle, 1.0)
                yield (mode, f"{phase}_cpu"), found[f"cpu.{phase}"]["median"]


def _speed(options: argparse.Namespace) -> Iterator[tuple[tuple[str, str], float]]:
    given = {"benchmark": options.benchmark, "objects": None, "quick": True, "k": TESTS, "save": False}
    for each in speed.measure(argparse.Namespace(**given, seed=options.seed)):
        yield (each["group"], each["name"]), each["figures"]["ns"]["median"]


def verdict(records: list[Record]) -> int:
    """Returns exit code 1 if a ratio exceeds its bound."""
    return int(any(each["ratio"] > each["bound"] for each in records))


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    lines = [f"{'kinform divided by the other; lower is better':50}{'ratio':>8}{'bound':>8}  other"]
    exceeded = 0
    for each in records:
        exceeds = each["ratio"] > each["bound"]
        exceeded += exceeds
        mark = "   EXCEEDED" if exceeds else ""
        lines.append(f"{each['what']:50}{each['ratio']:8.3f}{each['bound']:8.3f}  {each['of']}{mark}")
    summary = (
        f"{exceeded} of {len(records)} ratios exceed their bounds" if exceeded else "all ratios are within their bounds"
    )
    return "\n".join([*lines, summary])
