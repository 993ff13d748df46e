"""Leases: each node's heartbeat, and who leads among a controller's replicas."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from kinform.testing._objects.cluster import Cluster
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import entry
from kinform.testing._objects.random_values import NOW, between, micro, moment, suffix, uid, version


def leases(seed: int) -> Iterator[Object]:
    """Without end: four of nodes, then one of an election. About 900 B of JSON each, 450 B without managedFields."""
    cluster, rng = Cluster(seed), random.Random(f"{seed} leases")
    for number in itertools.count():
        yield _elected(rng, cluster, number // 5) if number % 5 == 4 else _node(rng, cluster, number - number // 5)


SPEC = ("acquireTime", "holderIdentity", "leaseDurationSeconds", "leaseTransitions", "renewTime")


def _lease(rng: random.Random, about: Object, begun: int, spec: Object, by: str, owned: Object) -> Object:
    metadata = {"name": about["name"], "namespace": about["namespace"], "uid": uid(rng)}
    metadata |= {"resourceVersion": version(rng), "creationTimestamp": moment(begun), **about}
    fields: Object = {"f:spec": {f"f:{name}": {} for name in SPEC if name in spec}, **owned}
    at = str(spec["renewTime"])[:19] + "Z"
    metadata["managedFields"] = [entry(by, at, dict(sorted(fields.items())), api_version="coordination.k8s.io/v1")]
    return {"metadata": metadata, "spec": spec}


def _node(rng: random.Random, cluster: Cluster, number: int) -> Object:
    node = cluster.node(number)
    owner = {"apiVersion": "v1", "kind": "Node", "name": node.name, "uid": node.uid}
    about = {"name": node.name, "namespace": "kube-node-lease", "ownerReferences": [owner]}
    at = micro(NOW - between(rng, 0, 11), between(rng, 0, 999_999))
    spec = {"holderIdentity": node.name, "leaseDurationSeconds": 40, "renewTime": at}
    key = f'k:{{"uid":"{node.uid}"}}'
    return _lease(rng, about, node.begun, spec, "kubelet", {"f:metadata": {"f:ownerReferences": {".": {}, key: {}}}})


def _elected(rng: random.Random, cluster: Cluster, number: int) -> Object:
    load = cluster.load(number)
    about = {"name": f"{load.name}-leader", "namespace": load.place.name}
    acquired = load.begun + int(rng.random() * (NOW - load.begun))
    spec = {
        "holderIdentity": f"{load.revision}-{suffix(number, load.begun)}_{uid(rng)}",
        "leaseDurationSeconds": 15,
        "acquireTime": micro(acquired, between(rng, 0, 999_999)),
        "renewTime": micro(NOW - between(rng, 0, 11), between(rng, 0, 999_999)),
        "leaseTransitions": int(3 / (rng.random() + 0.01)),
    }
    return _lease(rng, about, load.begun, spec, load.name, {})
