"""The history retold: what following one collection takes in the ways it has been done, and in ours.

kube-rs held a collection up to three times at a relist until 0.92 (pages in a list, copies of them in the new store,
the old store) and twice since; its authors measured 60 % less with a store and 80 % without (10,000 RoleBindings).
Here the modes of `benchmarks.memory.modes`, all in Python over one transport, do the same: a first sync, then a relist
in which every object has changed. Two views stand side by side: the heap as memray sees it, native allocations
included, and what is resident, read from outside of a process without memray, in several rounds. How often something
is allocated is counted in a third, for a first sync of at most 1,000 objects.

Bias: the Python of `naive` and `buffered` was written for this, on msgspec, and decodes faster and smaller than most;
no mode is at work between the phases, where programs would be; `kinform` works in the background after a sync, and
the relist comes when that has paused. Python's cycle collector looks less often than by default, in all modes. No
times are told.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks.corpus import MADE
from benchmarks.harness.arguments import count
from benchmarks.harness.process import Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads

COUNTED = 1_000
MIB = float(1 << 20)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Says which options there are."""
    parser.add_argument("--kind", choices=sorted(MADE), default="pods", help="%(default)s")
    parser.add_argument("--objects", type=count, default=5_000, metavar="N", help="%(default)s")
    parser.add_argument(
        "--rounds", type=count, default=3, metavar="N", help="of what is read from outside; %(default)s"
    )
    folder = Path("build/benchmarks/memory")
    told = "where flame graphs and the plot go; %(default)s"
    parser.add_argument("--artefacts", type=Path, default=folder, metavar="FOLDER", help=told)


def measure(options: argparse.Namespace) -> list[Record]:
    """A record for each mode; writes flame graphs and the plot besides.

    Args:
        options: `kind`, `objects`, `seed`, `rounds` and the folder `artefacts`.

    Raises:
        WrongAnswer: A mode did not hold what the server had: nothing is told.
    """
    # They need memray and matplotlib, without which this module can still be asked for its options.
    from benchmarks.memory import capture, runs
    from benchmarks.memory.draw import draw
    from benchmarks.memory.modes import MODES

    options.artefacts.mkdir(parents=True, exist_ok=True)
    records = list[Record]()
    counted = min(COUNTED, options.objects)
    with (
        _server(options, options.objects) as served,
        _server(options, counted) as few,
        tempfile.TemporaryDirectory() as scratch,
    ):
        many, less = runs.Source(served), runs.Source(few)
        sizes = {name: many.about[name] for name in ("objects", "raw_bytes", "pruned_bytes")}
        for mode in MODES:
            rounds = [runs.resident(many, mode) for _ in range(options.rounds)]
            file = Path(scratch) / f"{mode}.capture"
            found = capture.heap(file, runs.captured(many, mode, file))
            capture.flame_graphs(file, options.artefacts, mode)
            file.unlink()
            counting = Path(scratch) / f"{mode}.counted"
            runs.counted(less, mode, counting)
            found["figures"] |= {"allocations_per_object": capture.allocations(counting) / counted, **spreads(rounds)}
            records.append({"benchmark": options.benchmark, "mode": mode, "kind": options.kind, **sizes, **found})
    draw(records, options.artefacts / "timeline.png")
    return records


def _server(options: argparse.Namespace, objects: int) -> Process:
    made = {"resource": options.kind, "objects": objects, "seed": options.seed, "corpus": None}
    return Process(python("benchmarks/harness/server.py"), **made)


ROWS = (
    ("resident: idle", "rss.idle"),
    ("resident: first sync, peak", "rss.sync_peak"),
    ("resident: first sync, then held", "rss.sync_held"),
    ("resident: relist, peak", "rss.relist_peak"),
    ("resident: relist, then held", "rss.relist_held"),
    ("heap: first sync, peak", "heap.sync_peak"),
    ("heap: first sync, then held", "heap.sync_held"),
    ("heap: relist, peak", "heap.relist_peak"),
    ("heap: relist, then held", "heap.relist_held"),
)
LEAST_SHARE = 0.02


def table(found: Iterable[Record]) -> str:
    """The result for people."""
    records = list(found)
    about, modes = records[0], [record["mode"] for record in records]
    lines = [f"{about['objects']:,} {about['kind']} of {about['raw_bytes'] / about['objects']:,.0f} B; MiB"]
    lines.append(f"{'':34}" + "".join(f"{mode:>10}" for mode in modes))
    for title, name in ROWS:
        lines.append(f"{title:34}" + "".join(f"{_middle(each['figures'][name]) / MIB:10,.1f}" for each in records))
    counts = (each["figures"]["allocations_per_object"] for each in records)
    lines.append(f"{'allocations an object, first sync':34}" + "".join(f"{count:10,.0f}" for count in counts))
    most = _middle(next(each for each in records if each["mode"] == "buffered")["figures"]["rss.relist_peak"])
    less = (1 - _middle(each["figures"]["rss.relist_peak"]) / most for each in records)
    lines.append(f"{'resident at the relist: less, %':34}" + "".join(f"{share * 100:10.0f}" for share in less))
    for record in records:
        lines.append(f"\n{record['mode']}: who holds the heap's peak, {record['figures']['heap.peak'] / MIB:,.1f} MiB")
        parts = (part for part in record["holders"] if part["share"] >= LEAST_SHARE)
        lines += (f"{part['bytes'] / MIB:10,.2f} {part['share'] * 100:5.0f} %  {part['where']}" for part in parts)
    return "\n".join(lines)


def _middle(figure: float | dict[str, float]) -> float:
    return figure["median"] if isinstance(figure, dict) else figure
