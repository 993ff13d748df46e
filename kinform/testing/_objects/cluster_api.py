"""Custom resources: machines of Cluster API with many conditions.

Keys are sorted, as a server sends those of custom resources.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import msgspec

from kinform.testing._objects.kinds import Kind, Object
from kinform.testing._objects.managed_fields import entry, field_set
from kinform.testing._objects.random_values import between, past_time, pick, resource_version, suffix, timestamp, uid
from kinform.testing._objects.topology import namespace_at

MACHINES = Kind("cluster.x-k8s.example/v1beta1/machines", "Machine", custom=True)
_CONDITIONS = ("Available", "BootstrapReady", "Deleting", "HealthCheckSucceeded", "InfrastructureReady", "NodeHealthy")
_ATOMIC = frozenset({"addresses", "conditions"})  # the CRD declares no list keys
_PHASES = ("Running", "Running", "Running", "Running", "Provisioning", "Deleting")


def machines(seed: int) -> Iterator[Object]:
    """Yields machines without end.

    About 3 KB of JSON each, 2.1 KB without managedFields.
    """
    rng = random.Random(f"{seed} machines")
    for number in itertools.count():
        obj = machine(rng, seed, number)
        yield msgspec.json.decode(msgspec.json.encode(obj, order="sorted"))


def machine(rng: random.Random, seed: int, number: int) -> Object:
    """Returns a machine of a workload cluster; the largest has some hundred."""
    cluster = int(rng.random() * rng.random() * (4 + number / 40))
    cluster_rng = random.Random(f"{seed} cluster {cluster}")
    cluster_name, minor, patch = f"workload-{cluster}", between(cluster_rng, 28, 34), between(cluster_rng, 0, 9)
    template_hash, zone = f"{cluster_rng.getrandbits(32)}", pick(rng, "abc")
    pool = f"{cluster_name}-md-{pick(rng, '0012')}"
    name, created = f"{pool}-{suffix(number, seed)}", past_time(rng, 200)
    address, host = f"10.{cluster & 255}.{between(rng, 0, 255)}.{between(rng, 1, 254)}", f"ip-{rng.getrandbits(32):08x}"
    conditions = [_condition(rng, type_, created) for type_ in _CONDITIONS]
    spec = {
        "bootstrap": {
            "configRef": {"apiVersion": "bootstrap.x-k8s.example/v1beta1", "kind": "Config", "name": name},
            "dataSecretName": name,
        },
        "clusterName": cluster_name,
        "infrastructureRef": {"apiVersion": "cloud.x-k8s.example/v1beta2", "kind": "CloudMachine", "name": name},
        "nodeDeletionTimeout": "10s",
        "providerID": f"cloud:///eu-central-1{zone}/i-{rng.getrandbits(68):017x}",
        "version": f"v1.{minor}.{patch}",
    }
    updated = conditions[-1]["lastTransitionTime"]
    status = {
        "addresses": [{"address": address, "type": "InternalIP"}, {"address": host, "type": "InternalDNS"}],
        "conditions": conditions,
        "lastUpdated": updated,
        "nodeRef": {"apiVersion": "v1", "kind": "Node", "name": host, "uid": uid(rng)},
        "observedGeneration": between(rng, 1, 9),
        "phase": pick(rng, _PHASES),
    }
    labels = {"cluster.x-k8s.example/cluster-name": cluster_name, "machine-template-hash": template_hash}
    metadata: Object = {"name": name, "namespace": namespace_at(seed, 12 + cluster % 30).name, "uid": uid(rng)}
    metadata |= {"resourceVersion": resource_version(rng), "generation": status["observedGeneration"]}
    metadata |= {"creationTimestamp": timestamp(created), "labels": labels}
    metadata["finalizers"] = ["machine.cluster.x-k8s.example"]
    fields = {"f:metadata": {"f:labels": field_set(labels)}, "f:spec": field_set(spec)}
    status_fields, version = {"f:status": field_set(status, _ATOMIC)}, MACHINES.api_version
    metadata["managedFields"] = [
        entry("manager", timestamp(created), fields, api_version=version),
        entry("manager", updated, status_fields, subresource="status", api_version=version),
    ]
    return {"apiVersion": version, "kind": MACHINES.kind, "metadata": metadata, "spec": spec, "status": status}


def _condition(rng: random.Random, type_: str, created: int) -> Object:
    good = rng.random() < 0.9
    return {
        "lastTransitionTime": timestamp(created + int(rng.random() * 900)),
        "message": "" if good else f"waiting for {type_} since the controller saw no heartbeat",
        "observedGeneration": between(rng, 1, 9),
        "reason": type_ if good else f"WaitingFor{type_}",
        "status": "True" if good else "False",
        "type": type_,
    }
