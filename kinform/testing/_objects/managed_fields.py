"""managedFields as kube-apiserver keeps them: which members of an object were set, and by whom.

Follows from the object alone. A list is gone into by its elements' keys, as the API's types say, or is set as a whole.
Source: structured-merge-diff's FieldsV1; the order of members is that of `ManagedFieldsEntry`.
"""

from __future__ import annotations

import json
from typing import Any

from kinform.testing._objects.kinds import Object

KEYED = {
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "podIPs": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
"""Lists whose elements are told apart, and by which of their members."""
WHOLE = {
    "configMapKeyRef",
    "fieldRef",
    "nodeSelector",
    "podSelector",
    "resourceFieldRef",
    "secretKeyRef",
}
"""Structs and maps that are set as a whole."""
BARE = {"conditions", "containers", "metadata", "spec", "status", "template"}
"""Structs that are no pointers, and lists that must be: that they are there is nobody's doing."""
IDENTITY = {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"}


def owned(value: Object, whole: frozenset[str] = frozenset()) -> Object:
    """What somebody owns who set all members of a struct or map.

    Args:
        value: The struct or map.
        whole: Members that are set as a whole here, besides those that always are.
    """
    found = {}
    for name, member in value.items():
        found[f"f:{name}"] = _inside(name, member, whole)
    return dict(sorted(found.items()))


def of_metadata(metadata: Object) -> Object:
    """What the creator of an object owns of its metadata: not its identity."""
    return owned({name: value for name, value in metadata.items() if name not in IDENTITY})


def entry(by: str, at: str, fields: Object, *, subresource: str = "", api_version: str = "v1") -> Object:
    """An element of managedFields."""
    found: Object = {"manager": by, "operation": "Update", "apiVersion": api_version, "time": at}
    found["fieldsType"], found["fieldsV1"] = "FieldsV1", fields
    if subresource:
        found["subresource"] = subresource
    return found


def _inside(name: str, member: Any, whole: frozenset[str]) -> Object:
    if not member or name in WHOLE or name in whole:
        return {}
    if isinstance(member, dict):
        return owned(member, whole) if name in BARE else {".": {}, **owned(member, whole)}
    if not isinstance(member, list):
        return {}
    keys = KEYED.get(name) or (_ports(member) if name == "ports" else None)
    if keys is None:
        return {}
    found = {}
    for each in member:
        key = json.dumps({key: each[key] for key in keys if key in each}, separators=(",", ":"))
        found[f"k:{key}"] = {} if keys == ("uid",) or len(each) == 1 else {".": {}, **owned(each, whole)}
    return dict(sorted(found.items())) if name in BARE else {".": {}, **dict(sorted(found.items()))}


def _ports(member: list[Object]) -> tuple[str, str]:
    return ("containerPort", "protocol") if "containerPort" in member[0] else ("port", "protocol")
