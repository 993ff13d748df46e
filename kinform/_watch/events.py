"""Events of a Watch: dicts that decode their objects at the first access.

Reading `raw_object` decodes the JSON of the line. Reading `object` builds the model of the client.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from kinform._models.builders import builder_of
from kinform._models.client import Client


class EventIdentity(msgspec.Struct, gc=False):
    """The identity of the object of an event, from its metadata."""

    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resourceVersion: str | None = None


class _Pending:
    """Stands in an event for a value that is not decoded yet."""

    def __repr__(self) -> str:
        return "<not decoded: use dict(event)>"


PENDING: Any = _Pending()


class ModelReader:
    """Reads the objects of a stream as models of a client.

    Args:
        return_type: The type of `object`: a class, or a name. If it is empty, `object` is `raw_object`.
        client: The client that has this type.

    Attributes:
        client: The client.
        reads_raw: True: the program has read the `raw_object` of the last event.
    """

    def __init__(self, return_type: Any, client: Client) -> None:
        self.client = client
        self.reads_raw = False
        self._return_type = return_type

    def builds(self, type: str) -> bool:
        """Returns whether `object` is a model in an event of this type."""
        return bool(self._return_type) and type.upper() != "BOOKMARK"

    def build(self, line: bytes) -> Any:
        """Builds the model of a line, which shares nothing with `raw_object`."""
        return builder_of(self.client, self._return_type)(decode(line)["object"])


class WatchEvent(dict[str, Any]):
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

    __slots__ = ("_metadata", "_raw", "_reader", "line")

    def __init__(
        self, line: bytes, fields: dict[str, Any], metadata: EventIdentity, reader: ModelReader, raw: Any
    ) -> None:
        super().__init__(fields)
        self.line = line
        self._metadata = metadata
        self._reader = reader
        self._raw = raw

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
        return self._load(key) if value is PENDING else value

    def get(self, key: str, default: Any = None) -> Any:
        value = super().get(key, default)
        return self._load(key) if value is PENDING else value

    def _load(self, key: str) -> Any:
        value: Any
        if key == "object" and self._reader.builds(self["type"]):
            value = self._reader.build(self.line)
        elif key == "object" and "raw_object" in self:
            value = self["raw_object"]
        else:
            self._reader.reads_raw = True
            value = decode(self.line)["object"] if self._raw is PENDING else self._raw
            self._raw = PENDING
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
        for key in reversed(self):
            return key, self.pop(key)
        return super().popitem()  # raises the KeyError of a dict

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


def decode(line: bytes) -> Any:
    """Returns the value of a JSON text, as Python's own decoder does."""
    try:
        return msgspec.json.decode(line)
    except msgspec.DecodeError:  # such as NaN, which Python's decoder accepts
        import json

        return json.loads(line)
