"""One number for the whole content of a collection, whatever the order in which its objects are gone through.

Who each object is, at which version, and every value in it but managedFields, which are not kept. Takes no memory
for the objects gone through: the process that is measured computes it, too.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

MODULUS = 1 << 256


class Digest:
    """The count of objects, and the sum of their digests."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = 0

    def add(self, key: str, uid: str, version: str, content: dict[str, Any]) -> None:
        """Takes one object, decoded; its managedFields are taken out of it."""
        content["metadata"].pop("managedFields", None)
        text = msgspec.json.encode((key, uid, version, content), order="sorted")
        self._sum = (self._sum + int.from_bytes(hashlib.sha256(text).digest())) % MODULUS
        self._count += 1

    def result(self) -> dict[str, Any]:
        """What is equal for equal contents."""
        return {"objects": self._count, "digest": f"{self._sum:064x}"}
