"""The report of an audit: sizes, counts and names, but never contents of objects.

`--json` prints these structures as they are. Sizes are bytes, times are seconds.
"""

from __future__ import annotations

import msgspec


class Growth(msgspec.Struct, frozen=True):
    """The number of objects of which the creation is recent.

    Attributes:
        day: Created in the last 24 hours.
        week: Created in the last 7 days.
        month: Created in the last 30 days.
    """

    day: int
    week: int
    month: int


class NamespaceShare(msgspec.Struct, frozen=True):
    """The objects of one namespace.

    Attributes:
        namespace: The namespace; `""` for cluster-scoped objects.
        objects: The number of objects.
        bytes: The size of their JSON.
    """

    namespace: str
    objects: int
    bytes: int


class Estimate(msgspec.Struct, frozen=True):
    """The memory of one copy of a collection in a client.

    Attributes:
        client: The client.
        bytes: The memory.
        measured: True: kinform stored a sample of these objects. False: from the sizes, by the table of costs.
    """

    client: str
    bytes: int
    measured: bool = False


class Conditions(msgspec.Struct, frozen=True):
    """The conditions arrays of a collection, if one of them is long.

    Attributes:
        longest: The number of entries of the longest one.
        key: The key of the object that has it.
        over: The number of objects with more than `limit` entries.
        limit: Arrays with more entries than this count as long.
        bytes: The size of all conditions arrays.
    """

    longest: int
    key: str
    over: int
    limit: int
    bytes: int


class Collection(msgspec.Struct, frozen=True):
    """A resource.

    Attributes:
        resource: `"v1/pods"`, ...
        namespaced: True if its objects are in namespaces.
        objects: The number of objects.
        wire_bytes: The size of their JSON, as the server sends it.
        pruned_bytes: The same without `metadata.managedFields`.
        metadata_bytes: The size of their metadata without `managedFields`.
        growth: The number of recent objects.
        namespaces: The number of namespaces that have objects.
        largest: The namespaces with most bytes.
        estimates: The memory of one copy in each client.
        conditions: Long conditions arrays; None if all are short.
    """

    resource: str
    namespaced: bool
    objects: int
    wire_bytes: int
    pruned_bytes: int
    metadata_bytes: int
    growth: Growth
    namespaces: int
    largest: list[NamespaceShare]
    estimates: list[Estimate]
    conditions: Conditions | None = None


class Watcher(msgspec.Struct, frozen=True):
    """A workload whose service account may list and watch resources in all namespaces.

    Attributes:
        kind: `"DaemonSet"`, `"Deployment"`, ...
        namespace: Its namespace.
        name: Its name.
        service_account: The service account of its pods.
        processes: The number of its pods.
        resources: The resources that it may list and watch in all namespaces, the largest first.
        everything: True if its permissions cover every resource.
        bytes: The pruned JSON of one copy of all of them.
        bytes_of_all_processes: `bytes` times `processes`.
        memory_bytes: The memory of its pods, by metrics.k8s.io; None if unknown.
        largest_memory_bytes: The memory of its largest pod; None if unknown.
    """

    kind: str
    namespace: str
    name: str
    service_account: str
    processes: int
    resources: list[str]
    everything: bool
    bytes: int
    bytes_of_all_processes: int
    memory_bytes: int | None = None
    largest_memory_bytes: int | None = None


class Renewer(msgspec.Struct, frozen=True):
    """The leases of one sort: those of nodes, or one lease of an election.

    Attributes:
        name: `"nodes"`, or the key of the lease.
        leases: The number of leases.
        renewals_per_second: The renewals in the time of the watch, divided by it.
    """

    name: str
    leases: int
    renewals_per_second: float


class Leases(msgspec.Struct, frozen=True):
    """The leases of the cluster.

    Attributes:
        leases: The number of leases.
        held: The number of leases with a holder.
        seconds: The time for which renewals were counted.
        renewals_per_second: All renewals in that time, divided by it.
        age_p50: The median of the seconds since the last renewal, of leases with a holder.
        age_p99: The 99th percentile of them.
        renewers: Those with most renewals.
        other_renewers: The number of those that `renewers` does not list.
    """

    leases: int
    held: int
    seconds: float
    renewals_per_second: float
    age_p50: float
    age_p99: float
    renewers: list[Renewer]
    other_renewers: int


class Saving(msgspec.Struct, frozen=True):
    """The saving of a program that needs less than a whole copy.

    Attributes:
        name: `"prune managedFields"`, `"metadata only"`, `"one namespace"`, `"on demand"`.
        bytes: The JSON of what remains of all collections.
        saved_bytes: The JSON of what is no longer needed.
        note: The assumption.
    """

    name: str
    bytes: int
    saved_bytes: int
    note: str


class Unseen(msgspec.Struct, frozen=True):
    """Something that the audit could not read.

    Attributes:
        what: The resource, or the API.
        why: The error, in the words of the server; or how many objects could not be read.
    """

    what: str
    why: str


class Report(msgspec.Struct, frozen=True):
    """The result of an audit.

    Attributes:
        cluster: The context of the kubeconfig, or the address of the API server.
        taken_at: The time of the audit, RFC 3339.
        seconds: The duration.
        nodes: The number of nodes; None if they could not be read.
        namespaces: The number of namespaces; None if they could not be read.
        collections: The resources, the largest first.
        largest_namespaces: The namespaces with most bytes over all collections.
        watchers: The workloads that may watch all namespaces: DaemonSets first, then by `bytes_of_all_processes`.
        leases: The leases; None if they could not be read.
        savings: The effects of scoping and pruning.
        unseen: Resources and APIs that could not be read as a whole.
        costs: The source of the estimates: the clients with their versions, and the date of the measurement.
    """

    cluster: str
    taken_at: str
    seconds: float
    nodes: int | None
    namespaces: int | None
    collections: list[Collection]
    largest_namespaces: list[NamespaceShare]
    watchers: list[Watcher]
    leases: Leases | None
    savings: list[Saving]
    unseen: list[Unseen]
    costs: str
