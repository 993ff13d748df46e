"""The targets of kinform, and whether the results reach them.

A target is a bound that was set before the measurement, from the best of the other clients at that time or from the
limits of the machine. Ratios are within one run. A target without results is reported as not measured.
Over 500 lines: one file has every bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.harness.results import CORPUS, Record, of, transport
from benchmarks.harness.text import MIB, UNITS
from benchmarks.peers.catalogue import CLIENT_GO, CLIENT_GO_PROTOBUF, KINFORM, KINFORM_UVLOOP, KUBE_RS
from benchmarks.peers.threads import COMPUTING
from benchmarks.report.headline import headline
from benchmarks.report.titles import ADVERSARIAL, COLLECTIONS
from benchmarks.store.blobs import NOTHING

REACHED, MISSED, NOT_MEASURED = STATES = ("reached", "missed", "not measured")
KINDS = ("pods", "namespaces")
SCALES = {"MiB": MIB, "KiB": 1024, "ms": 1e-3, "us": 1e-6}
"""The size of a unit."""
UNKNOWN = "-"
"""A bound that depends on a figure without a result."""

Finding = tuple[str, str, str, bool | None]
"""The target, its bound, the figure, and whether the figure is within the bound; None without results."""


def check_targets(records: list[Record]) -> list[Record]:
    """Returns a record for each target, in order."""
    records, found = headline(records), []
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
    for kind, bound in OBJECT_BYTES.items():
        growth = of(records, "scale", record="growth", kind=kind)
        slope = growth[0]["slope_bytes"] if growth else None
        yield _at_most(f"memory of one more object, {kind}", slope, bound, "B", 0)


OBJECT_BYTES = {"pods": 185, "namespaces": 68}
"""The bounds of the slope of the resident memory."""


def _blobs(records: list[Record]) -> Iterator[Finding]:
    found = {each["collection"]: each["figures"] for each in of(records, "store", record="blobs", before=NOTHING)}
    for kind, (size, ratio) in TOTAL_BYTES.items():
        figures = found.get(kind, {})
        count = f"{figures['objects']:,.0f} " if figures else ""
        target = f"size in the store, {count}{COLLECTIONS.get(kind, kind)}"
        yield _at_most(target, figures.get("total"), size, "B", 0)
        if ratio is not None:
            yield _at_most(f"{target}, relative to xz", figures.get("total/xz"), ratio, "times", 2)
    real = [each for each in of(records, "store", data=CORPUS, record="blobs", before=NOTHING) if _of_pods(each)]
    if not real:
        yield _at_most("size in the store, pods of a real cluster", None, REAL_POD_BYTES, "B", 0)
    for each in real:
        target = f"size in the store, {each['figures']['objects']:,.0f} pods of a real cluster ({each['collection']})"
        yield _at_most(target, each["figures"]["total"], REAL_POD_BYTES, "B", 0)


def _of_pods(record: Record) -> bool:
    return str(record["collection"]).partition("-")[0] in ("pod", "pods")


TOTAL_BYTES: dict[str, tuple[float, float | None]] = {
    "pods": (115, 1.0),
    "namespaces": (9, 1.0),
    "events": (38, 1.45),
    "leases": (42, None),
    "customs": (95, None),
    "replicasets": (105, 2.0),
    "services": (68, None),
    "endpointslices": (269, None),
    "configmaps": (182, None),
}
"""The bounds of the total size of an object, and of its ratio to xz."""
REAL_POD_BYTES = 600


def _fixed(records: list[Record]) -> Iterator[Finding]:
    found = of(records, "store", record="fixed")
    if not found:
        yield _missing("memory of an informer on few objects")
    for each in found:
        bound = 0.4 if each["tls"] else 0.15 if each["kind"] == "pods" else 0.1
        size = f"{each['informers']} informers on {each['objects']} {each['kind']}"
        target = f"memory of each of {size}, {transport(each)}"
        yield _at_most(target, median(each, "each_of_many"), bound * MIB, "MiB", 2)
        if each["kind"] == "pods":
            target = f"memory of one informer on {each['objects']} pods, templates included"
            yield _at_most(target, median(each, "one"), 0.3 * MIB, "MiB", 2)


def _idle(records: list[Record]) -> Iterator[Finding]:
    found = _idle_record(records)
    for name, (way, bound) in IDLE_MIB.items():
        yield _at_most(f"memory of an idle process with one informer, {way}", median(found, name), bound * MIB)


def _idle_record(records: list[Record]) -> Record | None:
    return next(iter(of(records, "store", record="idle")), None)


IDLE_MIB = {
    "plain": ("a URL with plain HTTP", 28.5),
    "tls": ("a URL with TLS", 30.5),
    "kubeconfig": ("a kubeconfig with TLS", 30.5),
    "in_cluster": ("in a pod", 30.5),
}
"""The way to connect and the bound, by figure."""


def _at_rest(records: list[Record]) -> Iterator[Finding]:
    ours = peer(records, "kinform")
    size = f"{ours['objects']:,} {ours['kind']}" if ours else "20,000 pods"
    yield _at_most(f"memory at rest after the first sync, {size}", median(ours, "sync.rss_at_rest"), 48 * MIB)


def _sync_peak(records: list[Record]) -> Iterator[Finding]:
    ours, why = peer(records, "kinform"), "the memory at rest plus 5 MiB"
    yield _memory("peak of the first sync, pods", ours, "sync.peak", "sync.rss_at_rest", 5 * MIB, why)


def _unchanged_peak(records: list[Record]) -> Iterator[Finding]:
    ours, why = peer(records, "kinform"), "the memory at rest plus 2 MiB"
    yield _memory("peak of a relist, nothing changed, pods", ours, "unchanged.peak", "sync.rss_at_rest", 2 * MIB, why)


def _changed_peak(records: list[Record]) -> Iterator[Finding]:
    for kind in KINDS:
        ours = peer(records, "kinform", kind)
        target, why = f"peak of a relist, all changed, {kind}", "the idle memory plus twice the store plus 4 MiB"
        store = _store_bytes(ours)
        extra = None if store is None else store + 4 * MIB
        yield _memory(target, ours, "changed.peak", "sync.rss_at_rest", extra, why)


def _store_bytes(ours: Record | None) -> float | None:
    idle, at_rest = median(ours, "idle.rss"), median(ours, "sync.rss_at_rest")
    return None if idle is None or at_rest is None else at_rest - idle


def _released(records: list[Record]) -> Iterator[Finding]:
    for kind in KINDS:
        ours = peer(records, "kinform", kind)
        for phase, changed in (("unchanged", "nothing"), ("changed", "all")):
            target, why = f"memory 5 s after a relist, {changed} changed, {kind}", "the memory at rest plus 1 MiB"
            yield _memory(target, ours, f"{phase}.rss", "sync.rss_at_rest", MIB, why)
        target, why = f"memory 5 s after 90 % were deleted, {kind}", "the memory of a new process plus 1 MiB"
        yield _memory(target, ours, "deleted.rss", "fresh.rss_at_rest", MIB, why)


def _faster(records: list[Record], figure: str, what: str, bounds: dict[tuple[str, str], float]) -> Iterator[Finding]:
    for (kind, family), bound in bounds.items():
        target, limit = f"{what}, {kind}", f"at least {bound:g} times the fastest client in {family}"
        ours, other = median(peer(records, "kinform", kind), figure), best(records, family, figure, kind)
        if ours is None or other is None:
            yield _missing(target, limit)
        else:
            found = f"{ours / other[0]:.2f} times (kinform {ours:,.0f}; {other[1]} {other[0]:,.0f})"
            yield target, limit, found, ours >= bound * other[0]


def _sync_speed(records: list[Record]) -> Iterator[Finding]:
    what = "first sync, until at rest: objects per CPU second"
    bounds = {("pods", "Rust"): 2.5, ("pods", "Go"): 8.0, ("namespaces", "Rust"): 1.3, ("namespaces", "Go"): 8.0}
    yield from _faster(records, "sync.per_total_cpu_second", what, bounds)
    what = "relist, all changed, until at rest: objects per CPU second"
    yield from _faster(records, "changed.per_total_cpu_second", what, {("pods", "Rust"): 2.5, ("pods", "Go"): 8.0})
    for kind in KINDS:
        yield _elapsed(records, kind)


def _elapsed(records: list[Record], kind: str) -> Finding:
    """Checks that the first sync takes no longer than that of other clients."""
    target, limit = f"first sync: elapsed time, {kind}", "at most that of the fastest other client in Rust or Go"
    ours = peer(records, "kinform", kind)
    mine = median(ours, "sync.seconds")
    others = [
        (seconds, str(each["peer"]))
        for family in ("Rust", "Go")
        for each in of(records, "peers", record="peer", kind=kind, family=family, metadata=False)
        if ours and each["objects"] == ours["objects"] and (seconds := median(each, "sync.seconds")) is not None
    ]
    if mine is None or not others:
        return _missing(target, limit)
    fastest, name = min(others)
    return target, limit, f"{mine:.2f} s ({name} {fastest:.2f} s)", mine <= fastest


def _event_speed(records: list[Record]) -> Iterator[Finding]:
    what = "update burst, until at rest: events per CPU second, one handler"
    bounds = {("pods", "Rust"): 2.5, ("pods", "Go"): 12.0, ("namespaces", "Rust"): 1.2, ("namespaces", "Go"): 8.0}
    yield from _faster(records, "storm.per_total_cpu_second", what, bounds)
    target, limit = f"{what}, pods", "at least 50 times the `Watch` of kubernetes_asyncio"
    names = ("kinform", "kubernetes_asyncio, paged")
    ours, other = (median(peer(records, name), "storm.per_total_cpu_second") for name in names)
    if ours is None or other is None:
        yield _missing(target, limit)
    else:
        yield target, limit, f"{ours / other:,.0f} times (kubernetes_asyncio {other:,.0f})", ours >= 50 * other


def _scan_speed(records: list[Record]) -> Iterator[Finding]:
    found = [each for each in of(records, "speed", name="kinform") if "managedFields" in each["group"]]
    if not found:
        yield _missing("speed of the scanner, managedFields dropped", f"at least {SCAN_GB} GB/s")
    for each in found:
        rate = each["figures"]["gb_per_s"]["median"]
        body = each["group"].rpartition(", ")[2]
        target = f"speed of the scanner, managedFields dropped, {body}"
        yield target, f"at least {SCAN_GB} GB/s", f"{rate:.2f} GB/s", rate >= SCAN_GB


SCAN_GB = 2.3
"""10⁹ bytes of JSON per second."""


def _reads(records: list[Record]) -> Iterator[Finding]:
    def seconds(group: str, name: str) -> float | None:
        found = of(records, "speed", group=group, name=name)
        return found[0]["figures"]["ns"]["median"] * 1e-9 if found else None

    for (group, what), bound in WRITE_AND_RAW_SECONDS.items():
        yield _at_most(f"time of {what}", seconds(group, "kinform"), bound, "us")
    for order, more in (("key order", 3), ("random order", 4.5)):
        decoding = seconds(f"get, to a dict, {order}", "dict of bytes, msgspec")
        bound_ = None if decoding is None else decoding + more * 1e-6
        why = f"the time of msgspec to decode the object plus {more:g} µs"
        taken = seconds(f"get, to a dict, {order}", "kinform")
        yield _at_most(f"time of `get`, as a dict, {order}", taken, bound_, "us", why=why)
    for order in ("key order", "random order"):
        taken = seconds(f"get, to a small struct, {order}", "kinform")
        yield _at_most(f"time of `get`, as a small struct, {order}", taken, 6.5e-6, "us")
    target, limit, each = "keys per second, in an iteration", "at least 5 million", seconds("keys", "kinform")
    yield _missing(target, limit) if each is None else (target, limit, f"{1e-6 / each:,.1f} million", each <= 1 / 5e6)


WRITE_AND_RAW_SECONDS = {
    ("put, new pods", "a write of a new pod"): 5e-6,
    ("put, new namespaces", "a write of a new namespace"): 0.5e-6,
    ("raw, key order", "`raw`, pods in key order"): 2.2e-6,
    ("raw, random order", "`raw`, pods in random order"): 3.5e-6,
    ("raw, namespaces", "`raw`, namespaces in random order"): 0.5e-6,
}
"""The bounds by group and description."""


def _dropin(records: list[Record]) -> Iterator[Finding]:
    for touch, bound in DROPIN_RATIOS.items():
        limit = f"at least {bound} times the original"
        found = of(records, "dropin", record="speed", touch=touch)
        if not found:
            yield _missing(f"events per CPU second of the drop-in Watch, {touch}", limit)
        for each in found:
            ratio = each["figures"]["ratio"]["median"]
            target = f"events per CPU second of the drop-in Watch, {touch}, {each['client']}"
            yield target, limit, f"{ratio:.1f} times", ratio >= bound
    growth = "growth of a loop over the drop-in Watch that keeps nothing"
    memory = of(records, "dropin", record="memory")
    if not memory:
        yield _missing(growth, f"at most {DROPIN_GROWTH / MIB:g} MiB")
    for each in memory:
        grown = each["rss_at_the_end"] - each["rss_after_a_tenth"]
        yield _at_most(f"{growth}, {each['events']:,} events", grown, DROPIN_GROWTH, "MiB", 1)


DROPIN_RATIOS = {"type and key": 30, "raw_object": 20, "object": 3}
"""The bounds by the part of an event that a loop reads."""
DROPIN_GROWTH = MIB
"""Bytes."""


def _fleet(records: list[Record]) -> Iterator[Finding]:
    found = {each["client"]: each["figures"] for each in of(records, "fleet", record="client")}
    peers = [figures["peak"]["median"] for client, figures in found.items() if not client.startswith("kinform")]
    peak, last = "most requests in a second when a fleet restarts", "last agent of a fleet that restarts"
    if "kinform" not in found or not peers:
        yield _missing(peak)
        yield _missing(last)
        return
    ours = found["kinform"]
    limit = f"at most {FLEET_PEAK_RATIO:g} times the smallest of another client"
    yield (
        peak,
        limit,
        f"{ours['peak']['max'] / min(peers):.3f} times",
        ours["peak"]["max"] <= FLEET_PEAK_RATIO * min(peers),
    )
    ratio = ours["last"]["max"] / ours["ideal"]["median"]
    yield last, f"at most {FLEET_TIME_RATIO:g} times the ideal time", f"{ratio:.2f} times", ratio <= FLEET_TIME_RATIO


FLEET_PEAK_RATIO = 0.1
FLEET_TIME_RATIO = 2.0


def _warm(records: list[Record]) -> Iterator[Finding]:
    found = of(records, "store", record="warm")
    if not found:
        yield _missing("warm start")
    for each in found:
        what = f"warm start, {each['objects']:,} {each['kind']}"
        yield _at_most(
            f"{what}: from opening the informer to the first read", median(each, "warm.from_open"), 0.08, "ms", 0
        )
        start = median(each, "warm.from_process_start")
        yield _at_most(f"{what}: from process start to the first read", start, 0.3, "ms", 0)


def _delays(records: list[Record]) -> Iterator[Finding]:
    found = of(records, "delays", record="phase")
    if not found:
        yield _missing("CPU time of kinform in a tick of the event loop", "at most 10 ms in p99, and 50 ms at any time")
        return
    worst = max(found, key=lambda each: each["figures"]["busy_p99"]["median"])
    longest = max(found, key=lambda each: each["figures"]["busy_longest"]["max"])
    target = f"CPU time of kinform in a tick of the event loop, p99 in the worst phase ({worst['phase']})"
    yield _at_most(target, worst["figures"]["busy_p99"]["median"], 0.010, "ms")
    target = f"CPU time of kinform in a tick of the event loop, longest of all rounds ({longest['phase']})"
    yield _at_most(target, longest["figures"]["busy_longest"]["max"], 0.050, "ms")


def _large_collections(records: list[Record]) -> Iterator[Finding]:
    sizes = {int(each["objects"]): each for each in of(records, "scale", record="size", kind="pods")}
    for objects, held, most in ((88_000, 62, 80), (300_000, 110, None)):
        found = sizes.get(objects)
        size = f"{objects:,} pods, {found['raw_bytes'] / 1e6:,.0f} MB of JSON" if found else f"{objects:,} pods"
        at_rest = median(found, "sync.rss_at_rest")
        yield _at_most(f"memory at rest after the first sync, {size}", at_rest, held * MIB)
        if most is not None:
            peaks = [median(found, f"{phase}.peak") for phase in LARGE_PHASES]
            highest = None if None in peaks else max(peak for peak in peaks if peak is not None)
            yield _at_most(f"highest peak of all phases, {size}", highest, most * MIB)


LARGE_PHASES = ("sync", "storm", "unchanged", "tenth", "changed", "lost", "deleted")


def _adversarial(records: list[Record]) -> Iterator[Finding]:
    found = {each["collection"]: each["figures"] for each in of(records, "store", record="adversarial")}
    for name, title in ADVERSARIAL.items():
        figures = found.get(name, {})
        for what, figure, bound in (("bytes", "total/alone", 1.05), ("CPU time of a write", "put/alone", 1.3)):
            target = f"{what} relative to zstandard alone, {title}"
            yield _at_most(target, figures.get(figure), bound, "times", 2)


def _ratio(
    target: str, ours: float | None, other: float | None, name: str, bound: float, *, more: bool = False
) -> Finding:
    """Checks that a rate is at least `bound` times that of another client.

    With `more`, checks that it is larger.
    """
    limit = f"more than {name}" if more else f"at least {bound:g} times {name}"
    if ours is None or other is None:
        return _missing(target, limit)
    found = f"{ours / other:.2f} times (kinform {ours:,.0f}; the other {other:,.0f})"
    return target, limit, found, ours > other if more else ours >= bound * other


def _over_tls(records: list[Record]) -> Iterator[Finding]:
    def client(name: str, variant: str) -> Record | None:
        found = of(records, "variants", record="client", peer=name, variant=variant)
        return next((each for each in found if each["mode"] != "list"), None)

    for name, loop in LOOPS.items():
        plain, tls = client(name, "plain"), client(name, "TLS")
        for part, (what, counted) in BURSTS.items():
            seconds, base = (median(each, f"{part}.total_cpu_seconds") for each in (tls, plain))
            relative = None if seconds is None or not base else seconds / base
            target = f"{what} over TLS, until at rest: CPU time relative to plain HTTP, pods, {loop}"
            yield _at_most(target, relative, 1.25, "times", 2)
            rate = f"{part}.per_total_cpu_second"
            target = f"{what} over TLS, until at rest: {counted} per CPU second, pods, {loop}"
            other = median(client(KUBE_RS.name, "TLS"), rate)
            yield _ratio(target, median(tls, rate), other, KUBE_RS.name, 2.5)


LOOPS = {KINFORM.name: "asyncio", KINFORM_UVLOOP.name: "uvloop"}
"""The event loop of each kinform."""
BURSTS = {"sync": ("first sync", "objects"), "storm": ("update burst", "events")}
"""The title of a phase and what is counted, by phase."""


def _real(records: list[Record]) -> Iterator[Finding]:
    found = {each["peer"]: each for each in of(records, "real", record="client")}
    for name, loop in LOOPS.items():
        for part, (what, counted) in BURSTS.items():
            target = f"{what} from a real API server, until at rest: {counted} per CPU second, pods, {loop}"
            for other in (KUBE_RS.name, CLIENT_GO.name, CLIENT_GO_PROTOBUF.name):
                mine, theirs = (median(found.get(each), f"{part}.per_total_cpu_second") for each in (name, other))
                yield _ratio(target, mine, theirs, other, 2.0, more=other == CLIENT_GO_PROTOBUF.name)


def _import(records: list[Record]) -> Iterator[Finding]:
    yield _at_most("elapsed time of `import kinform`", median(_idle_record(records), "import"), 0.1, "ms", 0)


def _watches(records: list[Record]) -> Iterator[Finding]:
    found = _idle_record(records)
    many = f"{found['watches']} idle watches" if found else "many idle watches"
    watch, openssl = median(found, "watch"), median(found, "openssl")
    beyond = None if watch is None or openssl is None else watch - openssl
    yield _at_most(f"memory of each of {many}, TLS, beyond that of OpenSSL", beyond, 64 * 1024, "KiB", 1)


def _parts(records: list[Record]) -> Iterator[Finding]:
    found = {each["part"]: each for each in of(records, "parts", record="part")}
    for part, (what, bound) in PART_BYTES.items():
        yield _at_most(f"memory that {what}", median(found.get(part), "more"), bound, "MiB", 2)


PART_BYTES: dict[str, tuple[str, float]] = {
    "import": ("`import kinform.sync` adds", MIB),
    "handles": ("each further informer on one stream adds", 50 * 1024),
    "writes": ("300 requests add to an idle process", MIB),
    "queue, ready": ("100,000 keys take in a `WorkQueue`", 20 * MIB),
    "queue, delayed": ("100,000 delayed keys take in a `WorkQueue`", 20 * MIB),
    "log agent": ("a log agent takes above idle, plain HTTP", MIB),
    "log agent, TLS": ("a log agent takes above idle, TLS", MIB),
}
"""The description and the bound of each part."""


def _threads(records: list[Record]) -> Iterator[Finding]:
    """Checks the delay of the event loop with readers that only read."""
    found = of(records, "threads", record="load")
    target = "delay of the event loop in an update burst, p99"
    if not found:
        yield _missing(target, "at most 10 ms")
    for each in found:
        if COMPUTING not in each["load"]:
            yield _at_most(f"{target}, {each['load']}", median(each, "p99"), 0.010, "ms")


def _soak(records: list[Record]) -> Iterator[Finding]:
    for kind in ("simulator", "control-plane"):
        target = f"objects lost, invented or wrong, and events out of order, under faults, {kind}"
        runs = of(records, "soak", record="run", kind=kind)
        if not runs:
            yield _missing(target, "none")
        for each in runs:
            wrong = sum(each["figures"][name] for name in WRONG) + len(each["stuck"])
            yield target, "none", f"{wrong:,.0f} after {each['faults']:,} faults", wrong == 0
    cells = [each for each in of(records, "soak", record="cell") if each["applied"]]
    target = "faults after which the content is wrong, or the requests are not bounded"
    if not cells:
        yield _missing(target, "none")
        return
    bad = sum(not (each["equal"] and each["bounded"]) for each in cells)
    yield target, "none", f"{bad} of {len(cells)}", bad == 0


WRONG = ("lost", "invented", "wrong", "order")


def _controllers(records: list[Record]) -> Iterator[Finding]:
    found = {each["peer"]: each for each in of(records, "controllers", record="reconciles")}
    mine = found.get("kinform")
    size = f"{mine['objects']:,} pods" if mine else "20,000 pods"
    for part, what in (("initial", "first reconcile of each object"), ("updates", "update burst")):
        for name, bound in RECONCILE_RATIOS.items():
            ours, theirs = (median(each, f"{part}.per_total_cpu_second") for each in (mine, found.get(name)))
            target = f"{what}, until at rest: reconciles per CPU second, {size}"
            yield _ratio(target, ours, theirs, name, bound)
    operators = {each["peer"]: each for each in of(records, "controllers", record="operators")}
    one = operators.get("kinform")
    count = f"{one['widgets']:,} widgets" if one else "10,000 widgets"
    beyond, other = (median(operators.get(name), "beyond_idle") for name in ("kinform", "kopf"))
    target, limit = f"memory of the example operator beyond idle, {count}", "at most 1/8 of kopf"
    if beyond is None or other is None:
        yield _missing(target, limit)
    else:
        figure = f"{_amount(beyond, 'MiB', 1)} (kopf {_amount(other, 'MiB', 1)})"
        yield target, limit, figure, beyond * 8 <= other
    yield _at_most(f"writes of the example operator for a widget, {count}", median(one, "writes_a_widget"), 2, "", 2)
    yield _at_most("writes of the example operator at a restart", median(one, "restarted.writes"), 0, "", 0)


RECONCILE_RATIOS = {"kopf": 20.0, CLIENT_GO.name: 1.0}
"""The bounds of reconciles per CPU second, by the other program."""


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
    _large_collections,
    _adversarial,
    _over_tls,
    _real,
    _import,
    _watches,
    _dropin,
    _fleet,
    _controllers,
    _parts,
    _threads,
    _soak,
)
