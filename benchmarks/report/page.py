"""`docs/benchmarks.md`, out of the records: every figure on it stands in the results file, or follows from two that do."""

from __future__ import annotations

from typing import Any

from benchmarks.harness.results import Record, of
from benchmarks.report import tables
from benchmarks.report.markdown import table
from benchmarks.report.targets import aims
from benchmarks.scale import GROWTH, LINEAR

PLOTS = "benchmarks"


def page(records: list[Record]) -> str:
    """The whole page."""
    parts = [
        _head(records),
        _peers(records),
        _history(records),
        _speed(records),
        _store(records),
        _scale(records),
        _aims(records),
    ]
    return "\n".join(line for part in parts for line in (*part, "")).rstrip() + "\n"


def machine(records: list[Record]) -> str:
    """Where it was measured, and with which versions, in a sentence or two."""
    about = next(each for each in records if each.get("record") == "about")["machine"]
    gib = about["memory_bytes"] / (1 << 30)
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    peers = {
        name: version
        for each in of(records, "peers", record="peer")
        for name, version in each["versions"].items()
        if name not in ("python", *about["versions"])
    }
    others = ", ".join(f"{name} {version}" for name, version in sorted(peers.items()))
    text = f"{about['cpu']}, {about['cores']} cores, {gib:.0f} GiB, {about['kernel']}, huge pages "
    text += f"{about['transparent_huge_pages']}, {about['libc']}, {about['python']}, {versions}"
    return text + (f"; peers: {others}." if others else ".")


def _head(records: list[Record]) -> list[str]:
    runs = [each for each in records if each.get("record") == "about"]
    dates = sorted(each["machine"]["at"][:10] for each in runs)
    rows = [
        [
            f"`{' '.join([each['benchmark'], *each['arguments']])}`",
            f"{each['seconds']:,.0f}",
            f"{each['machine']['load']}",
            each["machine"]["commit"],
        ]
        for each in runs
    ]
    return [
        "# Benchmarks",
        "",
        "<!-- Written by `python -m benchmarks report` from benchmarks/results/reference.jsonl; edits are lost. -->",
        "",
        "What kinform takes, beside what people would use instead, on the same objects and the same server in the same",
        "run. One command measures all of it and writes this page anew; a test fails where the page says something that",
        "the results file does not hold:",
        "",
        "```console",
        "$ make bench                         # what is measured with, and the peers: Go and Rust where they are present",
        "$ .venv/bin/python -m benchmarks all # measures; writes this page and its plots",
        "```",
        "",
        "How to read it:",
        "",
        "- Each row is a fresh process, read from outside: resident memory of the whole process in MiB from",
        "  `smaps_rollup`, its peak from `VmHWM`, CPU time from `stat`. What only a program itself can say (how long a read",
        "  takes, how late its event loop is, what its blobs take) is kinform's own word, and stands in tables of kinform alone.",
        "- `until quiet` counts all that is done until the process rests, in the background as well. Peaks do, too.",
        "- All are told of each event. kinform's handler is `on_change`: it is given the key, and no object is decoded for it,",
        "  which suits a controller that looks for itself. The others' handlers are given what they hold decoded anyway.",
        "- Before a figure is told, the content is checked: a digest of all that the process holds against the server's.",
        "- Figures are medians, with the largest distance of a round from it where there were several. The machine is",
        "  shared: ratios within a table count, seconds do not. A tick of CPU time is 10 ms.",
        "- Objects are made up, as real clusters have them: hundreds of templates, a long tail of replicas, managedFields,",
        "  the API server's order of members. [How like real ones they are](#how-like-real-objects-they-are) is below, and",
        "  `--corpus FILE` takes your own.",
        "- Where another is better than kinform is told below the tables of peers.",
        "",
        f"Measured {dates[0] if dates[0] == dates[-1] else f'from {dates[0]} to {dates[-1]}'} on: {machine(records)}",
        "",
        *table(["command", "seconds", "load before", "commit"], rows),
    ]


def _peers(records: list[Record]) -> list[str]:
    if not of(records, "peers"):
        return []
    lines = ["## Beside its peers", ""]
    for kind in ("pods", "namespaces"):
        about = of(records, "peers", record="collection", kind=kind)
        if not about:
            continue
        each = about[0]
        raw, pruned = (each[name] / each["objects"] for name in ("raw_bytes", "pruned_bytes"))
        most = each["ceiling"]
        lines += [
            f"### {each['objects']:,} {kind}",
            "",
            f"{raw:,.0f} B each as JSON, {pruned:,.0f} B without `managedFields`. The server could send",
            f"{most['list']['objects_per_second']:,.0f} objects a second as a LIST and "
            f"{most['stream']['objects_per_second']:,.0f} as a stream.",
            "",
        ]
        if kind == "pods":
            lines += [
                f"![Memory of each peer]({PLOTS}/memory.png)",
                "",
                f"![Resident memory over time]({PLOTS}/sawtooth.png)",
                "",
            ]
        lines += [*tables.peers(records, kind, tables.PEERS), ""]
        lines += [*tables.peers(records, kind, tables.SPEEDS), ""]
        lines += [*tables.notes(records, kind), ""]
        lines += ["Where another is better than kinform, and by how much:", "", *tables.losses(records, kind), ""]
    lines += [
        "A relist is made by a watch that ends in a 410. Clients wait before they list again, for longer the more often it",
        "happens: so CPU seconds are told and no wall time.",
        "",
        "### Metadata only",
        "",
        *tables.peers(records, "pods", tables.PEERS, metadata=True),
        "",
        *tables.peers(records, "pods", tables.SPEEDS, metadata=True),
    ]
    if of(records, "variants"):
        lines += [
            "",
            "### Over TLS, and with gzip",
            "",
            "The first sync of the same pods.",
            "",
            *tables.variants(records),
        ]
    if found := of(records, "real", record="sync"):
        servers = ", ".join(f"{name} {version}" for name, version in found[0]["servers"].items())
        size = f"{found[0]['objects']:,} pods, {found[0]['raw_bytes'] / 1e6:,.0f} MB of JSON"
        lines += [
            "",
            "### From a real API server",
            "",
            f"{size}, created on {servers}, over TLS. It serves protobuf to who asks for it, as controllers in Go do;",
            "the rows above are JSON.",
            "",
            *tables.real(records),
        ]
    if of(records, "delays"):
        lines += [
            "",
            "### The event loop",
            "",
            "How late a ticker of a millisecond is beside kinform, and how much of that kinform's own thread computed.",
            "",
            *tables.delays(records),
        ]
    return lines


def _history(records: list[Record]) -> list[str]:
    found = of(records, "memory")
    if not found:
        return []
    each = found[0]
    return [
        "## The history retold",
        "",
        f"One collection of {each['objects']:,} {each['kind']}, followed in the ways that it has been done: `naive` lists",
        "whole and decodes; `buffered` gathers pages, then swaps, with the old store still there; `streamed` fills a new",
        "dict of dicts from a stream, and swaps; `kinform` is an informer; `events` follows without a store. All in Python,",
        "over the same transport. Resident memory is read from outside; heap and allocations are",
        "[memray](https://bloomberg.github.io/memray/)'s, in processes of their own, native code included.",
        "`python -m benchmarks memory` leaves memray's flame graphs in `build/benchmarks/memory`.",
        "",
        f"![The heap over time]({PLOTS}/history.png)",
        "",
        *tables.history(records),
        "",
        *tables.holders(records, "kinform"),
    ]


def _speed(records: list[Record]) -> list[str]:
    if not of(records, "speed"):
        return []
    return [
        "## Each operation, beside its rivals",
        "",
        "CPU time of one thread, by pytest-benchmark; what exactly is compared, and which way it is biased, stands in",
        "`benchmarks/micro`. A dict wins nearly every read: it has paid for that when the object came, and holds it.",
        "",
        *tables.speed(records),
    ]


def _store(records: list[Record]) -> list[str]:
    if not of(records, "store"):
        return []
    return [
        "## What the store makes of objects",
        "",
        "Bytes an object: as JSON without `managedFields`, then each compressed alone, against the collection's dictionary",
        "or prefix, and after the background pass. `xz` compresses the whole collection at once, so that no object can be",
        "read alone. `kept` is what is held beside blobs to read and write with, divided by the objects.",
        "",
        *tables.blobs(of(records, "store", record="blobs")),
        "",
        "### How like real objects they are",
        "",
        "Bytes an object, made up and, after the stroke, measured on dumps of OpenShift clusters and of an application's:",
        "JSON, each with a dictionary at level 3 that was trained on half of them, and `xz -9e` over all. A ratio below 1",
        "means that what is made up compresses better than real objects do, which flatters.",
        "",
        *tables.likeness(records),
        "",
        "### What a collection costs before it holds many",
        "",
        *tables.fixed(records),
        "",
        "### Warm start",
        "",
        *tables.warm(records),
        "",
        *(["### Asking for less", "", *tables.scope(records)] if of(records, "scope") else []),
    ]


def _scale(records: list[Record]) -> list[str]:
    if not of(records, "scale"):
        return []
    titles = {name: title for title, name, _ in GROWTH}
    lines = ["## How cost grows", "", f"![Cost against the size of the collection]({PLOTS}/scale.png)", ""]
    for kind in ("pods", "namespaces"):
        if of(records, "scale", record="size", kind=kind):
            lines += [*tables.scale(records, kind), ""]
    lines += [*tables.growth(records, titles), ""]
    faster = [
        f"{titles[name]} ({each['kind']}, {power:.2f})"
        for each in of(records, "scale", record="growth")
        for name, power in each["powers"].items()
        if power is not None and power > LINEAR
    ]
    told = (
        f"Faster than in proportion, beyond {LINEAR}: {', '.join(faster)}."
        if faster
        else "Nothing grows faster than that."
    )
    lines += [f"1 is in proportion to the size. {told}"]
    return lines


def _aims(records: list[Record]) -> list[str]:
    found = aims(records)
    counts: dict[str, Any] = {
        state: sum(each["state"] == state for each in found) for state in ("reached", "missed", "not measured")
    }
    rows = [[f"{each['number']}. {each['aim']}", each["found"], _mark(each["state"])] for each in found]
    return [
        "## What we aim at",
        "",
        "Bounds that were set before any of this was measured. "
        f"Reached: {counts['reached']}; missed: {counts['missed']}; not measured: {counts['not measured']}.",
        "Why those that are missed are missed: [What is missed, and why](explanation/performance.md).",
        "",
        *table(["aim", "found", ""], rows),
    ]


def _mark(state: str) -> str:
    return f"**{state}**" if state == "missed" else state
