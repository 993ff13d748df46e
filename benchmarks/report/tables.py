"""The tables of the page, each out of the records of one command: Markdown, MiB unless something else is said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

from benchmarks.corpus.realism import ratio
from benchmarks.harness.results import Record, of
from benchmarks.harness.text import Row, shown
from benchmarks.report.markdown import Figure, cell, table, times

Lines = list[str]

PEERS: tuple[Row, ...] = (
    ("idle", "idle.rss", "MiB"),
    ("sync: peak", "sync.peak", "MiB"),
    ("quiet after it", "sync.quiet_rss", "MiB"),
    ("bytes an object", "quiet.bytes_per_object", ""),
    ("relist, nothing changed: peak", "unchanged.peak", "MiB"),
    ("5 s after", "unchanged.rss", "MiB"),
    ("relist, all changed: peak", "changed.peak", "MiB"),
    ("5 s after", "changed.rss", "MiB"),
    ("90 % deleted", "deleted.rss", "MiB"),
    ("the rest, fresh", "fresh.quiet_rss", "MiB"),
)
SPEEDS: tuple[Row, ...] = (
    ("first sync: objects a CPU s", "sync.per_cpu_second", ""),
    ("and until quiet", "sync.per_all_cpu_second", ""),
    ("first sync: s", "sync.seconds", "s"),
    ("events a CPU s", "storm.per_cpu_second", ""),
    ("and until quiet", "storm.per_all_cpu_second", ""),
    ("relist, nothing changed: CPU s", "unchanged.cpu_seconds", "s"),
    ("and until quiet", "unchanged.all_cpu_seconds", "s"),
    ("relist, all changed: CPU s", "changed.cpu_seconds", "s"),
    ("and until quiet", "changed.all_cpu_seconds", "s"),
)
SCALE: tuple[Row, ...] = (
    ("sync: peak", "sync.peak", "MiB"),
    ("quiet after it", "sync.quiet_rss", "MiB"),
    ("storm: peak", "storm.peak", "MiB"),
    ("relist, a tenth changed: peak", "tenth.peak", "MiB"),
    ("relist, all changed: peak", "changed.peak", "MiB"),
    ("bytes an object", "quiet.bytes_per_object", ""),
    ("objects a CPU s", "sync.per_cpu_second", ""),
    ("events a CPU s", "storm.per_cpu_second", ""),
    ("reading one: us", "read_seconds", "us"),
)


def peers(records: list[Record], kind: str, columns: tuple[Row, ...], *, metadata: bool = False) -> Lines:
    """A row a peer. A star marks those that were given fewer objects."""
    found = of(records, "peers", record="peer", kind=kind, metadata=metadata)
    most = max((each["objects"] for each in found), default=0)
    rows = []
    for each in found:
        name = each["peer"] + (" *" if each["objects"] < most else "")
        figures = [cell(each["figures"].get(figure), unit) for _, figure, unit in columns]
        rows.append([f"**{name}**" if each["family"] == "kinform" else name, str(each["rounds"]), *figures])
    return table(["", "rounds", *(title for title, _, _ in columns)], rows)


def notes(records: list[Record], kind: str) -> Lines:
    """Who was given fewer objects, who gave up, who is absent."""
    found = of(records, "peers", record="peer", kind=kind)
    most = max((each["objects"] for each in found), default=0)
    lines = []
    if fewer := {each["objects"] for each in found if each["objects"] < most}:
        text = "as more would take minutes: compare bytes an object, and what is told of a CPU second."
        lines.append(f"\\* With {min(fewer):,} objects, {text}")
    for each in found:
        phases = [f"{phase} ({why})" for phase, why in each["gave_up"].items()]
        if phases:
            lines.append(f"{each['peer']} did not get over: {'; '.join(phases)}.")
    lines += [f"{each['peer']} is absent: {each['why']}." for each in of(records, "peers", record="absent", kind=kind)]
    return [f"- {line}" for line in lines]


def losses(records: list[Record], kind: str) -> Lines:
    """Where another peer is better than kinform: figure by figure, the best of them."""
    everybody = of(records, "peers", record="peer", kind=kind, metadata=False)
    ours = next((each for each in everybody if each["peer"] == "kinform"), None)
    if ours is None:
        return []
    if all(each["family"] == "kinform" for each in everybody):
        return ["- Nobody else was measured."]
    lines = []
    for title, name, unit in (*PEERS, *SPEEDS):
        others = [
            (each["figures"][name]["median"], each["peer"]) for each in everybody if _comparable(each, ours, name)
        ]
        mine = ours["figures"].get(name, {}).get("median")
        if mine is None or not others:
            continue
        more = _more_is_better(name)
        value, who = (max if more else min)(others)
        better = value / mine if more else mine / max(value, 1e-9)
        if better > 1.02:
            title = f"{_phase(name)}, {title.removeprefix('and ')}" if title.startswith(("5 s", "and")) else title
            text = f"- {title}: {shown(mine, unit)} {unit}".rstrip()
            text += f"; {who}: {shown(value, unit)} {unit}".rstrip() + f", {times(better)} times better."
            lines.append(text)
    return lines or ["- Nowhere in these tables, by more than 2 %."]


def _comparable(each: Record, ours: Record, name: str) -> bool:
    """Whether it is another's figure, of as many objects or of a kind that their number does not matter to."""
    per = name.endswith(("cpu_second", "per_object")) or name == "idle.rss"
    return each["family"] != "kinform" and name in each["figures"] and (each["objects"] == ours["objects"] or per)


def _more_is_better(name: str) -> bool:
    return name.endswith("cpu_second")


def _phase(name: str) -> str:
    phases = {"sync": "first sync", "storm": "events"}
    phases |= {"unchanged": "relist, nothing changed", "changed": "relist, all changed"}
    return phases[name.partition(".")[0]]


def variants(records: list[Record]) -> Lines:
    """First syncs over TLS and with gzip."""
    found = of(records, "variants", record="sync")
    plain = {(each["peer"], each["mode"]): each["figures"] for each in found if each["variant"] == "plain"}
    rows = []
    for each in found:
        figures = each["figures"]
        share = figures["cpu_seconds"]["median"] / max(plain[each["peer"], each["mode"]]["cpu_seconds"]["median"], 1e-9)
        speed = cell(figures["per_cpu_second"], "")
        rows.append(
            [f"{each['peer']} ({each['mode']})", each["variant"], speed, f"{share:.2f}", cell(figures["peak"], "MiB")]
        )
    return table(["", "variant", "objects a CPU s", "CPU time, of plain", "peak"], rows)


def real(records: list[Record]) -> Lines:
    """First syncs from a real API server."""
    rows = [
        [
            each["peer"],
            cell(each["figures"]["sync.quiet_rss"], "MiB"),
            cell(each["figures"]["sync.peak"], "MiB"),
            cell(each["figures"]["quiet.bytes_per_object"], ""),
            cell(each["figures"]["sync.per_cpu_second"], ""),
        ]
        for each in of(records, "real", record="sync")
    ]
    head = ["", "quiet", "peak", "bytes an object, beyond connected", "objects a CPU s"]
    absent = [f"- {each['peer']} is absent: {each['why']}" for each in of(records, "real", record="absent")]
    return [*(table(head, rows) if rows else []), *absent]


def delays(records: list[Record]) -> Lines:
    """How long the event loop was held up."""
    rows = []
    for each in of(records, "delays", record="phase"):
        found = each["figures"]
        columns = ("p99", "longest", "busy_p99", "busy_longest")
        rows.append([each["phase"], *(cell(found[name], "ms") for name in columns)])
    return table(["late, ms", "p99", "longest", "of it kinform's: p99", "longest"], rows)


def history(records: list[Record]) -> Lines:
    """The ways in which one collection can be followed."""
    found = of(records, "memory")
    buffered = next((each for each in found if each["mode"] == "buffered"), None)
    rows: list[tuple[str, Callable[[Mapping[str, Any]], str]]] = [
        ("resident: idle", lambda figures: cell(_spread(figures["rss.idle"]), "MiB")),
        ("first sync: peak", lambda figures: cell(_spread(figures["rss.sync_peak"]), "MiB")),
        ("held after it", lambda figures: cell(_spread(figures["rss.sync_held"]), "MiB")),
        ("relist, all changed: peak", lambda figures: cell(_spread(figures["rss.relist_peak"]), "MiB")),
        ("held after it", lambda figures: cell(_spread(figures["rss.relist_held"]), "MiB")),
        ("heap, by memray: peak of the sync", lambda figures: cell(_spread(figures["heap.sync_peak"]), "MiB")),
        ("heap, by memray: peak of the relist", lambda figures: cell(_spread(figures["heap.relist_peak"]), "MiB")),
        ("allocations an object", lambda figures: f"{figures['allocations_per_object']:,.0f}"),
    ]
    told = [[title, *(read(each["figures"]) for each in found)] for title, read in rows]
    if buffered is not None:
        most = _spread(buffered["figures"]["rss.relist_peak"])["median"]
        less = (100 * (1 - _spread(each["figures"]["rss.relist_peak"])["median"] / most) for each in found)
        told.append(["peak of the relist: less than buffered, %", *(f"{share:.0f}" for share in less)])
    return table(["", *(each["mode"] for each in found)], told)


def holders(records: list[Record], mode: str, least: float = 0.03) -> Lines:
    """Who holds the heap's peak in a mode."""
    found = of(records, "memory", mode=mode)
    parts = [part for part in (found[0]["holders"] if found else []) if part["share"] >= least]
    rows = [[part["where"], shown(part["bytes"], "MiB"), f"{part['share'] * 100:.0f}"] for part in parts]
    return table([f"what holds the peak of `{mode}`", "MiB", "%"], rows)


def _spread(figure: float | Figure) -> Figure:
    return figure if isinstance(figure, Mapping) else {"median": figure, "min": figure, "max": figure}


def speed(records: list[Record]) -> Lines:
    """A table for all groups: kinform, and how many times as long its rivals take."""
    lines = []
    for group, found in groupby(of(records, "speed"), itemgetter("group")):
        members = list(found)
        mine = next(each for each in members if each["name"].startswith("kinform"))
        base = mine["figures"]["ns"]["median"]
        rows = []
        for each in members:
            taken = each["figures"]["ns"]
            name = f"**{each['name']}**" if each["name"].startswith("kinform") else each["name"]
            through = cell(each["figures"].get("gb_per_s"), "s") if "gb_per_s" in each["figures"] else ""
            ends = f"{_short(taken['min'])} to {_short(taken['max'])}"
            rows.append(
                [name, _short(taken["median"]), ends, f"{taken['median'] / base:.2g}", through.partition(" ")[0]]
            )
        lines += table([group, "ns an object", "min to max", "x kinform", "GB/s"], rows)
        lines.append("")
    return lines


def _short(nanoseconds: float) -> str:
    return f"{nanoseconds:,.0f}" if nanoseconds >= 100 else f"{nanoseconds:.1f}"


def blobs(found: Iterable[Record]) -> Lines:
    """What the store makes of objects, kind by kind."""
    columns = ("objects", "pruned", "plain", "base", "after", "xz")
    rows = []
    for each in found:
        figures = each["figures"]
        told = [f"{figures[name]:,.0f}" for name in columns]
        told[4] = f"**{told[4]}**"
        anew = " (learnt anew)" if figures.get("learnt_anew") else ""  # on what is counted, after all
        rows.append([each["collection"] + anew, *told, f"{figures['after/xz']:.2f}", f"{figures['kept']:,.0f}"])
    head = ["", "n", "pruned", "plain", "base alone", "with exemplars", "xz", "times xz", "kept"]
    return table(head, rows)


def likeness(records: list[Record]) -> Lines:
    """Made-up collections beside real ones."""
    rows = []
    for each in of(records, "store", record="likeness"):
        real = each["real"]
        pairs = [f"{each[name]:,} / {real[name]:,}" for name in ("pruned", "dictionary", "xz")]
        ratios = [f"{ratio(each, name):.2f}" for name in ("dictionary", "xz")]
        rows.append([f"{each['kind']}, {each['source']}", f"{each['n']:,}", *pairs, *ratios])
    head = ["made / real", "n", "pruned", "dictionary", "xz", "dictionary, ratio", "xz, ratio"]
    return table(head, rows)


def fixed(records: list[Record]) -> Lines:
    """What a collection costs before it holds many objects."""
    rows = []
    for each in of(records, "store", record="fixed"):
        over = "TLS" if each["tls"] else "plain"
        title = f"{each['objects']} {each['kind']}, {each['pruned_bytes'] / 1024:,.0f} KiB of JSON, {over}"
        rows.append([title, *(cell(each["figures"][name], "MiB") for name in ("one", "each_of_many", "many", "empty"))])
    head = ["MiB", "one informer", "each of 50", "process with 50", "process with an empty one"]
    return table(head, rows)


def warm(records: list[Record]) -> Lines:
    """Starts from a snapshot."""
    rows = []
    for each in of(records, "store", record="warm"):
        figures = each["figures"]
        names = ("from_open", "from_process_start")
        for start, lists in (("warm", each["lists"]), ("cold", "-")):
            title = f"{each['objects']:,} {each['kind']}, {'from a snapshot' if start == 'warm' else 'without one'}"
            rows.append([title, *(cell(figures[f"{start}.{name}"], "ms") for name in names), str(lists)])
    return table(
        ["ms to the first read", "from opening", "from the start of the process", "times the state was asked for"], rows
    )


def scope(records: list[Record]) -> Lines:
    """What asking for less gives."""
    names = (("wire_bytes", "MiB"), ("pruned_bytes", "MiB"), ("held_bytes", "MiB"), ("settled.marginal", "MiB"))
    rows = []
    for each in of(records, "scope", record="way"):
        figures = [cell(each["figures"][name], unit) for name, unit in (*names, ("sync.cpu_seconds", "s"))]
        rows.append([each["way"], f"{each['objects']:,}", *figures])
    head = [
        "MiB",
        "objects",
        "on the wire",
        "kept, as JSON",
        "held by the store",
        "process, beyond an empty one",
        "CPU s",
    ]
    return table(head, rows)


def scale(records: list[Record], kind: str) -> Lines:
    """A row a size."""
    found = sorted(of(records, "scale", record="size", kind=kind), key=lambda each: int(each["objects"]))
    rows = [
        [f"{each['objects']:,}", *(cell(each["figures"].get(name), unit) for _, name, unit in SCALE)] for each in found
    ]
    return table([kind, *(title for title, _, _ in SCALE)], rows)


def growth(records: list[Record], titles: Mapping[str, str]) -> Lines:
    """By which power of the size each figure grew."""
    found = of(records, "scale", record="growth")
    rows = [
        [title, *("-" if each["powers"].get(name) is None else f"{each['powers'][name]:.2f}" for each in found)]
        for name, title in titles.items()
    ]
    return table(["grows with the power", *(each["kind"] for each in found)], rows)


def headline(records: list[Record], names: Iterable[str]) -> Lines:
    """The one table that matters: who holds how much, and how fast."""
    found = {each["peer"]: each for each in of(records, "peers", record="peer", kind="pods")}
    ours = found.get("kinform")
    if ours is None:
        return []
    rows = []
    for name in names:
        if (each := found.get(name)) is None:
            continue
        figures = each["figures"]
        star = " *" if each["objects"] < ours["objects"] else ""
        rows.append(
            [
                f"**{name}**" if each is ours else name + star,
                cell(figures.get("sync.quiet_rss"), "MiB"),
                cell(figures.get("changed.peak"), "MiB"),
                cell(figures.get("changed.rss"), "MiB"),
                cell(figures.get("quiet.bytes_per_object"), ""),
                *(_against(figures, ours["figures"], part) for part in COMPARED),
            ]
        )
    head = ["", "held", "peak of a relist", "5 s after it", "bytes an object"]
    return table([*head, "first sync", "until quiet", "events", "until quiet"], rows)


COMPARED = ("sync.per_cpu_second", "sync.per_all_cpu_second", "storm.per_cpu_second", "storm.per_all_cpu_second")


def _against(figures: Mapping[str, Figure], ours: Mapping[str, Figure], name: str) -> str:
    """How many times the CPU time an object or event takes that it takes with kinform."""
    if name not in figures or name not in ours:
        return "-"
    return f"{times(ours[name]['median'] / figures[name]['median'])} x"
