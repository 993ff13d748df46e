"""Custom resources of any kind: a small spec and a list of conditions."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from kinform.testing._objects.kinds import Kind, Object
from kinform.testing._objects.managed_fields import entry, field_set
from kinform.testing._objects.random_values import (
    between,
    past_time,
    pick,
    resource_version,
    sha256,
    suffix,
    timestamp,
    uid,
)
from kinform.testing._objects.topology import namespace_at

CONDITION_TYPES = ("Ready", "Synced")
CONDITIONS_PER_TYPE = 3
_ATOMIC = frozenset({"conditions"})  # an unstructured list has no keys


def custom_objects(kind: Kind, seed: int) -> Iterator[Object]:
    """Yields custom resources without end: about 2 KB of JSON each."""
    rng = random.Random(f"{seed} {kind.resource}")
    for number in itertools.count():
        yield custom_object(rng, kind, seed, number)


def custom_object(rng: random.Random, kind: Kind, seed: int, number: int) -> Object:
    """Returns a custom resource whose list has several conditions of each type."""
    created = past_time(rng, 200)
    conditions = [
        {
            "type": type_,
            "status": pick(rng, ("True", "True", "False")),
            "lastTransitionTime": timestamp(created + between(rng, 0, 600)),
            "reason": "Reconciled",
            "message": f"attempt {attempt} was observed",
            "observedGeneration": attempt,
        }
        for type_ in CONDITION_TYPES
        for attempt in range(1, CONDITIONS_PER_TYPE + 1)
    ]
    size = pick(rng, ("small", "medium", "large"))
    parameters = {f"key-{index}": sha256(rng)[:16] for index in range(4)}
    spec = {"size": size, "replicas": between(rng, 1, 9), "parameters": parameters}
    status = {"conditions": conditions, "observedGeneration": CONDITIONS_PER_TYPE}
    metadata: Object = {"name": f"{kind.kind.lower()}-{suffix(number, seed)}"}
    metadata |= {"namespace": namespace_at(seed, 12 + number % 30).name, "uid": uid(rng)}
    metadata |= {"resourceVersion": resource_version(rng), "generation": CONDITIONS_PER_TYPE}
    metadata |= {"creationTimestamp": timestamp(created), "labels": {"size": size}}
    fields = {"f:metadata": {"f:labels": {".": {}, "f:size": {}}}, "f:spec": field_set(spec)}
    status_fields, version = {"f:status": field_set(status, _ATOMIC)}, kind.api_version
    metadata["managedFields"] = [
        entry("operator", timestamp(created), fields, api_version=version),
        entry("operator", timestamp(created + 600), status_fields, subresource="status", api_version=version),
    ]
    return {"apiVersion": version, "kind": kind.kind, "metadata": metadata, "spec": spec, "status": status}
