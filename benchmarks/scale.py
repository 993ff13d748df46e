"""How cost grows with the collection: bytes an object, and CPU time an object of a sync, a relist, an event, a read.

One kinform process a size, read from outside, through the life that `benchmarks.peers` describes and a relist in which
one object in ten has changed; who the objects are is checked after each phase. Growth is that of a power of the size:
1 is in proportion, and what grows faster than that, beyond the noise, is told as such. The size of the headline is
88,000 pods.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator

from benchmarks.harness.arguments import count
from benchmarks.harness.process import Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Row, rows
from benchmarks.peers.catalogue import OURS
from benchmarks.peers.compare import SERVER, say
from benchmarks.peers.lifecycle import Life, Source, derived

HEADLINE = 88_000
SIZES = {"pods": [1_000, 10_000, HEADLINE, 300_000], "namespaces": [10_000, 100_000, 300_000]}
READS = 5_000
LINEAR = 1.1
"""The power beyond which a figure has grown faster than in proportion: what noise there is between two sizes."""
GROWTH: tuple[Row, ...] = (
    ("held: beyond an idle process", "marginal", "MiB"),
    ("first sync", "sync.cpu_seconds", "s"),
    ("first sync, and until quiet", "sync.all_cpu_seconds", "s"),
    ("relist, nothing changed", "unchanged.cpu_seconds", "s"),
    ("relist, all changed", "changed.cpu_seconds", "s"),
    ("an event for each", "storm.cpu_seconds", "s"),
    ("reading each", "reading_seconds", "s"),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", choices=sorted(SIZES), default="pods")
    parser.add_argument("--objects", type=count, action="append", metavar="N", help="a size; repeatable")
    parser.add_argument("--rounds", type=count, default=1)


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """A record a size, and one of how each figure grew."""
    sizes = sorted(options.objects or SIZES[options.kind])
    found: dict[int, dict[str, float]] = {}
    with Process(python(SERVER), resource=options.kind, objects=0, seed=0, corpus=None) as empty:
        nothing = Source(empty)
        for size in sizes:
            rounds: list[dict[str, float | None]] = []
            made = {"resource": options.kind, "objects": size, "seed": options.seed, "corpus": None}
            with Process(python(SERVER), **made) as server:
                source = Source(server)
                for _ in range(options.rounds):
                    say(f"{size:,} {options.kind}")
                    life = Life(OURS, source, nothing, whole=size <= HEADLINE, tenth=True, reads=READS)
                    life.run()
                    if life.gave_up:
                        raise SystemExit(f"scale: {life.gave_up}")
                    figures = life.figures | derived(life.figures, source.about["objects"])
                    marginal = (figures["sync.quiet_rss"] or 0.0) - (figures["idle.rss"] or 0.0)
                    reading = (figures["read_seconds"] or 0.0) * size
                    rounds.append(figures | {"marginal": marginal, "reading_seconds": reading})
            told = spreads(rounds)  # type: ignore[arg-type]
            found[size] = {name: figure["median"] for name, figure in told.items()}
            yield {
                "benchmark": options.benchmark,
                "record": "size",
                "kind": options.kind,
                "objects": source.about["objects"],
                "raw_bytes": source.about["raw_bytes"],
                "pruned_bytes": source.about["pruned_bytes"],
                "figures": told,
                "timeline": life.timeline,
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
    """By which power of the size a figure grew, between the largest size and the one a tenth of it or next to that."""
    most = max(found)
    less = min((size for size in found if size < most), key=lambda size: abs(math.log(most / size / 10)))
    a, b = found[less][name], found[most][name]
    return math.log(b / a) / math.log(most / less) if a > 0 and b > 0 else None


def _slope(found: dict[int, dict[str, float]]) -> float | None:
    """Bytes that one more object takes, between the two largest sizes."""
    *_, less, most = sorted(found)
    return (found[most]["sync.quiet_rss"] - found[less]["sync.quiet_rss"]) / (most - less)


COLUMNS: tuple[Row, ...] = (
    ("idle", "idle.rss", "MiB"),
    ("first sync: peak", "sync.peak", "MiB"),
    ("quiet", "sync.quiet_rss", "MiB"),
    ("storm: peak", "storm.peak", "MiB"),
    ("relist, nothing changed: peak", "unchanged.peak", "MiB"),
    ("relist, a tenth changed: peak", "tenth.peak", "MiB"),
    ("relist, all changed: peak", "changed.peak", "MiB"),
    ("90 % deleted", "deleted.rss", "MiB"),
    ("what is left, in a fresh process", "fresh.quiet_rss", "MiB"),
    ("beyond idle, bytes an object", "quiet.bytes_per_object", ""),
    ("first sync: objects a CPU second", "sync.per_cpu_second", ""),
    ("events a CPU second", "storm.per_cpu_second", ""),
    ("reading one, as a dict", "read_seconds", "us"),
)


def table(records: list[Record]) -> str:
    """The result for people."""
    lines = list[str]()
    for each in records:
        if each["record"] == "size":
            size = f"{each['objects']:,} {each['kind']}, {each['raw_bytes'] / 1e6:,.0f} MB of JSON"
            lines.append(f"\n{size}; median, min, max")
            lines += rows(COLUMNS, each["figures"])
        else:
            lines.append("\ngrowth, as a power of the size:")
            titles = {name: title for title, name, _ in GROWTH}
            lines += [f"    {titles[name]:38}{_told(power):>14}" for name, power in each["powers"].items()]
            lines.append(f"    {'bytes for one more object':38}{each['slope_bytes']:14,.0f}")
    return "\n".join(lines)


def _told(power: float | None) -> str:
    return "unknown" if power is None else f"{power:.2f}" + (" (faster!)" if power > LINEAR else "")
