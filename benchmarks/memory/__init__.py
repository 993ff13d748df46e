"""Measures the memory of five programs that follow a collection.

Until version 0.92, kube-rs stored a collection up to three times in a relist: the pages in a list, their copies in the
new store, and the old store. Since then it stores the collection twice. Its authors measured 60 % less memory with a
store and 80 % less without a store, for 10,000 RoleBindings: https://github.com/kube-rs/kube/pull/1494. The modes of
`benchmarks.memory.modes` do the same in Python, over one transport: a first sync, then a relist in which every object
has changed.

One mode is an informer of kinform. Each mode runs in three processes. In the first, the resident memory is measured
from outside, over several rounds. In the second, memray records the heap, native allocations included. In the third,
memray counts the allocations of a first sync of at most 1,000 objects.

Bias: the Python of `naive` and `buffered` was written for this benchmark on msgspec. It decodes faster, and into
smaller objects, than most programs. No mode works between the phases, as programs would. The relist starts when the
process is at rest after the first sync. In all modes, Python's garbage collector runs less often than by default. No
times are reported.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks.corpus import MADE
from benchmarks.harness.arguments import count, plain
from benchmarks.harness.process import SERVER, Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Column, shown

MAX_COUNTED = 1_000
"""Objects in the process that counts allocations."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--kind", choices=sorted(MADE), default="pods", help="kind of the objects; default: %(default)s"
    )
    parser.add_argument(
        "--objects", type=count, default=5_000, metavar="N", help="number of objects; default: %(default)s"
    )
    parser.add_argument(
        "--rounds", type=count, default=3, metavar="N", help="rounds without memray; default: %(default)s"
    )
    plain(parser)
    folder, text = Path("build/benchmarks/memory"), "folder for flame graphs and the plot; default: %(default)s"
    parser.add_argument("--artefacts", type=Path, default=folder, metavar="FOLDER", help=text)


def measure(options: argparse.Namespace) -> list[Record]:
    """Returns a record for each mode. Writes the flame graphs and the plot.

    Args:
        options: `kind`, `objects`, `seed`, `rounds`, `plain` and the folder `artefacts`.

    Raises:
        WrongContent: A mode held other objects than the server.
    """
    # They need memray and matplotlib, which `--help` does not.
    from benchmarks.memory import capture, runs
    from benchmarks.memory.draw import draw
    from benchmarks.memory.modes import MODES

    options.artefacts.mkdir(parents=True, exist_ok=True)
    records = list[Record]()
    counted = min(MAX_COUNTED, options.objects)
    with (
        _server(options, options.objects) as server,
        _server(options, counted) as small_server,
        tempfile.TemporaryDirectory() as scratch,
    ):
        source, small_source = runs.Source(server), runs.Source(small_server)
        sizes = {name: source.about[name] for name in ("objects", "raw_bytes", "pruned_bytes")}
        for mode in MODES:
            rounds = [runs.resident(source, mode) for _ in range(options.rounds)]
            file = Path(scratch) / f"{mode}.capture"
            found = capture.heap(file, runs.captured(source, mode, file))
            capture.flame_graphs(file, options.artefacts, mode)
            file.unlink()
            allocations = Path(scratch) / f"{mode}.allocations"
            runs.count_allocations(small_source, mode, allocations)
            found["figures"]["allocations_per_object"] = capture.allocations(allocations) / counted
            found["figures"] |= spreads(rounds)
            records.append({"benchmark": options.benchmark, "mode": mode, "kind": options.kind, **sizes, **found})
    draw(records, options.artefacts / "timeline.png")
    return records


def _server(options: argparse.Namespace, objects: int) -> Process:
    served = {"resource": options.kind, "objects": objects, "seed": options.seed, "corpus": None}
    return Process(python(SERVER), **served, tls=not options.plain)


COLUMNS: tuple[Column, ...] = (
    ("resident: idle", "rss.idle", "MiB"),
    ("resident: first sync, peak", "rss.sync_peak", "MiB"),
    ("resident: first sync, at rest", "rss.sync_held", "MiB"),
    ("resident: relist, peak", "rss.relist_peak", "MiB"),
    ("resident: relist, at rest", "rss.relist_held", "MiB"),
    ("heap: first sync, peak", "heap.sync_peak", "MiB"),
    ("heap: relist, peak", "heap.relist_peak", "MiB"),
    ("allocations per object", "allocations_per_object", ""),
)
MIN_SHARE = 0.02


def table(found: Iterable[Record]) -> str:
    """Formats the records for a terminal."""
    records = list(found)
    about = records[0]
    lines = [f"{about['objects']:,} {about['kind']} of {about['raw_bytes'] / about['objects']:,.0f} B; MiB"]
    lines.append(f"{'':36}" + "".join(f"{record['mode']:>10}" for record in records))
    for title, name, unit in COLUMNS:
        values = (shown(_median(record["figures"][name]), unit) for record in records)
        lines.append(f"{title:36}" + "".join(f"{value:>10}" for value in values))
    for record in records:
        peak = shown(record["figures"]["heap.peak"], "MiB")
        lines.append(f"\n{record['mode']}: parts of the heap at its peak, {peak} MiB")
        parts = (part for part in record["holders"] if part["share"] >= MIN_SHARE)
        lines += (f"{shown(part['bytes'], 'MiB'):>10} {part['share'] * 100:5.0f} %  {part['where']}" for part in parts)
    return "\n".join(lines)


def _median(figure: float | dict[str, float]) -> float:
    return figure["median"] if isinstance(figure, dict) else figure
