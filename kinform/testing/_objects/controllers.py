"""Deployments, and the replica sets of their revisions: the present one, and older ones that nothing runs of."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from kinform.testing._objects.cluster import Cluster
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import entry, of_metadata, owned
from kinform.testing._objects.random_values import NOW, between, moment, template_hash, uid, version
from kinform.testing._objects.workloads import Workload

OLDEST = 10
"""Revisions kept, unless told otherwise."""


def deployments(seed: int) -> Iterator[Object]:
    """Without end. About 6 KB of JSON each."""
    cluster, rng = Cluster(seed), random.Random(f"{seed} deployments")
    for number, load in _deployed(cluster):
        yield deployment(rng, load, _replicas(cluster, number))


def replicasets(seed: int) -> Iterator[Object]:
    """Without end: up to ten of a Deployment, which differ by their images. About 6 KB of JSON each."""
    cluster, rng = Cluster(seed), random.Random(f"{seed} replicasets")
    for number, load in _deployed(cluster):
        last = between(rng, 1, 40)
        for revision in range(max(last - OLDEST, 1), last + 1):
            yield replicaset(rng, load, revision, _replicas(cluster, number) if revision == last else 0)


def _deployed(cluster: Cluster) -> Iterator[tuple[int, Workload]]:
    for number in itertools.count():
        load = cluster.load(number)
        if load.kind == "Deployment":
            yield number, load


def _replicas(cluster: Cluster, number: int) -> int:
    return 1 + int(cluster.share(number))


def deployment(rng: random.Random, load: Workload, replicas: int) -> Object:
    """That of a workload."""
    template = {"metadata": {"labels": load.labels, "annotations": load.annotations}, "spec": load.spec}
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    generation = between(rng, 1, 40)
    begun, changed = moment(load.begun), moment(load.begun + int(rng.random() * (NOW - load.begun)))
    metadata: Object = {"name": load.name, "namespace": load.place.name, "uid": load.uid}
    metadata |= {"resourceVersion": version(rng), "generation": generation, "creationTimestamp": begun}
    metadata |= {"labels": load.labels, "annotations": {"deployment.kubernetes.io/revision": str(generation)}}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": load.labels},
        "template": template,
        "strategy": strategy,
        "revisionHistoryLimit": OLDEST,
        "progressDeadlineSeconds": 600,
    }
    text = f'ReplicaSet "{load.revision}" has successfully progressed.'
    conditions = [
        _condition("Available", "MinimumReplicasAvailable", "Deployment has minimum availability.", begun, begun),
        _condition("Progressing", "NewReplicaSetAvailable", text, begun, changed),
    ]
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    status = {"observedGeneration": generation, **counts, "conditions": conditions}
    written = {"f:metadata": of_metadata(metadata), "f:spec": owned(spec, frozenset({"selector"}))}
    metadata["managedFields"] = [
        entry("helm", changed, written, api_version="apps/v1"),
        entry("kube-controller-manager", changed, {"f:status": owned(status)}, subresource="status",
              api_version="apps/v1"),
    ]  # fmt: skip
    return {"metadata": metadata, "spec": spec, "status": status}


def replicaset(rng: random.Random, load: Workload, revision: int, replicas: int) -> Object:
    """A revision of a workload; the one that has replicas is the present one."""
    hash_ = load.hash if replicas else template_hash(rng)
    labels = {**load.labels, "pod-template-hash": hash_}
    spec = load.spec
    if not replicas:
        first, *others = spec["containers"]
        spec = {**spec, "containers": [{**first, "image": f"{first['image']}-rc{revision}"}, *others]}
    begun = moment(load.begun - (0 if replicas else int(rng.random() * 10**7)))
    whose = str(load.owner["uid"]) if replicas else uid(rng)
    notes = {"deployment.kubernetes.io/desired-replicas": str(max(replicas, 1))}
    notes |= {"deployment.kubernetes.io/max-replicas": str(max(replicas, 1) + 1)}
    metadata: Object = {"name": f"{load.name}-{hash_}", "namespace": load.place.name, "uid": whose}
    metadata |= {"resourceVersion": version(rng), "generation": 1 if replicas else 2, "creationTimestamp": begun}
    metadata |= {"labels": labels, "annotations": {**notes, "deployment.kubernetes.io/revision": str(revision)}}
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": load.name, "uid": load.uid, "controller": True}
    metadata["ownerReferences"] = [{**owner, "blockOwnerDeletion": True}]
    template = {"metadata": {"labels": labels, "annotations": load.annotations}, "spec": spec}
    made = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    status: Object = {"replicas": replicas, "observedGeneration": metadata["generation"]}
    if replicas:
        status = {"replicas": replicas, "fullyLabeledReplicas": replicas, "readyReplicas": replicas,
                  "availableReplicas": replicas, "observedGeneration": 1}  # fmt: skip
    by, fields = "kube-controller-manager", {"f:metadata": of_metadata(metadata)}
    fields["f:spec"] = owned(made, frozenset({"selector"}))
    metadata["managedFields"] = [
        entry(by, begun, fields, api_version="apps/v1"),
        entry(by, begun, {"f:status": owned(status)}, subresource="status", api_version="apps/v1"),
    ]
    return {"metadata": metadata, "spec": made, "status": status}


def _condition(type_: str, reason: str, message: str, since: str, updated: str) -> Object:
    found = {"type": type_, "status": "True", "lastUpdateTime": updated, "lastTransitionTime": since}
    return {**found, "reason": reason, "message": message}
