"""What a stream tells: objects come and go on the wire, or change in a store.

`Init`, `InitApply`, `InitDone`, `Apply` and `Delete` are the wire's (source: kube-runtime's `watcher::Event`);
`Added`, `Updated`, `Deleted` and `Synced` are a store's. None of them is ever changed after it is made.
"""

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


class Init(msgspec.Struct, frozen=True, gc=False):
    """A complete state begins to come. Whatever an earlier `Init` began and did not end is void."""


class InitApply(msgspec.Struct, frozen=True, gc=False):
    """An object of the state that is coming. The same key may come again; the last one counts."""

    object: Object


class InitDone(msgspec.Struct, frozen=True, gc=False):
    """The state is complete: what was not in it since `Init` is gone.

    Attributes:
        resource_version: Where the state stands.
    """

    resource_version: str = ""


class Apply(msgspec.Struct, frozen=True, gc=False):
    """An object was created or changed."""

    object: Object


class Delete(msgspec.Struct, frozen=True, gc=False):
    """An object was deleted. Between `Init` and `InitDone` it takes back an `InitApply`."""

    object: Object


class Added(msgspec.Struct, frozen=True, gc=False):
    """A store holds an object that it did not hold before."""

    key: str
    object: Any


class Updated(msgspec.Struct, frozen=True, gc=False):
    """A store holds a new version of an object.

    Attributes:
        old: The version before, or None where a slow reader let too many bytes wait, or the old version
            cannot be decoded.
    """

    key: str
    object: Any
    old: Any


class Deleted(msgspec.Struct, frozen=True, gc=False):
    """A store no longer holds an object.

    Attributes:
        object: Its last known state.
        synthetic: The deletion was not told by the server but found by a relist, by a new object of the same
            name, or by leaving a namespace.
    """

    key: str
    object: Any
    synthetic: bool


class Synced(msgspec.Struct, frozen=True, gc=False):
    """What was there at the start has been told; from here on it is what happens.

    Attributes:
        key: `""`, since it is about no object: so every change has a key.
    """

    key: str = ""
