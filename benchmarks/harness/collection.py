"""A collection as the bytes that an API server sends.

Supports LIST, WATCH, WatchList (KEP-3157) and bookmarks. Serves the collection whole or in part: metadata only
(PartialObjectMetadata), one namespace, one name, or a label selector.

Each object is encoded once and never copied. A response is a list of buffers, most of which are objects.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Collection as AbstractCollection
from typing import Self

import msgspec

from benchmarks.corpus import Kind, Object, key_of
from benchmarks.harness.digest import Digest, Identified
from benchmarks.harness.wire import Buffer, Chunk

CHUNK_BYTES = 64 << 10
CHUNK_BUFFERS = 600
"""The most buffers in a chunk, roughly. One system call takes up to 1024."""

Chunks = Callable[[], Iterable[Chunk]]
LabelValues = Mapping[str, AbstractCollection[str]]
"""The values that a label selector accepts, by label."""

PARTIAL = Kind("meta.k8s.io/v1/partialobjectmetadata", "PartialObjectMetadata", custom=True)
"""The items of its LIST carry apiVersion and kind, as those of a custom resource do."""


class Labels(msgspec.Struct):
    """The part of metadata that a label selector reads."""

    labels: dict[str, str] = {}


class Labelled(msgspec.Struct):
    """The part of an object that a label selector reads."""

    metadata: Labels


class WithMetadata(msgspec.Struct):
    """The part of an object that a PartialObjectMetadata has."""

    metadata: msgspec.Raw


def partial(item: bytes) -> bytes:
    """Encodes an object as PartialObjectMetadata."""
    metadata = bytes(msgspec.json.decode(item, type=WithMetadata).metadata)
    return b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":%s}' % metadata


def _matches(wanted: LabelValues, labels: Mapping[str, str]) -> bool:
    return all(labels.get(name) in values for name, values in wanted.items())


def watch_event(verb: str, item: bytes) -> bytes:
    """Encodes a watch event. The item carries apiVersion and kind."""
    return b'{"type":"%s","object":%s}\n' % (verb.encode(), item)


class Collection:
    """A collection that is served.

    Attributes:
        items: Key to object as an item of a LIST, sorted by key.
        version: The current resourceVersion.
    """

    def __init__(self, kind: Kind, objects: Iterable[Object]) -> None:
        self.kind = kind
        group, _, version = kind.api_version.rpartition("/")
        plural = kind.resource.rpartition("/")[2]
        self.path = f"/apis/{group}/{version}/{plural}" if group else f"/api/{version}/{plural}"
        self.items = dict(sorted((key_of(found), self.encode(found)) for found in objects))
        self.version = 10**9

    def metadata(self) -> Self:
        """Returns the same objects as PartialObjectMetadata."""
        part = copy.copy(self)
        part.kind = PARTIAL
        part.items = {key: partial(item) for key, item in self.items.items()}
        return part

    def select(self, namespace: str | None, labels: LabelValues, name: str | None = None) -> Self:
        """Returns the objects of a namespace, or of all, whose labels have these values.

        With a name: at most one object. It is looked up, because there may be a request for each of many names.
        """
        part = copy.copy(self)
        if name is not None:
            key = name if namespace is None else f"{namespace}/{name}"
            part.items = {key: self.items[key]} if key in self.items else {}
            return part
        part.items = {
            key: item
            for key, item in self.items.items()
            if (namespace is None or key.startswith(f"{namespace}/"))
            and (not labels or _matches(labels, msgspec.json.decode(item, type=Labelled).metadata.labels))
        }
        return part

    def encode(self, found: Object) -> bytes:
        """Encodes an object as an item of a LIST.

        Items of built-in kinds carry no apiVersion and kind.
        """
        if not self.kind.custom:
            found = {name: value for name, value in found.items() if name not in ("apiVersion", "kind")}
        return msgspec.json.encode(found)

    def line(self, verb: str, item: bytes) -> bytes:
        """Encodes a watch event of an item of a LIST."""
        names = b"" if self.kind.custom else b'"kind":"%s","apiVersion":"%s",' % self._names("")
        return watch_event(verb, b"{" + names + item[1:])

    def bookmark(self, *, end: bool = False, metadata: bool = False) -> bytes:
        """Encodes a bookmark of the current version.

        `end` marks the end of the initial events.
        """
        about = b'"resourceVersion":"%d"' % self.version
        if end:
            about += b',"annotations":{"k8s.io/initial-events-end":"true"}'
        kind = PARTIAL if metadata else self.kind
        names = kind.kind.encode(), kind.api_version.encode()
        return b'{"type":"BOOKMARK","object":{"kind":"%s","apiVersion":"%s","metadata":{%s}}}\n' % (*names, about)

    def page(self, start: int, limit: int) -> list[Chunk]:
        """Returns the response to a LIST; `limit` 0 is no limit."""
        items = list(self.items.values())
        end = min(start + limit, len(items)) if limit else len(items)
        more = b',"continue":"%d","remainingItemCount":%d' % (end, len(items) - end) if end < len(items) else b""
        about = (*self._names("List"), self.version, more)
        head = b'{"kind":"%s","apiVersion":"%s","metadata":{"resourceVersion":"%d"%s},"items":[' % about
        buffers = list[Buffer](buffer for item in items[start:end] for buffer in (b",", item))[1:]
        parts = [buffers[at : at + CHUNK_BUFFERS] for at in range(0, len(buffers), CHUNK_BUFFERS)]
        return [[head], *parts, [b"]}\n"]]

    def initial_events(self, *, end: bool = True) -> Chunks:
        """Returns the initial events of a WatchList; `end` adds the bookmark after them."""
        items, last = self.items, [self.bookmark(end=True)] if end else []
        before, after = self.line("ADDED", b"{\0").split(b"\0")

        def chunks() -> Iterator[Chunk]:
            buffers, size = list[Buffer](), 0
            for item in items.values():
                buffers += (before, memoryview(item)[1:], after)
                size += len(item)
                if size >= CHUNK_BYTES or len(buffers) >= CHUNK_BUFFERS:
                    yield buffers
                    buffers, size = [], 0
            if buffers or last:
                yield [*buffers, *last]

        return chunks

    def digest(self, *, whole: bool = True) -> Digest:
        """Returns the digest of a correct copy.

        Without `whole` it covers the identity of the objects only.
        """
        names = {} if self.kind.custom else {"apiVersion": self.kind.api_version, "kind": self.kind.kind}
        digest = Digest()
        for key, item in self.items.items():
            if whole:
                digest.add_whole(key, names | msgspec.json.decode(item))
            else:
                about = msgspec.json.decode(item, type=Identified).metadata
                digest.add(key, about.uid, about.resourceVersion, about.labels)
        return digest

    def _names(self, suffix: str) -> tuple[bytes, bytes]:
        return (self.kind.kind + suffix).encode(), self.kind.api_version.encode()


def in_chunks(lines: Iterable[bytes]) -> Iterator[Chunk]:
    """Joins lines into chunks of about 64 KiB."""
    buffers, size = list[Buffer](), 0
    for line in lines:
        buffers.append(line)
        size += len(line)
        if size >= CHUNK_BYTES:
            yield [b"".join(buffers)]
            buffers.clear()
            size = 0
    if buffers:
        yield [b"".join(buffers)]
