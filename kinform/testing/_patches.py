"""Patches of objects: JSON Merge Patch, JSON Patch, and a part of strategic merge.

Each takes a document, changes nothing in place, and returns the patched one. A patch that cannot be applied raises a
Refusal.
Source: RFC 7386, RFC 6902, the `patchMergeKey` tags of the Kubernetes API, and the answers of kube-apiserver 1.36.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from kinform.testing import _status
from kinform.testing._objects.kinds import Object

MERGE_KEYS = {
    "addresses": "type",
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "podIPs": "ip",
    "taints": "key",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
"""Lists whose elements strategic merge patches one by one, and the field that identifies an element."""
_SETS = ("finalizers", "podCIDRs")
_DIRECTIVE = "$patch"


def merge(target: Any, patch: Any) -> Any:
    """Applies a JSON Merge Patch."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


# Strategic merge


def strategic_merge(target: Object, patch: Object) -> Object:
    """Applies a strategic merge patch, with the directive `$patch`; refuses others."""
    patch = dict(patch)
    directive = patch.pop(_DIRECTIVE, "merge")
    if directive == "replace":
        return patch
    if directive != "merge":
        raise _status.bad_request(f"{_DIRECTIVE}: {directive} is not simulated here")
    merged = dict(target)
    for name, value in patch.items():
        if name.startswith("$"):
            raise _status.bad_request(f"{name.partition('/')[0]} is not simulated")
        old = merged.get(name)
        if value is None or (isinstance(value, dict) and value.get(_DIRECTIVE) == "delete"):
            merged.pop(name, None)
        elif isinstance(value, dict):
            merged[name] = strategic_merge(old if isinstance(old, dict) else {}, value)
        elif isinstance(value, list):
            merged[name] = _merge_list(name, old if isinstance(old, list) else [], value)
        else:
            merged[name] = value
    return merged


def _merge_list(name: str, old: list[Any], patch: list[Any]) -> list[Any]:
    """Returns the elements of the patch, then the others, as the server does."""
    if name in _SETS:
        return patch + [element for element in old if element not in patch]
    key = "containerPort" if name == "ports" and any("containerPort" in each for each in old + patch) else ""
    key = key or ("port" if name == "ports" else MERGE_KEYS.get(name, ""))
    if not key:
        return patch
    if any(element.get(_DIRECTIVE) == "replace" for element in patch):
        return [element for element in patch if _DIRECTIVE not in element]
    if any(key not in element for element in patch):
        raise _status.merge_key_missing(key)
    before = {element.get(key): element for element in old}
    merged = []
    for element in patch:
        mine = before.pop(element[key], {})
        if element.get(_DIRECTIVE) != "delete":
            merged.append(strategic_merge(mine, element))
    return merged + list(before.values())


# JSON Patch


def json_patch(target: Object, operations: list[Any]) -> Object:
    """Applies a JSON Patch. As in kube-apiserver, `replace` adds a missing member."""
    document: Any = copy.deepcopy(target)
    for operation in operations:
        try:
            document = _operate(document, operation)
        except (KeyError, IndexError, TypeError, ValueError):
            raise _status.unprocessable() from None
    if not isinstance(document, dict):
        raise _status.unprocessable()
    return document


def _operate(document: Any, operation: Mapping[str, Any]) -> Any:
    path = _pointer(operation["path"])
    match operation["op"]:
        case "add":
            return _put(document, path, operation["value"], insert=True)
        case "replace":
            return _put(document, path, operation["value"], insert=False)
        case "remove":
            return _remove(document, path)
        case "test":
            if _find(document, path) != operation["value"]:
                raise ValueError("the test failed")
            return document
        case "copy":
            return _put(document, path, copy.deepcopy(_find(document, _pointer(operation["from"]))), insert=True)
        case "move":
            source = _pointer(operation["from"])
            value = _find(document, source)
            return _put(_remove(document, source), path, value, insert=True)
    raise ValueError("unknown operation")


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError("not a JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _find(value: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(value, list):
            value = value[_index(part)]
        elif part in value or part != path[-1]:
            value = value[part]
        else:
            return None  # a missing member equals null
    return value


def _put(document: Any, path: list[str], value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    parent = _find(document, path[:-1])
    if isinstance(parent, list):
        if insert:
            at = len(parent) if path[-1] == "-" else _index(path[-1])
            if at > len(parent):
                raise IndexError(at)
            parent.insert(at, value)
        else:
            parent[_index(path[-1])] = value
    else:
        parent[path[-1]] = value
    return document


def _remove(document: Any, path: list[str]) -> Any:
    parent = _find(document, path[:-1])
    if isinstance(parent, list):
        del parent[_index(path[-1])]
    else:
        del parent[path[-1]]
    return document


def _index(part: str) -> int:
    if not part.isdecimal():
        raise ValueError("not an index")
    return int(part)
