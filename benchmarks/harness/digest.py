"""A digest of a collection's content, independent of the order of the objects.

It has two parts. *Identity* covers key, uid, resourceVersion and labels of each object: programs in other languages
compute it too, from any form of an object. *Content* covers every value except managedFields, for programs that keep
objects as the server sent them. The digest of an object is a SHA-256; XOR combines them. It needs no memory for the
objects, because the measured process computes it. Programs without kinform import this module, so it imports nothing of
kinform.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec


class WrongContent(Exception):
    """The copy of a process differs from the server. No figure of it is reported."""


class Identity(msgspec.Struct, gc=False):
    """The part of metadata that identity covers."""

    uid: str = ""
    resourceVersion: str = ""
    labels: dict[str, str] | None = None


class Identified(msgspec.Struct, gc=False):
    """The part of an object that identity covers."""

    metadata: Identity


class Digest:
    """The number of objects, and the combination of their digests."""

    def __init__(self) -> None:
        self._count = 0
        self._identity = 0
        self._content: int | None = None

    def add(self, key: str, uid: str, version: str, labels: Mapping[str, str] | None) -> None:
        """Adds the identity of one object.

        The text that is hashed, in UTF-8: key, uid and resourceVersion, one a line; then a line `name=value` for each
        label, sorted by name.
        """
        lines = [key, uid, version, *(f"{name}={value}" for name, value in sorted((labels or {}).items()))]
        self._identity ^= _sha256("".join(f"{line}\n" for line in lines).encode())
        self._count += 1

    def add_whole(self, key: str, found: dict[str, Any]) -> None:
        """Adds one decoded object, with apiVersion and kind.

        Removes managedFields from it.
        """
        metadata = found["metadata"]
        metadata.pop("managedFields", None)
        self.add(key, metadata.get("uid", ""), metadata.get("resourceVersion", ""), metadata.get("labels"))
        self._content = (self._content or 0) ^ _sha256(msgspec.json.encode((key, found), order="sorted"))

    def result(self) -> dict[str, Any]:
        """Returns the digest as JSON.

        `content` is missing if `add_whole` was never called.
        """
        result: dict[str, Any] = {"objects": self._count, "identity": f"{self._identity:064x}"}
        return result if self._content is None else result | {"content": f"{self._content:064x}"}


def _sha256(text: bytes) -> int:
    return int.from_bytes(hashlib.sha256(text).digest())


def agree(server: dict[str, Any], client: dict[str, Any]) -> bool:
    """Compares two digests in the parts that the client has."""
    return all(server[name] == value for name, value in client.items())


def same_objects(server: dict[str, Any], client: dict[str, Any]) -> bool:
    """Compares the identity of two digests, for clients that prune objects."""
    return all(server[name] == client[name] for name in ("objects", "identity"))
