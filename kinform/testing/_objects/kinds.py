"""Objects and their kinds: types, keys, encoding, and updates."""

from __future__ import annotations

import json
from typing import Any

import msgspec

Object = dict[str, Any]
"""An API object as plain JSON values."""


class Kind(msgspec.Struct, frozen=True):
    """A kind of objects, as an API server serves it.

    Attributes:
        resource: `"v1/pods"`.
        kind: `"Pod"`.
        custom: Defined by a CRD: items of a LIST carry kind and apiVersion, and all keys are sorted.
    """

    resource: str
    kind: str
    custom: bool = False

    @property
    def api_version(self) -> str:
        """`"v1"` or `"apps/v1"`."""
        return self.resource.rpartition("/")[0]


def key_of(obj: Object) -> str:
    """Returns `"namespace/name"`, or `"name"` for a cluster-scoped object."""
    metadata = obj["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else str(metadata["name"])


def dump(value: object) -> bytes:
    """Encodes a value as compact JSON, without the escapes of Go's encoder."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def touch(obj: Object, version: int, now: str) -> None:
    """Changes an object in place, as a controller does, and sets its resourceVersion.

    A condition gets a new time, a container restarts, an event is counted; other kinds get an annotation. Changes only
    the parts that generated objects do not share: metadata, conditions and containerStatuses.
    """
    obj["metadata"]["resourceVersion"] = str(version)
    status = obj.get("status") or {}
    conditions, containers = status.get("conditions"), status.get("containerStatuses")
    if conditions:
        conditions[-1]["lastTransitionTime"] = now
    if containers:
        containers[0]["restartCount"] = containers[0].get("restartCount", 0) + 1
    if isinstance(obj.get("count"), int):
        obj["count"] += 1
        obj["lastTimestamp"] = now
    elif not conditions and not containers:
        obj["metadata"]["annotations"] = (obj["metadata"].get("annotations") or {}) | {"example.com/touched": now}
