"""What pruning means, in the plainest terms: decoded objects in, decoded objects out. The scanner is held to it.

A path is a tuple of names and of `...` for `[*]`. Written from the words of the API; shares no code with it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from types import EllipsisType
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | EllipsisType, ...]

ALWAYS: tuple[Path, ...] = (
    ("kind",),
    ("apiVersion",),
    *(("metadata", name) for name in ("name", "namespace", "uid", "resourceVersion")),
)
GONE = object()
TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)


def normalised(value: dict[str, Any], kind: str, api_version: str) -> dict[str, Any]:
    """`apiVersion` and `kind` in front, from the object or else as given."""
    found = {"apiVersion": value.get("apiVersion") or api_version, "kind": value.get("kind") or kind}
    return {name: text for name, text in found.items() if text} | {
        name: inner for name, inner in value.items() if name not in found
    }


def pruned(
    value: Any, drop: Sequence[Path] = (), keep: Sequence[Path] = (), keep_last: Mapping[Path, int] | None = None
) -> Any:
    """The lists shortened as they came, then `keep`, then `drop`."""
    value = _last(value, list((keep_last or {}).items()))
    if keep:
        value = _kept(value, [*keep, *ALWAYS])
    return _dropped(value, list(drop))


def _below(paths: list[Path], step: str | EllipsisType) -> list[Path]:
    return [path[1:] for path in paths if path and path[0] in (step, ...)]


def _kept(value: Any, paths: list[Path]) -> Any:
    if () in paths:
        return value
    return _inside(value, lambda step, inner: _kept(inner, _below(paths, step))) if paths else GONE


def _dropped(value: Any, paths: list[Path]) -> Any:
    if () in paths:
        return GONE
    result = _inside(value, lambda step, inner: _dropped(inner, _below(paths, step)))
    return value if result is GONE else result


def _inside(value: Any, change: Any) -> Any:
    if isinstance(value, dict):
        pairs = [(name, change(name, inner)) for name, inner in value.items()]
        return {name: inner for name, inner in pairs if inner is not GONE}
    if isinstance(value, list):
        return [inner for inner in (change(..., inner) for inner in value) if inner is not GONE]
    return GONE


def _last(value: Any, paths: list[tuple[Path, int]]) -> Any:
    here = [n for path, n in paths if not path]
    if isinstance(value, list) and here:
        value = _newest(value, min(here))
    below = [(path, n) for path, n in paths if path]
    if not below:
        return value
    result = _inside(value, lambda step, inner: _last(inner, [(p[1:], n) for p, n in below if p[0] in (step, ...)]))
    return value if result is GONE else result


def _newest(elements: list[Any], count: int) -> list[Any]:
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
    """Whole seconds and 18 digits of fraction; what is no time is before all times."""
    match = TIME.fullmatch(text or "")
    try:
        year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])  # type: ignore[union-attr]
        days = datetime.date(year, month, day).toordinal()
    except (AttributeError, ValueError):
        return float("-inf"), 0
    sign, hours, minutes = match[8], int(match[9] or 0), int(match[10] or 0)  # type: ignore[index]
    if hour > 23 or minute > 59 or second > 60 or hours > 23 or minutes > 59:
        return float("-inf"), 0
    shift = (hours * 60 + minutes) * (60 if sign == "+" else -60)
    fraction = int((match[7] or "")[:18].ljust(18, "0"))  # type: ignore[index]
    return ((days * 24 + hour) * 60 + minute) * 60 + second - shift, fraction
