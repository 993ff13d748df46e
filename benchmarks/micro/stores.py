"""The ways to hold a collection that are measured: kinform's store, a dict of bytes, and dicts of decoded objects.

All take what the same scanner cut, and keep an index of the pods on a node.
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


class Held(Protocol):
    """Whatever takes changes."""

    def put(self, batches: Iterable[Batch]) -> None:
        """Takes changes."""

    def relist(self, batches: Iterable[Batch]) -> None:
        """Takes a whole state."""

    def content(self) -> dict[str, Decoded]:
        """All that is held, decoded."""


class Kinform:
    """The two ends of a store.

    Attributes:
        store: Gives dicts.
        small: Gives small structs, out of the same.
    """

    PLAIN = frozenset({0, codec.PLAIN, codec.PLAIN_DONE})
    """Codecs that need neither a base nor an exemplar."""

    def __init__(self) -> None:
        self._writer, self.store = kinform.store(indexes={INDEX: NODE})
        self.small: kinform.Store[Small] = kinform.Store(self._writer.contents, Small)

    def settle(self) -> None:
        """Has the background do all that it has to do."""
        asyncio.run(self._writer.drain())

    def put(self, batches: Iterable[Batch]) -> None:
        """See `Held`."""
        for batch in batches:
            self._writer.apply(STREAM, batch, initial=False)

    def relist(self, batches: Iterable[Batch]) -> None:
        """See `Held`."""
        self._writer.begin(STREAM)
        for batch in batches:
            self._writer.apply(STREAM, batch, initial=True)
        self._writer.commit(STREAM)
        while self._writer.sweep(STREAM):
            pass

    def content(self) -> dict[str, Decoded]:
        """See `Held`."""
        return dict(self.store.items())

    def codecs(self) -> dict[str, int]:
        """By which codec each object is coded."""
        return {found.key: found.codec for found in self._writer.contents.versions()}

    def bases(self) -> set[int]:
        """The codecs of dictionaries and prefixes."""
        return {number for pair in self._writer.contents.codec.base_codecs() for number in pair}


class Plain:
    """What dicts have in common."""

    def __init__(self) -> None:
        self.held: dict[str, Any] = {}
        self.by_node: dict[str, set[str]] = {}

    def put(self, batches: Iterable[Batch]) -> None:
        """See `Held`."""
        for batch in batches:
            for i in range(len(batch)):
                self._put(batch.key(i), batch.raw(i))

    def relist(self, batches: Iterable[Batch]) -> None:
        """See `Held`."""
        self.held, self.by_node = {}, {}
        self.put(batches)

    def _put(self, key: str, raw: bytes) -> None:
        raise NotImplementedError

    def _index(self, key: str, old: str | None, new: str | None) -> None:
        if old != new:
            if old:
                self.by_node[old].discard(key)
            if new:
                self.by_node.setdefault(new, set()).add(key)


class DictOfBytes(Plain):
    """Key to pruned bytes."""

    def _put(self, key: str, raw: bytes) -> None:
        old = self.held.get(key)
        self.held[key] = raw
        self._index(key, old and _read_small(old).spec.nodeName, _read_small(raw).spec.nodeName)

    def content(self) -> dict[str, Decoded]:
        """See `Held`."""
        return {key: msgspec.json.decode(raw) for key, raw in self.held.items()}


class DictOfDicts(Plain):
    """Key to decoded object."""

    def __init__(self, loads: Callable[[bytes], Decoded]) -> None:
        super().__init__()
        self._loads = loads

    def _put(self, key: str, raw: bytes) -> None:
        old, new = self.held.get(key), self._loads(raw)
        self.held[key] = new
        self._index(key, old and old["spec"].get("nodeName"), new["spec"].get("nodeName"))

    def content(self) -> dict[str, Decoded]:
        """See `Held`."""
        return dict(self.held)


_read_small = msgspec.json.Decoder(Small).decode


def through(become: Callable[[Any], Any], held: Mapping[str, Any]) -> Callable[[str], Any]:
    """What is held under a key, made into something else."""
    return lambda key: become(held[key])
