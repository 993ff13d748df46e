"""What an object and its kind are, how an object is written, and how it changes. Makes none."""

from __future__ import annotations

import json
from typing import Any

import msgspec

Object = dict[str, Any]


class Kind(msgspec.Struct, frozen=True):
    """A sort of objects, as an API server serves it.

    Attributes:
        resource: `"v1/pods"`.
        kind: `"Pod"`.
        custom: Defined by a CRD: its objects carry their kind in a LIST, too, and their keys are sorted.
    """

    resource: str
    kind: str
    custom: bool = False

    @property
    def api_version(self) -> str:
        """`"v1"` or `"apps/v1"`."""
        return self.resource.rpartition("/")[0]


def key_of(found: Object) -> str:
    """`"namespace/name"`, or `"name"`."""
    metadata = found["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else str(metadata["name"])


def dump(value: object) -> bytes:
    """Compact JSON, as kube-apiserver writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def touch(found: Object, version: int, at: str) -> None:
    """Changes an object in place as controllers do: a condition, a counter, else an annotation; and its version.

    Nothing that made objects share is changed: metadata, conditions and containerStatuses are each object's own.
    """
    found["metadata"]["resourceVersion"] = str(version)
    status = found.get("status") or {}
    conditions, containers = status.get("conditions"), status.get("containerStatuses")
    if conditions:
        conditions[-1]["lastTransitionTime"] = at
    if containers:
        containers[0]["restartCount"] = containers[0].get("restartCount", 0) + 1
    if isinstance(found.get("count"), int):
        found["count"] += 1
        found["lastTimestamp"] = at
    elif not conditions and not containers:
        found["metadata"]["annotations"] = (found["metadata"].get("annotations") or {}) | {"example.com/touched": at}
