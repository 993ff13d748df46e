"""Workloads and their pod templates.

Workloads are Deployments, StatefulSets, DaemonSets, Jobs, static pods and bare pods. A template is built once; its
replicas share the parts that are equal.
"""

from __future__ import annotations

import json
import random

from kinform.testing._objects import words
from kinform.testing._objects.charts import Chart
from kinform.testing._objects.containers import (
    TERMINATION_MESSAGE,
    Container,
    arguments,
    environment,
    image,
    in_field_order,
    port,
    probe,
    resources,
)
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import field_set
from kinform.testing._objects.random_values import between, chance, past_time, pick, sample, template_hash, uid
from kinform.testing._objects.topology import Namespace

DEFAULT_TOLERATIONS = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for key in ("not-ready", "unreachable")
]
DAEMON_TOLERATIONS = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": effect}
    for key, effect in (
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    )
]
_SIDECAR_SIZES = (0.82, 0.93, 0.97, 0.985, 0.994)
"""A workload has one container more for each of these that its size exceeds."""


class Workload:
    """A workload: a controller and its pod template.

    Attributes:
        kind: `"Deployment"`, `"StatefulSet"`, `"DaemonSet"`, `"Job"`; `"Node"` for static pods, `""` for a bare pod.
        size: The template's rank by size, 0 to 1.
        created: In seconds since 1970.
        labels: Those of the template.
        annotations: Those of the template.
        spec: The template's pod spec with defaults, before admission.
        mounts_token: Whether its pods mount the token of their service account.
        owner: The ownerReference of its pods.
        spec_fields: The field set of `spec`.
    """

    def __init__(
        self, rng: random.Random, kind: str, name: str, namespace: Namespace, chart: Chart, size: float
    ) -> None:
        self.kind, self.name, self.namespace, self.chart, self.size = kind, name, namespace, chart, size
        self.created = past_time(rng, 400)
        self.uid = uid(rng)
        product = name.rpartition("-")[0] or name
        self.labels = chart.labels(rng, name, product, namespace.name)
        self.annotations = chart.annotations(rng, product, size)
        if chart.reload and kind == "Deployment":
            self.annotations["example.com/restarted-at"] = str(past_time(rng, 60))
            self.annotations = dict(sorted(self.annotations.items()))
        self.host_network = kind == "Node" or (kind == "DaemonSet" and chance(rng, 0.5))
        self.volumes, mounts = _volumes(rng, kind, product, size)
        self.containers = [_main_container(rng, self, product, mounts)]
        more = sum(size > least for least in _SIDECAR_SIZES)
        for sidecar in chart.sidecars[:more] if kind not in ("Job", "Node") else []:
            self.containers.append(sidecar.container(rng, product, namespace.name))
            self.volumes.append(sidecar.volume)
        for number in range(more + 1 - len(self.containers)):
            self.containers.append(_helper_container(rng, self, product, mounts, number))
        init_count = int(rng.random() * size * 1.6)
        self.init_containers = [_init_container(rng, self, product, mounts, number) for number in range(init_count)]
        self.mounts_token = kind != "Node" and chance(rng, 0.8)
        self.service_account = name if chance(rng, 0.7) else "default"
        self.spec = self._spec(rng)
        self.template_hash = template_hash(rng)
        self.revision_name = f"{name}-{self.template_hash}"
        self.owner = self._owner(rng)
        self.spec_fields = field_set(self.spec)

    def _spec(self, rng: random.Random) -> Object:
        daemon, chart = self.kind in ("DaemonSet", "Node"), self.chart
        spec: Object = {
            "volumes": self.volumes,
            "initContainers": [each.spec for each in self.init_containers],
            "containers": [each.spec for each in self.containers],
            "restartPolicy": "Never" if self.kind == "Job" and chance(rng, 0.6) else "Always",
            "terminationGracePeriodSeconds": chart.grace_period,
            "dnsPolicy": "ClusterFirstWithHostNet" if self.host_network and chance(rng, 0.5) else "ClusterFirst",
            "nodeSelector": {"kubernetes.io/os": "linux"} if daemon or chance(rng, 0.15) else {},
            "serviceAccountName": self.service_account,
            "serviceAccount": self.service_account,
            "automountServiceAccountToken": False,
            "hostNetwork": self.host_network,
            "securityContext": chart.pod_security,
            "imagePullSecrets": chart.pull_secrets,
            "affinity": {} if daemon else chart.affinity(self.labels),
            "schedulerName": "default-scheduler",
            "tolerations": [{"operator": "Exists"}] if daemon else chart.tolerations(),
            "priorityClassName": "system-node-critical" if daemon else chart.priority,
            "topologySpreadConstraints": [] if daemon else chart.spread(self.labels),
        }
        if self.kind == "Job" and spec["restartPolicy"] == "Always":
            spec["restartPolicy"] = "OnFailure"
        if self.mounts_token or self.kind == "Node":
            del spec["automountServiceAccountToken"]
        kept_empty = ("securityContext", "automountServiceAccountToken")
        return {name: value for name, value in spec.items() if value or name in kept_empty}

    def _owner(self, rng: random.Random) -> Object:
        kind = {"Deployment": "ReplicaSet", "Node": "Node", "": ""}.get(self.kind, self.kind)
        version = {"Job": "batch/v1", "Node": "v1"}.get(kind, "apps/v1")
        name, owner_uid = (self.revision_name, uid(rng)) if kind == "ReplicaSet" else (self.name, self.uid)
        owner = {"apiVersion": version, "kind": kind, "name": name, "uid": owner_uid, "controller": True}
        return owner if kind == "Node" else {**owner, "blockOwnerDeletion": True}

    def admitted_spec(self) -> Object:
        """Returns the spec after admission, without the values of a single pod."""
        daemon = self.kind in ("DaemonSet", "Node")
        spec, own = dict(self.spec), self.spec.get("tolerations", [])
        spec["tolerations"] = [*own, *(DAEMON_TOLERATIONS if daemon else DEFAULT_TOLERATIONS)]
        spec |= {"nodeName": "", "enableServiceLinks": True, "preemptionPolicy": "PreemptLowerPriority"}
        spec["priority"] = {"": 0, "business-critical": 100_000, "batch-low": -100}.get(
            self.spec.get("priorityClassName", ""), 2_000_001_000
        )
        return {name: spec[name] for name in _FIELD_ORDER if name in spec}

    def last_applied(self) -> str:
        """Returns the annotation that `kubectl apply` writes to a bare pod."""
        metadata = {"annotations": {}, "labels": self.labels, "name": self.name, "namespace": self.namespace.name}
        applied = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": self.spec}
        return json.dumps(applied, separators=(",", ":"), sort_keys=True) + "\n"


_FIELD_ORDER = (
    "volumes",
    "initContainers",
    "containers",
    "restartPolicy",
    "terminationGracePeriodSeconds",
    "dnsPolicy",
    "nodeSelector",
    "serviceAccountName",
    "serviceAccount",
    "automountServiceAccountToken",
    "nodeName",
    "hostNetwork",
    "securityContext",
    "imagePullSecrets",
    "affinity",
    "schedulerName",
    "tolerations",
    "priorityClassName",
    "priority",
    "enableServiceLinks",
    "preemptionPolicy",
    "topologySpreadConstraints",
)


def _volumes(rng: random.Random, kind: str, product: str, size: float) -> tuple[list[Object], list[Object]]:
    """Returns volumes, and a mount for each."""
    volumes, mounts = list[Object](), list[Object]()
    for number in range(int(size * size * 3 + rng.random() * 1.8)):
        name = pick(rng, ("config", "data", "tmp", "certs", "secrets", "cache", "scripts", "ca-bundle"))
        name = name if not any(each["name"] == name for each in volumes) else f"{name}-{number}"
        volume: Object = {"name": name}
        match name.split("-")[0]:
            case "config" | "scripts" | "ca":
                volume["configMap"] = {"name": f"{product}-{name}", "defaultMode": pick(rng, (420, 420, 493))}
            case "certs" | "secrets":
                volume["secret"] = {"secretName": f"{product}-{name}", "defaultMode": 420}
            case "data" if kind == "StatefulSet":
                volume["persistentVolumeClaim"] = {"claimName": f"{name}-{product}"}
            case _ if kind in ("DaemonSet", "Node"):
                path = f"/{pick(rng, ('var/lib', 'run', 'etc', 'var/log'))}/{pick(rng, words.DAEMON_SETS)}"
                volume["hostPath"] = {"path": path, "type": pick(rng, ("", "Directory", "DirectoryOrCreate"))}
            case _:
                volume["emptyDir"] = pick(rng, ({}, {}, {"sizeLimit": "1Gi"}, {"medium": "Memory"}))
        volumes.append(volume)
        mount: Object = {"name": name}
        if name.split("-")[0] in ("config", "certs", "secrets", "ca"):
            mount["readOnly"] = True
        mount["mountPath"] = f"/{pick(rng, ('etc', 'opt', 'var/run', 'srv'))}/{product}/{name}"
        if chance(rng, 0.15):
            mount["subPath"] = f"{pick(rng, words.NOUNS)}.yaml"
        mounts.append(mount)
    return volumes, mounts


def _variable_count(rng: random.Random, size: float) -> int:
    """Returns 0 or 1 for a fifth of the workloads, up to 60 for the largest."""
    if size < 0.2:
        return between(rng, 0, 1)
    return int(size * size * size * 5 + (max(size - 0.92, 0) / 0.08) ** 2 * 50 + rng.random() * 2.5)


def _main_container(rng: random.Random, workload: Workload, product: str, mounts: list[Object]) -> Container:
    chart, namespace, size = workload.chart, workload.namespace.name, workload.size
    main_image = image(rng, chart.registry, workload.name)
    number = pick(rng, (8080, 8080, 8080, 3000, 5000, 8000, 8443, 9000, 80))
    listens = workload.kind not in ("Job", "")
    spec: Object = {
        "name": workload.name if chance(rng, 0.6) else product,
        "image": main_image.name,
        "args": arguments(rng, product, namespace, int(size * size * rng.random() * 16)) if chance(rng, 0.6) else [],
        "ports": [port("http", number), port("metrics", 9090)][: pick(rng, (1, 1, 2))] if listens else [],
        "env": environment(rng, chart.common, product, namespace, _variable_count(rng, size)),
        "resources": resources(rng, int(size * 6)),
        "volumeMounts": mounts,
        "imagePullPolicy": pick(rng, ("IfNotPresent", "IfNotPresent", "Always")),
        "securityContext": chart.container_security,
        **TERMINATION_MESSAGE,
    }
    if workload.kind in ("Job", "Node") or chance(rng, 0.25):
        spec["command"] = [f"/usr/local/bin/{product}", pick(rng, ("serve", "run", "start", *words.VERBS))]
    if chance(rng, 0.12) and workload.kind != "DaemonSet":
        text = " && ".join(f"{product} {pick(rng, words.VERBS)} --{pick(rng, words.FLAGS)}" for _ in range(3))
        spec["command"] = ["/bin/sh", "-c", f"set -e\nexec 2>&1\n{text}\n"]
    if chance(rng, 0.3):
        spec["envFrom"] = [{"configMapRef": {"name": f"{product}-env"}}]
    if listens and chance(rng, size * 0.6):
        spec["livenessProbe"] = probe(rng, "http", chart.health_path)
        spec["readinessProbe"] = probe(rng, "http", chart.health_path)
    if listens and chance(rng, 0.15):
        spec["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", pick(rng, ("5", "10", "15"))]}}}
    return Container(in_field_order(spec), main_image)


def _helper_container(
    rng: random.Random, workload: Workload, product: str, mounts: list[Object], number: int
) -> Container:
    """Returns a further container that only this workload has."""
    name = f"{pick(rng, words.VERBS)}-{pick(rng, words.NOUNS)}"
    chart, namespace = workload.chart, workload.namespace.name
    helper_image = image(rng, chart.registry, f"{product}/{name}")
    spec: Object = {
        "name": f"{name}-{number}",
        "image": helper_image.name,
        "args": arguments(rng, name, namespace, between(rng, 0, 6)),
        "env": environment(rng, chart.common[:4], product, namespace, between(rng, 0, 3)),
        "resources": resources(rng, 0),
        "volumeMounts": sample(rng, mounts, 2),
        "imagePullPolicy": "IfNotPresent",
        **TERMINATION_MESSAGE,
    }
    return Container(in_field_order(spec), helper_image)


def _init_container(
    rng: random.Random, workload: Workload, product: str, mounts: list[Object], number: int
) -> Container:
    chart, namespace = workload.chart, workload.namespace.name
    init_image = image(rng, chart.registry, pick(rng, ("tools/wait-for", f"{product}-migrations", "library/busybox")))
    verb, database = pick(rng, words.VERBS), f"{pick(rng, words.PRODUCTS)}-postgres.{namespace}.svc"
    script = f"until nc -z {database} 5432; do echo waiting for {database}; sleep 2; done; {verb} --once"
    spec: Object = {
        "name": f"{verb}-{pick(rng, words.NOUNS)}-{number}",
        "image": init_image.name,
        "command": ["sh", "-c", script],
        "env": environment(rng, chart.common[:2], product, namespace, between(rng, 0, 5)),
        "resources": resources(rng, 0) if chance(rng, 0.5) else {},
        "volumeMounts": sample(rng, mounts, 2),
        "imagePullPolicy": "IfNotPresent",
        **TERMINATION_MESSAGE,
    }
    ordered = in_field_order(spec)
    return Container({**ordered, "resources": {}} if "resources" not in ordered else ordered, init_image)
