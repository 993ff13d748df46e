"""The survey: reads the cluster once, page by page, and fills the report.

Reads one collection after the other, with LIST requests in pages, and keeps only numbers and names. The report
lists what the survey may not read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime

import msgspec

from kinform import (
    Apply,
    Connection,
    InitDone,
    KinformError,
    Prune,
    Resource,
    Scope,
    WatchOptions,
    watcher,
)
from kinform.cli._resource import Found, followable_resources
from kinform.cli._sample import Sample
from kinform.cli.audit.access import Access, ClusterRole, ClusterRoleBinding
from kinform.cli.audit.costs import read_costs
from kinform.cli.audit.inventory import Inventory, Namespaces
from kinform.cli.audit.leases import LeaseAges
from kinform.cli.audit.report import Collection, Estimate, Leases, Report, Saving, Unseen, Watcher
from kinform.cli.audit.workloads import PodMetrics, Workloads

PODS, LEASES, NODES, NAMESPACES = "v1/pods", "coordination.k8s.io/v1/leases", "v1/nodes", "v1/namespaces"
ROLES = "rbac.authorization.k8s.io/v1/clusterroles"
BINDINGS = "rbac.authorization.k8s.io/v1/clusterrolebindings"
POD_METRICS = "metrics.k8s.io/v1beta1/pods"
PROGRESS_OBJECTS = 1_000
"""The number of objects between two reports of progress."""
SYNC_SECONDS = 60.0
"""The longest time until the first state of the leases."""
ON_DEMAND_OBJECTS = 500
"""Number of objects that a program with on-demand reads is assumed to keep."""

DUPLICATES = {("events.k8s.io", "events")}
"""Resources that are another name of the same objects."""


class Survey:
    """A pass over a cluster.

    Args:
        api: The connection.
        cluster: The name of the cluster for the report.
        lease_seconds: Seconds for which renewals of leases are counted; 0: not at all.
        on_progress: Called with the name of what is read, and the number of objects so far.
    """

    def __init__(
        self, api: Connection, *, cluster: str, lease_seconds: float, on_progress: Callable[[str, int], None]
    ) -> None:
        self._api = api
        self._cluster = cluster
        self._lease_seconds = lease_seconds
        self._on_progress = on_progress
        self._now = datetime.now(UTC)
        self._costs = read_costs()
        self._namespaces = Namespaces()
        self._workloads = Workloads()
        self._leases = LeaseAges(self._now)
        self._unseen: list[Unseen] = []
        self._objects = 0

    async def run(self) -> Report:
        """Reads the cluster, and returns the report.

        Raises:
            KinformError: The server cannot be reached, or it refuses the list of its resources.
        """
        start = time.monotonic()
        collections: dict[str, Collection] = {}
        async for found in followable_resources(self._api):
            if isinstance(found, tuple):
                self._unseen.append(Unseen(found[0], str(found[1])))
            elif (found.resource.group, found.resource.plural) not in DUPLICATES and (
                collection := await self._read(found)
            ):
                collections[collection.resource] = collection
        access = await self._access()
        await self._read_memory()
        leases = await self._count_renewals() if LEASES in collections else None
        largest = sorted(collections.values(), key=lambda each: -each.wire_bytes)
        return Report(
            cluster=self._cluster,
            taken_at=self._now.isoformat(timespec="seconds"),
            seconds=time.monotonic() - start,
            nodes=collections[NODES].objects if NODES in collections else None,
            namespaces=collections[NAMESPACES].objects if NAMESPACES in collections else None,
            collections=largest,
            largest_namespaces=self._namespaces.largest(),
            watchers=find_watchers(access, self._workloads, largest) if access and PODS in collections else [],
            leases=leases,
            savings=find_savings(largest),
            unseen=self._unseen,
            costs=f"{self._costs.version}: {self._costs.source}",
        )

    async def _read(self, found: Found) -> Collection | None:
        """Reads one collection; None if it cannot be read."""
        name = str(found.resource)
        inventory = Inventory(self._namespaces, self._now)
        sample = Sample()
        self._on_progress(name, self._objects)
        try:
            async with aclosing(self._api.list(found.resource, type=msgspec.Raw, prune=Prune())) as objects:
                async for obj in objects:
                    raw = bytes(obj)
                    inventory.add(raw)
                    if name == PODS:
                        self._workloads.add(raw)
                    elif name == LEASES:
                        self._leases.add(raw)
                    sample.add(raw)
                    self._objects += 1
                    if self._objects % PROGRESS_OBJECTS == 0:
                        self._on_progress(name, self._objects)
        except KinformError as error:
            self._unseen.append(Unseen(name, str(error)))
            return None
        if inventory.malformed:
            why = f"{inventory.malformed:,} objects have another form than Kubernetes objects: only their size counts"
            self._unseen.append(Unseen(name, why))
        estimates = [cost.of(inventory.objects, inventory.pruned_bytes) for cost in self._costs.clients]
        sizes = await sample.sizes(found.resource)
        estimates.insert(0, Estimate("kinform", sizes.stored, measured=True))
        return Collection(
            resource=name,
            namespaced=found.namespaced,
            objects=inventory.objects,
            wire_bytes=inventory.wire_bytes,
            pruned_bytes=inventory.pruned_bytes,
            metadata_bytes=inventory.metadata_bytes,
            growth=inventory.growth,
            largest=inventory.finish() if found.namespaced else [],
            namespaces=inventory.namespaces if found.namespaced else 0,
            estimates=estimates,
            conditions=inventory.conditions,
        )

    async def _access(self) -> Access | None:
        self._on_progress("permissions", self._objects)
        try:
            roles = [role async for role in self._api.list(ROLES, type=ClusterRole)]
            bindings = [binding async for binding in self._api.list(BINDINGS, type=ClusterRoleBinding)]
        except KinformError as error:
            self._unseen.append(Unseen("who may watch what", str(error)))
            return None
        return Access(roles, bindings)

    async def _read_memory(self) -> None:
        self._on_progress("memory of pods", self._objects)
        try:
            async for usage in self._api.list(POD_METRICS, type=PodMetrics, page_size=0):
                self._workloads.add_usage(usage)
        except KinformError as error:
            self._unseen.append(Unseen("memory of pods", str(error)))

    async def _count_renewals(self) -> Leases:
        self._on_progress(f"leases, for {self._lease_seconds:g} s", self._objects)
        seconds = 0.0
        try:
            seconds = await self._follow_leases() if self._lease_seconds else 0.0
        except KinformError as error:
            self._unseen.append(Unseen("renewals of leases", str(error)))
        return self._leases.report(seconds)

    async def _follow_leases(self) -> float:
        """Counts renewals from a first state on. Returns the seconds."""
        stream = watcher(self._api, LEASES, scope=Scope(metadata_only=True), options=WatchOptions(start_jitter=0))
        start = None
        with suppress(TimeoutError):
            async with (
                asyncio.timeout(self._lease_seconds + SYNC_SECONDS) as deadline,
                aclosing(aiter(stream)) as events,
            ):
                async for event in events:
                    if isinstance(event, InitDone) and start is None:
                        start = time.monotonic()
                        deadline.reschedule(asyncio.get_running_loop().time() + self._lease_seconds)
                    elif isinstance(event, Apply) and start is not None:
                        self._leases.renewed(event.object.key)
        return 0.0 if start is None else time.monotonic() - start


def find_watchers(access: Access, workloads: Workloads, collections: list[Collection]) -> list[Watcher]:
    """Returns the workloads that may follow resources in all namespaces.

    DaemonSets come first, then the others; the largest first.
    """
    found = []
    accounts: dict[tuple[str, str], list[Collection]] = {}
    for workload, processes in workloads.processes.items():
        account = workload.namespace, workload.service_account
        if account not in accounts:
            accounts[account] = [
                each for each in collections if access.may_follow(*account, *_group_and_plural(each.resource))
            ]
        if not (followed := accounts[account]):
            continue
        size = sum(each.pruned_bytes for each in followed)
        memory = workloads.memory.get(workload)
        found.append(
            Watcher(
                kind=workload.kind,
                namespace=workload.namespace,
                name=workload.name,
                service_account=workload.service_account,
                processes=processes,
                resources=[each.resource for each in followed],
                everything=access.may_follow(*account, "*", "*"),
                bytes=size,
                bytes_of_all_processes=size * processes,
                memory_bytes=sum(memory) if memory else None,
                largest_memory_bytes=max(memory) if memory else None,
            )
        )
    return sorted(found, key=lambda each: (each.kind != "DaemonSet", -each.bytes_of_all_processes, each.name))


def _group_and_plural(name: str) -> tuple[str, str]:
    resource = Resource.of(name)
    return resource.group, resource.plural


def find_savings(collections: list[Collection]) -> list[Saving]:
    """Returns the memory that programs save by storing less of the collections."""
    wire, pruned, metadata = (
        sum(getattr(each, name) for each in collections) for name in ("wire_bytes", "pruned_bytes", "metadata_bytes")
    )
    namespaced = [each for each in collections if each.namespaced]
    everything = sum(each.pruned_bytes for each in namespaced)
    one = sum(round(each.pruned_bytes / each.namespaces) for each in namespaced if each.namespaces)
    objects = sum(each.objects for each in collections)
    few = round(pruned * min(1.0, ON_DEMAND_OBJECTS / objects)) if objects else 0
    return [
        Saving("prune managedFields", pruned, wire - pruned, "kinform does it by default"),
        Saving("metadata only", metadata, pruned - metadata, "for programs that read labels, annotations or owners"),
        Saving("one namespace", one, everything - one, "the mean namespace of each resource"),
        Saving("on demand", few, pruned - few, f"the {ON_DEMAND_OBJECTS} objects that a program reads, of mean size"),
    ]
