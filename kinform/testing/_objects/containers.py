"""Containers of pod templates: main containers, and sidecars that workloads share."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from kinform.testing._objects import words
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.random_values import between, chance, pick, sample, sha256
from kinform.testing._objects.texts import setting

TERMINATION_MESSAGE = {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
SECURITY_CONTEXTS: tuple[Object, ...] = (
    {"allowPrivilegeEscalation": False},
    {"capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": False},
    {
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    {"runAsUser": 65534, "runAsNonRoot": True, "readOnlyRootFilesystem": True},
)
_MEMORY = ("32Mi", "64Mi", "128Mi", "200Mi", "256Mi", "384Mi", "512Mi", "768Mi", "1Gi", "1536Mi", "2Gi", "4Gi", "8Gi")
_CPU = ("10m", "20m", "50m", "100m", "150m", "200m", "250m", "500m", "750m", "1", "2", "4")
SIDECARS = ("mesh-proxy", "log-tailer", "secrets-agent", "auth-proxy", "config-reloader", "sql-proxy", "metrics-bridge")


class Image(msgspec.Struct, frozen=True):
    """A container image: its name with a tag, and its name with a digest."""

    name: str
    digest: str


class Container(msgspec.Struct):
    """A container of a pod template, and its image."""

    spec: Object
    image: Image


def image(rng: random.Random, registry: str, name: str) -> Image:
    """Returns an image with a tag of one of the usual forms."""
    match pick(rng, "vvvshd"):
        case "v":
            tag = f"v{between(rng, 0, 4)}.{between(rng, 0, 40)}.{between(rng, 0, 15)}"
        case "s":
            tag = f"{between(rng, 1, 9)}.{between(rng, 0, 30)}.{between(rng, 0, 9)}-{rng.getrandbits(32):08x}"
        case "h":
            tag = f"main-{rng.getrandbits(40):010x}"
        case _:
            tag = f"2026{between(rng, 1, 3):02}{between(rng, 1, 28):02}.{between(rng, 1, 40)}"
    return Image(f"{registry}/{name}:{tag}", f"{registry}/{name}@sha256:{sha256(rng)}")


def variable(rng: random.Random, product: str, namespace: str) -> Object:
    """Returns a variable with a value, or with a reference to a Secret or ConfigMap."""
    kind, name = pick(rng, words.SETTING_KINDS), pick(rng, words.SETTING_SUBJECTS)
    if chance(rng, 0.4):
        name = f"{product.upper().replace('-', '_')}_{name}"
    name = f"{name}_{kind}"
    if kind in ("PASSWORD", "API_KEY", "SECRET", "USERNAME", "PUBLIC_KEY"):
        key = name.lower().replace("_", "-") if chance(rng, 0.5) else kind.lower()
        secret = f"{product}-{pick(rng, ('credentials', 'secrets', 'db', 'postgres-app', 'api-keys'))}"
        return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
    if chance(rng, 0.08):
        return {"name": name, "valueFrom": {"configMapKeyRef": {"name": f"{product}-config", "key": name.lower()}}}
    return {"name": name, "value": setting(rng, kind, product, namespace)}


def downward_variable(name: str, path: str) -> Object:
    """Returns a variable of the downward API."""
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


DOWNWARD_VARIABLES = (
    downward_variable("POD_NAME", "metadata.name"),
    downward_variable("POD_NAMESPACE", "metadata.namespace"),
    downward_variable("NODE_NAME", "spec.nodeName"),
    downward_variable("POD_IP", "status.podIP"),
    downward_variable("HOST_IP", "status.hostIP"),
    downward_variable("SERVICE_ACCOUNT", "spec.serviceAccountName"),
)


def environment(rng: random.Random, common: list[Object], product: str, namespace: str, count: int) -> list[Object]:
    """Returns at most `count` variables with distinct names.

    Up to two thirds are the first of `common`; the others are new.
    """
    variables = {each["name"]: each for each in common[: max(count * 2 // 3, min(count, 2))]}
    for _ in range(count - len(variables)):
        own = variable(rng, product, namespace)
        variables.setdefault(own["name"], own)
    return list(variables.values())


def arguments(rng: random.Random, product: str, namespace: str, count: int) -> list[str]:
    """Returns `count` arguments of the form `--flag=value`."""
    found = []
    for flag in sample(rng, words.FLAGS, count):
        match pick(rng, "bbnnpuwt"):
            case "b":
                value = pick(rng, ("true", "false"))
            case "n":
                value = setting(rng, "", product, namespace)
            case "p":
                value = f"/etc/{product}/{flag}"
            case "u":
                value = setting(rng, "URL", product, namespace)
            case "w":
                value = f"{product}-{pick(rng, words.NOUNS)}"
            case _:
                value = setting(rng, "TIMEOUT", product, namespace)
        found.append(f"--{flag}={value}")
    return found


def resources(rng: random.Random, size: int) -> Object:
    """Returns requests, and limits in most cases. A larger `size` gives larger ones."""
    memory, cpu = min(between(rng, 0, 4) + size, len(_MEMORY) - 1), min(between(rng, 0, 4) + size, len(_CPU) - 1)
    requests = {"cpu": _CPU[cpu], "memory": _MEMORY[memory]}
    if chance(rng, 0.15):
        return {"requests": requests}
    limits = {"memory": _MEMORY[min(memory + between(rng, 0, 2), len(_MEMORY) - 1)]}
    if chance(rng, 0.4):
        limits = {"cpu": _CPU[min(cpu + 2, len(_CPU) - 1)], **limits}
    return {"limits": limits, "requests": requests}


def probe(rng: random.Random, port: str | int, path: str) -> Object:
    """Returns a probe of one of the usual forms, with the API server's defaults."""
    match pick(rng, "hhhhteg"):
        case "h":
            made: Object = {"httpGet": {"path": path, "port": port, "scheme": pick(rng, ("HTTP", "HTTP", "HTTPS"))}}
        case "t":
            made = {"tcpSocket": {"port": port}}
        case "e":
            made = {"exec": {"command": ["/bin/sh", "-c", f"wget -qO- http://127.0.0.1:8080{path} | grep -q ok"]}}
        case _:
            made = {"grpc": {"port": 8081, "service": ""}}
    if chance(rng, 0.6):
        made["initialDelaySeconds"] = pick(rng, (3, 5, 10, 15, 20, 30, 60, 120))
    made["timeoutSeconds"] = pick(rng, (1, 1, 1, 2, 3, 5, 10))
    made["periodSeconds"] = pick(rng, (5, 10, 10, 10, 15, 20, 30))
    return made | {"successThreshold": 1, "failureThreshold": pick(rng, (3, 3, 3, 5, 6, 10, 30))}


def port(name: str, number: int) -> Object:
    """Returns a port of a container."""
    return {"name": name, "containerPort": number, "protocol": "TCP"}


_FIELD_ORDER = (
    "name",
    "image",
    "command",
    "args",
    "workingDir",
    "ports",
    "envFrom",
    "env",
    "resources",
    "volumeMounts",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "imagePullPolicy",
    "securityContext",
)


def in_field_order(spec: Object) -> Object:
    """Returns the fields that are set, in the order of the API's type."""
    return {name: spec[name] for name in _FIELD_ORDER if spec.get(name)}


class Sidecar:
    """A sidecar: the same image, ports and probes in all workloads.

    Attributes:
        volume: The volume that a pod with this sidecar has.
    """

    def __init__(self, rng: random.Random, name: str, registry: str) -> None:
        self.name = name
        self._image = image(rng, registry, f"platform/{name}")
        self._args = arguments(rng, name, "mesh-system", between(rng, 1, 5))
        downward = list(DOWNWARD_VARIABLES[: between(rng, 0, 4)])
        self._env = environment(rng, downward, name, "mesh-system", between(rng, 0, 6))
        first = between(rng, 9000, 16000)
        self._common: dict[str, Any] = {
            "ports": [port(f"{name[:7].rstrip('-')}-{index}", first + index) for index in range(between(rng, 1, 2))],
            "resources": resources(rng, 0),
            "readinessProbe": probe(rng, first, "/healthz/ready") if chance(rng, 0.4) else {},
            "imagePullPolicy": "IfNotPresent",
            "securityContext": pick(rng, SECURITY_CONTEXTS),
            **TERMINATION_MESSAGE,
        }
        self.volume: Object = {"name": f"{name}-data", "emptyDir": {"medium": "Memory"} if chance(rng, 0.3) else {}}
        self._mount = {"name": f"{name}-data", "mountPath": f"/var/run/{name}"}

    def container(self, rng: random.Random, product: str, namespace: str) -> Container:
        """Returns the sidecar's container in the template of a workload."""
        own = [f"--service-cluster={product}.{namespace}", f"--upstream=http://127.0.0.1:{between(rng, 80, 90)}80"]
        env = [*self._env, {"name": "WORKLOAD_NAME", "value": product}]
        if chance(rng, 0.3):
            env.append(variable(rng, product, namespace))
        env = list({each["name"]: each for each in env}.values())
        about = {"name": self.name, "image": self._image.name, "args": [*self._args, *own], "env": env}
        spec = in_field_order({**self._common, **about, "volumeMounts": [self._mount]})
        if chance(rng, 0.2):
            spec["resources"] = resources(rng, 1)
        return Container(spec, self._image)
