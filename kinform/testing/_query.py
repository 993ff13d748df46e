"""The parameters of LIST and WATCH, read and judged as kube-apiserver judges them.

From a query string to ListOptions, or to the refusal a real server gives; from a continue token to a place.
Source: ValidateListOptions and the continue token of apiserver 1.36, as observed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Literal

import msgspec

from kinform.testing import _status
from kinform.testing._resources import Resource
from kinform.testing._selectors import parse_fields, parse_labels
from kinform.testing._storage import Selection

_FORBIDDEN = "FieldValueForbidden"
_MATCH = "resourceVersionMatch"
_TOKEN_VERSION = "meta.k8s.io/v1"


class ListOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a LIST or WATCH asks for."""

    watch: bool
    limit: int
    continue_: str
    version: str
    """The resourceVersion as sent."""
    match: Literal["", "Exact", "NotOlderThan"]
    timeout: int
    """Seconds; 0 where the server may choose."""
    bookmarks: bool
    initial: bool | None
    selection: Selection


class Place(msgspec.Struct, frozen=True):
    """Where a continue token goes on."""

    revision: int
    """-1: at whatever is current."""
    start: str


def is_watch(params: Mapping[str, str]) -> bool:
    """Whether these parameters make a LIST a WATCH."""
    return _flag(params, "watch") is True


def parse_options(
    resource: Resource, namespace: str | None, params: Mapping[str, str], *, watch_list: bool
) -> ListOptions:
    """Reads and judges the parameters; raises Refusal."""
    try:
        labels = parse_labels(params.get("labelSelector", ""))
        fields = parse_fields(params.get("fieldSelector", ""), resource.selectable(), resource.unsupported)
    except ValueError as error:
        raise _status.bad_request(str(error)) from None
    watch = is_watch(params)
    initial = _flag(params, "sendInitialEvents")
    match = params.get(_MATCH, "")
    version = params.get("resourceVersion", "")
    if watch and watch_list and initial is None and not match and version in ("", "0"):
        initial, match = True, "NotOlderThan"
    causes = _judge_watch(match, initial, params, watch_list) if watch else _judge_list(match, initial, params)
    if causes:
        raise _status.invalid(*causes)
    return ListOptions(
        watch=watch,
        limit=_number(params, "limit"),
        continue_=params.get("continue", ""),
        version=version,
        match=match,  # type: ignore[arg-type]  # judged above
        timeout=_number(params, "timeoutSeconds"),
        bookmarks=_flag(params, "allowWatchBookmarks") is True,
        initial=initial,
        selection=Selection(namespace=namespace or "", labels=labels, fields=fields),
    )


def _judge_list(match: str, initial: bool | None, params: Mapping[str, str]) -> list[tuple[str, str, str]]:
    causes = []
    if match:
        version = params.get("resourceVersion", "")
        if not version:
            message = f"Forbidden: {_MATCH} is forbidden unless resourceVersion is provided"
            causes.append((_MATCH, _FORBIDDEN, message))
        if params.get("continue"):
            causes.append((_MATCH, _FORBIDDEN, f"Forbidden: {_MATCH} is forbidden when continue is provided"))
        if match not in ("Exact", "NotOlderThan"):
            message = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'
            causes.append((_MATCH, "FieldValueNotSupported", message))
        if match == "Exact" and version == "0":
            message = f'Forbidden: {_MATCH} "exact" is forbidden for resourceVersion "0"'
            causes.append((_MATCH, _FORBIDDEN, message))
    if initial is not None:
        message = "Forbidden: sendInitialEvents is forbidden for list"
        causes.append(("sendInitialEvents", _FORBIDDEN, message))
    return causes


def _judge_watch(
    match: str, initial: bool | None, params: Mapping[str, str], watch_list: bool
) -> list[tuple[str, str, str]]:
    causes = []
    if initial is not None:
        if match != "NotOlderThan":
            message = f"Forbidden: sendInitialEvents requires setting {_MATCH} to NotOlderThan"
            causes.append((_MATCH, _FORBIDDEN, message))
        if not watch_list:
            message = "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
            causes.append(("sendInitialEvents", _FORBIDDEN, message))
    if match:
        if initial is None:
            message = f"Forbidden: {_MATCH} is forbidden for watch unless sendInitialEvents is provided"
            causes.append((_MATCH, _FORBIDDEN, message))
        if match != "NotOlderThan":
            message = f'Unsupported value: "{match}": supported values: "NotOlderThan"'
            causes.append((_MATCH, "FieldValueNotSupported", message))
        if params.get("continue"):
            causes.append((_MATCH, _FORBIDDEN, f"Forbidden: {_MATCH} is forbidden when continue is provided"))
    return causes


def _flag(params: Mapping[str, str], name: str) -> bool | None:
    value = params.get(name)
    return None if value is None else value.lower() not in ("false", "0")


def _number(params: Mapping[str, str], name: str) -> int:
    value = params.get(name, "")
    if not value:
        return 0
    try:
        return int(value)
    except ValueError:
        raise _status.bad_request(f'strconv.ParseInt: parsing "{value}": invalid syntax') from None


def revision_of(version: str) -> int:
    """The number in a resourceVersion, 0 for none; raises ValueError."""
    if not version:
        return 0
    if not (version.isascii() and version.isdigit()) or int(version) >= 2**64:
        raise ValueError(f'Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax')
    return int(version)


def encode_token(place: Place) -> str:
    """The continue token for a place."""
    token = msgspec.json.encode({"v": _TOKEN_VERSION, "rv": place.revision, "start": place.start})
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def decode_token(token: str) -> Place:
    """The place of a continue token; raises Refusal."""
    why = "continue key is not valid"
    try:
        decoded = msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        version, revision, start = decoded["v"], decoded["rv"], decoded["start"]
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise _status.bad_request(f"invalid continue token: {why}") from None
    if version != _TOKEN_VERSION:
        why = f"{why}: server does not recognize this encoded version {version}"
    elif revision == 0:
        why = f"{why}: incorrect encoded start resourceVersion (version {_TOKEN_VERSION})"
    elif not start:
        why = f"{why}: encoded start key empty (version {_TOKEN_VERSION})"
    elif isinstance(revision, int) and isinstance(start, str) and ".." not in start.split("/"):
        return Place(revision, start)
    raise _status.bad_request(f"invalid continue token: {why}")


def inconsistent(token: str) -> str:
    """The token that goes on from the same place at whatever is current."""
    return encode_token(Place(-1, decode_token(token).start))
