"""Known fields of every object of Kubernetes, and paths that they rule out.

Fields that later versions of Kubernetes may add are unknown, and match anything.
Source: ObjectMeta of k8s.io/apimachinery.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Kind = Literal["a scalar", "an object", "a list"]

_METADATA: dict[str, Kind] = {
    "annotations": "an object",
    "creationTimestamp": "a scalar",
    "deletionGracePeriodSeconds": "a scalar",
    "deletionTimestamp": "a scalar",
    "finalizers": "a list",
    "generateName": "a scalar",
    "generation": "a scalar",
    "labels": "an object",
    "managedFields": "a list",
    "name": "a scalar",
    "namespace": "a scalar",
    "ownerReferences": "a list",
    "resourceVersion": "a scalar",
    "selfLink": "a scalar",
    "uid": "a scalar",
}


def kind_of(path: Sequence[object]) -> Kind | None:
    """Returns what is at a path, or None if that is unknown.

    Every step but `[*]` is a string. The path must not have a dead end.
    """
    match path:
        case ["kind" | "apiVersion"]:
            return "a scalar"
        case ["metadata"]:
            return "an object"
        case ["metadata", str(name)]:
            return _METADATA.get(name)
        case ["metadata", "annotations" | "labels" | "finalizers", _]:
            return "a scalar"
    return None


def dead_end(path: Sequence[object]) -> int:
    """Returns the number of steps to a dead end, or 0.

    A dead end is a field in which the next step cannot match.
    """
    for length in range(1, len(path)):
        kind = kind_of(path[:length])
        if kind == "a scalar" or (kind == "a list" and isinstance(path[length], str)):
            return length
    return 0
