"""What kinform aims at, and how far it gets: each aim with its figure, out of the results, reached or not.

An aim is a bound that was set before anything was measured, from what the best of the others did then, or from what the
machine can do at most. Ratios are those of one run. Where a figure was not measured, that is what is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.harness.results import Record, of
from benchmarks.harness.text import MIB

KIB = 1024.0
NOT = "not measured"

Found = tuple[str, str, bool | None]
"""The aim in words with its bound; what was found; whether that is within."""


def aims(records: list[Record]) -> list[Record]:
    """All aims, in their order."""
    told = []
    for number, judge in enumerate(JUDGES, 1):
        for what, found, reached in judge(records):
            state = NOT if reached is None else "reached" if reached else "missed"
            told.append(
                {"benchmark": "report", "record": "aim", "number": number, "aim": what, "found": found, "state": state}
            )
    return told


def median(record: Record | None, name: str) -> float | None:
    """The median of a figure, if it was measured."""
    figure = (record or {}).get("figures", {}).get(name)
    return None if figure is None else float(figure["median"])


def peer(records: list[Record], name: str, kind: str = "pods") -> Record | None:
    """What was found of a peer."""
    found = of(records, "peers", record="peer", kind=kind, peer=name)
    return found[0] if found else None


def best(records: list[Record], family: str, figure: str, kind: str) -> tuple[str, float] | None:
    """Who of a family has the largest figure, of those that hold whole objects."""
    found = [
        (each["peer"], value)
        for each in of(records, "peers", record="peer", kind=kind, family=family, metadata=False)
        if (value := median(each, figure)) is not None
    ]
    return max(found, key=lambda each: each[1]) if found else None


def _ours(records: list[Record], kind: str = "pods") -> Record | None:
    return peer(records, "kinform", kind)


def _below(what: str, value: float | None, bound: float | None, unit: str = "MiB", digits: int = 1) -> Found:
    scale = {"MiB": MIB, "KiB": KIB, "ms": 1e-3, "us": 1e-6}.get(unit, 1.0)
    if value is None or bound is None:
        return what, NOT, None
    return (
        f"{what}: at most {bound / scale:,.{digits}f} {unit}".rstrip(),
        f"{value / scale:,.{digits}f} {unit}".rstrip(),
        value <= bound,
    )


def _held(records: list[Record]) -> Iterator[Found]:
    for kind in ("pods", "namespaces"):
        growth, sizes = of(records, "scale", record="growth", kind=kind), of(records, "scale", record="size", kind=kind)
        if growth and sizes:
            most = max(sizes, key=lambda each: each["objects"])
            blob, name = (median(most, f"{part}_bytes") for part in ("blob", "name"))
            bound = None if blob is None or name is None else (blob + name + 48) * 1.05
            what = f"bytes that one more object takes, {kind}, beyond blob, name and 48 B, and 5 %"
            yield _below(what, growth[0]["slope_bytes"], bound, "B", 0)
        else:
            yield f"bytes that one more object takes, {kind}", NOT, None


def _blobs(records: list[Record]) -> Iterator[Found]:
    found = of(records, "corpora", record="blobs", learnt_from="one half")
    if not found:
        yield "blobs of real clusters' objects, learnt from the other half", NOT, None
    known = {"pod": 477, "configmap": 2272, "namespace": 123, "event": 133, "endpointslice": 197, "service": 124}
    for each in found:
        kind = each["collection"].partition("-")[0]
        if kind in known:
            what = f"blobs of a real cluster's {kind}s, learnt from the other half"
            yield _below(what, each["figures"]["after"], known[kind] * 1.1, "B", 0)


def _fixed(records: list[Record]) -> Iterator[Found]:
    found = of(records, "store", record="fixed")
    if not found:
        yield "each of many informers on few objects", NOT, None
    for each in found:
        over, bound = ("over TLS", 0.4) if each["tls"] else ("plain", 0.1)
        what = f"each of {each['informers']} informers on {each['objects']} {each['kind']}, {over}"
        yield _below(what, median(each, "each_of_many"), bound * MIB, "MiB", 2)
        if each["kind"] == "pods":
            what = f"one informer on {each['objects']} pods, with what it is compressed with"
            yield _below(what, median(each, "one"), MIB, "MiB", 2)


def _idle(records: list[Record]) -> Iterator[Found]:
    yield _below("an idle process with one informer", median(_ours(records), "idle.rss"), 42 * MIB)


def _steady(records: list[Record]) -> Iterator[Found]:
    ours = _ours(records)
    yield _below(f"{_size(ours)}, whole process", median(ours, "sync.quiet_rss"), 52 * MIB)


def _sync_peak(records: list[Record]) -> Iterator[Found]:
    ours = _ours(records)
    yield _below(
        "peak of the first sync: 8 MiB beyond steady", median(ours, "sync.peak"), _plus(ours, "sync.quiet_rss", 8)
    )


def _unchanged_peak(records: list[Record]) -> Iterator[Found]:
    ours = _ours(records)
    what = "peak of a relist, nothing changed: 4 MiB beyond steady"
    yield _below(what, median(ours, "unchanged.peak"), _plus(ours, "sync.quiet_rss", 4))


def _changed_peak(records: list[Record]) -> Iterator[Found]:
    for kind in ("pods", "namespaces"):
        ours = _ours(records, kind)
        idle, steady = median(ours, "idle.rss"), median(ours, "sync.quiet_rss")
        bound = None if idle is None or steady is None else idle + 2 * (steady - idle) + 8 * MIB
        what = f"peak of a relist, all changed, {kind}: twice the store and 8 MiB"
        yield _below(what, median(ours, "changed.peak"), bound)


def _back(records: list[Record]) -> Iterator[Found]:
    for kind in ("pods", "namespaces"):
        ours = _ours(records, kind)
        idle, steady, fresh = (median(ours, name) for name in ("idle.rss", "sync.quiet_rss", "fresh.quiet_rss"))
        slack = None if idle is None or steady is None else max(0.05 * (steady - idle), 2 * MIB)
        for phase, changed in (("unchanged", "nothing"), ("changed", "all")):
            what = f"5 s after a relist, {changed} changed, {kind}: what a sync leaves in the end, and 2 MiB or 5 %"
            bound = None if slack is None or steady is None else steady + slack
            yield _below(what, median(ours, f"{phase}.rss"), bound)
        what = f"5 s after 90 % was deleted, {kind}: what a fresh process holds, and 2 MiB or 5 %"
        yield _below(what, median(ours, "deleted.rss"), None if slack is None or fresh is None else fresh + slack)


def _faster(records: list[Record], figure: str, what: str, bounds: dict[tuple[str, str], float]) -> Iterator[Found]:
    for (kind, family), bound in bounds.items():
        ours, other = median(_ours(records, kind), figure), best(records, family, figure, kind)
        title = f"{what}, {kind}: {bound:g} times the fastest in {family}"
        if ours is None or other is None:
            yield title, NOT, None
        else:
            yield (
                title,
                f"{ours / other[1]:.2f} times ({ours:,.0f}; {other[0]}: {other[1]:,.0f})",
                ours >= bound * other[1],
            )


def _sync_speed(records: list[Record]) -> Iterator[Found]:
    bounds = {("pods", "Rust"): 4.0, ("pods", "Go"): 10.0, ("namespaces", "Rust"): 1.5, ("namespaces", "Go"): 5.0}
    yield from _faster(records, "sync.per_cpu_second", "first sync, objects a CPU second", bounds)


def _event_speed(records: list[Record]) -> Iterator[Found]:
    bounds = {("pods", "Rust"): 3.0, ("pods", "Go"): 12.0, ("namespaces", "Rust"): 1.0}
    yield from _faster(records, "storm.per_cpu_second", "events a CPU second, one handler", bounds)
    ours = median(_ours(records), "storm.per_cpu_second")
    other = median(peer(records, "kubernetes_asyncio, paged"), "storm.per_cpu_second")
    what = "events a CPU second, one handler, pods: 50 times kubernetes_asyncio's Watch"
    if ours is None or other is None:
        yield what, NOT, None
    else:
        yield what, f"{ours / other:,.0f} times ({other:,.0f})", ours >= 50 * other


def _scan_speed(records: list[Record]) -> Iterator[Found]:
    found = [each for each in of(records, "speed", name="kinform") if "managedFields" in each["group"]]
    if not found:
        yield "scanner, managedFields dropped: at least 1 GB/s", NOT, None
    for each in found:
        speed = each["figures"]["gb_per_s"]["median"]
        yield f"scanner, {each['group']}: at least 1 GB/s", f"{speed:.2f} GB/s", speed >= 1


def _reads(records: list[Record]) -> Iterator[Found]:
    def ns(group: str, name: str) -> float | None:
        found = of(records, "speed", group=group, name=name)
        return None if not found else found[0]["figures"]["ns"]["median"] * 1e-9

    for group, name, bound in RAWS:
        yield _below(f"raw, {name}", ns(group, name), bound, "us")
    decoding = ns("get, to a dict", "dict of bytes, msgspec")
    bound = None if decoding is None else decoding + 5e-6
    yield _below("get, to a dict: msgspec's decoding and 5 us", ns("get, to a dict", "kinform"), bound, "us")
    yield _below("get, to a small struct", ns("get, to a small struct", "kinform"), 7e-6, "us")
    each = ns("keys", "kinform")
    yield (
        ("keys: at least 5 million a second", NOT, None)
        if each is None
        else (
            "keys: at least 5 million a second",
            f"{1e-6 / each:,.1f} million",
            each <= 1 / 5e6,
        )
    )


RAWS = (
    ("raw", "kinform", 5e-6),
    ("raw", "kinform, an open exemplar", 5e-6),
    ("raw", "kinform, a closed exemplar", 12e-6),
)


def _warm(records: list[Record]) -> Iterator[Found]:
    found = of(records, "store", record="warm")
    if not found:
        yield "warm start", NOT, None
    for each in found:
        size = f"{each['objects']:,} {each['kind']}"
        yield _below(f"warm start, {size}: from opening to a read", median(each, "warm.from_open"), 0.15, "ms", 0)
        what = f"warm start, {size}: from the start of the process"
        yield _below(what, median(each, "warm.from_process_start"), 0.6, "ms", 0)


def _delays(records: list[Record]) -> Iterator[Found]:
    found = of(records, "delays", record="phase")
    if not found:
        yield "the event loop is held up by kinform: p99 at most 10 ms, never over 50", NOT, None
        return
    worst = max(found, key=lambda each: each["figures"]["busy_p99"]["median"])
    longest = max(found, key=lambda each: each["figures"]["busy_longest"]["max"])
    what = "the event loop is held up by kinform, p99 in the worst phase"
    yield _below(f"{what} ({worst['phase']})", worst["figures"]["busy_p99"]["median"], 0.010, "ms")
    what = f"the same, the longest of all rounds ({longest['phase']})"
    yield _below(what, longest["figures"]["busy_longest"]["max"], 0.050, "ms")


def _headline(records: list[Record]) -> Iterator[Found]:
    found = of(records, "scale", record="size", kind="pods", objects=88_000)
    size = f"{found[0]['objects']:,} pods, {found[0]['raw_bytes'] / 1e6:,.0f} MB" if found else "88,000 pods"
    for phases, bound in ((("sync", "storm", "unchanged", "tenth"), 100), (("changed",), 115)):
        peaks = [median(found[0] if found else None, f"{phase}.peak") for phase in phases]
        known = [peak for peak in peaks if peak is not None]
        what = (
            "peak of first sync, storm, and a relist with a tenth changed" if bound == 100 else "peak of one with all"
        )
        yield _below(f"{size}: {what}", max(known) if len(known) == len(peaks) else None, bound * MIB)


def _size(record: Record | None) -> str:
    return f"{record['objects']:,} {record['kind']}" if record else "20,000 pods"


def _plus(record: Record | None, name: str, mib: float) -> float | None:
    value = median(record, name)
    return None if value is None else value + mib * MIB


JUDGES: tuple[Callable[[list[Record]], Iterator[Found]], ...] = (
    _held,
    _blobs,
    _fixed,
    _idle,
    _steady,
    _sync_peak,
    _unchanged_peak,
    _changed_peak,
    _back,
    _sync_speed,
    _event_speed,
    _scan_speed,
    _reads,
    _warm,
    _delays,
    _headline,
)
