"""The report of `kinform prune` in sections, with the `Prune` to copy."""

from __future__ import annotations

from kinform.cli._report.section import (
    Cell,
    Document,
    Section,
    count_cell,
    share_cell,
    size_bars,
    size_cell,
    text_cell,
)
from kinform.cli._rows import quantity
from kinform.cli.prune.report import PathReport, PruneReport


def document(report: PruneReport, *, suggest: bool) -> Document:
    """Returns the report as a document."""
    headline = [
        (f"{report.objects:,}", "objects"),
        (quantity(report.bytes), "JSON"),
        (quantity(report.default_stored_bytes), "in a store of kinform, without managedFields"),
    ]
    if report.updates:
        headline.append((f"{report.updates:,}", f"updates in {report.seconds:.0f} s"))
    sections = [_paths(report), *([_suggestion(report)] if suggest else [])]
    return Document(report.resource, "kinform prune", headline, sections)


def _paths(report: PruneReport) -> Section:
    rows = [
        [
            text_cell(each.path),
            count_cell(each.objects),
            size_cell(each.bytes),
            share_cell(each.bytes / report.bytes),
            size_cell(each.stored_bytes),
            Cell("-", -1) if each.changes is None else share_cell(each.changes),
        ]
        for each in report.paths
    ]
    text = (
        'Paths with at least 1 % of the JSON. "stored" is what a store of kinform saves if the path is dropped,'
        " estimated from a sample of the objects. kinform encodes an object as its differences from a similar one, so"
        ' that equal fields cost little. "changes" is the part of the updates in which the path, or one below it,'
        " changes."
    )
    bars = size_bars((each.path, each.bytes) for each in report.paths if each.depth > 1)
    return Section("Bytes by path", text, ["path", "objects", "JSON", "share", "stored", "changes"], rows, bars)


def _suggestion(report: PruneReport) -> Section:
    effect = (
        f"With it, the JSON has {quantity(report.pruned_bytes)} instead of {quantity(report.bytes)}, and the store"
        f" takes {quantity(report.pruned_stored_bytes)}; with the default, which drops only managedFields, it takes"
        f" {quantity(report.default_stored_bytes)}."
    )
    if report.keep:
        return Section("Prune", f"Keeps what the type reads. {effect}", code=_keep(report.keep))
    if report.updates:
        effect += f" {report.quiet_updates:,} of {report.updates:,} updates change only dropped fields."
    text = (
        f"Drops large paths, and those that change often. Remove the lines of fields that your program reads. {effect}"
    )
    return Section("Prune", text, code=_drop(report))


def _keep(paths: list[str]) -> str:
    lines = "\n".join(f"        {path!r}," for path in paths)
    return f"prune = kinform.Prune(\n    keep=[\n{lines}\n    ],\n)"


def _drop(report: PruneReport) -> str:
    if not report.drop:
        return "prune = None  # the default: no other path is large"
    found = {each.path: each for each in report.paths}
    lines = [(f"        {path!r},", _remark(found[path], report)) for path in report.drop]
    width = max(len(line) for line, _ in lines)
    listed = "\n".join(f"{line:{width}}  # {remark}" for line, remark in lines)
    return f"prune = kinform.Prune(\n    drop=[\n{listed}\n    ],\n)"


def _remark(path: PathReport, report: PruneReport) -> str:
    remark = f"{100 * path.bytes / report.bytes:.0f} % of the JSON"
    return f"{remark}, changes in {100 * path.changes:.0f} % of the updates" if path.changes else remark
