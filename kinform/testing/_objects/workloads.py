"""What pods are replicas of: Deployments, StatefulSets, DaemonSets, Jobs, static pods and bare ones, with templates.

A template is built once; a replica takes over all of it but what is its own.
"""

from __future__ import annotations

import json
import random

from kinform.testing._objects import words
from kinform.testing._objects.charts import Chart
from kinform.testing._objects.containers import (
    MESSAGES,
    Part,
    arguments,
    environment,
    image,
    ordered,
    port,
    probe,
    resources,
)
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import of_metadata, owned
from kinform.testing._objects.random_values import age, between, chance, pick, some, template_hash, uid
from kinform.testing._objects.topology import Place

TOLERATED = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for key in ("not-ready", "unreachable")
]
TOLERATED_BY_DAEMONS = [
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
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class Workload:
    """A controller and its pods' template.

    Attributes:
        kind: `"Deployment"`, `"StatefulSet"`, `"DaemonSet"`, `"Job"`; `"Node"` of static pods, `""` of bare ones.
        size: How large the template is among all, 0 to 1.
        labels: Of the template.
        annotations: Of the template.
        spec: A pod's, as it was written: before admission added to it.
        parts: The containers.
        initial: The init containers.
        mounts_token: Whether its pods have the volume of their service account.
        begun: When it was created.
    """

    def __init__(self, rng: random.Random, kind: str, name: str, place: Place, chart: Chart, size: float) -> None:
        self.kind, self.name, self.place, self.chart, self.size = kind, name, place, chart, size
        self.begun = age(rng, 400)
        self.uid = uid(rng)
        product = name.rpartition("-")[0] or name
        self.labels = chart.labels(rng, name, product, place.name)
        self.annotations = chart.annotations(rng, product, size)
        if chart.reload and kind == "Deployment":
            self.annotations["example.com/restarted-at"] = str(age(rng, 60))
            self.annotations = dict(sorted(self.annotations.items()))
        self.host_network = kind == "Node" or (kind == "DaemonSet" and chance(rng, 0.5))
        self.volumes, mounts = _volumes(rng, kind, product, size)
        self.parts = [_own(rng, self, product, mounts)]
        wanted = sum(size > least for least in (0.82, 0.93, 0.97, 0.985, 0.994))
        for sidecar in chart.sidecars[:wanted] if kind not in ("Job", "Node") else []:
            self.parts.append(sidecar.part(rng, product, place.name))
            self.volumes.append(sidecar.volume)
        for number in range(wanted + 1 - len(self.parts)):
            self.parts.append(_helper(rng, self, product, mounts, number))
        self.initial = [_initial(rng, self, product, mounts, each) for each in range(_initial_count(rng, size))]
        self.mounts_token = kind != "Node" and chance(rng, 0.8)
        self.account = name if chance(rng, 0.7) else "default"
        self.spec = self._spec(rng)
        self.hash = template_hash(rng)
        self.revision = f"{name}-{self.hash}"
        self.owner = self._owner(rng)
        self.owned_spec = owned(self.spec)

    def _spec(self, rng: random.Random) -> Object:
        """In the order of the API's type, as whoever made it wrote it, with defaults filled in."""
        daemon, chart = self.kind in ("DaemonSet", "Node"), self.chart
        found: Object = {
            "volumes": self.volumes,
            "initContainers": [each.spec for each in self.initial],
            "containers": [each.spec for each in self.parts],
            "restartPolicy": "Never" if self.kind == "Job" and chance(rng, 0.6) else "Always",
            "terminationGracePeriodSeconds": chart.grace,
            "dnsPolicy": "ClusterFirstWithHostNet" if self.host_network and chance(rng, 0.5) else "ClusterFirst",
            "nodeSelector": {"kubernetes.io/os": "linux"} if daemon or chance(rng, 0.15) else {},
            "serviceAccountName": self.account,
            "serviceAccount": self.account,
            "automountServiceAccountToken": False,
            "hostNetwork": self.host_network,
            "securityContext": chart.security,
            "imagePullSecrets": chart.pull_secrets,
            "affinity": {} if daemon else chart.affinity(self.labels),
            "schedulerName": "default-scheduler",
            "tolerations": [{"operator": "Exists"}] if daemon else chart.tolerations(),
            "priorityClassName": "system-node-critical" if daemon else chart.priority,
            "topologySpreadConstraints": [] if daemon else chart.spread(self.labels),
        }
        if self.kind == "Job" and found["restartPolicy"] == "Always":
            found["restartPolicy"] = "OnFailure"
        if self.mounts_token or self.kind == "Node":
            del found["automountServiceAccountToken"]
        empty = ("securityContext", "automountServiceAccountToken")
        return {name: each for name, each in found.items() if each or name in empty}

    def _owner(self, rng: random.Random) -> Object:
        kind = {"Deployment": "ReplicaSet", "Node": "Node", "": ""}.get(self.kind, self.kind)
        version = {"Job": "batch/v1", "Node": "v1"}.get(kind, "apps/v1")
        name, whose = (self.revision, uid(rng)) if kind == "ReplicaSet" else (self.name, self.uid)
        found = {"apiVersion": version, "kind": kind, "name": name, "uid": whose, "controller": True}
        return found if kind == "Node" else {**found, "blockOwnerDeletion": True}

    def admitted(self) -> Object:
        """The spec after admission, but for what is each pod's own; as a bound pod has it."""
        daemon = self.kind in ("DaemonSet", "Node")
        found, own = dict(self.spec), self.spec.get("tolerations", [])
        found["tolerations"] = [*own, *(TOLERATED_BY_DAEMONS if daemon else TOLERATED)]
        found |= {"nodeName": "", "enableServiceLinks": True, "preemptionPolicy": "PreemptLowerPriority"}
        found["priority"] = {"": 0, "business-critical": 100_000, "batch-low": -100}.get(
            self.spec.get("priorityClassName", ""), 2_000_001_000
        )
        return {name: found[name] for name in ADMITTED if name in found}

    def created(self) -> Object:
        """What the creator of a replica owns: the template, and what a controller adds to it."""
        labels = dict(self.labels)
        if self.kind == "Deployment":
            labels["pod-template-hash"] = self.hash
        metadata: Object = {"generateName": "-", "labels": labels, "annotations": self.annotations}
        return {"f:metadata": of_metadata(metadata), "f:spec": self.owned_spec}


ADMITTED = (
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
    volumes, mounts = list[Object](), list[Object]()
    for number in range(int(size * size * 3 + rng.random() * 1.8)):
        name = pick(rng, ("config", "data", "tmp", "certs", "secrets", "cache", "scripts", "ca-bundle"))
        name = name if not any(each["name"] == name for each in volumes) else f"{name}-{number}"
        about: Object = {"name": name}
        match name.split("-")[0]:
            case "config" | "scripts" | "ca":
                about["configMap"] = {"name": f"{product}-{name}", "defaultMode": pick(rng, (420, 420, 493))}
            case "certs" | "secrets":
                about["secret"] = {"secretName": f"{product}-{name}", "defaultMode": 420}
            case "data" if kind == "StatefulSet":
                about["persistentVolumeClaim"] = {"claimName": f"{name}-{product}"}
            case _ if kind in ("DaemonSet", "Node"):
                path = f"/{pick(rng, ('var/lib', 'run', 'etc', 'var/log'))}/{pick(rng, words.DAEMONS)}"
                about["hostPath"] = {"path": path, "type": pick(rng, ("", "Directory", "DirectoryOrCreate"))}
            case _:
                about["emptyDir"] = pick(rng, ({}, {}, {"sizeLimit": "1Gi"}, {"medium": "Memory"}))
        volumes.append(about)
        mount: Object = {"name": name}
        if name.split("-")[0] in ("config", "certs", "secrets", "ca"):
            mount["readOnly"] = True
        mount["mountPath"] = f"/{pick(rng, ('etc', 'opt', 'var/run', 'srv'))}/{product}/{name}"
        if chance(rng, 0.15):
            mount["subPath"] = f"{pick(rng, words.NOUNS)}.yaml"
        mounts.append(mount)
    return volumes, mounts


def _variables(rng: random.Random, size: float) -> int:
    """None for a fifth, a few for most, up to 60 for few."""
    if size < 0.2:
        return between(rng, 0, 1)
    return int(size * size * size * 5 + (max(size - 0.92, 0) / 0.08) ** 2 * 50 + rng.random() * 2.5)


def _own(rng: random.Random, load: Workload, product: str, mounts: list[Object]) -> Part:
    made, place, size = image(rng, load.chart.registry, load.name), load.place.name, load.size
    number = pick(rng, (8080, 8080, 8080, 3000, 5000, 8000, 8443, 9000, 80))
    listens = load.kind not in ("Job", "")
    found: Object = {
        "name": load.name if chance(rng, 0.6) else product,
        "image": made.name,
        "args": arguments(rng, product, place, int(size * size * rng.random() * 16)) if chance(rng, 0.6) else [],
        "ports": [port("http", number), port("metrics", 9090)][: pick(rng, (1, 1, 2))] if listens else [],
        "env": environment(rng, load.chart.common, product, place, _variables(rng, size)),
        "resources": resources(rng, int(size * 6)),
        "volumeMounts": mounts,
        "imagePullPolicy": pick(rng, ("IfNotPresent", "IfNotPresent", "Always")),
        "securityContext": load.chart.hardened,
        **MESSAGES,
    }
    if load.kind in ("Job", "Node") or chance(rng, 0.25):
        found["command"] = [f"/usr/local/bin/{product}", pick(rng, ("serve", "run", "start", *words.VERBS))]
    if chance(rng, 0.12) and load.kind != "DaemonSet":
        text = " && ".join(f"{product} {pick(rng, words.VERBS)} --{pick(rng, words.FLAGS)}" for _ in range(3))
        found["command"] = ["/bin/sh", "-c", f"set -e\nexec 2>&1\n{text}\n"]
    if chance(rng, 0.3):
        found["envFrom"] = [{"configMapRef": {"name": f"{product}-env"}}]
    if listens and chance(rng, size * 0.6):
        found["livenessProbe"] = probe(rng, "http", load.chart.path)
        found["readinessProbe"] = probe(rng, "http", load.chart.path)
    if listens and chance(rng, 0.15):
        found["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", pick(rng, ("5", "10", "15"))]}}}
    return Part(ordered(found), made)


def _helper(rng: random.Random, load: Workload, product: str, mounts: list[Object], number: int) -> Part:
    """A container besides the first that no other workload has."""
    name = f"{pick(rng, words.VERBS)}-{pick(rng, words.NOUNS)}"
    made, place = image(rng, load.chart.registry, f"{product}/{name}"), load.place.name
    found: Object = {
        "name": f"{name}-{number}",
        "image": made.name,
        "args": arguments(rng, name, place, between(rng, 0, 6)),
        "env": environment(rng, load.chart.common[:4], product, place, between(rng, 0, 3)),
        "resources": resources(rng, 0),
        "volumeMounts": some(rng, mounts, 2),
        "imagePullPolicy": "IfNotPresent",
        **MESSAGES,
    }
    return Part(ordered(found), made)


def _initial_count(rng: random.Random, size: float) -> int:
    return int(rng.random() * size * 1.6)


def _initial(rng: random.Random, load: Workload, product: str, mounts: list[Object], number: int) -> Part:
    made = image(rng, load.chart.registry, pick(rng, ("tools/wait-for", f"{product}-migrations", "library/busybox")))
    verb, to = pick(rng, words.VERBS), f"{pick(rng, words.PRODUCTS)}-postgres.{load.place.name}.svc"
    found: Object = {
        "name": f"{verb}-{pick(rng, words.NOUNS)}-{number}",
        "image": made.name,
        "command": ["sh", "-c", f"until nc -z {to} 5432; do echo waiting for {to}; sleep 2; done; {verb} --once"],
        "env": environment(rng, load.chart.common[:2], product, load.place.name, between(rng, 0, 5)),
        "resources": resources(rng, 0) if chance(rng, 0.5) else {},
        "volumeMounts": some(rng, mounts, 2),
        "imagePullPolicy": "IfNotPresent",
        **MESSAGES,
    }
    ready = ordered(found)
    return Part({**ready, "resources": {}} if "resources" not in ready else ready, made)


def applied(load: Workload) -> str:
    """What `kubectl apply` was given, as it notes it in an annotation of a bare pod."""
    metadata = {"annotations": {}, "labels": load.labels, "name": load.name, "namespace": load.place.name}
    found = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": load.spec}
    return json.dumps(found, separators=(",", ":"), sort_keys=True) + "\n"
