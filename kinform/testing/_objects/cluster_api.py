"""Custom resources: the machines of many clusters, each with many conditions; members sorted, as such are served."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import msgspec

from kinform.testing._objects.kinds import Kind, Object
from kinform.testing._objects.managed_fields import entry, owned
from kinform.testing._objects.random_values import age, between, moment, pick, suffix, uid, version
from kinform.testing._objects.topology import place

MACHINES = Kind("cluster.x-k8s.example/v1beta1/machines", "Machine", custom=True)
CONDITIONS = ("Available", "BootstrapReady", "Deleting", "HealthCheckSucceeded", "InfrastructureReady", "NodeHealthy")

LISTS = frozenset({"addresses", "conditions"})
"""The CRD says nothing of keys: its lists are set as a whole."""


def machines(seed: int) -> Iterator[Object]:
    """Without end. About 3 KB of JSON each, 2.1 KB without managedFields."""
    rng = random.Random(f"{seed} machines")
    for number in itertools.count():
        found = machine(rng, seed, number)
        yield msgspec.json.decode(msgspec.json.encode(found, order="sorted"))


def machine(rng: random.Random, seed: int, number: int) -> Object:
    """One; clusters grow slowly, and have up to some hundred."""
    cluster = int(rng.random() * rng.random() * (4 + number / 40))
    whose = random.Random(f"{seed} cluster {cluster}")
    name, minor, patch = f"workload-{cluster}", between(whose, 28, 34), between(whose, 0, 9)
    template, zone = f"{whose.getrandbits(32)}", pick(rng, "abc")
    pool = f"{name}-md-{pick(rng, '0012')}"
    own, begun = f"{pool}-{suffix(number, seed)}", age(rng, 200)
    address, host = f"10.{cluster & 255}.{between(rng, 0, 255)}.{between(rng, 1, 254)}", f"ip-{rng.getrandbits(32):08x}"
    conditions = [_condition(rng, type_, begun) for type_ in CONDITIONS]
    spec = {
        "bootstrap": {
            "configRef": {"apiVersion": "bootstrap.x-k8s.example/v1beta1", "kind": "Config", "name": own},
            "dataSecretName": own,
        },
        "clusterName": name,
        "infrastructureRef": {"apiVersion": "cloud.x-k8s.example/v1beta2", "kind": "CloudMachine", "name": own},
        "nodeDeletionTimeout": "10s",
        "providerID": f"cloud:///eu-central-1{zone}/i-{rng.getrandbits(68):017x}",
        "version": f"v1.{minor}.{patch}",
    }
    status = {
        "addresses": [{"address": address, "type": "InternalIP"}, {"address": host, "type": "InternalDNS"}],
        "conditions": conditions,
        "lastUpdated": conditions[-1]["lastTransitionTime"],
        "nodeRef": {"apiVersion": "v1", "kind": "Node", "name": host, "uid": uid(rng)},
        "observedGeneration": between(rng, 1, 9),
        "phase": pick(rng, ("Running", "Running", "Running", "Running", "Provisioning", "Deleting")),
    }
    labels = {"cluster.x-k8s.example/cluster-name": name, "machine-template-hash": template}
    metadata: Object = {"name": own, "namespace": place(seed, 12 + cluster % 30).name, "uid": uid(rng)}
    metadata |= {"resourceVersion": version(rng), "generation": status["observedGeneration"]}
    metadata |= {"creationTimestamp": moment(begun), "labels": labels, "finalizers": ["machine.cluster.x-k8s.example"]}
    made = {"f:metadata": {"f:labels": owned(labels)}, "f:spec": owned(spec)}
    metadata["managedFields"] = [
        entry("manager", moment(begun), made, api_version=MACHINES.api_version),
        entry("manager", status["lastUpdated"], {"f:status": owned(status, LISTS)}, subresource="status",
              api_version=MACHINES.api_version),
    ]  # fmt: skip
    about = {"apiVersion": MACHINES.api_version, "kind": MACHINES.kind}
    return {**about, "metadata": metadata, "spec": spec, "status": status}


def _condition(rng: random.Random, type_: str, begun: int) -> Object:
    good = rng.random() < 0.9
    return {
        "lastTransitionTime": moment(begun + int(rng.random() * 900)),
        "message": "" if good else f"waiting for {type_} since the controller saw no heartbeat",
        "observedGeneration": between(rng, 1, 9),
        "reason": type_ if good else f"WaitingFor{type_}",
        "status": "True" if good else "False",
        "type": type_,
    }
