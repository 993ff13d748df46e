"""Services, and the slices of their endpoints: the addresses of the pods behind them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from kinform.testing._objects import words
from kinform.testing._objects.cluster import Cluster
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import entry, of_metadata, owned
from kinform.testing._objects.random_values import age, between, chance, moment, pick, some, suffix, uid, version
from kinform.testing._objects.texts import value
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


def services(seed: int) -> Iterator[Object]:
    """Without end: one or two of each workload that listens. About 1.1 KB of JSON each, 600 B without managedFields."""
    cluster, rng = Cluster(seed), random.Random(f"{seed} services")
    for number in itertools.count():
        load = cluster.load(number)
        if load.kind not in ("Deployment", "StatefulSet"):
            continue
        yield service(rng, load, load.name, headless=load.kind == "StatefulSet")
        if chance(rng, 0.3):
            yield service(rng, load, f"{load.name}-{pick(rng, ('metrics', 'headless', 'canary', 'internal'))}")


def service(rng: random.Random, load: Workload, name: str, *, headless: bool = False) -> Object:
    """One of a workload."""
    begun = moment(load.begun)
    selector = dict(list(load.labels.items())[: 1 if "app" in load.labels else 4])
    selector = {each: value for each, value in selector.items() if "version" not in each and "managed" not in each}
    address = "None" if headless else f"10.{96 + between(rng, 0, 15)}.{between(rng, 0, 255)}.{between(rng, 1, 254)}"
    metadata: Object = {"name": name, "namespace": load.place.name, "uid": uid(rng), "resourceVersion": version(rng)}
    metadata["creationTimestamp"] = begun
    if chance(rng, 0.7):
        metadata["labels"] = load.labels if chance(rng, 0.7) else selector
    notes = {
        "prometheus.io/port": str(pick(rng, PORTS)[1]),
        "example.com/route": f"{load.place.stage}.{load.name}.{pick(rng, words.TEAMS)}.example.com",
        "mesh.example.net/timeout": value(rng, "TIMEOUT", load.name, load.place.name),
        "example.com/docs": f"{pick(rng, words.VERBS)} {pick(rng, words.NOUNS)} of {pick(rng, words.PRODUCTS)}",
    }
    if wanted := some(rng, [*notes], pick(rng, (0, 0, 0, 1, 2))):
        metadata["annotations"] = {each: notes[each] for each in sorted(wanted)}
    ports = list[Object]()
    for place in sorted({int(rng.random() * len(PORTS)) for _ in range(pick(rng, (1, 1, 1, 2, 3)))}):
        title, number = PORTS[place]
        target = pick(rng, (title, title, number, number, 8080, between(rng, 3000, 10_000)))
        ports.append({"name": title, "protocol": "TCP", "port": number, "targetPort": target})
    spec: Object = {"ports": ports, "selector": selector, "clusterIP": address, "clusterIPs": [address]}
    spec |= {"type": "ClusterIP", "sessionAffinity": "None", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
    status: Object = {"loadBalancer": {}}
    if not headless and chance(rng, 0.04):
        spec |= {
            "type": "LoadBalancer",
            "externalTrafficPolicy": "Local",
            "healthCheckNodePort": between(rng, 30000, 32767),
        }
        status["loadBalancer"] = {"ingress": [{"hostname": f"{rng.getrandbits(64):016x}.elb.example.net"}]}
    written = {
        member: each for member, each in spec.items() if member in ("ports", "selector", "type", "sessionAffinity")
    }
    fields = {"f:metadata": of_metadata(metadata), "f:spec": owned(written)}
    metadata["managedFields"] = [entry(pick(rng, ("helm", "helm", "kubectl-client-side-apply")), begun, fields)]
    return {"metadata": metadata, "spec": spec, "status": status}


def endpointslices(seed: int) -> Iterator[Object]:
    """Without end: of services, with as many endpoints as replicas have it: most have one to three, few up to 100."""
    cluster, rng, turn = Cluster(seed), random.Random(f"{seed} slices"), 0
    for number in itertools.count():
        load = cluster.load(number)
        if load.kind not in ("Deployment", "StatefulSet"):
            continue
        replicas = min(int(cluster.share(number) * 0.9) + between(rng, 0, 2), 240)
        whose, ports = uid(rng), [pick(rng, PORTS) for _ in range(between(rng, 1, 2))]
        for first in range(0, max(replicas, 1), 100):
            yield endpointslice(rng, cluster, load, whose, ports, min(replicas - first, 100), turn)
            turn += 100


def endpointslice(
    rng: random.Random,
    cluster: Cluster,
    load: Workload,
    service: str,
    ports: list[tuple[str, int]],
    count: int,
    turn: int,
) -> Object:
    """One of a service, with so many endpoints."""
    endpoints = list[Object]()
    for each in range(count):
        node = cluster.node(int(rng.random() * (3 + turn // 200)))
        name = f"{load.revision}-{suffix(turn + each, load.begun)}"
        if load.kind == "StatefulSet":
            name = f"{load.name}-{each}"
        well = not chance(rng, 0.02)
        about: Object = {"addresses": [f"{node.pods}{2 + int(rng.random() * 250)}"]}
        about["conditions"] = {"ready": well, "serving": well, "terminating": False}
        about["nodeName"] = node.name
        about["targetRef"] = {"kind": "Pod", "namespace": load.place.name, "name": name, "uid": uid(rng)}
        endpoints.append({**about, "zone": node.zone})
    begun = moment(age(rng, 30))
    labels = {**load.labels, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
    labels["kubernetes.io/service-name"] = load.name
    owner = {"apiVersion": "v1", "kind": "Service", "name": load.name, "uid": service, "controller": True}
    metadata: Object = {"name": f"{load.name}-{suffix(turn, cluster.seed)}", "generateName": f"{load.name}-"}
    metadata |= {"namespace": load.place.name, "uid": uid(rng), "resourceVersion": version(rng)}
    metadata |= {"generation": between(rng, 1, 60), "creationTimestamp": moment(load.begun)}
    metadata["labels"] = dict(sorted(labels.items()))
    metadata["annotations"] = {"endpoints.kubernetes.io/last-change-trigger-time": begun}
    metadata["ownerReferences"] = [{**owner, "blockOwnerDeletion": True}]
    fields = {"f:addressType": {}, "f:endpoints": {}, "f:metadata": of_metadata(metadata), "f:ports": {}}
    metadata["managedFields"] = [entry("kube-controller-manager", begun, fields, api_version="discovery.k8s.io/v1")]
    listed = [{"name": title, "port": number, "protocol": "TCP"} for title, number in ports]
    return {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": listed}
