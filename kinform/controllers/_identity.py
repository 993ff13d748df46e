"""The identity of an object that a caller passes.

The object is a dict, a Struct, or JSON from a store.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from kinform._encoding import encode
from kinform._errors import OptionError
from kinform._printable import NOT_SHOWN

AnyIdentity: TypeAlias = Mapping[str, Any] | msgspec.Struct | bytes

_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
QUALIFIED_NAME: Final = re.compile(
    rf"(?:(?=[^/]{{1,253}}/){_LABEL}(?:\.{_LABEL})*/)?[A-Za-z0-9](?:[-\w.]{{0,61}}[A-Za-z0-9])?", re.ASCII
)
"""A name as Kubernetes has it for labels, finalizers and controllers: up to 63 characters, and a prefix of up to 253.

Source: `IsQualifiedName` of apimachinery.
"""
_OBJECT: Final = "an object: a dict, a msgspec.Struct, or bytes with JSON, as of `store.raw`"


class Metadata(msgspec.Struct, frozen=True, gc=False):
    """The part of the metadata that this package reads; null counts as missing."""

    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resourceVersion: str | None = None
    finalizers: list[str] | None = None


class Identity(msgspec.Struct, frozen=True, gc=False):
    """An object, without its contents."""

    apiVersion: str | None = None
    kind: str | None = None
    metadata: Metadata = Metadata()

    @property
    def key(self) -> str:
        """`"namespace/name"`, or `"name"` for a cluster-scoped object."""
        name = self.metadata.name or ""
        return f"{self.metadata.namespace}/{name}" if self.metadata.namespace else name


def read_identity(field: str, obj: AnyIdentity) -> tuple[Identity, bytes]:
    """Returns the identity of an object, and its JSON.

    Args:
        field: Name of the argument, for the error message.
        obj: The object.

    Raises:
        OptionError: It is no object, or has no name.
    """
    body = obj if isinstance(obj, bytes) else encode(field, obj, _OBJECT)
    try:
        identity = msgspec.json.decode(body, type=Identity)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # its text may quote a value
        raise OptionError(field, NOT_SHOWN, _OBJECT) from None
    if not identity.metadata.name:
        raise OptionError(f"{field}.metadata.name", identity.metadata.name, "the name of the object")
    return identity, body
