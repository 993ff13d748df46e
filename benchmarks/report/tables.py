"""The tables of the page, each from the records of one command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

from benchmarks import bounded as bounded_benchmark
from benchmarks import fleet as fleet_benchmark
from benchmarks import memory
from benchmarks import parts as parts_benchmark
from benchmarks import scale as scale_benchmark
from benchmarks import scope as scope_benchmark
from benchmarks.corpus.realism import ratio as realism_ratio
from benchmarks.harness.results import Record, of, transport
from benchmarks.harness.text import MIB, Column, nanoseconds, shown
from benchmarks.peers import delays as delays_benchmark
from benchmarks.peers import real as real_benchmark
from benchmarks.peers import threads as threads_benchmark
from benchmarks.peers import variants as variants_benchmark
from benchmarks.peers.lifecycle import CPU_TIME, MEMORY, NOT_RUN, PHASES
from benchmarks.peers.phase import CPU_TICK
from benchmarks.report.markdown import Figure, bullets, cell, heading, ratio, table
from benchmarks.report.titles import (
    ADVERSARIAL,
    COLLECTIONS,
    GROUPS,
    PARTS,
    SCOPES,
    SIZE_TITLES,
    SOURCES,
    TIME_TITLES,
    VARIANTS,
    Group,
)
from benchmarks.store import fixed as fixed_benchmark
from benchmarks.store import idle as idle_benchmark
from benchmarks.store.blobs import SIZES, TIMES

Records = list[Record]
Lead = Mapping[str, Callable[[Record], str]]
"""The first columns: the title, and the text of a record."""

MIN_LOSS = 1.02
"""The smallest factor by which a peer counts as better: the noise."""
MIN_SHARE = 0.03
"""The smallest share of the heap that is listed."""


def figures(records: Records, lead: Lead, columns: Iterable[Column], *, texts: int = 1) -> str:
    """Formats a row for each record: the first columns, then its figures.

    The first `texts` columns are aligned as text. Without records the result is empty.
    """
    columns = tuple(columns)
    rows = [
        [*(text(each) for text in lead.values()), *(cell(each["figures"].get(name), unit) for _, name, unit in columns)]
        for each in records
    ]
    return table([*lead, *(heading(title, unit) for title, _, unit in columns)], rows, texts=texts) if rows else ""


def peers(records: Records, kind: str, columns: Iterable[Column], *, metadata: bool = False) -> str:
    """Formats a row for each peer. A star marks peers with fewer objects."""
    found = of(records, "peers", record="peer", kind=kind, metadata=metadata)
    most = _most_objects(found)
    lead: Lead = {"client": lambda each: peer_name(each, most), "rounds": lambda each: str(each["rounds"])}
    return figures(found, lead, columns)


def peer_name(record: Record, most: int) -> str:
    """Formats a name: bold for kinform, with a star for fewer objects than `most`."""
    name = str(record["peer"]) + (" *" if record["objects"] < most else "")
    return _bold_kinform(name, record["family"] == "kinform")


def _bold_kinform(name: str, is_kinform: bool) -> str:
    return f"**{name}**" if is_kinform else name


def _most_objects(found: Records) -> int:
    return max((each["objects"] for each in found), default=0)


def notes(records: Records, kind: str) -> str:
    """Lists the peers that had fewer objects, that failed, or that are absent."""
    found = of(records, "peers", record="peer", kind=kind)
    most = _most_objects(found)
    lines = []
    if fewer := {each["objects"] for each in found if each["objects"] < most}:
        text = "because it needs minutes for more. Compare only its bytes per object and its figures per CPU second."
        lines.append(f"\\* This client gets only {min(fewer):,} objects, {text}")
    lines += failures(found)
    lines += [
        f"{each['peer']} was not measured: {each['why']}." for each in of(records, "peers", record="absent", kind=kind)
    ]
    return bullets(lines)


def failures(found: Records) -> list[str]:
    """Describes the failed phases of each peer."""
    lines = []
    for each in found:
        failed = [f"“{PHASES[phase]}”: {why}" for phase, why in each["failures"].items() if why != NOT_RUN]
        later = NOT_RUN in each["failures"].values()
        if failed:
            text = f"{each['peer']} failed in the phase {'; in '.join(failed)}."
            lines.append(f"{text} Its later phases were not measured." if later else text)
    return lines


def losses(records: Records, kind: str) -> str:
    """Formats the figures in which a peer is better: the best peer and the factor."""
    everyone = of(records, "peers", record="peer", kind=kind, metadata=False)
    ours = next((each for each in everyone if each["peer"] == "kinform"), None)
    if ours is None:
        return ""
    if all(each["family"] == "kinform" for each in everyone):
        return "- No other client was measured."
    rows = []
    for title, name, unit in (*MEMORY, *CPU_TIME):
        others = [(each["figures"][name]["median"], each["peer"]) for each in everyone if _comparable(each, ours, name)]
        mine = ours["figures"].get(name, {}).get("median")
        if mine is None or not others:
            continue
        more_is_better = name.endswith("cpu_second")
        value, who = (max if more_is_better else min)(others)
        factor = value / mine if more_is_better else mine / max(value, 1e-9)
        if factor > MIN_LOSS:
            ours_shown, best_shown = (f"{shown(amount, unit)} {unit}".rstrip() for amount in (mine, value))
            rows.append([title, who, ours_shown, best_shown, f"{ratio(factor)} times"])
    if not rows:
        return bullets([f"None, by more than {(MIN_LOSS - 1) * 100:.0f} %."])
    return table(["figure", "best client", "kinform", "best client's figure", "better by"], rows, texts=2)


def _comparable(each: Record, ours: Record, name: str) -> bool:
    """Returns whether a figure can be compared with kinform's.

    The peer has as many objects, or the figure does not depend on their number.
    """
    independent = name.endswith(("cpu_second", "per_object")) or name == "idle.rss"
    same_size = each["objects"] == ours["objects"]
    return each["family"] != "kinform" and name in each["figures"] and (same_size or independent)


def variants(records: Records) -> str:
    """Formats the first syncs and update bursts over TLS and with gzip."""
    found = of(records, "variants", record="client")
    plain = {(each["peer"], each["mode"]): each["figures"] for each in found if each["variant"] == "plain"}

    def relative(name: str) -> Callable[[Record], str]:
        def relative(each: Record) -> str:
            seconds, base = each["figures"].get(name), plain[each["peer"], each["mode"]].get(name)
            return f"{seconds['median'] / max(base['median'], CPU_TICK):.2f}" if seconds and base else "-"

        return relative

    lead: Lead = {
        "client (mode)": lambda each: f"{each['peer']} ({each['mode']})",
        "transport": lambda each: VARIANTS.get(each["variant"], each["variant"]),
        "first sync: CPU time relative to plain HTTP": relative("sync.total_cpu_seconds"),
        "update burst: CPU time relative to plain HTTP": relative("storm.total_cpu_seconds"),
    }
    return figures(found, lead, variants_benchmark.COLUMNS, texts=2)


def real(records: Records) -> str:
    """Formats the first syncs and updates from a real API server."""
    absent = [f"{each['peer']} was not measured: {each['why']}." for each in of(records, "real", record="absent")]
    found = figures(of(records, "real", record="client"), {"client": itemgetter("peer")}, real_benchmark.COLUMNS)
    return "\n".join(part for part in (found, bullets(absent)) if part)


def delays(records: Records) -> str:
    """Formats the delays of the event loop."""
    lead: Lead = {"phase": itemgetter("phase")}
    return figures(of(records, "delays", record="phase"), lead, delays_benchmark.COLUMNS)


def threads(records: Records) -> str:
    """Formats the delays of the event loop while threads read."""
    lead: Lead = {"threads": itemgetter("load")}
    return figures(of(records, "threads", record="load"), lead, threads_benchmark.COLUMNS)


def dropin(records: Records) -> str:
    """Formats the events per second of CPU time of loops over a Watch."""
    rows = []
    for each in of(records, "dropin", record="speed"):
        figures = each["figures"]
        rates = [f"{figures[name]['median']:,.0f}" for name in ("original", "kinform")]
        rows.append([f"`{each['client']}`", each["touch"], *rates, f"{figures['ratio']['median']:.1f}"])
    head = ["client", "a loop that reads", "its Watch, events/s", "kinform, events/s", "ratio"]
    found = [table(head, rows, texts=2)] if rows else []
    for each in of(records, "dropin", record="memory"):
        sizes = [f"{each[name] / MIB:.1f}" for name in ("rss_after_a_tenth", "rss_at_the_end")]
        found.append(
            f"A loop that keeps nothing reads {each['events']:,} events. Its process has {sizes[0]} MiB after the first"
            f" tenth of them, and {sizes[1]} MiB at the end."
        )
    return "\n\n".join(found)


def bounded(records: Records) -> str:
    """Formats the memory of each client in the audited case."""
    lead: Lead = {"client": lambda each: _bold_kinform(each["client"], each["client"].startswith("kinform"))}
    return figures(of(records, "bounded", record="client"), lead, bounded_benchmark.COLUMNS)


def fleet(records: Records) -> str:
    """Formats the requests of agents that start at once."""
    lead: Lead = {"client": lambda each: _bold_kinform(each["client"], each["client"].startswith("kinform"))}
    return figures(of(records, "fleet", record="client"), lead, fleet_benchmark.COLUMNS)


def controllers(records: Records, part: str, columns: Iterable[Column]) -> str:
    """Formats a part of the comparison of controllers, with the absent programs."""
    found = of(records, "controllers", record=part)
    lead = {"program": lambda each: _bold_kinform(each["peer"], each["peer"] == "kinform")}
    measured = figures([each for each in found if "figures" in each], lead, columns)
    return "\n\n".join([measured, *(f"{each['peer']}: {each['absent']}." for each in found if "absent" in each)])


def history(records: Records) -> str:
    """Formats the programs that follow a collection, a column for each."""
    found = of(records, "memory")
    rows = [
        [heading(title, unit), *(cell(each["figures"][name], unit) for each in found)]
        for title, name, unit in memory.COLUMNS
    ]
    peaks = {each["mode"]: _median(each["figures"]["rss.relist_peak"]) for each in found}
    if "buffered" in peaks:
        saved = (100 * (1 - peak / peaks["buffered"]) for peak in peaks.values())
        rows.append(["resident: relist, peak: % less than `buffered`", *(f"{share:.0f}" for share in saved)])
    return table(["", *(f"`{each['mode']}`" for each in found)], rows) if found else ""


def _median(figure: float | Figure) -> float:
    return figure["median"] if isinstance(figure, Mapping) else figure


def holders(records: Records, mode: str) -> str:
    """Formats the parts of the heap at its peak in a mode."""
    parts = [part for each in of(records, "memory", mode=mode) for part in each["holders"]]
    rows = [
        [PARTS.get(part["where"], part["where"]), shown(part["bytes"], "MiB"), f"{part['share'] * 100:.0f}"]
        for part in parts
        if part["share"] >= MIN_SHARE
    ]
    return table(["part of the heap", "size, MiB", "share, %"], rows) if rows else ""


def speed(records: Records) -> str:
    """Formats a section for each group: the times, also relative to kinform's."""
    sections = []
    for group, found in groupby(of(records, "speed"), itemgetter("group")):
        members, about = list(found), GROUPS.get(group, Group(group))
        base = next(each for each in members if each["name"].startswith("kinform"))["figures"]["ns"]["median"]
        rows = []
        for each in members:
            ns, rate = each["figures"]["ns"], each["figures"].get("gb_per_s")
            rows.append(
                [
                    _bold_kinform(each["name"], each["name"].startswith("kinform")),
                    nanoseconds(ns["median"]),
                    f"{nanoseconds(ns['min'])} to {nanoseconds(ns['max'])}",
                    f"{ns['median'] / base:.2g}",
                    shown(rate["median"], "s") if rate else "",
                ]
            )
        head = ["implementation", f"ns per {about.counted}", "min to max", "relative", "GB/s"]
        sections.append("\n\n".join(filter(None, (f"### {about.title}", about.text, table(head, rows)))))
    return "\n\n".join(sections)


def blobs(found: Iterable[Record]) -> str:
    """Formats how small each collection becomes in the store."""
    rows = []
    for each in found:
        sizes = each["figures"]
        cells = {name: f"{sizes[name]:,.0f}" if name in sizes else "-" for name in SIZES}
        cells |= {"total": f"**{cells['total']}**", "total/xz": f"{sizes['total/xz']:.2f}"}
        rows.append([COLLECTIONS.get(each["collection"], each["collection"]), *cells.values()])
    head = ["collection", *(SIZE_TITLES.get(name, name) for name in SIZES)]
    return table(head, rows) if rows else ""


def blob_times(found: Iterable[Record]) -> str:
    """Formats the CPU times of writes and reads of each collection."""
    rows = []
    for each in found:
        times = each["figures"]
        cells = (f"{times[name]:.2f}" if name in times else "-" for name in TIMES)
        rows.append([COLLECTIONS.get(each["collection"], each["collection"]), *cells])
    head = ["collection", *(TIME_TITLES[name] for name in TIMES)]
    return table(head, rows) if rows else ""


def adversarial(records: Records) -> str:
    """Formats the collections that suit the coder badly."""
    rows = []
    for each in of(records, "store", record="adversarial"):
        figures_ = each["figures"]
        sizes = (f"{figures_[name]:,.0f}" for name in ("pruned", "total", "alone"))
        times = (f"{figures_[name]:,.1f}" for name in ("put_us", "alone_us", "package_us"))
        ratios = (f"{figures_[name]:.2f}" for name in ("total/alone", "put/alone"))
        title = ADVERSARIAL.get(each["collection"], each["collection"])
        rows.append([title, f"{each['objects']:,}", *sizes, next(ratios), *times, next(ratios)])
    head = ["collection", "objects", "JSON", "total", "alone", "bytes: ratio"]
    head += ["write, µs", "alone: encode, µs", "package: encode, µs", "CPU time: ratio"]
    return table(head, rows) if rows else ""


def realism(records: Records) -> str:
    """Formats generated collections next to real ones."""
    rows = []
    for each in of(records, "store", record="realism"):
        pairs = [f"{each[name]:,} / {each['real'][name]:,}" for name in ("pruned", "dictionary", "xz")]
        ratios = [f"{realism_ratio(each, name):.2f}" for name in ("dictionary", "xz")]
        rows.append([each["kind"], SOURCES.get(each["source"], each["source"]), f"{each['n']:,}", *pairs, *ratios])
    sizes = (f"{name}: generated / real" for name in ("JSON", "dictionary", "xz"))
    head = ["kind", "real objects", "objects", *sizes, "dictionary: ratio", "xz: ratio"]
    return table(head, rows, texts=2) if rows else ""


def fixed(records: Records) -> str:
    """Formats the fixed cost of a collection."""

    def title(each: Record) -> str:
        size = f"{each['objects']} {each['kind']}, {each['pruned_bytes'] / 1024:,.0f} KiB of JSON"
        return f"{size}, {transport(each)}"

    return figures(of(records, "store", record="fixed"), {"collection": title}, fixed_benchmark.COLUMNS)


def idle(records: Records) -> str:
    """Formats the figures of an idle process, a row for each."""
    rows = [
        [title, f"{cell(each['figures'][name], unit)} {unit}"]
        for each in of(records, "store", record="idle")
        for title, name, unit in idle_benchmark.COLUMNS
        if name in each["figures"]
    ]
    return table(["figure", "value"], rows) if rows else ""


def parts(records: Records) -> str:
    """Formats the memory that parts of kinform add."""
    return figures(of(records, "parts", record="part"), {"part": itemgetter("title")}, parts_benchmark.COLUMNS)


def warm(records: Records) -> str:
    """Formats the starts with and without a snapshot."""
    starts: Records = []
    for each in of(records, "store", record="warm"):
        for start, text, requests in (("warm", "with a snapshot", each["lists"]), ("cold", "without a snapshot", "-")):
            title = f"{each['objects']:,} {each['kind']}, {text}"
            names = ("from_open", "from_process_start")
            found = {name: each["figures"][f"{start}.{name}"] for name in names}
            starts.append({"title": title, "requests": str(requests), "figures": found})
    lead: Lead = {"start": itemgetter("title"), "requests for the initial state": itemgetter("requests")}
    columns = (("from opening the informer", "from_open", "ms"), ("from process start", "from_process_start", "ms"))
    return figures(starts, lead, columns)


def scope(records: Records) -> str:
    """Formats a table for each kind, with a row for each scope."""
    tables = []
    for kind in scope_benchmark.TYPES:
        lead: Lead = {
            "scope": lambda each: SCOPES.get(each["scope"], each["scope"]),
            kind: lambda each: f"{each['objects']:,}",
        }
        tables.append(figures(of(records, "scope", record="scope", kind=kind), lead, scope_benchmark.COLUMNS))
    return "\n\n".join(filter(None, tables))


def scale(records: Records) -> str:
    """Formats a table for each kind, with a row for each size."""
    tables = []
    for kind in ("pods", "namespaces"):
        found = sorted(of(records, "scale", record="size", kind=kind), key=itemgetter("objects"))
        tables.append(
            figures(found, {f"number of {kind}": lambda each: f"{each['objects']:,}"}, scale_benchmark.COLUMNS)
        )
    return "\n\n".join(filter(None, tables))


def growth(records: Records) -> str:
    """Formats the exponent of each figure's growth with the size."""
    found = of(records, "scale", record="growth")
    rows = [
        [title, *("-" if each["powers"].get(name) is None else f"{each['powers'][name]:.2f}" for each in found)]
        for title, name, _ in scale_benchmark.GROWTH
    ]
    return table(["exponent", *(each["kind"] for each in found)], rows) if found else ""


def growth_faster(records: Records) -> str:
    """Names the figures that grow faster than in proportion to the size."""
    linear, titles = scale_benchmark.LINEAR, {name: title for title, name, _ in scale_benchmark.GROWTH}
    faster = [
        f"{titles[name]} ({each['kind']}, {power:.2f})"
        for each in of(records, "scale", record="growth")
        for name, power in each["powers"].items()
        if power is not None and power > linear
    ]
    return f"Exponents above {linear}: {', '.join(faster)}." if faster else f"No exponent is above {linear}."


OPPOSITE = {"median": "median", "min": "max", "max": "min"}
"""The highest rate is the shortest time."""
README: tuple[Column, ...] = (
    ("memory at rest", "sync.rss_at_rest", "MiB"),
    ("peak of a relist", "changed.peak", "MiB"),
    ("bytes per pod", "bytes_per_object", ""),
    ("CPU time per pod, µs", "cpu_us_per_object", ""),
)


def readme(records: Records, names: Iterable[str]) -> str:
    """Formats the table of README.md.

    Memory of peers with fewer objects is left out, since it is not comparable.
    """
    found = {each["peer"]: each for each in of(records, "peers", record="peer", kind="pods")}
    most = _most_objects(list(found.values()))
    rows: Records = []
    for each in (found[name] for name in names if name in found):
        values: dict[str, Any] = {"bytes_per_object": each["figures"].get("bytes_per_object")}
        values["cpu_us_per_object"] = _microseconds(each["figures"].get("sync.per_total_cpu_second"))
        if each["objects"] == most:
            values |= {name: each["figures"].get(name) for name in ("sync.rss_at_rest", "changed.peak")}
        rows.append(each | {"figures": values})
    return figures(rows, {"client": lambda each: peer_name(each, most)}, README)


README_REAL: tuple[Column, ...] = (
    ("memory at rest", "sync.rss_at_rest", "MiB"),
    ("bytes per pod", "bytes_per_object", ""),
    ("CPU time per pod, µs", "cpu_us_per_object", ""),
    ("CPU time per update, µs", "cpu_us_per_event", ""),
)


def readme_real(records: Records) -> str:
    """Formats the table of README.md about a real API server."""
    rows: Records = []
    for each in of(records, "real", record="client"):
        found = each["figures"]
        per_object, per_event = (found.get(f"{name}.per_total_cpu_second") for name in ("sync", "storm"))
        more = {"cpu_us_per_object": _microseconds(per_object), "cpu_us_per_event": _microseconds(per_event)}
        rows.append(each | {"figures": found | more})
    lead: Lead = {"client": lambda each: _bold_kinform(each["peer"], each["family"] == "kinform")}
    return figures(rows, lead, README_REAL)


def _microseconds(rate: Figure | None) -> Figure | None:
    """Returns the time of one object or event from the number per second."""
    return rate and {end: 1e6 / rate[of] for end, of in OPPOSITE.items()}
