"""The objects of all micro-benchmarks: as sent, in batches, and decoded.

There are two states of the pods. In the second, every pod has changed. Holds no store.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from benchmarks.corpus import key_of, make, touch
from benchmarks.harness.collection import Collection
from kinform import Prune
from kinform_ext._scan import Batch, Scanner

CHUNK_BYTES = 128 << 10
"""The size of a chunk: what a socket returns when it is read late."""
DROP_MANAGED_FIELDS = Prune(drop=["metadata.managedFields"])

Decoded = dict[str, Any]


class Metadata(msgspec.Struct, gc=False):
    """The metadata of `Small`."""

    name: str
    labels: dict[str, str] = {}


class Spec(msgspec.Struct, gc=False):
    """The spec of `Small`."""

    nodeName: str = ""


class Small(msgspec.Struct, gc=False):
    """The part of a pod that a controller may read."""

    metadata: Metadata
    spec: Spec


class State:
    """The objects of a collection at one time, in the order of their keys.

    Attributes:
        whole: Key to decoded object, as sent.
        objects: The same without managedFields.
        lines: The events of a WATCH.
        batches: The batches of a scanner that drops managedFields.
        raw: Key to JSON without managedFields.
    """

    def __init__(self, collection: Collection, verb: str) -> None:
        names = {"apiVersion": collection.kind.api_version, "kind": collection.kind.kind}
        self.whole = {key: names | msgspec.json.decode(item) for key, item in collection.items.items()}
        self.objects = {key: without_managed_fields(found) for key, found in self.whole.items()}
        self.lines = [collection.line(verb, item) for item in collection.items.values()]
        self.batches = list(scan("watch", chunks(b"".join(self.lines)), DROP_MANAGED_FIELDS))
        self.raw = {batch.key(i): batch.raw(i) for batch in self.batches for i in range(len(batch))}

    @property
    def wire_bytes(self) -> int:
        """The bytes of the events."""
        return sum(map(len, self.lines))

    @property
    def raw_bytes(self) -> int:
        """The bytes of the JSON without managedFields."""
        return sum(map(len, self.raw.values()))


class Pods:
    """Both states, and orders in which to read the pods.

    Attributes:
        before: The first state.
        after: The second state.
        listed: The response to a LIST of the first state.
        end: The bookmark that ends the initial events.
        keys: All keys, shuffled.
        ordered: All keys, in the order in which the pods arrive.
        by_node: The sorted keys on each node.
        nodes: The nodes, shuffled.
    """

    def __init__(self, count: int, seed: int) -> None:
        kind, made = make("pods", count, seed)
        collection = Collection(kind, made)
        self.before = State(collection, "ADDED")
        self.listed = b"".join(buffer for chunk in collection.page(0, 0) for buffer in chunk)
        self.end = collection.bookmark(end=True)
        for number, found in enumerate(made, 1):
            touch(found, collection.version + number, "2026-04-01T00:00:00Z")
            collection.items[key_of(found)] = collection.encode(found)
        self.after = State(collection, "MODIFIED")
        by_node = defaultdict(list)
        for key in sorted(self.before.objects):
            if node := self.before.objects[key]["spec"].get("nodeName"):
                by_node[node].append(key)
        self.by_node = dict(by_node)
        rng = random.Random(seed)
        self.ordered = list(self.before.objects)
        self.keys = rng.sample(self.ordered, len(made))
        self.nodes = rng.sample(list(self.by_node), len(self.by_node))


def without_managed_fields(found: Decoded) -> Decoded:
    """Returns the object without managedFields. Shares all other values."""
    metadata = {name: value for name, value in found["metadata"].items() if name != "managedFields"}
    return found | {"metadata": metadata}


def chunks(body: bytes) -> list[bytes]:
    """Splits a body into chunks."""
    return [body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES)]


def scan(mode: str, body: Iterable[bytes], prune: Prune) -> Iterator[Batch]:
    """Yields the objects of a LIST or a WATCH in batches."""
    scanner = Scanner(mode, prune.program())  # type: ignore[arg-type]
    for chunk in body:
        for item in scanner.feed(chunk):
            if isinstance(item, Batch):
                yield item
    scanner.finish()


def read_each(names: Iterable[str], read: Callable[[str], object]) -> None:
    """Calls `read` for each name."""
    for name in names:
        read(name)
