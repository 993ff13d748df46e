"""A collection as the bytes that an API server sends of it: LIST, WATCH, WatchList (KEP-3157) and bookmarks.

Whole, or a part: metadata alone (PartialObjectMetadata), one namespace, what a label selector chooses.

The bytes of an object are made once and never copied: an answer is a list of buffers, most of them objects.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Self

import msgspec

from benchmarks.corpus import Kind, Object, key_of
from benchmarks.harness.digest import Digest, Identified
from benchmarks.harness.wire import Buffer, Piece

PIECE = 64 << 10
BUFFERS = 600
"""In one piece, at most about so many: the system takes 1024 at once."""

Pieces = Callable[[], Iterable[Piece]]


PARTIAL = Kind("meta.k8s.io/v1/partialobjectmetadata", "PartialObjectMetadata", custom=True)
"""Of these a LIST's items do tell their kind."""


class Labels(msgspec.Struct):
    """What a selector looks at."""

    labels: dict[str, str] = {}


class Labelled(msgspec.Struct):
    """An object, as far as a selector wants it."""

    metadata: Labels


class Metadata(msgspec.Struct):
    """An object, as far as it is told where metadata alone is asked for."""

    metadata: msgspec.Raw


def partial(item: bytes) -> bytes:
    """The object as PartialObjectMetadata."""
    metadata = bytes(msgspec.json.decode(item, type=Metadata).metadata)
    return b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":%s}' % metadata


def line(verb: str, whole: bytes) -> bytes:
    """An event of a WATCH, of an object that tells its kind."""
    return b'{"type":"%s","object":%s}\n' % (verb.encode(), whole)


class Collection:
    """What is served.

    Attributes:
        items: Each object by its key, as a LIST has it; in the order of keys.
        version: The present resourceVersion.
    """

    def __init__(self, kind: Kind, objects: Iterable[Object]) -> None:
        self.kind = kind
        group, _, version = kind.api_version.rpartition("/")
        plural = kind.resource.rpartition("/")[2]
        self.path = f"/apis/{group}/{version}/{plural}" if group else f"/api/{version}/{plural}"
        encoded = sorted((key_of(found), self.encode(found)) for found in objects)
        self.items = dict(encoded)
        self.version = 10**9

    def metadata(self) -> Self:
        """The same objects, of which nothing but metadata is told."""
        part = copy.copy(self)
        part.kind = PARTIAL
        part.items = {key: partial(item) for key, item in self.items.items()}
        return part

    def chosen(self, namespace: str | None, labels: dict[str, str]) -> Self:
        """Those objects that are in a namespace, if one is named, and have all these labels."""
        part = copy.copy(self)
        part.items = {
            key: item
            for key, item in self.items.items()
            if (namespace is None or key.startswith(f"{namespace}/"))
            and (not labels or labels.items() <= msgspec.json.decode(item, type=Labelled).metadata.labels.items())
        }
        return part

    def encode(self, found: Object) -> bytes:
        """The object as an item of a LIST: those of built-in kinds do not tell their kind."""
        if not self.kind.custom:
            found = {name: value for name, value in found.items() if name not in ("apiVersion", "kind")}
        return msgspec.json.encode(found)

    def line(self, verb: str, item: bytes) -> bytes:
        """The object as an event of a WATCH."""
        about = b"" if self.kind.custom else b'"kind":"%s","apiVersion":"%s",' % self._names("")
        return line(verb, b"{" + about + item[1:])

    def bookmark(self, *, end: bool = False, metadata: bool = False) -> bytes:
        """The event that tells the present version, and whether the initial events are over."""
        about = b'"resourceVersion":"%d"' % self.version
        if end:
            about += b',"annotations":{"k8s.io/initial-events-end":"true"}'
        kind = PARTIAL if metadata else self.kind
        names = kind.kind.encode(), kind.api_version.encode()
        return b'{"type":"BOOKMARK","object":{"kind":"%s","apiVersion":"%s","metadata":{%s}}}\n' % (*names, about)

    def page(self, start: int, limit: int) -> list[Piece]:
        """The answer to a LIST."""
        items = list(self.items.values())
        end = min(start + limit, len(items)) if limit else len(items)
        more = b',"continue":"%d","remainingItemCount":%d' % (end, len(items) - end) if end < len(items) else b""
        about = (*self._names("List"), self.version, more)
        head = b'{"kind":"%s","apiVersion":"%s","metadata":{"resourceVersion":"%d"%s},"items":[' % about
        buffers = list[Buffer](buffer for item in items[start:end] for buffer in (b",", item))[1:]
        parts = [buffers[at : at + BUFFERS] for at in range(0, len(buffers), BUFFERS)]
        return [[head], *parts, [b"]}\n"]]

    def state(self, *, end: bool = True) -> Pieces:
        """The initial events of a WatchList, and the bookmark that ends them: those of now, whenever they are sent."""
        items, last = self.items, [self.bookmark(end=True)] if end else []
        before, after = self.line("ADDED", b"{\0").split(b"\0")

        def pieces() -> Iterator[Piece]:
            held, size = list[Buffer](), 0
            for item in items.values():
                held += (before, memoryview(item)[1:], after)
                size += len(item)
                if size >= PIECE or len(held) >= BUFFERS:
                    yield held
                    held, size = [], 0
            if held or last:
                yield [*held, *last]

        return pieces

    def digest(self, *, whole: bool = True) -> Digest:
        """That of what a client should hold; of who the objects are, alone, if not `whole`."""
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


def in_pieces(lines: Iterable[bytes]) -> Iterator[Piece]:
    """Lines as pieces of about 64 KiB."""
    held, size = list[Buffer](), 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= PIECE:
            yield [b"".join(held)]
            held.clear()
            size = 0
    if held:
        yield [b"".join(held)]
