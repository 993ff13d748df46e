"""The catalogue of the kinds that can be generated."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kinform.testing._objects.cluster_api import MACHINES, machines
from kinform.testing._objects.configmaps import configmaps
from kinform.testing._objects.controllers import deployments, replicasets
from kinform.testing._objects.events import events
from kinform.testing._objects.kinds import Kind, Object
from kinform.testing._objects.leases import leases
from kinform.testing._objects.namespaces import namespaces
from kinform.testing._objects.network import endpointslices, services
from kinform.testing._objects.nodes import nodes
from kinform.testing._objects.pods import pods
from kinform.testing._objects.secrets import secrets

Maker = Callable[[int], Iterator[Object]]
"""Returns the objects of a seed without end, each with a key of its own. Every process makes the same ones."""

CATALOGUE: dict[str, tuple[Kind, Maker]] = {
    "pods": (Kind("v1/pods", "Pod"), pods),
    "namespaces": (Kind("v1/namespaces", "Namespace"), namespaces),
    "nodes": (Kind("v1/nodes", "Node"), nodes),
    "events": (Kind("v1/events", "Event"), events),
    "endpointslices": (Kind("discovery.k8s.io/v1/endpointslices", "EndpointSlice"), endpointslices),
    "services": (Kind("v1/services", "Service"), services),
    "configmaps": (Kind("v1/configmaps", "ConfigMap"), configmaps),
    "secrets": (Kind("v1/secrets", "Secret"), secrets),
    "leases": (Kind("coordination.k8s.io/v1/leases", "Lease"), leases),
    "deployments": (Kind("apps/v1/deployments", "Deployment"), deployments),
    "replicasets": (Kind("apps/v1/replicasets", "ReplicaSet"), replicasets),
    "customs": (MACHINES, machines),
}
