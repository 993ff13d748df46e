"""Comparison of a copy with the truth, object by object."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

EXAMPLES = 10
"""Differences that are kept as text."""

Version = Sequence[str]
"""The uid and the resourceVersion of an object, and in a copy of whole objects the digest of its content."""


def content_digest(found: dict[str, Any]) -> str:
    """Returns a digest of a decoded object without managedFields, which it removes."""
    found["metadata"].pop("managedFields", None)
    return hashlib.sha256(msgspec.json.encode(found, order="sorted")).hexdigest()[:16]


class Differences(msgspec.Struct):
    """The differences between copies and the truth, over all comparisons.

    Attributes:
        lost: Objects that a copy lacks.
        invented: Objects that only a copy has.
        wrong: Objects of which a copy has another version, or another content.
        examples: The first differences, with their keys.
    """

    lost: int = 0
    invented: int = 0
    wrong: int = 0
    examples: list[str] = []

    def __str__(self) -> str:
        return f"{self.lost} lost, {self.invented} invented, {self.wrong} wrong"

    def compare(self, truth: Mapping[str, Version], copy: Mapping[str, Version]) -> bool:
        """Adds the differences of a copy; returns whether it has none.

        A copy with shorter versions than the truth is compared in what it has.
        """
        lost = truth.keys() - copy.keys()
        invented = copy.keys() - truth.keys()
        common = truth.keys() & copy.keys()
        wrong = {key for key in common if list(copy[key]) != list(truth[key])[: len(copy[key])]}
        self.lost += len(lost)
        self.invented += len(invented)
        self.wrong += len(wrong)
        for what, keys in (("lost", lost), ("invented", invented), ("wrong", wrong)):
            left = EXAMPLES - len(self.examples)
            self.examples += [f"{what}: {key}" for key in sorted(keys)[:left]]
        return not (lost or invented or wrong)
