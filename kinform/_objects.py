"""One object of the API server: `Meta` says which it is, `Object` holds its pruned JSON, `decode` decodes it."""

from __future__ import annotations

import re
from typing import Any, TypeVar, overload

import msgspec

from kinform._errors import DecodeError

T = TypeVar("T")

# msgspec ends its messages with the path, and may quote values before it: only the path is taken over.
_PATH = re.compile(r"at `(\$[^`]*)`$")


class Meta(msgspec.Struct, frozen=True, gc=False):
    """Who an object is, read without decoding it.

    Attributes:
        namespace: `""` for a cluster-scoped object.
        name: Its name.
        uid: Its uid, or `""` where the server gives none (aggregated APIs).
        resource_version: Its resourceVersion, or `""` likewise.
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
    """One object as it came, pruned and not yet decoded.

    Attributes:
        raw: Its JSON, pruned: `apiVersion` and `kind` first, then what the server sent.
    """

    raw: bytes

    @overload
    def decode(self) -> dict[str, Any]: ...
    @overload
    def decode(self, type: type[T]) -> T: ...
    def decode(self, type: Any = dict) -> Any:
        """Decodes the object afresh.

        Args:
            type: `dict`, or any type that msgspec decodes to.

        Raises:
            DecodeError: The bytes do not fit the type.
        """
        return decode(msgspec.json.Decoder(type), self.key, self.raw)

    def __repr__(self) -> str:
        return f"Object({self.key!r}, {len(self.raw)} bytes)"  # never the contents: it may be a Secret


def decode(decoder: msgspec.json.Decoder[T], key: str, raw: bytes) -> T:
    """Decodes one object's JSON; a failure names key and path, never a value."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = _PATH.search(str(error))
        raise DecodeError(key, found.group(1) if found else "") from None
