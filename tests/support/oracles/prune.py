"""The oracle of pruning: decoded objects in, decoded objects out.

The scanner must give the same result. A path is a tuple of field names, with `...` for `[*]`. Written from
the documentation of `Prune`; shares no code with it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from types import EllipsisType
from typing import Any, TypeAlias

FieldPath: TypeAlias = tuple[str | EllipsisType, ...]

ALWAYS_KEPT: tuple[FieldPath, ...] = (
    ("kind",),
    ("apiVersion",),
    *(("metadata", name) for name in ("name", "namespace", "uid", "resourceVersion")),
)
REMOVED = object()
TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)
BEFORE_ALL_TIMES = (float("-inf"), 0)


def put_type_first(value: dict[str, Any], kind: str, api_version: str) -> dict[str, Any]:
    """Returns the object with `apiVersion` and `kind` first, by default those given."""
    found = {"apiVersion": value.get("apiVersion") or api_version, "kind": value.get("kind") or kind}
    return {name: text for name, text in found.items() if text} | {
        name: inner for name, inner in value.items() if name not in found
    }


def prune_object(
    value: Any,
    drop: Sequence[FieldPath] = (),
    keep: Sequence[FieldPath] = (),
    keep_last: Mapping[FieldPath, int] | None = None,
) -> Any:
    """Returns the object after `keep_last`, then `keep`, then `drop`."""
    value = _shorten_lists(value, list((keep_last or {}).items()))
    if keep:
        value = _keep(value, [*keep, *ALWAYS_KEPT])
    return _drop(value, list(drop))


def _below(paths: list[FieldPath], step: str | EllipsisType) -> list[FieldPath]:
    return [path[1:] for path in paths if path and path[0] in (step, ...)]


def _keep(value: Any, paths: list[FieldPath]) -> Any:
    if () in paths:
        return value
    return _map_children(value, lambda step, inner: _keep(inner, _below(paths, step))) if paths else REMOVED


def _drop(value: Any, paths: list[FieldPath]) -> Any:
    if () in paths:
        return REMOVED
    result = _map_children(value, lambda step, inner: _drop(inner, _below(paths, step)))
    return value if result is REMOVED else result


def _map_children(value: Any, change: Callable[[str | EllipsisType, Any], Any]) -> Any:
    """Applies `change` to each field or element; REMOVED for a scalar."""
    if isinstance(value, dict):
        pairs = [(name, change(name, inner)) for name, inner in value.items()]
        return {name: inner for name, inner in pairs if inner is not REMOVED}
    if isinstance(value, list):
        return [inner for inner in (change(..., inner) for inner in value) if inner is not REMOVED]
    return REMOVED


def _shorten_lists(value: Any, counts: list[tuple[FieldPath, int]]) -> Any:
    here = [n for path, n in counts if not path]
    if isinstance(value, list) and here:
        value = _newest(value, min(here))
    below = [(path, n) for path, n in counts if path]
    if not below:
        return value
    result = _map_children(
        value, lambda step, inner: _shorten_lists(inner, [(path[1:], n) for path, n in below if path[0] in (step, ...)])
    )
    return value if result is REMOVED else result


def _newest(elements: list[Any], count: int) -> list[Any]:
    """Returns the newest `count` elements of each type.

    Returns the last `count` elements if none has a type.
    """

    def text(element: Any, name: str) -> str | None:
        found = element.get(name) if isinstance(element, dict) else None
        return found if isinstance(found, str) else None

    types = [text(element, "type") for element in elements]
    if all(type_ is None for type_ in types):
        return elements[-count:]
    ages = [(_seconds(text(element, "lastTransitionTime")), at) for at, element in enumerate(elements)]
    return [
        element
        for at, element in enumerate(elements)
        if sum(types[other] == types[at] and ages[other] > ages[at] for other in range(len(elements))) < count
    ]


def _seconds(text: str | None) -> tuple[float, int]:
    """Parses a time into whole seconds and 18 digits of fraction."""
    match = TIME.fullmatch(text or "")
    try:
        year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])  # type: ignore[union-attr]
        days = datetime.date(year, month, day).toordinal()
    except (AttributeError, ValueError):
        return BEFORE_ALL_TIMES
    sign, hours, minutes = match[8], int(match[9] or 0), int(match[10] or 0)  # type: ignore[index]
    if hour > 23 or minute > 59 or second > 60 or hours > 23 or minutes > 59:
        return BEFORE_ALL_TIMES
    shift = (hours * 60 + minutes) * (60 if sign == "+" else -60)
    fraction = int((match[7] or "")[:18].ljust(18, "0"))  # type: ignore[index]
    return ((days * 24 + hour) * 60 + minute) * 60 + second - shift, fraction
