"""Leases: the heartbeats of nodes, and the leader elections of controllers."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from kinform.testing._objects.cluster import Cluster
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import entry
from kinform.testing._objects.random_values import (
    NOW,
    between,
    micro_timestamp,
    resource_version,
    suffix,
    timestamp,
    uid,
)

_OWNED = ("acquireTime", "holderIdentity", "leaseDurationSeconds", "leaseTransitions", "renewTime")


def leases(seed: int) -> Iterator[Object]:
    """Yields leases without end; one in five is of a leader election.

    About 800 B of JSON each, 450 B without managedFields.
    """
    cluster, rng = Cluster(seed), random.Random(f"{seed} leases")
    for number in itertools.count():
        if number % 5 == 4:
            yield _election_lease(rng, cluster, number // 5)
        else:
            yield _node_lease(rng, cluster, number - number // 5)


def _node_lease(rng: random.Random, cluster: Cluster, number: int) -> Object:
    node = cluster.node(number)
    owner = {"apiVersion": "v1", "kind": "Node", "name": node.name, "uid": node.uid}
    about = {"name": node.name, "namespace": "kube-node-lease", "ownerReferences": [owner]}
    renewed = _renew_time(rng)
    spec = {"holderIdentity": node.name, "leaseDurationSeconds": 40, "renewTime": renewed}
    owner_fields: Object = {"f:ownerReferences": {".": {}, f'k:{{"uid":"{node.uid}"}}': {}}}
    return _lease(rng, about, node.created, spec, "kubelet", {"f:metadata": owner_fields})


def _election_lease(rng: random.Random, cluster: Cluster, number: int) -> Object:
    workload = cluster.workload(number)
    about = {"name": f"{workload.name}-leader", "namespace": workload.namespace.name}
    acquired = workload.created + int(rng.random() * (NOW - workload.created))
    spec = {
        "holderIdentity": f"{workload.revision_name}-{suffix(number, workload.created)}_{uid(rng)}",
        "leaseDurationSeconds": 15,
        "acquireTime": micro_timestamp(acquired, between(rng, 0, 999_999)),
        "renewTime": _renew_time(rng),
        "leaseTransitions": int(3 / (rng.random() + 0.01)),
    }
    return _lease(rng, about, workload.created, spec, workload.name, {})


def _renew_time(rng: random.Random) -> str:
    return micro_timestamp(NOW - between(rng, 0, 11), between(rng, 0, 999_999))


def _lease(
    rng: random.Random, about: Object, created: int, spec: Object, manager: str, further_fields: Object
) -> Object:
    metadata = {"name": about["name"], "namespace": about["namespace"], "uid": uid(rng)}
    metadata |= {"resourceVersion": resource_version(rng), "creationTimestamp": timestamp(created), **about}
    fields: Object = {"f:spec": {f"f:{name}": {} for name in _OWNED if name in spec}, **further_fields}
    renewed = str(spec["renewTime"])[:19] + "Z"
    fields = dict(sorted(fields.items()))
    metadata["managedFields"] = [entry(manager, renewed, fields, api_version="coordination.k8s.io/v1")]
    return {"metadata": metadata, "spec": spec}
