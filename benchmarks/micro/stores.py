"""The compared stores: kinform's, a dict of bytes, and a dict of decoded objects.

All read the batches of the same scanner, and index pods by node unless they are not `indexed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

import kinform
from benchmarks.micro.pods import Decoded, Small
from kinform_ext._scan import Batch

INDEX, NODE = "node", "spec.nodeName"
STREAM = ""
MAX_CACHED = 1_000_000
"""More objects than any benchmark has."""


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
        cached: Returns dicts, and keeps all of them.
        table: Has the encoded objects.
    """

    def __init__(self, *, indexed: bool = True) -> None:
        self._writer, self.store = kinform.store(indexes={INDEX: NODE} if indexed else {})
        self.small: kinform.Store[Small] = kinform.Store(self._writer.contents, Small)
        self.cached = kinform.Store(self._writer.contents, dict, decoded_cache=MAX_CACHED)
        self.table = self._writer.contents.table

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

    def ids(self) -> dict[str, list[int]]:
        """Returns the ids of the objects by their form: see `Table.form_of`."""
        found = dict[str, list[int]]()
        for id in self.table.ids():
            found.setdefault(self.table.form_of(id), []).append(id)
        return found


class DictStore:
    """The common part of the dicts."""

    def __init__(self, *, indexed: bool = True) -> None:
        self.items: dict[str, Any] = {}
        self.by_node: dict[str, set[str]] = {}
        self._indexed = indexed

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
        if self._indexed:
            self._index(key, old and _decode_small(old).spec.nodeName, _decode_small(raw).spec.nodeName)

    def content(self) -> dict[str, Decoded]:
        """See `AnyStore`."""
        return {key: msgspec.json.decode(raw) for key, raw in self.items.items()}


class DictOfDicts(DictStore):
    """Key to decoded object."""

    def __init__(self, loads: Callable[[bytes], Decoded], *, indexed: bool = True) -> None:
        super().__init__(indexed=indexed)
        self._loads = loads

    def _put(self, key: str, raw: bytes) -> None:
        old, new = self.items.get(key), self._loads(raw)
        self.items[key] = new
        if self._indexed:
            self._index(key, old and old["spec"].get("nodeName"), new["spec"].get("nodeName"))

    def content(self) -> dict[str, Decoded]:
        """See `AnyStore`."""
        return dict(self.items)


_decode_small = msgspec.json.Decoder(Small).decode


def through(convert: Callable[[Any], Any], items: Mapping[str, Any]) -> Callable[[str], Any]:
    """Returns a function that converts the item of a key."""
    return lambda key: convert(items[key])
