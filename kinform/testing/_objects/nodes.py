"""Nodes as the kubelet, the cloud provider and kube-controller-manager set them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from kinform.testing._objects import words
from kinform.testing._objects.containers import image
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import entry, field_set, metadata_field_set
from kinform.testing._objects.random_values import DAY, NOW, between, pick, resource_version, timestamp
from kinform.testing._objects.topology import node_at

_MACHINES = {
    "general": ("m6i.2xlarge", 8, 32),
    "compute": ("c6i.4xlarge", 16, 32),
    "memory": ("r6i.2xlarge", 8, 64),
    "spot": ("m5.2xlarge", 8, 32),
    "gpu": ("g5.4xlarge", 16, 64),
}
"""Instance type, CPUs and GiB of memory of each pool."""
_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


def nodes(seed: int) -> Iterator[Object]:
    """Yields nodes without end: about 6 KB of JSON each."""
    rng = random.Random(f"{seed} nodes")
    for number in itertools.count():
        yield node(rng, seed, number)


def node(rng: random.Random, seed: int, number: int) -> Object:
    """Returns a node."""
    about = node_at(seed, number)
    machine, cpus, memory = _MACHINES[about.pool]
    created, heartbeat = timestamp(about.created), timestamp(NOW - between(rng, 0, 300))
    labels = {
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": about.name,
        "kubernetes.io/os": "linux",
        "node.example.com/pool": about.pool,
        "node.kubernetes.io/instance-type": machine,
        "topology.kubernetes.io/region": about.zone[:-1],
        "topology.kubernetes.io/zone": about.zone,
    }
    annotations = {
        "csi.volume.kubernetes.io/nodeid": f'{{"ebs.csi.example.com":"i-{rng.getrandbits(68):017x}"}}',
        "node.alpha.kubernetes.io/ttl": "0",
        "volumes.kubernetes.io/controller-managed-attach-detach": "true",
    }
    metadata: Object = {"name": about.name, "uid": about.uid, "resourceVersion": resource_version(rng)}
    metadata |= {"creationTimestamp": created, "labels": labels, "annotations": annotations}
    cidr = f"{about.pod_prefix}0/24"
    provider_id = f"cloud:///{about.zone}/i-{rng.getrandbits(68):017x}"
    spec: Object = {"podCIDR": cidr, "podCIDRs": [cidr], "providerID": provider_id}
    if about.pool in ("spot", "gpu"):
        spec["taints"] = [{"key": f"example.com/{about.pool}", "value": "true", "effect": "NoSchedule"}]
    capacity = {"cpu": str(cpus), "ephemeral-storage": "104845292Ki", "memory": f"{memory * 1024**2}Ki", "pods": "110"}
    allocatable = capacity | {"cpu": f"{cpus * 1000 - 90}m", "memory": f"{memory * 1024**2 - 1_126_400}Ki"}
    status = {
        "capacity": capacity,
        "allocatable": allocatable,
        "conditions": [
            {
                "type": type_,
                "status": state,
                "lastHeartbeatTime": heartbeat,
                "lastTransitionTime": created,
                "reason": reason,
                "message": message,
            }
            for type_, state, reason, message in _CONDITIONS
        ],
        "addresses": [
            {"type": "InternalIP", "address": about.address},
            {"type": "Hostname", "address": about.name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "machineID": f"{rng.getrandbits(128):032x}",
            "systemUUID": about.uid,
            "bootID": f"{rng.getrandbits(128):032x}",
            "kernelVersion": "6.12.40-cloud-amd64",
            "osImage": "Example Linux 12",
            "containerRuntimeVersion": "containerd://2.1.4",
            "kubeletVersion": "v1.36.0",
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": "amd64",
        },
        "images": [_image(rng) for _ in range(between(rng, 8, 24))],
    }
    fields = {"f:metadata": metadata_field_set(metadata), "f:spec": {"f:providerID": {}}}
    network: Object = {"f:spec": {"f:podCIDR": {}, "f:podCIDRs": {".": {}, f'v:"{cidr}"': {}}}}
    kubelet = {"f:status": {f"f:{name}": _status_fields(name, value) for name, value in sorted(status.items())}}
    metadata["managedFields"] = [
        entry("kubelet", created, fields),
        entry("kube-controller-manager", timestamp(about.created + between(rng, 1, DAY // 24)), network),
        entry("kubelet", heartbeat, kubelet, subresource="status"),
    ]
    return {"metadata": metadata, "spec": spec, "status": status}


def _status_fields(name: str, value: object) -> Object:
    if name == "conditions":
        return dict(field_set({name: value})[f"f:{name}"])
    return dict(field_set(value)) if isinstance(value, dict) else {}


def _image(rng: random.Random) -> Object:
    name = f"{pick(rng, words.PRODUCTS)}-{pick(rng, words.ROLES)}"
    made = image(rng, "registry.example.com", name)
    return {"names": [made.digest, made.name], "sizeBytes": between(rng, 10**6, 4 * 10**8)}
