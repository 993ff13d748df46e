"""Parses the lines of a watch.

A line is scanned once for the type of the event and the identity of its object. If the program has read `raw_object` of
the event before, the line is decoded instead, which gives all of them.
Source: `unmarshal_event` of the clients.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kinform._errors import ProtocolError
from kinform._models.client import Client
from kinform._watch.events import PENDING, EventIdentity, ModelReader, WatchEvent, decode


class _Object(msgspec.Struct, gc=False):
    metadata: EventIdentity | None = None


class _Frame(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A line as a server of Kubernetes sends it. Any other line is decoded at once."""

    type: str
    object: _Object


_scan = msgspec.json.Decoder(_Frame).decode
_NOTHING = EventIdentity()


def parse_event(line: bytes, reader: ModelReader, *, strict: bool = True) -> WatchEvent:
    """Returns the event of a line.

    Args:
        line: The line.
        reader: The reader of its object.
        strict: True: bytes that are not UTF-8, and bookmarks without resourceVersion, are errors.

    Raises:
        ProtocolError: The line is not JSON, or not a watch event.
        ApiException: The line is a Status or an ERROR event. The class is that of the client.
        UnicodeDecodeError: The line is not UTF-8.
    """
    try:
        line.decode()
    except UnicodeDecodeError:
        if strict:
            raise
        line = line.decode(errors="replace").encode()
    event = _decode_event(line, reader) if reader.reads_raw else _scan_event(line, reader)
    reader.reads_raw = False
    if strict and event["type"].upper() == "BOOKMARK" and not event.resource_version:
        raise ProtocolError("Malformed JSON response for bookmark event, 'resourceVersion' is missing")
    return event


def is_json(line: bytes) -> bool:
    """Returns whether a line is complete JSON."""
    try:
        decode(line)
    except ValueError:
        return False
    return True


def _scan_event(line: bytes, reader: ModelReader) -> WatchEvent:
    try:
        frame = _scan(line)
    except msgspec.DecodeError:
        frame = None
    if frame is None or frame.type.upper() == "ERROR":
        return _decode_event(line, reader)
    fields = {"type": frame.type, "object": PENDING, "raw_object": PENDING}
    return WatchEvent(line, fields, frame.object.metadata or _NOTHING, reader, PENDING)


def _decode_event(line: bytes, reader: ModelReader) -> WatchEvent:
    try:
        fields = decode(line)
    except ValueError:
        raise ProtocolError("Malformed JSON response: a line of the watch is not JSON") from None
    if not isinstance(fields, dict) or "object" not in fields or not isinstance(fields.get("type"), str):
        if isinstance(fields, dict) and "code" in fields:
            raise _error_of(fields, reader.client)
        raise ProtocolError("Malformed JSON response, the 'object' and/or 'type' field is missing")
    if fields["type"].upper() == "ERROR":
        raise _error_of(fields["object"], reader.client)
    raw, fields["object"], fields["raw_object"] = fields["object"], PENDING, PENDING
    return WatchEvent(line, fields, _metadata_of(raw), reader, raw)


def _metadata_of(raw: Any) -> EventIdentity:
    metadata = raw.get("metadata") if isinstance(raw, dict) else None
    if not isinstance(metadata, dict):
        return _NOTHING

    def text(name: str) -> str | None:
        value = metadata.get(name)
        return value if isinstance(value, str) else None

    return EventIdentity(text("name"), text("namespace"), text("uid"), text("resourceVersion"))


def _error_of(status: Any, client: Client) -> Exception:
    """Returns the client's error for a Status."""
    known = status if isinstance(status, dict) else {}
    reason = f"{known.get('reason')}: {known.get('message')}"
    error: Exception = client.api_exception(status=known.get("code"), reason=reason)
    return error
