"""Services, and EndpointSlices with the addresses of their pods."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from kinform.testing._objects import words
from kinform.testing._objects.cluster import Cluster
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import entry, field_set, metadata_field_set
from kinform.testing._objects.random_values import (
    between,
    chance,
    past_time,
    pick,
    resource_version,
    sample,
    suffix,
    timestamp,
    uid,
)
from kinform.testing._objects.texts import setting
from kinform.testing._objects.workloads import Workload

PORTS = (
    ("http", 80),
    ("http", 8080),
    ("http-api", 3000),
    ("https", 443),
    ("https-webhook", 9443),
    ("grpc", 50051),
    ("metrics", 9090),
    ("http-metrics", 8383),
    ("tcp-postgres", 5432),
    ("tcp-redis", 6379),
    ("amqp", 5672),
    ("admin", 9901),
)
MAX_ENDPOINTS = 100
"""The endpoints of a full slice."""
_OWNED_SPEC = ("ports", "selector", "type", "sessionAffinity")


def services(seed: int) -> Iterator[Object]:
    """Yields services without end, one or two per workload.

    About 1.1 KB of JSON each, 600 B without managedFields.
    """
    cluster, rng = Cluster(seed), random.Random(f"{seed} services")
    for _, workload in _serving_workloads(cluster):
        yield service(rng, workload, workload.name, headless=workload.kind == "StatefulSet")
        if chance(rng, 0.3):
            role = pick(rng, ("metrics", "headless", "canary", "internal"))
            yield service(rng, workload, f"{workload.name}-{role}")


def _serving_workloads(cluster: Cluster) -> Iterator[tuple[int, Workload]]:
    for number in itertools.count():
        workload = cluster.workload(number)
        if workload.kind in ("Deployment", "StatefulSet"):
            yield number, workload


def service(rng: random.Random, workload: Workload, name: str, *, headless: bool = False) -> Object:
    """Returns a service of a workload."""
    created = timestamp(workload.created)
    selector = dict(list(workload.labels.items())[: 1 if "app" in workload.labels else 4])
    selector = {label: value for label, value in selector.items() if "version" not in label and "managed" not in label}
    address = "None" if headless else f"10.{96 + between(rng, 0, 15)}.{between(rng, 0, 255)}.{between(rng, 1, 254)}"
    metadata: Object = {"name": name, "namespace": workload.namespace.name, "uid": uid(rng)}
    metadata |= {"resourceVersion": resource_version(rng), "creationTimestamp": created}
    if chance(rng, 0.7):
        metadata["labels"] = workload.labels if chance(rng, 0.7) else selector
    annotations = {
        "prometheus.io/port": str(pick(rng, PORTS)[1]),
        "example.com/route": f"{workload.namespace.stage}.{workload.name}.{pick(rng, words.TEAMS)}.example.com",
        "mesh.example.net/timeout": setting(rng, "TIMEOUT", workload.name, workload.namespace.name),
        "example.com/docs": f"{pick(rng, words.VERBS)} {pick(rng, words.NOUNS)} of {pick(rng, words.PRODUCTS)}",
    }
    if names := sample(rng, [*annotations], pick(rng, (0, 0, 0, 1, 2))):
        metadata["annotations"] = {each: annotations[each] for each in sorted(names)}
    ports = list[Object]()
    for index in sorted({int(rng.random() * len(PORTS)) for _ in range(pick(rng, (1, 1, 1, 2, 3)))}):
        port_name, port = PORTS[index]
        target = pick(rng, (port_name, port_name, port, port, 8080, between(rng, 3000, 10_000)))
        ports.append({"name": port_name, "protocol": "TCP", "port": port, "targetPort": target})
    spec: Object = {"ports": ports, "selector": selector, "clusterIP": address, "clusterIPs": [address]}
    spec |= {"type": "ClusterIP", "sessionAffinity": "None", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
    status: Object = {"loadBalancer": {}}
    if not headless and chance(rng, 0.04):
        spec |= {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
        spec["healthCheckNodePort"] = between(rng, 30000, 32767)
        status["loadBalancer"] = {"ingress": [{"hostname": f"{rng.getrandbits(64):016x}.elb.example.net"}]}
    owned = {name: field for name, field in spec.items() if name in _OWNED_SPEC}
    fields = {"f:metadata": metadata_field_set(metadata), "f:spec": field_set(owned)}
    metadata["managedFields"] = [entry(pick(rng, ("helm", "helm", "kubectl-client-side-apply")), created, fields)]
    return {"metadata": metadata, "spec": spec, "status": status}


def endpointslices(seed: int) -> Iterator[Object]:
    """Yields EndpointSlices without end.

    Most have one to three endpoints, a few have up to 100.
    """
    cluster, rng, first_index = Cluster(seed), random.Random(f"{seed} slices"), 0
    for number, workload in _serving_workloads(cluster):
        replicas = min(int(cluster.replica_weight(number) * 0.9) + between(rng, 0, 2), 240)
        service_uid, ports = uid(rng), [pick(rng, PORTS) for _ in range(between(rng, 1, 2))]
        for first in range(0, max(replicas, 1), MAX_ENDPOINTS):
            count = min(replicas - first, MAX_ENDPOINTS)
            yield endpointslice(rng, cluster, workload, service_uid, ports, count, first_index)
            first_index += MAX_ENDPOINTS


def endpointslice(
    rng: random.Random,
    cluster: Cluster,
    workload: Workload,
    service_uid: str,
    ports: list[tuple[str, int]],
    count: int,
    first_index: int,
) -> Object:
    """Returns a slice with `count` endpoints."""
    endpoints = [_endpoint(rng, cluster, workload, first_index, index) for index in range(count)]
    changed = timestamp(past_time(rng, 30))
    labels = {**workload.labels, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
    labels["kubernetes.io/service-name"] = workload.name
    owner = {"apiVersion": "v1", "kind": "Service", "name": workload.name, "uid": service_uid, "controller": True}
    metadata: Object = {"name": f"{workload.name}-{suffix(first_index, cluster.seed)}"}
    metadata |= {"generateName": f"{workload.name}-", "namespace": workload.namespace.name, "uid": uid(rng)}
    metadata |= {"resourceVersion": resource_version(rng), "generation": between(rng, 1, 60)}
    metadata |= {"creationTimestamp": timestamp(workload.created), "labels": dict(sorted(labels.items()))}
    metadata["annotations"] = {"endpoints.kubernetes.io/last-change-trigger-time": changed}
    metadata["ownerReferences"] = [{**owner, "blockOwnerDeletion": True}]
    fields = {"f:addressType": {}, "f:endpoints": {}, "f:metadata": metadata_field_set(metadata), "f:ports": {}}
    metadata["managedFields"] = [entry("kube-controller-manager", changed, fields, api_version="discovery.k8s.io/v1")]
    port_objects = [{"name": name, "port": port, "protocol": "TCP"} for name, port in ports]
    return {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": port_objects}


def _endpoint(rng: random.Random, cluster: Cluster, workload: Workload, first_index: int, index: int) -> Object:
    node = cluster.node(int(rng.random() * (3 + first_index // 200)))
    name = f"{workload.revision_name}-{suffix(first_index + index, workload.created)}"
    if workload.kind == "StatefulSet":
        name = f"{workload.name}-{index}"
    ready = not chance(rng, 0.02)
    return {
        "addresses": [f"{node.pod_prefix}{2 + int(rng.random() * 250)}"],
        "conditions": {"ready": ready, "serving": ready, "terminating": False},
        "nodeName": node.name,
        "targetRef": {"kind": "Pod", "namespace": workload.namespace.name, "name": name, "uid": uid(rng)},
        "zone": node.zone,
    }
