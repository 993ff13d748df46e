"""Objects of the API server: identity, pruned JSON, and decoding."""

from __future__ import annotations

import re
from typing import Any, TypeVar, overload

import msgspec

from kinform._errors import DecodeError

T = TypeVar("T")

# A msgspec message ends with the path and may quote values before it. Only the path is copied.
_PATH = r"at `(\$[^`]*)`$"


class Meta(msgspec.Struct, frozen=True, gc=False):
    """Identity and version of an object, available without decoding it.

    Attributes:
        namespace: Its namespace; `""` for a cluster-scoped object.
        name: Its name.
        uid: Its uid; `""` if the server sends none, as some aggregated APIs do.
        resource_version: Its resourceVersion; `""` if the server sends none.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str

    @property
    def key(self) -> str:
        """`"namespace/name"`, or `"name"` for a cluster-scoped object."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Object(Meta, frozen=True, gc=False):
    """An object as the server sent it, pruned and not yet decoded.

    Attributes:
        namespace: Its namespace; `""` for a cluster-scoped object.
        name: Its name.
        uid: Its uid; `""` if the server sends none, as some aggregated APIs do.
        resource_version: Its resourceVersion; `""` if the server sends none.
        raw: Its pruned JSON: `apiVersion` and `kind` first, then the other members as sent.
    """

    raw: bytes

    @overload
    def decode(self) -> dict[str, Any]: ...
    @overload
    def decode(self, type: type[T]) -> T: ...
    def decode(self, type: Any = dict) -> Any:
        """Decodes the object. Each call returns a new object.

        Args:
            type: `dict`, or any type that msgspec decodes to.

        Raises:
            DecodeError: The object does not fit the type.
        """
        return decode_object(msgspec.json.Decoder(type), self.key, self.raw)

    def __repr__(self) -> str:
        return f"Object({self.key!r}, {len(self.raw)} bytes)"  # never the contents: it may be a Secret


def decode_object(decoder: msgspec.json.Decoder[T], key: str, raw: bytes) -> T:
    """Decodes the JSON of an object. The error names key and path, never a value."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = re.search(_PATH, str(error))
        raise DecodeError(key, found.group(1) if found else "") from None
