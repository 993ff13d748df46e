"""The targets of kinform, and whether the results reach them.

A target is a bound that was set before the measurement, from the best of the other clients at that time or from the
limits of the machine. Ratios are within one run. A target without results is reported as not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.harness.results import CORPUS, Record, of
from benchmarks.harness.text import MIB, UNITS
from benchmarks.report.titles import PHASES
from benchmarks.store.blobs import HALF

REACHED, MISSED, NOT_MEASURED = STATES = ("reached", "missed", "not measured")
KINDS = ("pods", "namespaces")
RECORD_OVERHEAD = 48
"""Bytes that a record may take in addition to its blob and name."""
SCALES = {"MiB": MIB, "ms": 1e-3, "us": 1e-6}
"""The size of a unit."""
UNKNOWN = "-"
"""A bound that depends on a figure without a result."""

Finding = tuple[str, str, str, bool | None]
"""The target, its bound, the figure, and whether the figure is within the bound; None without results."""


def check_targets(records: list[Record]) -> list[Record]:
    """Returns a record for each target, in order."""
    found = []
    for number, check in enumerate(CHECKS, 1):
        for target, bound, figure, reached in check(records):
            state = NOT_MEASURED if reached is None else REACHED if reached else MISSED
            about = {"benchmark": "report", "record": "target", "number": number}
            found.append(about | {"target": target, "bound": bound, "found": figure, "state": state})
    return found


def median(record: Record | None, name: str) -> float | None:
    """Returns the median of a figure, or None if it was not measured."""
    figure = (record or {}).get("figures", {}).get(name)
    return None if figure is None else float(figure["median"])


def peer(records: list[Record], name: str, kind: str = "pods") -> Record | None:
    """Returns the record of a peer."""
    return next(iter(of(records, "peers", record="peer", kind=kind, peer=name)), None)


def best(records: list[Record], family: str, figure: str, kind: str) -> tuple[float, str] | None:
    """Returns the largest figure in a family, and its peer; only of whole objects."""
    found = of(records, "peers", record="peer", kind=kind, family=family, metadata=False)
    values = [(value, each["peer"]) for each in found if (value := median(each, figure)) is not None]
    return max(values, key=lambda each: each[0]) if values else None


def _missing(target: str, bound: str = UNKNOWN) -> Finding:
    return target, bound, NOT_MEASURED, None


def _at_most(
    target: str, value: float | None, bound: float | None, unit: str = "MiB", digits: int = 1, *, why: str = ""
) -> Finding:
    """Checks that a figure is at most its bound. `why` is the formula of the bound."""
    if bound is None:
        return _missing(target)
    formula = f" ({why})" if why else ""
    limit = f"at most {_amount(bound, unit, digits)}{formula}"
    return _missing(target, limit) if value is None else (target, limit, _amount(value, unit, digits), value <= bound)


def _amount(value: float, unit: str, digits: int) -> str:
    return f"{value / SCALES.get(unit, 1.0):,.{digits}f} {UNITS.get(unit, unit)}"


def _memory(target: str, record: Record | None, name: str, base: str, extra: float | None, why: str) -> Finding:
    """Checks a figure against another one plus `extra` bytes."""
    bound = median(record, base)
    limit = None if bound is None or extra is None else bound + extra
    return _at_most(target, median(record, name), limit, why=why)


def _bytes_per_object(records: list[Record]) -> Iterator[Finding]:
    for kind in KINDS:
        growth, sizes = (of(records, "scale", record=record, kind=kind) for record in ("growth", "size"))
        if not growth or not sizes:
            yield _missing(f"memory of one more object, {kind}")
            continue
        largest = max(sizes, key=lambda each: each["objects"])
        blob, name = median(largest, "blob_bytes"), median(largest, "name_bytes")
        bound = None if blob is None or name is None else (blob + name + RECORD_OVERHEAD) * 1.05
        why = f"its blob, its name and {RECORD_OVERHEAD} B, plus 5 %"
        yield _at_most(f"memory of one more object, {kind}", growth[0]["slope_bytes"], bound, "B", 0, why=why)


def _blobs(records: list[Record]) -> Iterator[Finding]:
    found = of(records, "store", data=CORPUS, record="blobs", learnt_from=HALF)
    if not found:
        yield _missing("size of a blob, real objects")
    for each in found:
        kind = each["collection"].partition("-")[0]
        if kind in BLOB_BYTES:
            target = f"size of a blob, {kind}s of a real cluster"
            yield _at_most(target, each["figures"]["after"], BLOB_BYTES[kind] * 1.1, "B", 0)


BLOB_BYTES = {"pod": 477, "configmap": 2272, "namespace": 123, "event": 133, "endpointslice": 197, "service": 124}
"""Bytes of an object of each kind."""


def _fixed(records: list[Record]) -> Iterator[Finding]:
    found = of(records, "store", record="fixed")
    if not found:
        yield _missing("memory of an informer on few objects")
    for each in found:
        transport, bound = ("HTTPS", 0.4) if each["tls"] else ("HTTP", 0.1)
        target = f"memory of each of {each['informers']} informers on {each['objects']} {each['kind']}, {transport}"
        yield _at_most(target, median(each, "each_of_many"), bound * MIB, "MiB", 2)
        if each["kind"] == "pods":
            target = f"memory of one informer on {each['objects']} pods, compression included"
            yield _at_most(target, median(each, "one"), MIB, "MiB", 2)


def _idle(records: list[Record]) -> Iterator[Finding]:
    yield _at_most(
        "memory of an idle process with one informer", median(peer(records, "kinform"), "idle.rss"), 42 * MIB
    )


def _at_rest(records: list[Record]) -> Iterator[Finding]:
    ours = peer(records, "kinform")
    size = f"{ours['objects']:,} {ours['kind']}" if ours else "20,000 pods"
    yield _at_most(f"memory at rest after the first sync, {size}", median(ours, "sync.rss_at_rest"), 52 * MIB)


def _sync_peak(records: list[Record]) -> Iterator[Finding]:
    ours, why = peer(records, "kinform"), "the memory at rest plus 8 MiB"
    yield _memory("peak of the first sync, pods", ours, "sync.peak", "sync.rss_at_rest", 8 * MIB, why)


def _unchanged_peak(records: list[Record]) -> Iterator[Finding]:
    ours, why = peer(records, "kinform"), "the memory at rest plus 4 MiB"
    yield _memory("peak of a relist, nothing changed, pods", ours, "unchanged.peak", "sync.rss_at_rest", 4 * MIB, why)


def _changed_peak(records: list[Record]) -> Iterator[Finding]:
    for kind in KINDS:
        ours = peer(records, "kinform", kind)
        target, why = f"peak of a relist, all changed, {kind}", "the idle memory plus twice the store plus 8 MiB"
        store = _store_bytes(ours)
        extra = None if store is None else store + 8 * MIB
        yield _memory(target, ours, "changed.peak", "sync.rss_at_rest", extra, why)


def _store_bytes(ours: Record | None) -> float | None:
    idle, at_rest = median(ours, "idle.rss"), median(ours, "sync.rss_at_rest")
    return None if idle is None or at_rest is None else at_rest - idle


SLACK = "2 MiB or 5 % of the store"
"""The larger of the two applies."""


def _released(records: list[Record]) -> Iterator[Finding]:
    for kind in KINDS:
        ours = peer(records, "kinform", kind)
        store = _store_bytes(ours)
        slack = None if store is None else max(0.05 * store, 2 * MIB)
        for phase, changed in (("unchanged", "nothing"), ("changed", "all")):
            target = f"memory 5 s after a relist, {changed} changed, {kind}"
            yield _memory(target, ours, f"{phase}.rss", "sync.rss_at_rest", slack, f"the memory at rest plus {SLACK}")
        target, why = f"memory 5 s after 90 % were deleted, {kind}", f"the memory of a new process plus {SLACK}"
        yield _memory(target, ours, "deleted.rss", "fresh.rss_at_rest", slack, why)


def _faster(records: list[Record], figure: str, what: str, bounds: dict[tuple[str, str], float]) -> Iterator[Finding]:
    for (kind, family), bound in bounds.items():
        factor = f"{bound:g} times" if bound != 1 else "as fast as"
        target, limit = f"{what}, {kind}", f"at least {factor} the fastest client in {family}"
        ours, other = median(peer(records, "kinform", kind), figure), best(records, family, figure, kind)
        if ours is None or other is None:
            yield _missing(target, limit)
        else:
            found = f"{ours / other[0]:.2f} times (kinform {ours:,.0f}; {other[1]} {other[0]:,.0f})"
            yield target, limit, found, ours >= bound * other[0]


def _sync_speed(records: list[Record]) -> Iterator[Finding]:
    bounds = {("pods", "Rust"): 4.0, ("pods", "Go"): 10.0, ("namespaces", "Rust"): 1.5, ("namespaces", "Go"): 5.0}
    yield from _faster(records, "sync.per_cpu_second", "first sync: objects per CPU second", bounds)


def _event_speed(records: list[Record]) -> Iterator[Finding]:
    what = "update burst: events per CPU second, one handler"
    bounds = {("pods", "Rust"): 3.0, ("pods", "Go"): 12.0, ("namespaces", "Rust"): 1.0}
    yield from _faster(records, "storm.per_cpu_second", what, bounds)
    target, limit = f"{what}, pods", "at least 50 times the `Watch` of kubernetes_asyncio"
    names = ("kinform", "kubernetes_asyncio, paged")
    ours, other = (median(peer(records, name), "storm.per_cpu_second") for name in names)
    if ours is None or other is None:
        yield _missing(target, limit)
    else:
        yield target, limit, f"{ours / other:,.0f} times (kubernetes_asyncio {other:,.0f})", ours >= 50 * other


def _scan_speed(records: list[Record]) -> Iterator[Finding]:
    found = [each for each in of(records, "speed", name="kinform") if "managedFields" in each["group"]]
    if not found:
        yield _missing("speed of the scanner, managedFields dropped", "at least 1 GB/s")
    for each in found:
        rate = each["figures"]["gb_per_s"]["median"]
        body = each["group"].rpartition(", ")[2]
        target = f"speed of the scanner, managedFields dropped, {body}"
        yield target, "at least 1 GB/s", f"{rate:.2f} GB/s", rate >= 1


def _reads(records: list[Record]) -> Iterator[Finding]:
    def seconds(group: str, name: str) -> float | None:
        found = of(records, "speed", group=group, name=name)
        return found[0]["figures"]["ns"]["median"] * 1e-9 if found else None

    for name, bound in RAW_SECONDS.items():
        row = "all objects" if name == "kinform" else name.removeprefix("kinform, ")
        yield _at_most(f"time of `raw`, {row}", seconds("raw", name), bound, "us")
    decoding = seconds("get, to a dict", "dict of bytes, msgspec")
    bound_ = None if decoding is None else decoding + 5e-6
    why = "the time of msgspec to decode the object plus 5 µs"
    yield _at_most("time of `get`, as a dict", seconds("get, to a dict", "kinform"), bound_, "us", why=why)
    yield _at_most("time of `get`, as a small struct", seconds("get, to a small struct", "kinform"), 7e-6, "us")
    target, limit, each = "keys per second, in an iteration", "at least 5 million", seconds("keys", "kinform")
    yield _missing(target, limit) if each is None else (target, limit, f"{1e-6 / each:,.1f} million", each <= 1 / 5e6)


RAW_SECONDS = {"kinform": 5e-6, "kinform, cached exemplar": 5e-6, "kinform, uncached exemplar": 12e-6}
"""The bounds in the group `raw`."""


def _warm(records: list[Record]) -> Iterator[Finding]:
    found = of(records, "store", record="warm")
    if not found:
        yield _missing("warm start")
    for each in found:
        what = f"warm start, {each['objects']:,} {each['kind']}"
        yield _at_most(
            f"{what}: from opening the informer to the first read", median(each, "warm.from_open"), 0.15, "ms", 0
        )
        start = median(each, "warm.from_process_start")
        yield _at_most(f"{what}: from process start to the first read", start, 0.6, "ms", 0)


def _delays(records: list[Record]) -> Iterator[Finding]:
    found = of(records, "delays", record="phase")
    if not found:
        yield _missing("CPU time of kinform in a tick of the event loop", "at most 10 ms in p99, and 50 ms at any time")
        return
    worst = max(found, key=lambda each: each["figures"]["busy_p99"]["median"])
    longest = max(found, key=lambda each: each["figures"]["busy_longest"]["max"])
    target = f"CPU time of kinform in a tick of the event loop, p99 in the worst phase ({_phase(worst)})"
    yield _at_most(target, worst["figures"]["busy_p99"]["median"], 0.010, "ms")
    target = f"CPU time of kinform in a tick of the event loop, longest of all rounds ({_phase(longest)})"
    yield _at_most(target, longest["figures"]["busy_longest"]["max"], 0.050, "ms")


def _phase(record: Record) -> str:
    phase = str(record["phase"])
    return PHASES.get(phase, phase)


def _large_peaks(records: list[Record]) -> Iterator[Finding]:
    found = next(iter(of(records, "scale", record="size", kind="pods", objects=88_000)), None)
    size = f"{found['objects']:,} pods, {found['raw_bytes'] / 1e6:,.0f} MB of JSON" if found else "88,000 pods"
    for what, phases, bound in (
        ("peak from “first sync” to “relist, a tenth changed”", ("sync", "storm", "unchanged", "tenth"), 100),
        ("peak of “relist, all changed”", ("changed",), 115),
    ):
        peaks = [median(found, f"{phase}.peak") for phase in phases]
        highest = None if None in peaks else max(peak for peak in peaks if peak is not None)
        yield _at_most(f"{what}, {size}", highest, bound * MIB)


CHECKS: tuple[Callable[[list[Record]], Iterator[Finding]], ...] = (
    _bytes_per_object,
    _blobs,
    _fixed,
    _idle,
    _at_rest,
    _sync_peak,
    _unchanged_peak,
    _changed_peak,
    _released,
    _sync_speed,
    _event_speed,
    _scan_speed,
    _reads,
    _warm,
    _delays,
    _large_peaks,
)
