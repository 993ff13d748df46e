"""Events of a Watch: dicts that decode their objects at the first access.

A line is scanned once for the type and the identity of its object. Reading `raw_object` decodes the JSON, and reading
`object` builds the model of the client.
Source: `unmarshal_event` of the clients.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from kinform._errors import ProtocolError
from kinform._watch.functions import Client
from kinform._watch.models import builder_of


class _Metadata(msgspec.Struct, gc=False):
    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resourceVersion: str | None = None


class _Object(msgspec.Struct, gc=False):
    metadata: _Metadata | None = None


class _Frame(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A line as a server of Kubernetes sends it. Any other line is decoded at once."""

    type: str
    object: _Object


_decode_frame = msgspec.json.Decoder(_Frame).decode
_NOTHING = _Metadata()


class _Pending:
    """Stands in an event for a value that is not decoded yet."""

    def __repr__(self) -> str:
        return "<not decoded: use dict(event)>"


_PENDING: Any = _Pending()


class Event(dict[str, Any]):
    """A watch event: `type`, `object`, `raw_object`, and what else the server sent.

    `raw_object` is decoded at the first access to it, and `object` is built at the first access to it, each from the
    bytes of the event. Copies, pickles and merges of an event are plain dicts with all values. Code in C that reads the
    memory of a dict, such as orjson, needs `dict(event)`.

    Attributes:
        key: The key of the object, `"namespace/name"` or `"name"`; `""` if it has no name.
        uid: Its uid, or `""`.
        resource_version: Its resourceVersion, or `""`.
        line: The bytes of the event. None of these attributes decodes the object.
    """

    __slots__ = ("_client", "_metadata", "_return_type", "line")

    def __init__(self, line: bytes, fields: dict[str, Any], metadata: _Metadata, return_type: Any, client: Client):
        super().__init__(fields)
        self.line = line
        self._metadata = metadata
        self._return_type = return_type
        self._client = client

    @property
    def key(self) -> str:
        name, namespace = self._metadata.name or "", self._metadata.namespace
        return f"{namespace}/{name}" if namespace else name

    @property
    def uid(self) -> str:
        return self._metadata.uid or ""

    @property
    def resource_version(self) -> str:
        return self._metadata.resourceVersion or ""

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        return self._load(key) if value is _PENDING else value

    def get(self, key: str, default: Any = None) -> Any:
        value = super().get(key, default)
        return self._load(key) if value is _PENDING else value

    def _load(self, key: str) -> Any:
        if key == "object" and self._return_type and self["type"].upper() != "BOOKMARK":
            # Not from `raw_object`: the program may have changed it, or may change the model later.
            value = builder_of(self._client, self._return_type)(decode(self.line)["object"])
        elif key == "object":
            value = self["raw_object"]
        else:
            value = decode(self.line)["object"]
        self[key] = value
        return value

    def _plain(self) -> dict[str, Any]:
        """Returns a plain dict with all values."""
        return {key: self[key] for key in self}

    # Overridden so that `dict(event)`, `{**event}` and `update` ask for the values instead of reading the memory.
    def __iter__(self) -> Iterator[str]:
        return super().__iter__()

    def items(self) -> Any:
        return self._plain().items()

    def values(self) -> Any:
        return self._plain().values()

    def copy(self) -> dict[str, Any]:
        return self._plain()

    def pop(self, key: str, *default: Any) -> Any:
        self.get(key)
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        key = next(reversed(self))
        return key, self.pop(key)

    def setdefault(self, key: str, default: Any = None) -> Any:
        super().setdefault(key, default)
        return self[key]

    def __eq__(self, other: object) -> bool:
        return self._plain() == other

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __or__(self, other: Any) -> Any:
        return self._plain() | other

    def __ror__(self, other: Any) -> Any:
        return other | self._plain()

    def __repr__(self) -> str:
        return repr(self._plain())

    def __reduce__(self) -> Any:
        return dict, (self._plain(),)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__reduce__()


def parse_event(line: bytes, return_type: Any, client: Client) -> Event:
    """Returns the event of a line.

    Args:
        line: The line, in UTF-8.
        return_type: The type of `object`: a class, or a name. If it is empty, `object` is `raw_object`.
        client: The client that has this type.

    Raises:
        ProtocolError: The line is not JSON, or not a watch event.
        ApiException: The line is a Status or an ERROR event. The class is that of the client.
    """
    try:
        frame = _decode_frame(line)
    except msgspec.DecodeError:
        frame = None
    if frame is None:
        return _parse_unusual(line, return_type, client)
    if frame.type.upper() == "ERROR":
        raise _error_of(decode(line)["object"], client)
    fields = {"type": frame.type, "object": _PENDING, "raw_object": _PENDING}
    return Event(line, fields, frame.object.metadata or _NOTHING, return_type, client)


def _parse_unusual(line: bytes, return_type: Any, client: Client) -> Event:
    """Parses a line with other fields, or with an object that is not as usual."""
    try:
        fields = decode(line)
    except ValueError:
        raise ProtocolError("Malformed JSON response: a line of the watch is not JSON") from None
    if not isinstance(fields, dict) or "object" not in fields or not isinstance(fields.get("type"), str):
        if isinstance(fields, dict) and "code" in fields:
            raise _error_of(fields, client)
        raise ProtocolError("Malformed JSON response, the 'object' and/or 'type' field is missing")
    if fields["type"].upper() == "ERROR":
        raise _error_of(fields["object"], client)
    found = fields["raw_object"] = fields["object"]
    fields["object"] = _PENDING
    metadata = found.get("metadata") if isinstance(found, dict) else None
    known = metadata if isinstance(metadata, dict) else {}
    texts = {name: value for name in _Metadata.__struct_fields__ if isinstance(value := known.get(name), str)}
    return Event(line, fields, _Metadata(**texts), return_type, client)


def is_json(line: bytes) -> bool:
    """Returns whether a line is complete JSON."""
    try:
        decode(line)
    except ValueError:
        return False
    return True


def decode(line: bytes) -> Any:
    """Returns the value of a JSON text, as Python's own decoder does."""
    try:
        return msgspec.json.decode(line)
    except msgspec.DecodeError:  # such as NaN, which Python's decoder accepts
        import json

        return json.loads(line)


def _error_of(status: Any, client: Client) -> Exception:
    """Returns the client's error for a Status."""
    known = status if isinstance(status, dict) else {}
    reason = f"{known.get('reason')}: {known.get('message')}"
    error: Exception = client.api_exception(status=known.get("code"), reason=reason)
    return error
