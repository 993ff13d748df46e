"""Objects of realistic shape for every kind that is served, from a seed; and how controllers update them.

The same seed, resource and number of objects before give the same objects. Pods have a file of their own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kinform.testing._encoding import Object
from kinform.testing._managed import fields_of, managed
from kinform.testing._pods import Workload, hexadecimal, letters, make_pod
from kinform.testing._resources import Resource
from kinform.testing._storage import Collection, Storage, timestamp

_PLACES = ("shop", "till", "stock", "billing", "search", "media", "platform", "default")
_REPLICAS = 20
_TOUCHED = "kinform.testing/touched"

Maker = Callable[[random.Random, Resource, str, str, str], Object]


def generate_objects(
    collection: Collection, n: int, namespaces: Sequence[str] | None, seed: int, storage: Storage
) -> Iterator[Object]:
    """Yields n objects whose keys are free; each is to be put before the next is asked for."""
    resource = collection.resource
    rng = random.Random(f"{seed} {resource.name} {len(collection.records)}")
    places = (namespaces or _PLACES) if resource.namespaced else ("",)
    if resource.kind == "Pod" and not resource.custom:
        yield from _pods(collection, n, places, rng, storage)
        return
    make = _MAKERS.get(resource.kind, _small) if not resource.custom else _custom
    for number in range(n):
        place = places[number % len(places)]
        while True:
            name = f"{_prefix(resource)}-{hexadecimal(rng, 8)}-{letters(rng, 5)}"
            if (f"{place}/{name}" if place else name) not in collection.records:
                break
        obj = make(rng, resource, place, name, storage.now())
        if place:
            obj["metadata"]["namespace"] = place
        yield obj


def _pods(
    collection: Collection, n: int, places: Sequence[str], rng: random.Random, storage: Storage
) -> Iterator[Object]:
    workloads = [Workload(rng, number, places[number % len(places)]) for number in range(max(n // _REPLICAS, 4))]
    for number in range(n):
        workload = workloads[number % len(workloads)]
        name = workload.name(rng)
        while f"{workload.namespace}/{name}" in collection.records:
            name = workload.name(rng)
        second = storage.revision
        yield make_pod(rng, workload, name, timestamp(second), timestamp(second + rng.randint(1, 30)))


def _prefix(resource: Resource) -> str:
    return resource.kind.lower()


def _namespace(rng: random.Random, resource: Resource, place: str, name: str, now: str) -> Object:
    labels = {
        "kubernetes.io/metadata.name": name,
        "team": rng.choice(("shop", "payments", "platform", "insight")),
    }
    annotations = {
        "example.com/cost-centre": str(rng.randint(1000, 9999)),
        "example.com/owner": f"{letters(rng, 6)}@example.com",
    }
    fields = fields_of({"metadata": {"annotations": annotations, "labels": labels}})
    return {
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": annotations,
            "managedFields": [managed("kubectl-create", fields, "v1", now)],
        },
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def _event(rng: random.Random, resource: Resource, place: str, name: str, now: str) -> Object:
    reason, message = rng.choice(
        (
            ("Scheduled", "Successfully assigned the pod to a node"),
            ("Pulled", "Container image is already present on the machine"),
            ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
            ("BackOff", "Back-off restarting failed container"),
        )
    )
    about = {
        "kind": "Pod",
        "namespace": place,
        "name": f"web-{hexadecimal(rng, 10)}-{letters(rng, 5)}",
        "apiVersion": "v1",
        "resourceVersion": str(rng.randint(1000, 99999)),
    }
    event: Object = {
        "metadata": {"name": f"{about['name']}.{hexadecimal(rng, 16)}"},
        "involvedObject": about,
        "reason": reason,
        "message": message,
        "source": {"component": "kubelet", "host": f"node-{rng.randrange(200)}"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": rng.randint(1, 30),
        "type": "Warning" if reason in ("Unhealthy", "BackOff") else "Normal",
        "eventTime": None,
        "reportingComponent": "kubelet",
        "reportingInstance": "",
    }
    fields = fields_of({field: value for field, value in event.items() if field != "metadata"})
    event["metadata"]["managedFields"] = [managed("kubelet", fields, "v1", now)]
    return event


def _config_map(rng: random.Random, resource: Resource, place: str, name: str, now: str) -> Object:
    lines = [f"option-{letters(rng, 5)}: {hexadecimal(rng, 16)}" for _ in range(rng.randint(5, 60))]
    data = {"config.yaml": "\n".join(lines) + "\n", "level": rng.choice(("debug", "info", "warning"))}
    fields = fields_of({"data": data})
    return {
        "metadata": {
            "name": name,
            "labels": {"app": name.rpartition("-")[0]},
            "managedFields": [managed("kubectl-client-side-apply", fields, "v1", now)],
        },
        "data": data,
    }


def _secret(rng: random.Random, resource: Resource, place: str, name: str, now: str) -> Object:
    return {
        "metadata": {"name": name},
        "data": {"password": "bm90IGEgc2VjcmV0", "username": "dGVzdGVy"},
        "type": "Opaque",
    }


def _lease(rng: random.Random, resource: Resource, place: str, name: str, now: str) -> Object:
    spec = {
        "holderIdentity": f"node-{rng.randrange(200)}_{hexadecimal(rng, 8)}",
        "leaseDurationSeconds": 40,
        "renewTime": now.replace("Z", ".000000Z"),
    }
    fields = fields_of({"spec": spec})
    return {
        "metadata": {"name": name, "managedFields": [managed("kubelet", fields, resource.api_version, now)]},
        "spec": spec,
    }


def _node(rng: random.Random, resource: Resource, place: str, name: str, now: str) -> Object:
    conditions = [
        {
            "type": kind,
            "status": status,
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
            "reason": f"Kubelet{kind}",
        }
        for kind, status in (
            ("MemoryPressure", "False"),
            ("DiskPressure", "False"),
            ("PIDPressure", "False"),
            ("Ready", "True"),
        )
    ]
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "spec": {"podCIDR": f"10.{rng.randrange(256)}.{rng.randrange(256)}.0/24"},
        "status": {"capacity": {"cpu": "16", "memory": "64Gi", "pods": "110"}, "conditions": conditions},
    }


def _deployment(rng: random.Random, resource: Resource, place: str, name: str, now: str) -> Object:
    replicas = rng.randint(1, 12)
    labels = {"app": name}
    container = {
        "name": "main",
        "image": f"registry.example.com/{name}:1.{rng.randrange(50)}.0",
        "resources": {},
    }
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [container], "restartPolicy": "Always"},
        },
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
    }
    fields = fields_of({"spec": spec})
    return {
        "metadata": {
            "name": name,
            "generation": 1,
            "labels": labels,
            "managedFields": [managed("kubectl-client-side-apply", fields, resource.api_version, now)],
        },
        "spec": spec,
        "status": {"observedGeneration": 1, "replicas": replicas, "conditions": _conditions(rng, now)},
    }


def _conditions(rng: random.Random, now: str) -> list[dict[str, Any]]:
    return [
        {
            "type": kind,
            "status": "True",
            "lastTransitionTime": now,
            "reason": reason,
            "message": f"{kind} since {now}",
        }
        for kind, reason in (
            ("Available", "MinimumReplicasAvailable"),
            ("Progressing", "NewReplicaSetAvailable"),
        )
    ]


def _custom(rng: random.Random, resource: Resource, place: str, name: str, now: str) -> Object:
    conditions = [
        {
            "type": kind,
            "status": rng.choice(("True", "True", "False")),
            "lastTransitionTime": timestamp(rng.randrange(1, 1_000_000)),
            "reason": "Reconciled",
            "message": f"attempt {attempt} was observed",
            "observedGeneration": attempt,
        }
        for kind in ("Ready", "Synced")
        for attempt in range(1, 4)
    ]
    spec = {
        "size": rng.choice(("small", "medium", "large")),
        "replicas": rng.randint(1, 9),
        "parameters": {f"key-{number}": hexadecimal(rng, 16) for number in range(4)},
    }
    fields = fields_of({"spec": spec, "status": {"conditions": {}}})
    return {
        "metadata": {
            "name": name,
            "generation": 3,
            "labels": {"size": spec["size"]},
            "managedFields": [managed("operator", fields, resource.api_version, now)],
        },
        "spec": spec,
        "status": {"conditions": conditions, "observedGeneration": 3},
    }


def _small(rng: random.Random, resource: Resource, place: str, name: str, now: str) -> Object:
    return {
        "metadata": {"name": name, "labels": {"app": name.rpartition("-")[0]}},
        **_FURTHER.get(resource.kind, {}),
    }


_FURTHER: dict[str, Object] = {
    "Service": {
        "spec": {
            "type": "ClusterIP",
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}],
        },
        "status": {"loadBalancer": {}},
    },
    "EndpointSlice": {
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.1.2.3"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    },
}
_MAKERS: dict[str, Maker] = {
    "Namespace": _namespace,
    "Event": _event,
    "ConfigMap": _config_map,
    "Secret": _secret,
    "Lease": _lease,
    "Node": _node,
    "Deployment": _deployment,
}


def touch(obj: Object, now: str) -> None:
    """Changes an object in place as controllers do, and counts the times in an annotation."""
    metadata = obj["metadata"]
    annotations = metadata.get("annotations") or {}
    metadata["annotations"] = {**annotations, _TOUCHED: str(int(annotations.get(_TOUCHED, "0")) + 1)}
    status = obj.get("status") or {}
    for container in status.get("containerStatuses") or ():
        container["restartCount"] += 1
    for condition in status.get("conditions") or ():
        if condition["type"] == "Ready":
            condition["status"] = "False" if condition["status"] == "True" else "True"
            condition["lastTransitionTime"] = now
    if "renewTime" in (obj.get("spec") or {}):
        obj["spec"]["renewTime"] = now.replace("Z", ".000000Z")
