"""The identity of a collection, as one frozen value.

Streams, store and snapshot of a collection agree on it.
Source: client-go's informer factory, which shares informers by resource and list options.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kinform._checks import require_instance, require_synchronous
from kinform._decoding import check_type
from kinform._errors import OptionError
from kinform._namespace_selector import NamespaceSelector
from kinform._options import DEFAULT_PRUNE, Prune, Resource, Scope, Transform, WatchOptions
from kinform._paths.conflicts import check_indexes, keeps, keeps_whole
from kinform._paths.grammar import STAR, Path, parse
from kinform._paths.prune_program import Program
from kinform._printable import listed, printable
from kinform._sharding import ShardSet

# The parts of an object that a metadata-only request returns.
_METADATA = Prune(keep=["metadata"]).program()

MAX_SELECTOR = 100  # characters of a selector in a message


class CollectionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The identity of a collection: collections of equal specs have equal contents.

    Hashable, so that collections can be shared by their specs.

    Attributes:
        resource: The resource.
        scope: The objects that the server is asked for.
        prune: The parts of each object that are kept.
        transform: Replaces the pruned bytes of an object, or None.
        options: How the streams start and how long they wait.

    Raises:
        OptionError: A field is not of its type; or `prune` keeps only fields that the server does not send, because
            of `Scope.metadata_only`.
    """

    resource: Resource
    scope: Scope = Scope()
    prune: Prune = DEFAULT_PRUNE
    transform: Transform | None = None
    options: WatchOptions = WatchOptions()

    def __post_init__(self) -> None:
        for field, type_ in (("resource", Resource), ("scope", Scope), ("prune", Prune), ("options", WatchOptions)):
            require_instance(field, getattr(self, field), type_, f"a kinform.{type_.__name__}")
        if self.scope.metadata_only and self.prune.keep:
            members = {parse(path, field="Prune.keep")[0] for path in self.prune.keep}
            if members.isdisjoint(("apiVersion", "kind", "metadata", STAR)):
                allowed = "paths of which one is in metadata, because Scope.metadata_only is set"
                raise OptionError("Prune.keep", self.prune.keep, allowed)
        if self.transform is not None:
            require_synchronous("transform", self.transform, "a callable from bytes to bytes or None")

    @classmethod
    def of(
        cls,
        resource: Resource | str,
        scope: Scope | None = None,
        prune: Prune | None = None,
        transform: Transform | None = None,
        options: WatchOptions | None = None,
    ) -> CollectionSpec:
        """Makes a spec of what a caller passed in; None stands for the default."""
        return cls(
            resource=Resource.of(resource),
            scope=Scope() if scope is None else scope,
            prune=DEFAULT_PRUNE if prune is None else prune,
            transform=transform,
            options=WatchOptions() if options is None else options,
        )

    @property
    def shards(self) -> ShardSet | None:
        """The shards of the collection now, or None if it has all objects."""
        if self.scope.shards is not None:
            return self.scope.shards.current
        if self.scope.shard is None:
            return None
        index, count = self.scope.shard
        return ShardSet(count, frozenset((index,)))

    def name(self, namespace: str = "") -> str:
        """Names the collection in logs and errors: resource, namespaces, conditions.

        An example is `"v1/pods in shop (labels app=web, fields status.phase=Running)"`.

        Args:
            namespace: Names the stream of this namespace instead; `""`: the whole collection.
        """
        name = str(self.resource)
        if isinstance(selected := self.scope.namespaces, NamespaceSelector) and not namespace:
            name += f" in namespaces with {printable(selected.label_selector, MAX_SELECTOR)}"
        elif namespaces := (namespace,) if namespace else self.scope.fixed_namespaces:
            name += f" in {listed(namespaces)}"
        selectors = (("labels", self.scope.label_selector), ("fields", self.scope.field_selector))
        shown = [f"{of} {printable(selector, MAX_SELECTOR)}" for of, selector in selectors if selector]
        if self.scope.names is not None:
            shown.append(f"names {listed(list(self.scope.names))}")
        if self.scope.shard is not None:
            shown.append("shard {} of {}".format(*self.scope.shard))
        if self.scope.shards is not None:
            shown.append(f"shards of {printable(self.scope.shards.name, MAX_SELECTOR)}")
        return f"{name} ({', '.join(shown)})" if shown else name

    def check_readable(self, type: Any, indexes: Mapping[str, str]) -> None:
        """Checks that objects keep all that a type requires and that indexes read.

        Raises:
            OptionError: Names the field or the index that needs a dropped path.
        """
        check_type(type, self.prune.program())
        if self.scope.metadata_only:
            check_type(type, _METADATA, "Scope.metadata_only")
        self.check_indexes(indexes)

    def check_indexes(self, indexes: Mapping[str, str]) -> None:
        """Checks that objects keep all that indexes read.

        Raises:
            OptionError: Names the index that needs a dropped path.
        """
        check_indexes(indexes, self.prune.program())
        if self.scope.metadata_only:
            check_indexes(indexes, _METADATA, "Scope.metadata_only")

    def keeps(self, *paths: Path) -> bool:
        """Returns whether objects keep the field at each path, or a part of it."""
        return all(keeps(program, path) for program in self._programs for path in paths)

    def keeps_whole(self, path: Path) -> bool:
        """Returns whether objects keep the field at a path as the server sent it."""
        return self.transform is None and all(keeps_whole(program, path) for program in self._programs)

    @property
    def _programs(self) -> list[Program]:
        programs = [self.prune.program(), _METADATA if self.scope.metadata_only else None]
        return [program for program in programs if program is not None]
