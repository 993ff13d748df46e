"""Containers of a pod's template: the workload's own, and the sidecars that a whole cluster has in common."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from kinform.testing._objects import words
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.random_values import between, chance, pick, sha256, some
from kinform.testing._objects.texts import value

MESSAGES = {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
HARDENED: tuple[Object, ...] = (
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
MEMORY = ("32Mi", "64Mi", "128Mi", "200Mi", "256Mi", "384Mi", "512Mi", "768Mi", "1Gi", "1536Mi", "2Gi", "4Gi", "8Gi")
CPU = ("10m", "20m", "50m", "100m", "150m", "200m", "250m", "500m", "750m", "1", "2", "4")
INJECTED = ("mesh-proxy", "log-tailer", "secrets-agent", "auth-proxy", "config-reloader", "sql-proxy", "metrics-bridge")


class Image(msgspec.Struct, frozen=True):
    """What a container is made from: by tag, and what the kubelet says that is."""

    name: str
    digest: str


class Part(msgspec.Struct):
    """A container of a template, and its image."""

    spec: Object
    image: Image


def image(rng: random.Random, registry: str, name: str) -> Image:
    """With a tag of a usual form."""
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


def variable(rng: random.Random, product: str, place: str) -> Object:
    """One of those of the environment that only this workload has."""
    kind, name = pick(rng, words.KINDS_OF_SETTINGS), pick(rng, words.SUBJECTS)
    if chance(rng, 0.4):
        name = f"{product.upper().replace('-', '_')}_{name}"
    name = f"{name}_{kind}"
    if kind in ("PASSWORD", "API_KEY", "SECRET", "USERNAME", "PUBLIC_KEY"):
        key = name.lower().replace("_", "-") if chance(rng, 0.5) else kind.lower()
        secret = f"{product}-{pick(rng, ('credentials', 'secrets', 'db', 'postgres-app', 'api-keys'))}"
        return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
    if chance(rng, 0.08):
        return {"name": name, "valueFrom": {"configMapKeyRef": {"name": f"{product}-config", "key": name.lower()}}}
    return {"name": name, "value": value(rng, kind, product, place)}


def downward(name: str, path: str) -> Object:
    """A variable that tells the pod of itself."""
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


DOWNWARD = (
    downward("POD_NAME", "metadata.name"),
    downward("POD_NAMESPACE", "metadata.namespace"),
    downward("NODE_NAME", "spec.nodeName"),
    downward("POD_IP", "status.podIP"),
    downward("HOST_IP", "status.hostIP"),
    downward("SERVICE_ACCOUNT", "spec.serviceAccountName"),
)


def environment(rng: random.Random, common: list[Object], product: str, place: str, count: int) -> list[Object]:
    """Up to so many variables: those of the chart first, then the workload's own; each name once."""
    found = {each["name"]: each for each in common[: max(count * 2 // 3, min(count, 2))]}
    for _ in range(count - len(found)):
        made = variable(rng, product, place)
        found.setdefault(made["name"], made)
    return list(found.values())


def arguments(rng: random.Random, product: str, place: str, count: int) -> list[str]:
    """`--flag=value`, so many."""
    found = []
    for flag in some(rng, words.FLAGS, count):
        match pick(rng, "bbnnpuwt"):
            case "b":
                set_to = pick(rng, ("true", "false"))
            case "n":
                set_to = value(rng, "", product, place)
            case "p":
                set_to = f"/etc/{product}/{flag}"
            case "u":
                set_to = value(rng, "URL", product, place)
            case "w":
                set_to = f"{product}-{pick(rng, words.NOUNS)}"
            case _:
                set_to = value(rng, "TIMEOUT", product, place)
        found.append(f"--{flag}={set_to}")
    return found


def resources(rng: random.Random, size: int) -> Object:
    """Requests, and limits more often than not; the larger the size, the more."""
    at, cores = min(between(rng, 0, 4) + size, len(MEMORY) - 1), min(between(rng, 0, 4) + size, len(CPU) - 1)
    requests = {"cpu": CPU[cores], "memory": MEMORY[at]}
    if chance(rng, 0.15):
        return {"requests": requests}
    limits = {"memory": MEMORY[min(at + between(rng, 0, 2), len(MEMORY) - 1)]}
    if chance(rng, 0.4):
        limits = {"cpu": CPU[min(cores + 2, len(CPU) - 1)], **limits}
    return {"limits": limits, "requests": requests}


def probe(rng: random.Random, port: str | int, path: str) -> Object:
    """Of one of the usual forms, with defaults filled in."""
    match pick(rng, "hhhhteg"):
        case "h":
            found: Object = {"httpGet": {"path": path, "port": port, "scheme": pick(rng, ("HTTP", "HTTP", "HTTPS"))}}
        case "t":
            found = {"tcpSocket": {"port": port}}
        case "e":
            found = {"exec": {"command": ["/bin/sh", "-c", f"wget -qO- http://127.0.0.1:8080{path} | grep -q ok"]}}
        case _:
            found = {"grpc": {"port": 8081, "service": ""}}
    if chance(rng, 0.6):
        found["initialDelaySeconds"] = pick(rng, (3, 5, 10, 15, 20, 30, 60, 120))
    found["timeoutSeconds"] = pick(rng, (1, 1, 1, 2, 3, 5, 10))
    found["periodSeconds"] = pick(rng, (5, 10, 10, 10, 15, 20, 30))
    return found | {"successThreshold": 1, "failureThreshold": pick(rng, (3, 3, 3, 5, 6, 10, 30))}


def port(name: str, number: int) -> Object:
    """A port of a container."""
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def ordered(found: Object) -> Object:
    """A container's members as the API's type has them; those that are not set left out."""
    return {name: found[name] for name in ORDER if found.get(name)}


ORDER = (
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


class Sidecar:
    """One that many workloads have: the same image, ports and probes everywhere, a few values of each one's own."""

    def __init__(self, rng: random.Random, name: str, registry: str) -> None:
        self.name = name
        self._image = image(rng, registry, f"platform/{name}")
        self._args = arguments(rng, name, "mesh-system", between(rng, 1, 5))
        self._env = environment(rng, list(DOWNWARD[: between(rng, 0, 4)]), name, "mesh-system", between(rng, 0, 6))
        number = between(rng, 9000, 16000)
        self._fixed: dict[str, Any] = {
            "ports": [port(f"{name[:7].rstrip('-')}-{each}", number + each) for each in range(between(rng, 1, 2))],
            "resources": resources(rng, 0),
            "readinessProbe": probe(rng, number, "/healthz/ready") if chance(rng, 0.4) else {},
            "imagePullPolicy": "IfNotPresent",
            "securityContext": pick(rng, HARDENED),
            **MESSAGES,
        }
        self.volume: Object = {"name": f"{name}-data", "emptyDir": {"medium": "Memory"} if chance(rng, 0.3) else {}}
        self._mount = {"name": f"{name}-data", "mountPath": f"/var/run/{name}"}

    def part(self, rng: random.Random, product: str, place: str) -> Part:
        """As a workload has it."""
        own = [f"--service-cluster={product}.{place}", f"--upstream=http://127.0.0.1:{between(rng, 80, 90)}80"]
        env = [*self._env, {"name": "WORKLOAD_NAME", "value": product}]
        if chance(rng, 0.3):
            env.append(variable(rng, product, place))
        env = list({each["name"]: each for each in env}.values())
        about = {"name": self.name, "image": self._image.name, "args": [*self._args, *own], "env": env}
        found = ordered({**self._fixed, **about, "volumeMounts": [self._mount]})
        if chance(rng, 0.2):
            found["resources"] = resources(rng, 1)
        return Part(found, self._image)
