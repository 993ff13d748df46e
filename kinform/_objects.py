"""Objects of the API server: identity, pruned JSON, and decoding."""

from __future__ import annotations

import re
from typing import Any, TypeVar, overload

import msgspec

from kinform._errors import DecodeError

T = TypeVar("T")

# The messages of msgspec may quote values. Only names of the type, and names of JSON types, are copied from them.
_PATH = re.compile(r" - at (?:`key` in )?`(\$[^`]*)`\Z")
_MISSING = re.compile(r"Object missing required field `([^`]*)`")
_EXPECTED = re.compile(r"Expected `([\w |]+)`, got `(\w+)`")
_UNKNOWN = "Object contains unknown field"


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
        raise DecodeError(key, *_place(error)) from None


def _place(error: Exception) -> tuple[str, str]:
    """Returns the path in the type at which an object does not fit, and the reason."""
    text = str(error)
    if text.startswith(_UNKNOWN):  # the name of the field, any text, can look like a path
        return "", "unknown field"
    of_type = error.__cause__ is not None  # the text of an exception that the type raised can quote anything
    if of_type:
        text = text.removeprefix(str(error.__cause__))
    found = _PATH.search(text)
    path = found[1] if found else ""
    what = text[: found.start()] if found else text
    if of_type:
        return path, ""
    if missing := _MISSING.fullmatch(what):
        return f"{path or '$'}.{missing[1]}", "missing"
    if expected := _EXPECTED.fullmatch(what):
        return path, f"expected {expected[1]}, got {expected[2]}"
    return path, ""
