"""One number for the whole content of a collection, whatever the order in which its objects are gone through.

Two, in fact. *Identity* can be computed in any language and from any form of an object: who each one is, at which
version, and its labels. *Content* takes every value but managedFields, where a client has all as it was sent. An
object's digest is the SHA-256 of a text; those of all are combined by exclusive or. That takes no memory for the
objects gone through: the process that is measured computes it, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec


class Identity(msgspec.Struct, gc=False):
    """What is looked at of an object's metadata where all of it takes too long."""

    uid: str = ""
    resourceVersion: str = ""
    labels: dict[str, str] | None = None


class Identified(msgspec.Struct, gc=False):
    """An object, as far as it is looked at then."""

    metadata: Identity


class Digest:
    """The count of objects, and what their digests combine to."""

    def __init__(self) -> None:
        self._count = 0
        self._identity = 0
        self._content: int | None = None

    def add(self, key: str, uid: str, version: str, labels: Mapping[str, str] | None) -> None:
        """Takes one object: who it is.

        The text, in UTF-8: key, uid and resourceVersion, a line each; then a line `name=value` for each label, in the
        order of their names.
        """
        lines = [key, uid, version, *(f"{name}={value}" for name, value in sorted((labels or {}).items()))]
        self._identity ^= _sha256("".join(f"{line}\n" for line in lines).encode())
        self._count += 1

    def add_whole(self, key: str, found: dict[str, Any]) -> None:
        """Takes one object, decoded, apiVersion and kind included; its managedFields are taken out of it."""
        metadata = found["metadata"]
        metadata.pop("managedFields", None)
        self.add(key, metadata.get("uid", ""), metadata.get("resourceVersion", ""), metadata.get("labels"))
        self._content = (self._content or 0) ^ _sha256(msgspec.json.encode((key, found), order="sorted"))

    def result(self) -> dict[str, Any]:
        """What is equal for equal contents; `content` only if every object was taken whole."""
        told: dict[str, Any] = {"objects": self._count, "identity": f"{self._identity:064x}"}
        return told if self._content is None else told | {"content": f"{self._content:064x}"}


def _sha256(text: bytes) -> int:
    return int.from_bytes(hashlib.sha256(text).digest())


def agree(there: dict[str, Any], here: dict[str, Any]) -> bool:
    """Whether a client holds what the server does, as far as the client can tell."""
    return all(there[name] == value for name, value in here.items())


def same_objects(there: dict[str, Any], here: dict[str, Any]) -> bool:
    """Whether a client holds the objects that it should, whatever it keeps of each."""
    return all(there[name] == here[name] for name in ("objects", "identity"))
