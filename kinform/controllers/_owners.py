"""The owners of objects, by their references with `controller: true`.

Decodes only `metadata`, from the bytes of the store.
Source: controller-runtime's `handler.EnqueueRequestForOwner` with `OnlyControllerOwner`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from kinform._informer.informer import Informer
from kinform._plurals import plural_of
from kinform_ext._table import Version


class _Reference(msgspec.Struct, gc=False):
    apiVersion: str = ""
    kind: str = ""
    name: str = ""
    controller: bool | None = None


class _Metadata(msgspec.Struct, gc=False):
    ownerReferences: list[_Reference] | None = None


class _Owned(msgspec.Struct, gc=False):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


class _Kind(msgspec.Struct, gc=False):
    kind: str = ""


class Owners:
    """Finds the keys of owners in the collection of an informer.

    A reference names the kind of the owner, not its resource, and not whether it has a namespace. Both are those of an
    object in the collection. As long as it had no object, the plural of the kind decides, and the owner is in the
    namespace of its object.

    Args:
        informer: The informer of the owners.
    """

    def __init__(self, informer: Informer[Any]) -> None:
        self._informer = informer
        self._kind = ""
        self._namespaced = True

    def keys(self, *versions: Version | None) -> Iterator[str]:
        """Returns the keys of the owners of some versions of an object."""
        for version in versions:
            if version is not None:
                yield from self._keys(version)

    def _keys(self, version: Version) -> Iterator[str]:
        raw = version.raw()
        if b'"ownerReferences"' not in raw:
            return
        try:
            references = msgspec.json.decode(raw, type=_Owned).metadata.ownerReferences or ()
        except msgspec.ValidationError:
            return  # not what a server stores: only a transform can make it
        for reference in references:
            if reference.controller and self._is_of_informer(reference):
                namespaced = self._namespaced and version.namespace
                yield f"{version.namespace}/{reference.name}" if namespaced else reference.name

    def _is_of_informer(self, reference: _Reference) -> bool:
        resource = self._informer.resource
        group, slash, _ = reference.apiVersion.partition("/")
        if (group if slash else "") != resource.group:
            return False
        if not self._kind:
            self._learn()
        return reference.kind == self._kind if self._kind else plural_of(reference.kind) == resource.plural

    def _learn(self) -> None:
        """Reads kind and scope from an object of the collection, if it has one."""
        store = self._informer.store
        for key in store:
            if (raw := store.raw(key)) is not None:
                self._kind = msgspec.json.decode(raw, type=_Kind).kind
                self._namespaced = "/" in key
                return
