"""The keys of owners, from the index of controllers of an informer.

Source: controller-runtime's `handler.EnqueueRequestForOwner` with `OnlyControllerOwner`.
"""

from __future__ import annotations

from typing import Any

from kinform._informer.informer import Informer
from kinform._plurals import plural_of


class Owners:
    """Finds the keys of owners in the collection of an informer.

    A reference names the kind of the owner, not its resource, and not whether it has a namespace. Both are those of an
    object in the collection. As long as it had no object, the owner is in the namespace of its object. Without a known
    kind, such as in a collection of metadata only, the plural of the kind decides.

    Args:
        informer: The informer of the owners.
    """

    def __init__(self, informer: Informer[Any]) -> None:
        self._informer = informer
        self._sample: tuple[str, str] | None = None  # key and kind of an object of the collection

    def key_of(self, owner: str) -> str | None:
        """Returns the key of an owner, or None if the collection cannot have it.

        It cannot have owners of another kind, and those that `Scope.names` lacks.

        Args:
            owner: `"Kind.group/namespace/name"`: see `Informer._add_owner_listener`.
        """
        resource = self._informer.resource
        kind_and_group, _, key = owner.partition("/")
        kind, _, group = kind_and_group.partition(".")
        if group != resource.group:
            return None
        self._sample = self._sample or self._informer._sample()
        its_key, its_kind = self._sample or ("/", "")
        if kind != its_kind if its_kind else plural_of(kind) != resource.plural:
            return None
        if not self._informer._has_name(name := key.rpartition("/")[2]):
            return None  # without this, it would seem to be deleted
        return key if "/" in its_key else name
