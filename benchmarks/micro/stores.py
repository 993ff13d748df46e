"""The compared stores: kinform's, a dict of bytes, and a dict of decoded objects.

All read the batches of the same scanner, and index pods by node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

import kinform
from benchmarks.micro.pods import Decoded, Small
from kinform._codec import codec
from kinform_ext._batch import Batch

INDEX, NODE = "node", "spec.nodeName"
STREAM = ""


class AnyStore(Protocol):
    """The common interface of the stores."""

    def put(self, batches: Iterable[Batch]) -> None:
        """Applies changes."""

    def relist(self, batches: Iterable[Batch]) -> None:
        """Replaces the content by a complete state."""

    def content(self) -> dict[str, Decoded]:
        """Returns all objects, decoded."""


class Kinform:
    """kinform's store with its writer.

    Attributes:
        store: Returns dicts.
        small: Returns small structs of the same objects.
    """

    PLAIN = frozenset({0, codec.PLAIN, codec.PLAIN_DONE})
    """Codecs that need neither a base nor an exemplar."""

    def __init__(self) -> None:
        self._writer, self.store = kinform.store(indexes={INDEX: NODE})
        self.small: kinform.Store[Small] = kinform.Store(self._writer.contents, Small)

    def drain(self) -> None:
        """Does all background work."""
        asyncio.run(self._writer.drain())

    def put(self, batches: Iterable[Batch]) -> None:
        """See `AnyStore`."""
        for batch in batches:
            self._writer.apply(STREAM, batch, initial=False)

    def relist(self, batches: Iterable[Batch]) -> None:
        """See `AnyStore`."""
        self._writer.begin(STREAM)
        for batch in batches:
            self._writer.apply(STREAM, batch, initial=True)
        self._writer.commit(STREAM)
        while self._writer.sweep(STREAM):
            pass

    def content(self) -> dict[str, Decoded]:
        """See `AnyStore`."""
        return dict(self.store.items())

    def codecs(self) -> dict[str, int]:
        """Returns the codec of each object."""
        return {found.key: found.codec for found in self._writer.contents.versions()}

    def bases(self) -> set[int]:
        """Returns the codecs of dictionaries and prefixes."""
        return {number for pair in self._writer.contents.codec.base_codecs() for number in pair}


class DictStore:
    """The common part of the dicts."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}
        self.by_node: dict[str, set[str]] = {}

    def put(self, batches: Iterable[Batch]) -> None:
        """See `AnyStore`."""
        for batch in batches:
            for i in range(len(batch)):
                self._put(batch.key(i), batch.raw(i))

    def relist(self, batches: Iterable[Batch]) -> None:
        """See `AnyStore`."""
        self.items, self.by_node = {}, {}
        self.put(batches)

    def _put(self, key: str, raw: bytes) -> None:
        raise NotImplementedError

    def _index(self, key: str, old: str | None, new: str | None) -> None:
        if old != new:
            if old:
                self.by_node[old].discard(key)
            if new:
                self.by_node.setdefault(new, set()).add(key)


class DictOfBytes(DictStore):
    """Key to pruned JSON."""

    def _put(self, key: str, raw: bytes) -> None:
        old = self.items.get(key)
        self.items[key] = raw
        self._index(key, old and _decode_small(old).spec.nodeName, _decode_small(raw).spec.nodeName)

    def content(self) -> dict[str, Decoded]:
        """See `AnyStore`."""
        return {key: msgspec.json.decode(raw) for key, raw in self.items.items()}


class DictOfDicts(DictStore):
    """Key to decoded object."""

    def __init__(self, loads: Callable[[bytes], Decoded]) -> None:
        super().__init__()
        self._loads = loads

    def _put(self, key: str, raw: bytes) -> None:
        old, new = self.items.get(key), self._loads(raw)
        self.items[key] = new
        self._index(key, old and old["spec"].get("nodeName"), new["spec"].get("nodeName"))

    def content(self) -> dict[str, Decoded]:
        """See `AnyStore`."""
        return dict(self.items)


_decode_small = msgspec.json.Decoder(Small).decode


def through(convert: Callable[[Any], Any], items: Mapping[str, Any]) -> Callable[[str], Any]:
    """Returns a function that converts the item of a key."""
    return lambda key: convert(items[key])
