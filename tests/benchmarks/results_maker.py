"""Generated records of every command.

Each figure is a different number, so that a page that shows it can be found.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.bounded import COLUMNS as BOUNDED
from benchmarks.controllers import operators, reconciles
from benchmarks.fleet import COLUMNS as FLEET
from benchmarks.harness.results import Record
from benchmarks.harness.text import MIB
from benchmarks.parts import PARTS
from benchmarks.peers.lifecycle import CPU_TIME, MEMORY
from benchmarks.peers.real import COLUMNS as REAL
from benchmarks.peers.variants import COLUMNS as VARIANTS
from benchmarks.scale import COLUMNS as SCALE
from benchmarks.scale import GROWTH
from benchmarks.soak import RUN
from benchmarks.soak.matrix import NO_FAULT, STARTS
from benchmarks.store.adversarial import COLUMNS as ADVERSARIAL
from benchmarks.store.blobs import NOTHING, SIZES, TIMES
from benchmarks.store.idle import COLUMNS as IDLE

MACHINE = {
    "cpu": "Some CPU",
    "cores": 2,
    "memory_bytes": 8 << 30,
    "commit": "0123abcd4567",
    "load": 0.5,
    "kernel": "Linux 6.1 x86_64",
    "transparent_huge_pages": "madvise",
    "libc": "glibc 2.36",
    "python": "CPython 3.11.9",
    "versions": {"kinform": "0.1.0", "aiohttp": "3.14.0"},
    "at": "2026-11-26T01:00:00Z",
}
UNITS = {name: unit for _, name, unit in (*MEMORY, *CPU_TIME, *SCALE, *GROWTH)}
POINTS = {"points": [[0.0, 40 << 20], [1.0, 90 << 20]], "phases": [["sync", 0.0], ["storm", 0.5]]}


def figure(median: float, least: float | None = None, most: float | None = None) -> dict[str, float]:
    """Returns a figure; of one round by default."""
    return {"median": median, "min": median if least is None else least, "max": median if most is None else most}


def about(benchmark: str, *arguments: str, **more: Any) -> Record:
    """Returns the record about a run."""
    run = {"arguments": list(arguments), "seed": 0, "seconds": 12.5, "machine": MACHINE}
    return {"benchmark": benchmark, "record": "about", **run, **more}


def peer(name: str, family: str, figures: dict[str, float], **more: Any) -> Record:
    """Returns the record of a peer, of one round."""
    record = {"kind": "pods", "metadata": False, "rounds": 1, "objects": 20_000, "failures": {}, "timeline": POINTS}
    record |= {"peer": name, "family": family, "versions": {"python": "3.11.9", "some-client": "1.2"}}
    spreads = {each: figure(value) for each, value in figures.items()}
    return {"benchmark": "peers", "record": "peer", **record, "figures": spreads, **more}


def collection(kind: str = "pods") -> Record:
    """Returns the record about the collection that peers followed."""
    sizes = {"kind": kind, "objects": 20_000, "raw_bytes": 162_000_000, "pruned_bytes": 98_000_000}
    ceiling = {"list": {"objects_per_second": 91_234.0}, "stream": {"objects_per_second": 81_234.0}}
    return {"benchmark": "peers", "record": "collection", **sizes, "ceiling": ceiling}


def all_records() -> list[Record]:
    """Returns at least one record of each sort."""
    numbers = itertools.count(101)
    record: Record
    names: tuple[str, ...]

    def some(names: Iterable[str], scale: Callable[[str], float] = lambda name: 1.0) -> dict[str, float]:
        return {name: next(numbers) * scale(name) for name in names}

    def spreads(names: Iterable[str], scale: float = 1.0) -> dict[str, Any]:
        return {name: figure(next(numbers) * scale) for name in names}

    def scaled(name: str) -> float:
        return MIB if UNITS[name] == "MiB" else 1e-6 if UNITS[name] == "us" else 1.0

    lifecycle = dict.fromkeys(name for _, name, _ in (*MEMORY, *CPU_TIME))
    growing = dict.fromkeys(name for _, name, _ in (*SCALE, *GROWTH))
    records = [about("peers", kind="pods"), collection()]
    for name, family in (("kinform", "kinform"), ("rusty", "Rust")):
        records.append(peer(name, family, some(lifecycle, scaled)))
    records.append(peer("kinform, metadata only", "kinform", some(lifecycle, scaled), metadata=True))
    records.append(
        {"benchmark": "peers", "record": "absent", "kind": "pods", "peer": "goer", "family": "Go", "why": "not built"}
    )
    for variant in ("plain", "TLS"):
        record = {"variant": variant, "peer": "kinform", "mode": "auto", "objects": 20_000}
        names = ("sync.total_cpu_seconds", "storm.total_cpu_seconds", *(name for _, name, _ in VARIANTS))
        records.append({"benchmark": "variants", "record": "client", **record, "figures": spreads(names, MIB)})
    record = {"peer": "kinform", "family": "kinform", "objects": 20_000, "events": 2_000, "raw_bytes": 170_000_000}
    record |= {"servers": {"kube-apiserver": "1.36.0", "etcd": "3.6.0"}}
    names = tuple(name for _, name, _ in REAL)
    records.append({"benchmark": "real", "record": "client", **record, "figures": spreads(names, MIB)})
    for phase in ("first sync", "update burst"):
        found = spreads(("p99", "longest", "busy_p99", "busy_longest"), 1e-3)
        records.append({"benchmark": "delays", "record": "phase", "kind": "pods", "phase": phase, "figures": found})
    for load in ("no readers", "8 readers"):
        found = spreads(("p99", "longest"), 1e-3) | spreads(("events_per_second", "reads_per_second"), 1e3)
        record = {"kind": "pods", "objects": 5_000, "events": 50_000, "load": load}
        records.append({"benchmark": "threads", "record": "load", **record, "figures": found})
    found = spreads(("original", "kinform", "ratio"))
    record = {"record": "speed", "client": "kubernetes_asyncio", "touch": "object"}
    records.append({"benchmark": "dropin", **record, "figures": found})
    sizes = some(("rss_after_a_tenth", "rss_at_the_end"), lambda name: MIB)
    records.append({"benchmark": "dropin", "record": "memory", "client": "x", "events": 1_000_000, **sizes})
    for client in ("kinform", "client-go, estimated"):
        found = spreads([name for _, name, _ in BOUNDED], MIB)
        records.append({"benchmark": "bounded", "record": "client", "client": client, "figures": found})
    record = {"record": "collection", "collection": "pods", "objects": 477, "needed": 80, "raw_bytes": 4 << 20}
    records.append({"benchmark": "bounded", **record})
    for client in ("kinform", "client-go"):
        figures = spreads([name for _, name, _ in FLEET])
        record = {"record": "client", "client": client, "agents": 1_000, "objects": 100_000, "slots": 24, "queue": 300}
        record |= {"bytes_per_second": 1e9, "timeline": [1, 2]}
        records.append({"benchmark": "fleet", **record, "figures": figures})
    for part, (title, _) in PARTS.items():
        record = {"benchmark": "parts", "record": "part", "part": part, "title": title}
        records.append({**record, "figures": spreads(["more"], MIB)})
    for name in ("kinform", "client-go, WatchList, transform", "kopf"):
        found = spreads(tuple(figure for _, figure, _ in reconciles.COLUMNS), 1e3)
        record = {"benchmark": "controllers", "peer": name}
        records.append({**record, "record": "reconciles", "objects": 20_000, "figures": found})
        found = spreads(tuple(figure for _, figure, _ in operators.COLUMNS), MIB)
        records.append({**record, "record": "operators", "widgets": 10_000, "figures": found})
    for mode in ("naive", "buffered", "streamed", "kinform", "events"):
        found = spreads(("rss.idle", "rss.sync_peak", "rss.sync_held", "rss.relist_peak", "rss.relist_held"), MIB)
        found |= some(("heap.sync_peak", "heap.relist_peak"), lambda name: MIB) | some(["allocations_per_object"])
        record = {"mode": mode, "kind": "pods", "objects": 5_000, "timeline": {"sync": [[0, 1]], "relist": [[0, 1]]}}
        holders = [{"where": "somewhere", "bytes": 3 << 20, "share": 0.5}]
        records.append({"benchmark": "memory", **record, "figures": found, "holders": holders})
    records += [
        {"benchmark": "speed", "group": "scan, LIST", "name": name, "figures": spreads(("ns", "gb_per_s"))}
        for name in ("kinform", "memcpy")
    ]
    record = {"record": "blobs", "collection": "pods", "before": NOTHING}
    records.append({"benchmark": "store", **record, "figures": some((*SIZES, *TIMES))})
    record = {"record": "adversarial", "collection": "words", "objects": 100}
    records.append({"benchmark": "store", **record, "figures": some(ADVERSARIAL)})
    found = some(("pruned", "dictionary", "xz"), lambda name: 2)
    records.append(
        {"benchmark": "store", "record": "realism", "kind": "pods", "source": "a cluster", "n": 300, **found}
        | {"real": some(("pruned", "dictionary", "xz"))}
    )
    record = {"kind": "pods", "tls": False, "objects": 200, "informers": 50, "pruned_bytes": 1 << 20}
    names = ("one", "each_of_many", "many", "empty")
    records.append({"benchmark": "store", "record": "fixed", **record, "figures": spreads(names, MIB)})
    found = {name: figure(next(numbers) * (1e-3 if unit == "ms" else MIB)) for _, name, unit in IDLE}
    records.append({"benchmark": "store", "record": "idle", "watches": 200, "figures": found})
    names = tuple(f"{start}.{at}" for start in ("cold", "warm") for at in ("from_open", "from_process_start"))
    record = {"kind": "namespaces", "objects": 100_000, "lists": 0}
    records.append({"benchmark": "store", "record": "warm", **record, "figures": spreads(names, 1e-3)})
    names = ("wire_bytes", "pruned_bytes", "held_bytes", "beyond_empty", "sync.cpu_seconds")
    for kind in ("pods", "namespaces"):
        record = {"kind": kind, "scope": "some fields kept", "of": 10_000, "objects": 10_000}
        records.append({"benchmark": "scope", "record": "scope", **record, "figures": spreads(names, MIB)})
    for objects in (10_000, 88_000):
        record = {"kind": "pods", "objects": objects, "raw_bytes": objects * 8_000, "pruned_bytes": objects * 5_000}
        found = {name: figure(value) for name, value in some(growing, scaled).items()}
        records.append({"benchmark": "scale", "record": "size", **record, "figures": found})
    powers = {name: next(numbers) / 1_000 for _, name, _ in GROWTH}
    records.append(
        {"benchmark": "scale", "record": "growth", "kind": "pods", "powers": powers, "slope_bytes": next(numbers)}
    )
    for kind in ("simulator", "control-plane"):
        found = {name: next(numbers) * (MIB if unit == "MiB" else 1.0) for _, name, unit in RUN}
        record = {"events": 5_000, "seconds": 300.0, "faults": 7, "kinds": 3, "checkpoints": 2, "objects": 50}
        record |= {"calls": {"add": 4, "update": 5}, "stuck": [], "options": {"initial": 0.1}}
        records.append({"benchmark": "soak", "record": "run", "kind": kind, **record, "figures": found})
        record = {"fault": "410", "count": 3}
        found = spreads(["recovery"])
        records.append({"benchmark": "soak", "record": "fault", "kind": kind, **record, "figures": found})
    for fault in (NO_FAULT, "410"):
        for start in STARTS:
            record = {"fault": fault, "start": start, "applied": True, "equal": True, "bounded": True, "objects": 50}
            record |= {"loaded": True} if start == "snapshot" else {}
            found = some(("seconds", "requests"))
            records.append({"benchmark": "soak", "record": "cell", "kind": "matrix", **record, "figures": found})
    return [*records, about("soak")]
