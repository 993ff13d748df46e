"""Deployments, and the ReplicaSets of their revisions.

Only the ReplicaSet of the current revision has replicas.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from kinform.testing._objects.cluster import Cluster
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import entry, field_set, metadata_field_set
from kinform.testing._objects.random_values import NOW, between, resource_version, template_hash, timestamp, uid
from kinform.testing._objects.workloads import Workload

REVISION_HISTORY_LIMIT = 10
_ATOMIC = frozenset({"selector"})
_MAX_AGE_OF_REVISION = 10**7  # seconds before its workload's present revision


def deployments(seed: int) -> Iterator[Object]:
    """Yields Deployments without end: about 6 KB of JSON each."""
    cluster, rng = Cluster(seed), random.Random(f"{seed} deployments")
    for number, workload in _deployments(cluster):
        yield deployment(rng, workload, _replicas(cluster, number))


def replicasets(seed: int) -> Iterator[Object]:
    """Yields ReplicaSets without end: about 6 KB of JSON each.

    A Deployment has one to eleven: the current one and up to ten older ones.
    """
    cluster, rng = Cluster(seed), random.Random(f"{seed} replicasets")
    for number, workload in _deployments(cluster):
        last = between(rng, 1, 40)
        for revision in range(max(last - REVISION_HISTORY_LIMIT, 1), last + 1):
            yield replicaset(rng, workload, revision, _replicas(cluster, number) if revision == last else 0)


def _deployments(cluster: Cluster) -> Iterator[tuple[int, Workload]]:
    for number in itertools.count():
        workload = cluster.workload(number)
        if workload.kind == "Deployment":
            yield number, workload


def _replicas(cluster: Cluster, number: int) -> int:
    return 1 + int(cluster.replica_weight(number))


def deployment(rng: random.Random, workload: Workload, replicas: int) -> Object:
    """Returns the Deployment of a workload."""
    template_metadata = {"labels": workload.labels, "annotations": workload.annotations}
    generation = between(rng, 1, 40)
    created = timestamp(workload.created)
    updated = timestamp(workload.created + int(rng.random() * (NOW - workload.created)))
    metadata: Object = {"name": workload.name, "namespace": workload.namespace.name, "uid": workload.uid}
    metadata |= {"resourceVersion": resource_version(rng), "generation": generation, "creationTimestamp": created}
    metadata |= {"labels": workload.labels, "annotations": {"deployment.kubernetes.io/revision": str(generation)}}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": workload.labels},
        "template": {"metadata": template_metadata, "spec": workload.spec},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
        "revisionHistoryLimit": REVISION_HISTORY_LIMIT,
        "progressDeadlineSeconds": 600,
    }
    available = "Deployment has minimum availability."
    progressed = f'ReplicaSet "{workload.revision_name}" has successfully progressed.'
    conditions = [
        _condition("Available", "MinimumReplicasAvailable", available, created, created),
        _condition("Progressing", "NewReplicaSetAvailable", progressed, created, updated),
    ]
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    status = {"observedGeneration": generation, **counts, "conditions": conditions}
    metadata["managedFields"] = [
        _entry("helm", updated, {"f:metadata": metadata_field_set(metadata), "f:spec": field_set(spec, _ATOMIC)}),
        _entry("kube-controller-manager", updated, {"f:status": field_set(status)}, subresource="status"),
    ]
    return {"metadata": metadata, "spec": spec, "status": status}


def replicaset(rng: random.Random, workload: Workload, revision: int, replicas: int) -> Object:
    """Returns the ReplicaSet of a revision; without replicas it is an older one."""
    hash_ = workload.template_hash if replicas else template_hash(rng)
    labels = {**workload.labels, "pod-template-hash": hash_}
    pod_spec = workload.spec
    if not replicas:
        first, *others = pod_spec["containers"]
        pod_spec = {**pod_spec, "containers": [{**first, "image": f"{first['image']}-rc{revision}"}, *others]}
    created = timestamp(workload.created - (0 if replicas else int(rng.random() * _MAX_AGE_OF_REVISION)))
    own_uid = str(workload.owner["uid"]) if replicas else uid(rng)
    annotations = {"deployment.kubernetes.io/desired-replicas": str(max(replicas, 1))}
    annotations |= {"deployment.kubernetes.io/max-replicas": str(max(replicas, 1) + 1)}
    annotations |= {"deployment.kubernetes.io/revision": str(revision)}
    metadata: Object = {"name": f"{workload.name}-{hash_}", "namespace": workload.namespace.name, "uid": own_uid}
    metadata |= {"resourceVersion": resource_version(rng), "generation": 1 if replicas else 2}
    metadata |= {"creationTimestamp": created, "labels": labels, "annotations": annotations}
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload.name, "uid": workload.uid}
    metadata["ownerReferences"] = [{**owner, "controller": True, "blockOwnerDeletion": True}]
    template = {"metadata": {"labels": labels, "annotations": workload.annotations}, "spec": pod_spec}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    status: Object = {"replicas": replicas}
    if replicas:
        status |= dict.fromkeys(("fullyLabeledReplicas", "readyReplicas", "availableReplicas"), replicas)
    status["observedGeneration"] = metadata["generation"]
    manager = "kube-controller-manager"
    metadata["managedFields"] = [
        _entry(manager, created, {"f:metadata": metadata_field_set(metadata), "f:spec": field_set(spec, _ATOMIC)}),
        _entry(manager, created, {"f:status": field_set(status)}, subresource="status"),
    ]
    return {"metadata": metadata, "spec": spec, "status": status}


def _entry(manager: str, time: str, fields: Object, *, subresource: str = "") -> Object:
    return entry(manager, time, fields, subresource=subresource, api_version="apps/v1")


def _condition(type_: str, reason: str, message: str, transitioned: str, updated: str) -> Object:
    times = {"lastUpdateTime": updated, "lastTransitionTime": transitioned}
    return {"type": type_, "status": "True", **times, "reason": reason, "message": message}
