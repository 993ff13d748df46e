"""Objects to fill a collection with: of several kinds, the same ones for the same seed; and how they change.

Pods are those of `benchmarks.corpus`. Made up: no real cluster's data. For that there is `dump`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks.corpus.pods import NAMESPACES, managed, pod, uid

Object = dict[str, Any]

BEGIN = "2026-03-14T09:26:53Z"
TEAMS = ("blue", "green", "red", "checkout", "logistics", "insight")


class Kind(msgspec.Struct, frozen=True):
    """A sort of objects, as an API server serves it.

    Attributes:
        resource: `"v1/pods"`.
        kind: `"Pod"`.
        custom: Defined by a CRD: its objects carry their kind in a LIST, too, and their keys are sorted.
    """

    resource: str
    kind: str
    custom: bool = False

    @property
    def api_version(self) -> str:
        """`"v1"` or `"apps/v1"`."""
        return self.resource.rpartition("/")[0]


def namespace(number: int) -> Object:
    """About 725 B of JSON, 420 without managedFields."""
    rng = random.Random(number)
    team, name = rng.choice(TEAMS), f"tenant-{number}-{rng.getrandbits(20):05x}"
    labels = {"kubernetes.io/metadata.name": name, "team": team, "tier": rng.choice(("gold", "silver"))}
    annotations = {"example.com/contact": f"{team}@example.com", "example.com/cost-centre": f"{rng.randrange(9999):04}"}
    fields: Object = {
        "f:metadata": {
            "f:annotations": {".": {}, "f:example.com/cost-centre": {}},
            "f:labels": {".": {}, "f:kubernetes.io/metadata.name": {}, "f:team": {}, "f:tier": {}},
        }
    }
    metadata = {**_identity(rng, name), "labels": labels, "annotations": annotations}
    metadata["managedFields"] = [managed("kubectl-create", _time(rng), fields, None)]
    return {"metadata": metadata, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}


EVENTS: tuple[tuple[str, str, str, str], ...] = (
    ("Scheduled", "Normal", "default-scheduler", "Successfully assigned {place}/{pod} to {node}"),
    ("Pulled", "Normal", "kubelet", 'Container image "registry.example/{app}:v{tag}" already present on machine'),
    ("Created", "Normal", "kubelet", "Created container {app}"),
    ("Unhealthy", "Warning", "kubelet", 'Readiness probe failed: Get "http://10.2.{tag}.7:8080/healthz": EOF'),
    ("BackOff", "Warning", "kubelet", "Back-off restarting failed container {app} in pod {pod}_{place}({uid})"),
    ("Killing", "Normal", "kubelet", "Stopping container {app}"),
    ("FailedMount", "Warning", "kubelet", 'MountVolume.SetUp failed for volume "config": configmap "{app}" not found'),
)


def event(number: int) -> Object:
    """About 1,150 B of JSON, 780 B without managedFields."""
    rng = random.Random(number)
    reason, severity, by, message = rng.choice(EVENTS)
    place, app, node = rng.choice(NAMESPACES), f"app-{rng.randrange(90)}", f"node-{rng.randrange(400)}.internal"
    about, whose = f"{app}-{rng.getrandbits(36):09x}-{rng.getrandbits(20):05x}", uid(rng)
    time = _time(rng)
    fields: Object = {
        f"f:{name}": {} for name in ("count", "firstTimestamp", "lastTimestamp", "message", "reason", "type")
    }
    fields["f:involvedObject"] = {f"f:{name}": {} for name in ("apiVersion", "kind", "name", "namespace", "uid")}
    fields["f:source"] = {"f:component": {}, "f:host": {}}
    metadata = _identity(rng, f"{about}.{rng.getrandbits(64):016x}", place)
    return {
        "metadata": {**metadata, "managedFields": [managed(by, time, fields, None)]},
        "involvedObject": {
            "kind": "Pod",
            "namespace": place,
            "name": about,
            "uid": whose,
            "apiVersion": "v1",
            "resourceVersion": str(rng.randrange(10**8)),
            "fieldPath": f"spec.containers{{{app}}}",
        },
        "reason": reason,
        "message": message.format(place=place, pod=about, node=node, app=app, tag=rng.randrange(99), uid=whose),
        "source": {"component": by, "host": node},
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": rng.randrange(1, 40),
        "type": severity,
        "eventTime": None,
        "reportingComponent": by,
        "reportingInstance": node,
    }


CONDITIONS = ("Available", "BootstrapReady", "Deleting", "HealthCheckSucceeded", "InfrastructureReady", "NodeHealthy")


def custom(number: int) -> Object:
    """About 2,440 B of JSON, 1,900 B without managedFields: a machine with six conditions, members sorted."""
    rng = random.Random(number)
    cluster, name = f"cluster-{rng.randrange(60)}", f"md-{rng.randrange(9)}-{rng.getrandbits(40):010x}"
    fields: Object = {"f:conditions": {f'k:{{"type":"{type_}"}}': {".": {}, "f:status": {}} for type_ in CONDITIONS}}
    metadata = _identity(rng, name, rng.choice(NAMESPACES))
    labels = {"cluster.x-k8s.example/cluster-name": cluster, "machine-template-hash": f"{rng.getrandbits(32)}"}
    metadata["labels"] = labels
    metadata["managedFields"] = [managed("manager", _time(rng), {"f:status": fields}, "status")]
    provider = f"cloud:///eu-central-1{rng.choice('abc')}/i-{rng.getrandbits(68):017x}"
    found: Object = {
        "apiVersion": CUSTOMS.api_version,
        "kind": CUSTOMS.kind,
        "metadata": metadata,
        "spec": {
            "bootstrap": {"configRef": {"kind": "Config", "name": name}, "dataSecretName": name},
            "clusterName": cluster,
            "infrastructureRef": {"kind": "CloudMachine", "name": name},
            "nodeDeletionTimeout": "10s",
            "providerID": provider,
            "version": f"v1.{rng.randrange(28, 37)}.{rng.randrange(9)}",
        },
        "status": {
            "addresses": [
                {"address": f"10.{rng.randrange(64)}.{rng.randrange(256)}.{rng.randrange(256)}", "type": "InternalIP"},
                {"address": f"ip-{rng.getrandbits(32):08x}.internal", "type": "InternalDNS"},
            ],
            "conditions": [_condition(rng, type_) for type_ in CONDITIONS],
            "lastUpdated": _time(rng),
            "nodeRef": {"kind": "Node", "name": f"ip-{rng.getrandbits(32):08x}.internal", "uid": uid(rng)},
            "observedGeneration": rng.randrange(1, 9),
            "phase": rng.choice(("Running", "Running", "Running", "Provisioning", "Deleting")),
        },
    }
    return sorted_members(found)


def _condition(rng: random.Random, type_: str) -> Object:
    good = rng.random() < 0.9
    return {
        "lastTransitionTime": _time(rng),
        "message": "" if good else f"waiting for {type_} since the controller saw no heartbeat",
        "observedGeneration": rng.randrange(1, 9),
        "reason": type_ if good else f"WaitingFor{type_}",
        "status": "True" if good else "False",
        "type": type_,
    }


def _identity(rng: random.Random, name: str, place: str | None = None) -> Object:
    found = {"name": name, **({"namespace": place} if place else {}), "uid": uid(rng)}
    return {**found, "resourceVersion": str(rng.randrange(10**8, 10**9)), "creationTimestamp": _time(rng)}


def _time(rng: random.Random) -> str:
    return f"2026-03-{rng.randrange(1, 29):02}T{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}Z"


def sorted_members(found: Object) -> Object:
    """The object with the members of all objects in it sorted, as custom resources are served."""
    sorted_: Object = msgspec.json.decode(msgspec.json.encode(found, order="sorted"))
    return sorted_


PODS, NAMESPACED, EVENTED = Kind("v1/pods", "Pod"), Kind("v1/namespaces", "Namespace"), Kind("v1/events", "Event")
CUSTOMS = Kind("cluster.x-k8s.example/v1beta1/machines", "Machine", custom=True)

MADE: dict[str, tuple[Kind, Callable[[int], Object], int]] = {
    "pods": (PODS, pod, 20_000),
    "namespaces": (NAMESPACED, namespace, 100_000),
    "events": (EVENTED, event, 50_000),
    "customs": (CUSTOMS, custom, 20_000),
}
"""What can be made: its kind, the maker, and how many are measured unless told otherwise."""


def make(name: str, count: int, seed: int) -> tuple[Kind, list[Object]]:
    """So many different objects of a kind; those of a smaller count are among those of a larger one."""
    kind, maker, _ = MADE[name]
    return kind, [maker((seed << 32) + number) for number in range(count)]


def key_of(found: Object) -> str:
    """`"namespace/name"`, or `"name"`."""
    metadata = found["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else str(metadata["name"])


def touch(found: Object, version: int, at: str) -> None:
    """Changes an object in place as controllers do: a condition, a counter, else an annotation; and its version."""
    found["metadata"]["resourceVersion"] = str(version)
    status = found.get("status") or {}
    conditions, containers = status.get("conditions"), status.get("containerStatuses")
    if conditions:
        conditions[-1]["lastTransitionTime"] = at
    if containers:
        containers[0]["restartCount"] = containers[0].get("restartCount", 0) + 1
    if isinstance(found.get("count"), int):
        found["count"] += 1
        found["lastTimestamp"] = at
    elif not conditions and not containers:
        found["metadata"]["annotations"] = (found["metadata"].get("annotations") or {}) | {"example.com/touched": at}
