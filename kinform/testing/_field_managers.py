"""Server-side apply: the owners of fields, conflicts, and removed fields.

Keeps the owners in `metadata.managedFields`, in the format FieldsV1. A path is a tuple of its steps: `("f:spec",
"f:replicas")`. Lists are owned by element if their name is known (`LIST_KEYS`), otherwise as a whole.
Source: KEP-555; structured-merge-diff; the answers of kube-apiserver 1.36.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec

from kinform.testing import _status
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import entry, field_set, metadata_field_set
from kinform.testing._resources import ServedResource

Path = tuple[str, ...]
Owners = dict["Manager", set[Path]]

_MISSING = object()


class Manager(msgspec.Struct, frozen=True):
    """A manager of fields.

    Attributes:
        name: Its name.
        operation: `"Apply"` or `"Update"`. Writes of the same name with different operations are different managers.
        subresource: The subresource that it writes to, or `""`.
    """

    name: str
    operation: str
    subresource: str = ""


BEFORE = Manager("before-first-apply", "Update")


def record_update(old: Object | None, new: Object, manager: Manager, api_version: str, time: str) -> None:
    """Sets the managedFields of an object that is written by any verb but apply.

    The manager owns each field that it changes, and no other manager does.
    """
    owners = _owners(old) if old is not None else {}
    before, after = _paths(old or {}), _paths(new)
    changed = {path for path in after if path not in before or _leaf_differs(path, after, old or {}, new)}
    for other, paths in owners.items():
        paths.intersection_update(after)
        if other != manager:
            paths -= changed
    owners.setdefault(manager, set()).update(changed)
    _store(old, new, owners, api_version, time)


def apply(
    old: Object | None, wanted: Object, manager: Manager, resource: ServedResource, time: str, *, force: bool
) -> Object:
    """Returns the object after an apply; raises Refusal if other managers own fields.

    A field that the manager applied before, and no longer applies, is removed unless another manager owns it.
    """
    new = copy.deepcopy(old) if old is not None else {"metadata": {}}
    owners = _owners(old) if old is not None else {}
    if old is not None and not old["metadata"].get("managedFields"):
        owners[BEFORE] = set(_paths(old))
    paths = _paths(wanted)
    if not resource.custom:  # for a kind with a schema, an apply owns elements of lists, but not maps
        paths = {path: is_leaf for path, is_leaf in paths.items() if is_leaf or not path[-1].startswith("f:")}
    conflicts = [
        (other, path)
        for path in paths
        for other, theirs in owners.items()
        if other != manager and path in theirs and _leaf_differs(path, paths, new, wanted)
    ]
    if conflicts and not force:
        raise _status.apply_conflict(
            [
                (other.name, "" if other.operation == "Apply" else resource.api_version, _text(path))
                for other, path in conflicts
            ]
        )
    for other, path in conflicts:
        owners[other].discard(path)
    _merge_into(new, wanted, paths)
    dropped = owners.get(manager, set()) - paths.keys()
    owners[manager] = set(paths)
    kept = set[Path]().union(*owners.values())
    for path in sorted(dropped, key=len):
        if not any(each[: len(path)] == path for each in kept):
            _remove(new, path)
    _store(old, new, owners, resource.api_version, time)
    return new


def _merge_into(new: Object, wanted: Object, paths: dict[Path, bool]) -> None:
    metadata = wanted.get("metadata", {})
    new["metadata"].update({name: metadata[name] for name in ("name", "namespace") if name in metadata})
    for path, is_leaf in paths.items():
        if is_leaf or _value(new, path) is _MISSING:
            value = _value(wanted, path)
            _set(new, path, value if is_leaf else type(value)() if isinstance(value, list) else _key_of(path[-1]))


def _paths(obj: Object) -> dict[Path, bool]:
    """Returns the paths of all fields that a manager can own; True for a leaf."""
    fields = field_set({name: value for name, value in obj.items() if name not in ("apiVersion", "kind", "metadata")})
    if owned := metadata_field_set(obj.get("metadata", {})):
        fields["f:metadata"] = owned
    return {path: is_leaf for path, is_leaf in _flat(fields) if path != ("f:metadata",)}


def _flat(fields: Object, at: Path = ()) -> Iterator[tuple[Path, bool]]:
    for step, below in fields.items():
        if step == ".":
            continue
        path = (*at, step)
        if not below:
            yield path, True
        elif "." in below:
            yield path, False
        yield from _flat(below, path)


def _owners(obj: Object) -> Owners:
    found: Owners = {}
    for each in obj["metadata"].get("managedFields", ()):
        manager = Manager(each["manager"], each["operation"], each.get("subresource", ""))
        found[manager] = {path for path, _ in _flat(each["fieldsV1"])}
    return found


def _store(old: Object | None, new: Object, owners: Owners, api_version: str, time: str) -> None:
    """Sets managedFields. The time of an entry stays if its fields do."""
    before = old["metadata"].get("managedFields", ()) if old is not None else ()
    times = {(each["manager"], each["operation"], each.get("subresource", "")): each for each in before}
    managed = []
    for manager, paths in owners.items():
        if not paths:
            continue
        fields = _nested(paths)
        same = times.get((manager.name, manager.operation, manager.subresource))
        if same is None or same["fieldsV1"] != fields:
            same = entry(
                manager.name,
                time,
                fields,
                operation=manager.operation,
                subresource=manager.subresource,
                api_version=api_version,
            )
        managed.append(same)
    new["metadata"].pop("managedFields", None)
    if managed:
        new["metadata"]["managedFields"] = managed


def _nested(paths: set[Path]) -> Object:
    fields: Object = {}
    for path, following in pairwise([*sorted(paths), ()]):
        node = fields
        for step in path:
            node = node.setdefault(step, {})
        if following[: len(path)] == path:
            node["."] = {}
    return fields


def _leaf_differs(path: Path, paths: dict[Path, bool], old: Object, new: Object) -> bool:
    return paths[path] and _value(old, path) != _value(new, path)


def _key_of(step: str) -> Any:
    return json.loads(step[2:]) if step.startswith("k:") else {}


def _value(obj: Any, path: Path) -> Any:
    """Returns the value at a path, or `_MISSING`."""
    for step in path:
        kind, _, name = step.partition(":")
        if kind == "f":
            obj = obj.get(name, _MISSING) if isinstance(obj, dict) else _MISSING
        else:
            elements = obj if isinstance(obj, list) else ()
            obj = next((each for each in elements if _is_element(each, kind, name)), _MISSING)
        if obj is _MISSING:
            return obj
    return obj


def _is_element(element: Any, kind: str, key: str) -> bool:
    wanted = json.loads(key)
    if kind == "v":
        return bool(element == wanted)
    return isinstance(element, dict) and all(element.get(name) == value for name, value in wanted.items())


def _set(obj: Any, path: Path, value: Any) -> None:
    for step, following in pairwise(path):
        below = _value(obj, (step,))
        if below is _MISSING:
            below = [] if following[:2] in ("k:", "v:") else _key_of(step)
            _put(obj, step, below)
        obj = below
    _put(obj, path[-1], copy.deepcopy(value))


def _put(obj: Any, step: str, value: Any) -> None:
    kind, _, name = step.partition(":")
    if kind == "f":
        obj[name] = value
        return
    for at, element in enumerate(obj):
        if _is_element(element, kind, name):
            obj[at] = value
            return
    obj.append(value)


def _remove(obj: Any, path: Path) -> None:
    parent = _value(obj, path[:-1])
    if parent is _MISSING or _value(parent, path[-1:]) is _MISSING:
        return
    kind, _, name = path[-1].partition(":")
    if kind == "f":
        del parent[name]
    else:
        parent[:] = [each for each in parent if not _is_element(each, kind, name)]


def _text(path: Path) -> str:
    """Returns a path as in messages: `.spec.containers[name="web"].image`."""
    text = ""
    for step in path:
        kind, _, name = step.partition(":")
        if kind == "f":
            text += f".{name}"
        elif kind == "k":
            keys = ",".join(f"{field}={json.dumps(value)}" for field, value in json.loads(name).items())
            text += f"[{keys}]"
        else:
            text += f"[={name}]"
    return text
