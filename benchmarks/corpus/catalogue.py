"""What can be made, by name: its kind, what makes it, and how many of it are measured unless told otherwise."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterator

from kinform.testing._objects.cluster_api import MACHINES, machines
from kinform.testing._objects.configmaps import configmaps
from kinform.testing._objects.controllers import deployments, replicasets
from kinform.testing._objects.events import events
from kinform.testing._objects.kinds import Kind, Object
from kinform.testing._objects.leases import leases
from kinform.testing._objects.namespaces import namespaces
from kinform.testing._objects.network import endpointslices, services
from kinform.testing._objects.pods import pods

Maker = Callable[[int], Iterator[Object]]
"""Given a seed, objects without end: another key each, the same ones in every process."""

MADE: dict[str, tuple[Kind, Maker, int]] = {
    "pods": (Kind("v1/pods", "Pod"), pods, 20_000),
    "namespaces": (Kind("v1/namespaces", "Namespace"), namespaces, 100_000),
    "events": (Kind("v1/events", "Event"), events, 50_000),
    "endpointslices": (Kind("discovery.k8s.io/v1/endpointslices", "EndpointSlice"), endpointslices, 5_000),
    "services": (Kind("v1/services", "Service"), services, 5_000),
    "configmaps": (Kind("v1/configmaps", "ConfigMap"), configmaps, 5_000),
    "leases": (Kind("coordination.k8s.io/v1/leases", "Lease"), leases, 5_000),
    "deployments": (Kind("apps/v1/deployments", "Deployment"), deployments, 2_000),
    "replicasets": (Kind("apps/v1/replicasets", "ReplicaSet"), replicasets, 10_000),
    "customs": (MACHINES, machines, 20_000),
}


def stream(name: str, count: int, seed: int) -> tuple[Kind, Iterator[Object]]:
    """So many different objects of a kind, one after the other; those of a smaller count come first in a larger one."""
    kind, maker, _ = MADE[name]
    return kind, itertools.islice(maker(seed), count)


def make(name: str, count: int, seed: int) -> tuple[Kind, list[Object]]:
    """The same as a list. Pods share what they can: 300,000 take about 2.6 GB."""
    kind, found = stream(name, count, seed)
    # Nothing made here is garbage: looking for some, again and again, takes as long as the making.
    collects = gc.isenabled()
    gc.disable()
    try:
        return kind, list(found)
    finally:
        if collects:
            gc.enable()
