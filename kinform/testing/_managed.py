"""managedFields as kube-apiserver keeps them: who set which field, as a tree of keys.

Computes fieldsV1 from an object, with the merge keys of the types in use. Source: structured-merge-diff's
field sets, as seen in `kubectl get -o json --show-managed-fields`.
"""

from __future__ import annotations

from typing import Any

from kinform.testing._encoding import dumps

# By which members the elements of a list are told apart; a list that is not here is one value.
_MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "podIPs": ("ip",),
    "ports": ("containerPort", "protocol"),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
# These always belong to somebody as a whole, or never do.
_OWNED = ("annotations", "data", "labels")
_UNOWNED = ("conditions", "containers")
_WHOLE = ("matchLabels", "nodeSelector", "selector")


def fields_of(value: Any, name: str = "", depth: int = 0) -> dict[str, Any]:
    """The field set of a value: `{"f:spec": {"f:replicas": {}}}`."""
    if isinstance(value, dict) and value and name not in _WHOLE:
        fields: dict[str, Any] = {".": {}} if depth > 2 or name in _OWNED else {}
        fields.update((f"f:{key}", fields_of(inner, key, depth + 1)) for key, inner in sorted(value.items()))
        return fields
    keys = _MERGE_KEYS.get(name)
    if isinstance(value, list) and value and keys and all(isinstance(item, dict) for item in value):
        elements = sorted(((_element(item, keys), item) for item in value), key=lambda pair: pair[0])
        dot: dict[str, Any] = {} if name in _UNOWNED else {".": {}}
        return dot | {element: fields_of(item, "", depth + 2) for element, item in elements}
    return {}


def _element(item: dict[str, Any], keys: tuple[str, ...]) -> str:
    return f"k:{dumps({key: item[key] for key in keys if key in item}).decode()}"


def managed(
    manager: str, fields: dict[str, Any], api_version: str, time: str, *, status: bool = False
) -> dict[str, Any]:
    """One entry of managedFields."""
    entry = {
        "manager": manager,
        "operation": "Update",
        "apiVersion": api_version,
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    if status:
        entry["subresource"] = "status"
    return entry
