"""Measures how memory and CPU time grow with the collection.

Each size has its own kinform process, which is measured from outside. The phases are those of
`benchmarks.peers.lifecycle`, with a relist in which one object in ten has changed. The content is checked after each
phase. Above 88,000 objects, only the identity of the objects is checked. The exponent of growth is that of a power of
the size: 1 is proportional to the size. Figures that grow faster than that, beyond the noise, are marked.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator

from benchmarks.harness.arguments import count, plain
from benchmarks.harness.process import SERVER, Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import TITLE_WIDTH, Column, rows
from benchmarks.peers.catalogue import KINFORM
from benchmarks.peers.compare import progress
from benchmarks.peers.lifecycle import Lifecycle, Source, derived

HEADLINE = 88_000
SIZES = {"pods": [1_000, 10_000, HEADLINE, 300_000], "namespaces": [10_000, 100_000, 300_000]}
READS = 5_000
LINEAR = 1.1
"""The exponent above which growth is faster than proportional, given the noise between two sizes."""
GROWTH: tuple[Column, ...] = (
    ("memory above the idle process", "beyond_idle", "MiB"),
    ("first sync", "sync.cpu_seconds", "s"),
    ("first sync, until at rest", "sync.total_cpu_seconds", "s"),
    ("relist, nothing changed", "unchanged.cpu_seconds", "s"),
    ("relist, all changed", "changed.cpu_seconds", "s"),
    ("update burst", "storm.cpu_seconds", "s"),
    ("read of every object", "read_all_seconds", "s"),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--kind", choices=sorted(SIZES), default="pods", help="kind of the objects; default: %(default)s"
    )
    parser.add_argument(
        "--objects",
        type=count,
        action="append",
        metavar="N",
        help="number of objects; repeat the option for several sizes",
    )
    parser.add_argument("--rounds", type=count, default=1, help="number of rounds; default: %(default)s")
    plain(parser)


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each size, and one of how each figure grew."""
    sizes = sorted(options.objects or SIZES[options.kind])
    found: dict[int, dict[str, float]] = {}
    served = {"resource": options.kind, "seed": options.seed, "corpus": None, "tls": not options.plain}
    with Process(python(SERVER), **served, objects=0) as empty_server:
        empty = Source(empty_server)
        for size in sizes:
            rounds: list[dict[str, float | None]] = []
            with Process(python(SERVER), **served, objects=size) as server:
                source = Source(server)
                for _ in range(options.rounds):
                    progress(f"{size:,} {options.kind}")
                    lifecycle = Lifecycle(KINFORM, source, empty, whole=size <= HEADLINE, tenth=True, reads=READS)
                    lifecycle.run()
                    if lifecycle.failures:
                        raise SystemExit(f"scale: {lifecycle.failures}")
                    figures = lifecycle.figures | derived(lifecycle.figures, source.about["objects"])
                    beyond_idle = (figures["sync.rss_at_rest"] or 0.0) - (figures["idle.rss"] or 0.0)
                    read_all = (figures["read_seconds"] or 0.0) * size
                    rounds.append(figures | {"beyond_idle": beyond_idle, "read_all_seconds": read_all})
            spread = spreads(rounds)  # type: ignore[arg-type]
            found[size] = {name: figure["median"] for name, figure in spread.items()}
            yield {
                "benchmark": options.benchmark,
                "record": "size",
                "kind": options.kind,
                "objects": source.about["objects"],
                "raw_bytes": source.about["raw_bytes"],
                "pruned_bytes": source.about["pruned_bytes"],
                "figures": spread,
                "timeline": lifecycle.timeline,
            }
    if len(sizes) > 1:
        yield {
            "benchmark": options.benchmark,
            "record": "growth",
            "kind": options.kind,
            "powers": {name: _power(found, name) for _, name, _ in GROWTH},
            "slope_bytes": _slope(found),
        }


def _power(found: dict[int, dict[str, float]], name: str) -> float | None:
    """Returns the exponent of growth to the largest size from about a tenth of it."""
    largest = max(found)
    smaller = min((size for size in found if size < largest), key=lambda size: abs(math.log(largest / size / 10)))
    a, b = found[smaller][name], found[largest][name]
    return math.log(b / a) / math.log(largest / smaller) if a > 0 and b > 0 else None


def _slope(found: dict[int, dict[str, float]]) -> float | None:
    """The memory of one more object, bytes, between the two largest sizes."""
    *_, smaller, largest = sorted(found)
    return (found[largest]["sync.rss_at_rest"] - found[smaller]["sync.rss_at_rest"]) / (largest - smaller)


COLUMNS: tuple[Column, ...] = (
    ("first sync: peak", "sync.peak", "MiB"),
    ("first sync: at rest", "sync.rss_at_rest", "MiB"),
    ("update burst: peak", "storm.peak", "MiB"),
    ("relist, a tenth changed: peak", "tenth.peak", "MiB"),
    ("relist, all changed: peak", "changed.peak", "MiB"),
    ("bytes per object", "bytes_per_object", ""),
    ("first sync: objects per CPU second", "sync.per_cpu_second", ""),
    ("update burst: events per CPU second", "storm.per_cpu_second", ""),
    ("read of one object: CPU time", "read_seconds", "us"),
)


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    lines = list[str]()
    for each in records:
        if each["record"] == "size":
            size = f"{each['objects']:,} {each['kind']}, {each['raw_bytes'] / 1e6:,.0f} MB of JSON"
            lines.append(f"\n{size}; median, min, max")
            lines += rows(COLUMNS, each["figures"])
        else:
            lines.append("\ngrowth exponents; 1 is proportional to the size:")
            titles = {name: title for title, name, _ in GROWTH}
            lines += [f"    {titles[name]:{TITLE_WIDTH}}{_marked(power):>14}" for name, power in each["powers"].items()]
            lines.append(f"    {'memory of one more object, bytes':{TITLE_WIDTH}}{each['slope_bytes']:14,.0f}")
    return "\n".join(lines)


def _marked(power: float | None) -> str:
    return "unknown" if power is None else f"{power:.2f}" + (" (faster!)" if power > LINEAR else "")
