"""managedFields as kube-apiserver keeps them: which manager set which fields.

Derives fieldsV1 from the object. The elements of a list are owned one by one where the API's type defines a key for
them; other lists are owned as a whole.
Source: FieldsV1 of structured-merge-diff; the key order is that of `ManagedFieldsEntry`.
"""

from __future__ import annotations

import json
from typing import Any

from kinform.testing._objects.kinds import Object

LIST_KEYS = {
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
"""Lists with owned elements, and the fields that identify an element."""
ATOMIC = {
    "configMapKeyRef",
    "fieldRef",
    "nodeSelector",
    "podSelector",
    "resourceFieldRef",
    "secretKeyRef",
}
"""Structs and maps that are owned as a whole."""
ALWAYS_PRESENT = {"conditions", "containers", "metadata", "spec", "status", "template"}
"""Structs that are not pointers, and required lists: their presence has no owner, so that they have no `.`."""
SERVER_SET = {
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "uid",
}
"""Fields of metadata that no manager owns."""


def field_set(value: Object, atomic: frozenset[str] = frozenset()) -> Object:
    """Returns the field set of a manager that set all fields of a struct or map.

    Args:
        value: The struct or map.
        atomic: Fields that are owned as a whole here, in addition to `ATOMIC`.
    """
    return dict(sorted((f"f:{name}", _of_field(name, field, atomic)) for name, field in value.items()))


def metadata_field_set(metadata: Object) -> Object:
    """Returns the field set of the manager that created an object with this metadata."""
    return field_set({name: value for name, value in metadata.items() if name not in SERVER_SET})


def entry(
    manager: str,
    time: str,
    fields: Object,
    *,
    operation: str = "Update",
    subresource: str = "",
    api_version: str = "v1",
) -> Object:
    """Returns an element of managedFields."""
    made: Object = {"manager": manager, "operation": operation, "apiVersion": api_version, "time": time}
    made["fieldsType"], made["fieldsV1"] = "FieldsV1", fields
    if subresource:
        made["subresource"] = subresource
    return made


def _of_field(name: str, value: Any, atomic: frozenset[str]) -> Object:
    if not value or name in ATOMIC or name in atomic:
        return {}
    if isinstance(value, dict):
        return field_set(value, atomic) if name in ALWAYS_PRESENT else {".": {}, **field_set(value, atomic)}
    if not isinstance(value, list):
        return {}
    if name == "finalizers":  # a set
        return {".": {}, **{f"v:{json.dumps(element)}": {} for element in sorted(value)}}
    keys = LIST_KEYS.get(name) or (_port_keys(value) if name == "ports" else None)
    if keys is None:
        return {}
    elements = {}
    for element in value:
        key = json.dumps({name: element[name] for name in keys if name in element}, separators=(",", ":"))
        alone = keys == ("uid",) or len(element) == 1
        elements[f"k:{key}"] = {} if alone else {".": {}, **field_set(element, atomic)}
    ordered = dict(sorted(elements.items()))
    return ordered if name in ALWAYS_PRESENT else {".": {}, **ordered}


def _port_keys(ports: list[Object]) -> tuple[str, str]:
    return ("containerPort", "protocol") if "containerPort" in ports[0] else ("port", "protocol")
