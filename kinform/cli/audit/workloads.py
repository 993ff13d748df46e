"""The workloads of the cluster: the number of their pods, and the memory of these."""

from __future__ import annotations

from typing import Any

import msgspec

_SUFFIXES: dict[str, float] = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18} | {
    f"{letter}i": 1024**power for power, letter in enumerate("KMGTPE", 1)
}


class _Owner(msgspec.Struct, frozen=True):
    kind: str = ""
    name: str = ""
    controller: bool = False


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    namespace: str = ""
    labels: dict[str, Any] | None = None
    owner_references: list[_Owner] | None = None


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    service_account_name: str = "default"


class _Pod(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()
    spec: _Spec = _Spec()


class _Usage(msgspec.Struct, frozen=True):
    memory: str = "0"


class _Container(msgspec.Struct, frozen=True):
    usage: _Usage = _Usage()


class PodMetrics(msgspec.Struct, frozen=True):
    """The usage of a pod, by metrics.k8s.io."""

    metadata: _Metadata = _Metadata()
    containers: list[_Container] = []


class Workload(msgspec.Struct, frozen=True):
    """A controller of pods, or a pod alone.

    Attributes:
        kind: The kind of the controller; `"Pod"` for a pod without one.
        namespace: The namespace.
        name: The name. For the pods of a ReplicaSet of a Deployment: that of the Deployment.
        service_account: The service account of the pods.
    """

    kind: str
    namespace: str
    name: str
    service_account: str


_POD = msgspec.json.Decoder(_Pod)


class Workloads:
    """The workloads, with the pods of each.

    Keeps the keys of pods until their memory is known.
    """

    def __init__(self) -> None:
        self._pods: dict[str, Workload] = {}
        self._known: dict[Workload, Workload] = {}
        self.processes: dict[Workload, int] = {}
        self.memory: dict[Workload, list[int]] = {}

    def add(self, raw: bytes) -> None:
        """Adds a pod."""
        try:
            pod = _POD.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        found = _workload(pod)
        found = self._known.setdefault(found, found)
        self._pods[f"{pod.metadata.namespace}/{pod.metadata.name}"] = found
        self.processes[found] = self.processes.get(found, 0) + 1

    def add_usage(self, usage: PodMetrics) -> None:
        """Adds the memory of a pod. Has no effect for an unknown one."""
        workload = self._pods.get(f"{usage.metadata.namespace}/{usage.metadata.name}")
        if workload is not None:
            used = sum(read_quantity(container.usage.memory) for container in usage.containers)
            self.memory.setdefault(workload, []).append(used)


def _workload(pod: _Pod) -> Workload:
    metadata = pod.metadata
    owner = next((each for each in metadata.owner_references or () if each.controller), None)
    if owner is None:
        return Workload("Pod", metadata.namespace, metadata.name, pod.spec.service_account_name)
    kind, name = owner.kind, owner.name
    template = (metadata.labels or {}).get("pod-template-hash")
    if kind == "ReplicaSet" and template and name.endswith(f"-{template}"):
        kind, name = "Deployment", name.removesuffix(f"-{template}")
    return Workload(kind, metadata.namespace, name, pod.spec.service_account_name)


def read_quantity(text: str) -> int:
    """Returns a quantity of bytes, such as `"131072Ki"`; 0 for anything else."""
    number = text.rstrip("".join(sorted({letter for suffix in _SUFFIXES for letter in suffix})))
    try:
        return round(float(number) * _SUFFIXES[text[len(number) :]])
    except (ValueError, KeyError, OverflowError):
        return 0
