"""Predicates: which updates of an object need a reconcile. They decode no object.

Source: controller-runtime's `predicate` package.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from kinform._errors import OptionError

Predicate = Callable[[bytes, bytes], bool]
"""Takes the pruned JSON of an object before and after an update, and returns whether to reconcile."""

MEMBERS = ("generation", "labels", "annotations", "finalizers", "ownerReferences", "deletionTimestamp")


class _Object(msgspec.Struct, gc=False):
    metadata: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict)


class MetadataChanged:
    """Accepts an update if one of some members of `metadata` has changed.

    Compares their bytes.

    `MetadataChanged("generation")` ignores updates of the status. The server counts the generation of custom resources
    with the subresource `status`, and of most built-in resources, but not of config maps and secrets. A deletion with
    finalizers raises the generation.

    Args:
        *members: One or more of `"generation"`, `"labels"`, `"annotations"`, `"finalizers"`, `"ownerReferences"` and
            `"deletionTimestamp"`.

    Raises:
        OptionError: A member is not one of these.
    """

    def __init__(self, *members: str) -> None:
        if not members or not set(members) <= set(MEMBERS):
            raise OptionError("members", members, " or ".join(f'"{member}"' for member in MEMBERS))
        self.members = members

    def __repr__(self) -> str:
        return f"MetadataChanged({', '.join(map(repr, self.members))})"

    def __call__(self, old: bytes, new: bytes) -> bool:
        """Returns whether one of the members differs."""
        before = msgspec.json.decode(old, type=_Object).metadata
        after = msgspec.json.decode(new, type=_Object).metadata
        return any(before.get(member) != after.get(member) for member in self.members)
