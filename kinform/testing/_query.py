"""The parameters of LIST and WATCH, parsed and validated as in kube-apiserver.

Turns a query string into ListOptions or a Refusal, and a continue token into a position.
Source: ValidateListOptions and the continue token of apiserver 1.36, as observed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Literal

import msgspec

from kinform.testing import _status
from kinform.testing._resources import ServedResource
from kinform.testing._selectors import parse_fields, parse_labels
from kinform.testing._shards import parse_shards
from kinform.testing._storage import Selection

_FORBIDDEN = "FieldValueForbidden"
_MATCH = "resourceVersionMatch"
_TOKEN_VERSION = "meta.k8s.io/v1"


class ListOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The valid parameters of a LIST or WATCH."""

    watch: bool
    limit: int
    continue_: str
    version: str
    """The resourceVersion as sent."""
    match: Literal["", "Exact", "NotOlderThan"]
    timeout: int
    """Seconds; 0 leaves the choice to the server."""
    bookmarks: bool
    initial: bool | None
    selection: Selection


class Position(msgspec.Struct, frozen=True):
    """The position at which a continue token continues."""

    revision: int
    """The revision of the first page; -1 for the current one."""
    start: str
    """The first key, without the namespace if the request has one."""


def is_watch(params: Mapping[str, str]) -> bool:
    """Returns whether the parameters turn a LIST into a WATCH."""
    return _flag(params, "watch") is True


def parse_options(
    resource: ServedResource, namespace: str | None, params: Mapping[str, str], *, watch_list: bool, sharding: bool
) -> ListOptions:
    """Parses and validates the parameters; raises Refusal."""
    try:
        shards = parse_shards(params.get("shardSelector", "")) if sharding else ()
    except ValueError as error:
        raise _status.invalid_shards(str(error)) from None
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
    causes = _validate_watch(match, initial, params, watch_list) if watch else _validate_list(match, initial, params)
    if causes:
        raise _status.invalid(*causes)
    return ListOptions(
        watch=watch,
        limit=_number(params, "limit"),
        continue_=params.get("continue", ""),
        version=version,
        match=match,  # type: ignore[arg-type]  # validated above
        timeout=_number(params, "timeoutSeconds"),
        bookmarks=_flag(params, "allowWatchBookmarks") is True,
        initial=initial,
        selection=Selection(namespace=namespace or "", labels=labels, fields=fields, shards=shards),
    )


def _validate_list(match: str, initial: bool | None, params: Mapping[str, str]) -> list[tuple[str, str, str]]:
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


def _validate_watch(
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
    """Parses a resourceVersion; `""` gives 0. Raises ValueError."""
    if not version:
        return 0
    if not (version.isascii() and version.isdigit()) or int(version) >= 2**64:
        raise ValueError(f'Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax')
    return int(version)


def encode_token(position: Position) -> str:
    """Returns the continue token for a position."""
    token = msgspec.json.encode({"v": _TOKEN_VERSION, "rv": position.revision, "start": position.start})
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def decode_token(token: str) -> Position:
    """Returns the position of a continue token; raises Refusal."""
    reason = "continue key is not valid"
    try:
        decoded = msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        version, revision, start = decoded["v"], decoded["rv"], decoded["start"]
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise _status.bad_request(f"invalid continue token: {reason}") from None
    if version != _TOKEN_VERSION:
        reason = f"{reason}: server does not recognize this encoded version {version}"
    elif revision == 0:
        reason = f"{reason}: incorrect encoded start resourceVersion (version {_TOKEN_VERSION})"
    elif not start:
        reason = f"{reason}: encoded start key empty (version {_TOKEN_VERSION})"
    elif isinstance(revision, int) and isinstance(start, str) and ".." not in start.split("/"):
        return Position(revision, start)
    raise _status.bad_request(f"invalid continue token: {reason}")


def inconsistent(token: str) -> str:
    """Returns the token for the same position at the current revision."""
    return encode_token(Position(-1, decode_token(token).start))
