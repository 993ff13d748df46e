"""Secrets of workloads: credentials, certificates and registry logins."""

from __future__ import annotations

import base64
import itertools
import json
import random
from collections.abc import Iterator

from kinform.testing._objects import words
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import entry, field_set, metadata_field_set
from kinform.testing._objects.random_values import between, chance, past_time, pick, resource_version, timestamp, uid
from kinform.testing._objects.texts import certificate, random_bytes
from kinform.testing._objects.topology import Namespace, namespace_at

PER_NAMESPACE = 6


def secrets(seed: int) -> Iterator[Object]:
    """Yields secrets without end: from 600 B of JSON to 6 KB."""
    rng = random.Random(f"{seed} secrets")
    for number in itertools.count():
        yield secret(rng, namespace_at(seed, number // PER_NAMESPACE), number)


def secret(rng: random.Random, namespace: Namespace, number: int) -> Object:
    """Returns a secret. The number makes its name unique."""
    name = f"{namespace.product}-{pick(rng, words.ROLES)}-{number}"
    match pick(rng, "cccccctr"):
        case "t":
            type_, name, manager = "kubernetes.io/tls", f"{name}-tls", "cert-manager"
            data = {"tls.crt": _encoded(certificate(rng, between(rng, 800, 1500)))}
            data["tls.key"] = _encoded(certificate(rng, 1200))
        case "r":
            type_, name, manager = "kubernetes.io/dockerconfigjson", f"{name}-pull", "kubectl-create"
            login = {"auths": {"registry.example.com": {"auth": base64.b64encode(random_bytes(rng, 40)).decode()}}}
            data = {".dockerconfigjson": _encoded(json.dumps(login, separators=(",", ":")))}
        case _:
            type_, name, manager = "Opaque", f"{name}-credentials", "secrets-operator"
            keys = {pick(rng, words.SETTING_SUBJECTS).lower() for _ in range(between(rng, 1, 6))}
            data = {key: base64.b64encode(random_bytes(rng, between(rng, 8, 48))).decode() for key in sorted(keys)}
    created = timestamp(past_time(rng, 400))
    metadata: Object = {"name": name, "namespace": namespace.name, "uid": uid(rng)}
    metadata |= {"resourceVersion": resource_version(rng), "creationTimestamp": created}
    metadata["labels"] = {"example.com/owner": namespace.team}
    if chance(rng, 0.3):
        metadata["annotations"] = {"example.com/rotated": timestamp(past_time(rng, 60))}
    fields = {**field_set({"data": data}), "f:metadata": metadata_field_set(metadata), "f:type": {}}
    metadata["managedFields"] = [entry(manager, created, fields)]
    return {"metadata": metadata, "data": data, "type": type_}


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
