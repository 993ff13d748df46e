"""The sections of a report: texts and tables, for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from kinform._printable import printable
from kinform.cli._rows import quantity
from kinform.cli.audit.report import Collection, Report, Watcher

ROWS = 20
"""The largest number of rows in a terminal. A page has all of them."""
NAMED_RESOURCES = 3
"""The number of resources that are named in a row."""


class Cell(msgspec.Struct, frozen=True):
    """A cell of a table.

    Attributes:
        text: The text.
        value: The number by which rows are sorted; None: the text is.
    """

    text: str
    value: float | None = None


class Bar(msgspec.Struct, frozen=True):
    """A bar of a chart.

    Attributes:
        label: The name.
        value: The length of the bar.
        text: The value in words.
        is_ours: True for kinform.
    """

    label: str
    value: float
    text: str
    is_ours: bool = False


class Section(msgspec.Struct, frozen=True):
    """A part of the report.

    Attributes:
        title: The heading.
        text: The meaning of the table, and advice.
        head: The columns of the table.
        rows: The rows of the table.
        bars: A chart; empty: none.
    """

    title: str
    text: str
    head: list[str]
    rows: list[list[Cell]]
    bars: list[Bar] = []


def headline(report: Report) -> list[tuple[str, str]]:
    """Returns the most important numbers, each with its name."""
    objects = sum(each.objects for each in report.collections)
    size = sum(each.pruned_bytes for each in report.collections)
    found = [("objects", f"{objects:,}"), ("JSON without managedFields", quantity(size))]
    if report.namespaces is not None:
        found.append(("namespaces", f"{report.namespaces:,}"))
    if report.nodes is not None:
        found.append(("nodes", f"{report.nodes:,}"))
    if report.watchers:
        processes = sum(each.processes for each in report.watchers)
        found.append(("processes that may watch all namespaces", f"{processes:,}"))
    if report.leases is not None and report.leases.seconds:
        found.append(("lease renewals per second", f"{report.leases.renewals_per_second:.1f}"))
    return found


def sections(report: Report) -> Iterator[Section]:
    """Yields the sections that have something to show."""
    if report.collections:
        yield _collections(report)
        yield _copies(report)
    if report.largest_namespaces:
        yield _namespaces(report)
    if report.watchers:
        yield _watchers(report)
    if long := [each for each in report.collections if each.conditions]:
        yield _conditions(long)
    if report.leases is not None and report.leases.leases:
        yield _leases(report)
    if report.collections:
        yield _savings(report)
    if report.unseen:
        yield _unseen(report)


def _collections(report: Report) -> Section:
    filled = [each for each in report.collections if each.objects]
    rows = [
        [
            _text(each.resource),
            _count(each.objects),
            _size(each.wire_bytes),
            _size(each.pruned_bytes),
            _size(each.metadata_bytes),
            _count(each.growth.day),
            _count(each.growth.week),
            _count(each.growth.month),
        ]
        for each in filled
    ]
    head = ["resource", "objects", "JSON", "pruned", "metadata", "new in 1 d", "7 d", "30 d"]
    text = (
        "Objects and bytes of each resource. A copy of a resource costs this much JSON in each process that follows"
        ' it. "pruned" is the JSON without managedFields. "new" counts the objects that were created in that time.'
    )
    return Section(
        "Resources", text, head, rows, _bars((each.resource, each.wire_bytes) for each in report.collections)
    )


def _copies(report: Report) -> Section:
    clients = list(
        dict.fromkeys(estimate.client for each in report.collections if each.objects for estimate in each.estimates)
    )
    sums = dict.fromkeys(clients, 0)
    rows = []
    for each in report.collections:
        found = {estimate.client: estimate.bytes for estimate in each.estimates}
        if each.objects:
            rows.append([_text(each.resource), *(_size(found.get(client, 0)) for client in clients)])
        for client, size in found.items():
            sums[client] += size
    text = (
        "The memory of one complete copy of each resource in a process. kinform is measured: it stored a sample of"
        f" these objects. The other clients are estimated from the sizes, by measured costs ({report.costs})."
    )
    bars = [Bar(client, size, quantity(size), client == "kinform") for client, size in sums.items()]
    return Section("One copy of everything", text, ["resource", *clients], rows, bars)


def _namespaces(report: Report) -> Section:
    rows = [
        [_text(each.namespace or "(cluster-scoped)"), _count(each.objects), _size(each.bytes)]
        for each in report.largest_namespaces
    ]
    bars = _bars((each.namespace or "(cluster-scoped)", each.bytes) for each in report.largest_namespaces)
    text = "The namespaces with most bytes of JSON, over all resources."
    return Section("Largest namespaces", text, ["namespace", "objects", "JSON"], rows, bars)


def _watchers(report: Report) -> Section:
    rows = [
        [
            _text(f"{each.kind} {each.namespace}/{each.name}"),
            _count(each.processes),
            _text(_resources(each)),
            _size(each.bytes),
            _size(each.bytes_of_all_processes),
            _optional(each.memory_bytes),
            _optional(each.largest_memory_bytes),
        ]
        for each in report.watchers
    ]
    text = (
        "Workloads whose service account may list and watch resources in all namespaces, DaemonSets first. Whether they"
        ' do is not visible from outside. "one copy" is the JSON that a process holds if it follows all of them; '
        '"all processes" is the same times the number of pods. A pod whose memory grows with the number of namespaces, '
        "and not with its load, probably holds such a copy. Switch off the watch, or limit it by a selector or by "
        "namespaces."
    )
    head = ["workload", "pods", "may watch", "one copy", "all processes", "memory", "largest pod"]
    bars = _bars((f"{each.kind} {each.name}", each.bytes_of_all_processes) for each in report.watchers)
    return Section("Watchers of all namespaces", text, head, rows, bars)


def _resources(watcher: Watcher) -> str:
    if watcher.everything:
        return "everything"
    rest = len(watcher.resources) - NAMED_RESOURCES
    named = ", ".join(watcher.resources[:NAMED_RESOURCES])
    return named if rest <= 0 else f"{named} and {rest} more"


def _conditions(found: list[Collection]) -> Section:
    rows = []
    for each in found:
        if each.conditions is not None:
            long = each.conditions
            rows.append(
                [
                    _text(each.resource),
                    _count(long.over),
                    _count(long.longest),
                    _text(long.key),
                    _size(long.bytes),
                    Cell(f"{100 * long.bytes / each.pruned_bytes:.0f} %", long.bytes / each.pruned_bytes),
                ]
            )
    text = (
        "Resources with long arrays in status.conditions. A controller that appends a condition each time, instead of "
        "replacing the one of the same type, makes its objects grow without bound. "
        'Prune(keep_last={"status.conditions": 3}) keeps the last ones of each type.'
    )
    limit = found[0].conditions.limit if found[0].conditions else 0
    head = ["resource", f"objects with more than {limit}", "longest", "of", "bytes of conditions", "share"]
    return Section("Conditions that grow", text, head, rows)


def _leases(report: Report) -> Section:
    leases = report.leases
    assert leases is not None
    text = (
        f"{leases.leases:,} leases, {leases.held:,} with a holder. The last renewal of these was"
        f" {_duration(leases.age_p50)} ago in the median, and {_duration(leases.age_p99)} ago at the 99th percentile. "
    )
    if leases.seconds:
        text += (
            f"In {leases.seconds:.0f} s there were {leases.renewals_per_second:.1f} renewals per second. Each one is a "
            "write to etcd. Elections with a longer lease duration renew less often."
        )
    rows = [
        [_text(each.name), _count(each.leases), Cell(f"{each.renewals_per_second:.2f}", each.renewals_per_second)]
        for each in leases.renewers
    ]
    return Section("Leases", text, ["lease", "leases", "renewals/s"], rows)


def _savings(report: Report) -> Section:
    rows = [[_text(each.name), _size(each.bytes), _size(each.saved_bytes), _text(each.note)] for each in report.savings]
    text = "What remains of one copy of everything in JSON, for programs that need less."
    return Section("Savings", text, ["", "remains", "saved", "assumed"], rows)


def _unseen(report: Report) -> Section:
    rows = [[_text(each.what), _text(each.why)] for each in report.unseen]
    text = "These could not be read, so their numbers are missing above."
    return Section("Not seen", text, ["what", "why"], rows)


def _duration(seconds: float) -> str:
    """Formats seconds: `"8.5 s"`, `"12 min"`, `"5 h"`, `"3 d"`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"


def _bars(values: Iterable[tuple[str, int]]) -> list[Bar]:
    largest = sorted(values, key=lambda each: -each[1])[:10]
    return [Bar(printable(label), value, quantity(value)) for label, value in largest if value]


def _text(text: str) -> Cell:
    return Cell(printable(text, 400))


def _count(number: int) -> Cell:
    return Cell(f"{number:,}", number)


def _size(size: int) -> Cell:
    return Cell(quantity(size), size)


def _optional(size: int | None) -> Cell:
    return Cell("-", -1) if size is None else _size(size)
