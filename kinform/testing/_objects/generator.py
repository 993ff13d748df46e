"""The generator of an API server: endless streams of objects in namespaces.

A kind has one stream per seed. A call continues where the last one ended, so that no name and no uid comes twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterator, Sequence

from kinform.testing._objects.catalogue import CATALOGUE
from kinform.testing._objects.custom import custom_objects
from kinform.testing._objects.kinds import Kind, Object, key_of
from kinform.testing._objects.random_values import suffix

_MAKERS = {kind: maker for kind, maker in CATALOGUE.values() if not kind.custom}


class Generator:
    """The streams that are in use. The same calls give the same objects."""

    def __init__(self) -> None:
        self._streams: dict[tuple[Kind, int], Iterator[Object]] = {}
        self._renamed = 0

    def generate(
        self, kind: Kind, count: int, *, seed: int, namespaces: Sequence[str] | None, taken: Container[str]
    ) -> Iterator[Object]:
        """Yields the next objects of a kind.

        Args:
            kind: The kind. Custom resources, and kinds that are not in the catalogue, get a small spec.
            count: The number of objects.
            seed: The seed of the stream.
            namespaces: Used in turn. Empty for a cluster-scoped kind. None: the namespaces of an invented cluster.
            taken: Keys that are in use. It is asked for each object when that is due.
        """
        stream = self._streams.get((kind, seed))
        if stream is None:
            make = _MAKERS.get(kind)
            stream = self._streams[kind, seed] = make(seed) if make else custom_objects(kind, seed)
        for number, obj in enumerate(itertools.islice(stream, count)):
            metadata = obj["metadata"]
            if namespaces:
                _place(obj, namespaces[number % len(namespaces)])
            elif namespaces is not None:
                metadata.pop("namespace", None)
            name = metadata["name"]
            while key_of(obj) in taken:
                self._renamed += 1
                metadata["name"] = f"{name}-{suffix(self._renamed, seed)}"
            yield obj


def _place(obj: Object, namespace: str) -> None:
    obj["metadata"]["namespace"] = namespace
    # An API server refuses an event in another namespace than its object's.
    if "namespace" in obj.get("involvedObject", {}):
        obj["involvedObject"]["namespace"] = namespace
