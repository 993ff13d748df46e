"""The pods that everything here is measured on: as a server sends them, as a scanner cuts them, and decoded.

Two states, the second after a change of each pod. Holds no store.
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
from kinform_ext._batch import Batch
from kinform_ext._scan import Scanner

CHUNK_BYTES = 128 << 10
"""Of a body, at a time: what a socket gives when it is read late."""
LESS_MANAGED = Prune(drop=["metadata.managedFields"])

Decoded = dict[str, Any]


class Metadata(msgspec.Struct, gc=False):
    """Of a small struct."""

    name: str
    labels: dict[str, str] = {}


class Spec(msgspec.Struct, gc=False):
    """Of a small struct."""

    nodeName: str = ""


class Small(msgspec.Struct, gc=False):
    """What a controller may want of a pod."""

    metadata: Metadata
    spec: Spec


class State:
    """All pods at one time.

    Attributes:
        whole: Decoded, by key, as sent.
        objects: Likewise, without managedFields.
        lines: What a WATCH sends of them.
        batches: What a scanner that drops managedFields makes of that.
        raw: Their bytes without managedFields, by key.
    """

    def __init__(self, collection: Collection, verb: str) -> None:
        about = {"apiVersion": collection.kind.api_version, "kind": collection.kind.kind}
        self.whole = {key: about | msgspec.json.decode(item) for key, item in collection.items.items()}
        self.objects = {key: without_managed(found) for key, found in self.whole.items()}
        self.lines = [collection.line(verb, item) for item in collection.items.values()]
        self.batches = list(scan("watch", chunks(b"".join(self.lines)), LESS_MANAGED))
        self.raw = {batch.key(i): batch.raw(i) for batch in self.batches for i in range(len(batch))}

    @property
    def wire_bytes(self) -> int:
        """What a WATCH sends."""
        return sum(map(len, self.lines))

    @property
    def raw_bytes(self) -> int:
        """What is left without managedFields."""
        return sum(map(len, self.raw.values()))


class Pods:
    """Both states, and ways to go through the pods.

    Attributes:
        before: The first state.
        after: The second.
        listed: What a LIST sends of the first.
        end: The bookmark that ends the initial events.
        keys: All keys, shuffled.
        by_node: The keys on each node, sorted.
        nodes: The nodes, shuffled.
    """

    def __init__(self, count: int, seed: int) -> None:
        kind, made = make("pods", count, seed)
        collection = Collection(kind, made)
        self.before = State(collection, "ADDED")
        self.listed = b"".join(buffer for piece in collection.page(0, 0) for buffer in piece)
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
        self.keys = rng.sample(list(self.before.objects), len(made))
        self.nodes = rng.sample(list(self.by_node), len(self.by_node))


def without_managed(found: Decoded) -> Decoded:
    """The same without managedFields; all else they share."""
    metadata = {name: value for name, value in found["metadata"].items() if name != "managedFields"}
    return found | {"metadata": metadata}


def chunks(body: bytes) -> list[bytes]:
    """A body in pieces."""
    return [body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES)]


def scan(mode: str, body: Iterable[bytes], prune: Prune) -> Iterator[Batch]:
    """The objects of a LIST or a WATCH, in batches."""
    scanner = Scanner(mode, prune.program())  # type: ignore[arg-type]
    for chunk in body:
        for item in scanner.feed(chunk):
            if isinstance(item, Batch):
                yield item
    scanner.finish()


def each(names: Iterable[str], read: Callable[[str], object]) -> None:
    """Reads all of them."""
    for name in names:
        read(name)
