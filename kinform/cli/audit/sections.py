"""The report of an audit in sections: what each table means."""

from __future__ import annotations

from collections.abc import Iterator

from kinform.cli._report.section import (
    Bar,
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
from kinform.cli.audit.report import Collection, Report, Watcher

NAMED_RESOURCES = 3
"""The number of resources that are named in a row."""


def _headline(report: Report) -> list[tuple[str, str]]:
    objects = sum(each.objects for each in report.collections)
    pruned = sum(each.pruned_bytes for each in report.collections)
    found = [(f"{objects:,}", "objects"), (quantity(pruned), "JSON without managedFields")]
    if report.namespaces is not None:
        found.append((f"{report.namespaces:,}", "namespaces"))
    if report.nodes is not None:
        found.append((f"{report.nodes:,}", "nodes"))
    if report.watchers:
        processes = sum(each.processes for each in report.watchers)
        found.append((f"{processes:,}", "processes that may watch all namespaces"))
    if report.leases is not None and report.leases.seconds:
        found.append((f"{report.leases.renewals_per_second:.1f}", "lease renewals per second"))
    return found


def document(report: Report) -> Document:
    """Returns the report as a document."""
    subtitle = f"kinform audit, {report.taken_at}, read in {report.seconds:.1f} s"
    return Document(report.cluster, subtitle, _headline(report), list(_sections(report)))


def _sections(report: Report) -> Iterator[Section]:
    """The sections that have something to show."""
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
            text_cell(each.resource),
            count_cell(each.objects),
            size_cell(each.wire_bytes),
            size_cell(each.pruned_bytes),
            size_cell(each.metadata_bytes),
            count_cell(each.growth.day),
            count_cell(each.growth.week),
            count_cell(each.growth.month),
        ]
        for each in filled
    ]
    head = ["resource", "objects", "JSON", "pruned", "metadata", "new in 1 d", "7 d", "30 d"]
    text = (
        "Objects and bytes of each resource. A copy of a resource costs this much JSON in each process that follows"
        ' it. "pruned" is the JSON without managedFields. "new" counts the objects that were created in that time.'
    )
    if empty := len(report.collections) - len(filled):
        text += f" {empty} resources without objects are not listed."
    return Section("Resources", text, head, rows, size_bars((each.resource, each.wire_bytes) for each in filled))


def _copies(report: Report) -> Section:
    clients = list(
        dict.fromkeys(estimate.client for each in report.collections if each.objects for estimate in each.estimates)
    )
    sums = dict.fromkeys(clients, 0)
    rows = []
    for each in report.collections:
        found = {estimate.client: estimate.bytes for estimate in each.estimates}
        if each.objects:
            rows.append([text_cell(each.resource), *(size_cell(found.get(client, 0)) for client in clients)])
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
        [text_cell(each.namespace or "(cluster-scoped)"), count_cell(each.objects), size_cell(each.bytes)]
        for each in report.largest_namespaces
    ]
    bars = size_bars((each.namespace or "(cluster-scoped)", each.bytes) for each in report.largest_namespaces)
    text = "The namespaces with most bytes of JSON, over all resources."
    return Section("Largest namespaces", text, ["namespace", "objects", "JSON"], rows, bars)


def _watchers(report: Report) -> Section:
    rows = [
        [
            text_cell(f"{each.kind} {each.namespace}/{each.name}"),
            count_cell(each.processes),
            text_cell(_resources(each)),
            size_cell(each.bytes),
            size_cell(each.bytes_of_all_processes),
            size_cell(each.memory_bytes),
            size_cell(each.largest_memory_bytes),
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
    bars = size_bars((f"{each.kind} {each.name}", each.bytes_of_all_processes) for each in report.watchers)
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
                    text_cell(each.resource),
                    count_cell(long.over),
                    count_cell(long.longest),
                    text_cell(long.key),
                    size_cell(long.bytes),
                    share_cell(long.bytes / each.pruned_bytes),
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
            "write to etcd. Elections with a longer lease duration renew less often. "
        )
    if leases.other_renewers:
        text += f"The table has those with most renewals; {leases.other_renewers:,} more are not listed."
    rows = [
        [
            text_cell(each.name),
            count_cell(each.leases),
            Cell(f"{each.renewals_per_second:.2f}", each.renewals_per_second),
        ]
        for each in leases.renewers
    ]
    return Section("Leases", text.rstrip(), ["lease", "leases", "renewals/s"], rows)


def _savings(report: Report) -> Section:
    rows = [
        [text_cell(each.name), size_cell(each.bytes), size_cell(each.saved_bytes), text_cell(each.note)]
        for each in report.savings
    ]
    text = "What remains of one copy of everything in JSON, for programs that need less."
    return Section("Savings", text, ["", "remains", "saved", "assumed"], rows)


def _unseen(report: Report) -> Section:
    rows = [[text_cell(each.what), text_cell(each.why)] for each in report.unseen]
    text = "These could not be read, so their numbers are missing above."
    return Section("Not seen", text, ["what", "why"], rows)


def _duration(seconds: float) -> str:
    """Formats seconds: `"8.5 s"`, `"12 min"`, `"5 h"`, `"3 d"`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"
