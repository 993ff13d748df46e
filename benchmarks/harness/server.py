"""An API server for measurements: one collection, kept as the bytes to be sent, so that what is measured is the client.

LIST with pages, WATCH, WatchList and bookmarks; no history: a watch from any version but the present ends in a 410.
Metadata alone, a namespace or a label's objects, for clients that ask for these. A WATCH comes in pieces of 64 KiB,
each a chunk of the transfer encoding, where a kube-apiserver under load sends smaller ones. Whatever path is asked for
that is not the collection's is an empty collection. What happens is made before the clock runs: then bytes are sent,
and nothing else is done.
"""

from __future__ import annotations

import gzip
import json
import queue
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.corpus import Kind, make, read_dump, touch
from benchmarks.harness.collection import Collection, Pieces, in_pieces, line, partial
from benchmarks.harness.discovery import discovery
from benchmarks.harness.wire import Asked, Connection, Listener

GONE = (
    b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",'
    b'"message":"too old resource version","reason":"Expired","code":410}}\n'
)
"""What a watch is told that cannot go on from where it was: HTTP says 200 to it."""

PATIENCE = 20.0
"""Seconds to wait for a client to open the stream that an order speaks of."""


class Prepared(msgspec.Struct):
    """What is to happen: the collection after it, what watches are told, and what those of metadata alone are."""

    items: dict[str, bytes]
    version: int
    pieces: Pieces
    partial: Pieces | None = None


class Server:
    """Serves one collection, and takes orders. Each order is a method; each is carried out in one step for clients."""

    def __init__(
        self,
        *,
        resource: str,
        objects: int | None,
        seed: int,
        corpus: str | None,
        certificate: str | None = None,
        zipped: bool = False,
    ) -> None:
        kind, made = read_dump(Path(corpus)) if corpus else make(resource, objects or 0, seed)
        made = made[:objects] if objects is not None else made
        self._collection = Collection(kind, made)
        self._first = dict(self._collection.items)
        self._seed = seed
        self._turn = 0
        self._prepared: Prepared | None = None
        # What is to be sent, and whether that is metadata alone.
        self._streams: dict[queue.SimpleQueue[Pieces | None], bool] = {}
        self._watched = threading.Condition()
        self._asked: Counter[str] = Counter()
        self._parts: dict[tuple[Any, ...], tuple[dict[str, bytes], Collection]] = {}
        self._gzip = zipped
        self._zipped: dict[tuple[int, ...], bytes] = {}
        self._listener = Listener(self._answer, certificate)

    # Orders

    def open(self) -> dict[str, Any]:
        """Tells where it is, and what it serves."""
        names = {"url": self._listener.url, "resource": self._collection.kind.resource}
        return {**names, "path": self._collection.path, **self.sizes()}

    def sizes(self) -> dict[str, int]:
        """How many objects there are; bytes of them as sent in a LIST, and of these without managedFields."""
        pruned = 0
        for item in self._collection.items.values():
            found = msgspec.json.decode(item)
            found["metadata"].pop("managedFields", None)
            pruned += len(msgspec.json.encode(found))
        raw = sum(map(len, self._collection.items.values()))
        return {"objects": len(self._collection.items), "raw_bytes": raw, "pruned_bytes": pruned}

    def digest(self, *, whole: bool = True) -> dict[str, Any]:
        """What identifies the content; that of everything in it takes a while with many objects."""
        return self._collection.digest(whole=whole).result()

    def asked(self) -> dict[str, int]:
        """How many requests for the collection there were so far: `list`, `watch`, and `stream`: one with the state."""
        return dict(self._asked)

    def reset(self) -> None:
        """Ends all streams, and takes back all that happened to the objects, but not the versions."""
        with self._watched:
            self._zipped.clear()
            self._collection.items = dict(self._first)
            self._collection.version += 1
            self._turn = 0
            self._end_streams(None)

    def prepare(self, *, change: float = 0.0, delete: float = 0.0, events: int = 0) -> dict[str, int]:
        """Makes what `go` or `expire` will do: shares of the objects that change or go, or so many updates in turn."""
        self._turn += 1
        rng = random.Random(f"{self._seed} {self._turn}")
        keys = rng.sample(list(self._collection.items), len(self._collection.items))
        items, version = dict(self._collection.items), self._collection.version
        lines, partials = list[bytes](), list[bytes]()
        with self._watched:
            metadata = any(self._streams.values())
        for number in range(events or round(len(keys) * (change or delete))):
            key, version = keys[number % len(keys)], version + 1
            found = msgspec.json.decode(items[key])
            touch(found, version, f"2026-04-{number % 28 + 1:02}T{number // 3600 % 24:02}:{number // 60 % 60:02}:01Z")
            items[key] = self._collection.encode(found)
            verb = "DELETED" if delete else "MODIFIED"
            lines.append(self._collection.line(verb, items[key]))
            if metadata:
                partials.append(line(verb, partial(items[key])))
            if delete:
                del items[key]
        pieces, others = list(in_pieces(lines)), list(in_pieces(partials))
        self._prepared = Prepared(items, version, lambda: pieces, (lambda: others) if metadata else None)
        return {"events": len(lines), "bytes": sum(map(len, lines))}

    def prepare_churn(self, *, events: int) -> dict[str, int]:
        """Makes what `go` will do: updates in turn in which little but the version changes, made as they are sent."""
        collection = self._collection
        begin = collection.version + 1
        keys, around = list(collection.items), list[tuple[bytes, bytes]]()
        for item in collection.items.values():
            head, _, tail = collection.line("MODIFIED", item).partition(_version_of(item))
            around.append((head, tail))

        def lines() -> Iterator[bytes]:
            for number in range(events):
                head, tail = around[number % len(around)]
                yield head + b'"resourceVersion":"%d"' % (begin + number) + tail

        items = dict(collection.items)
        for number in range(max(events - len(keys), 0), events):
            key = keys[number % len(keys)]
            items[key] = items[key].replace(_version_of(items[key]), b'"resourceVersion":"%d"' % (begin + number), 1)
        self._prepared = Prepared(items, begin + events - 1, lambda: in_pieces(lines()))
        return {"events": events}

    def go(self) -> int | None:
        """Does what was prepared, as events to the open watches; returns the version that this leads to.

        None: nobody ever watched, and nothing was done.
        """
        with self._watched:
            if not self._watched.wait_for(lambda: self._streams, PATIENCE):
                return None
            prepared = self._take()
            if prepared.partial is None and any(self._streams.values()):
                raise RuntimeError("that was not prepared for who watches metadata alone")
            self._collection.items, self._collection.version = prepared.items, prepared.version
            for stream, metadata in self._streams.items():
                stream.put(prepared.partial if metadata else prepared.pieces)
        return prepared.version

    def expire(self) -> int | None:
        """Does what was prepared, if anything, unseen: watches end in 410. Returns the version of the new state.

        None: nobody ever watched, and nothing was done.
        """
        with self._watched:
            if not self._watched.wait_for(lambda: self._streams, PATIENCE):
                return None
            self._collection.version += 1
            # A watch that brought nothing at all would be followed by a wait.
            last = {kind: self._collection.bookmark(metadata=kind) + GONE for kind in (False, True)}
            if self._prepared is not None:
                prepared = self._take()
                self._collection.items, self._collection.version = prepared.items, prepared.version
            self._collection.version += 1
            self._end_streams(last)
        return self._collection.version

    def mark(self) -> int | None:
        """Once somebody watches: one object is changed, and watches are told. Returns the version that it has now.

        Whoever has seen that version has seen all that happened before it. None: nobody ever did.
        """
        collection = self._collection
        with self._watched:
            if not self._watched.wait_for(lambda: self._streams, PATIENCE):
                return None
            collection.version += 1
            key = next(iter(collection.items))
            found = msgspec.json.decode(collection.items[key])
            found["metadata"]["resourceVersion"] = str(collection.version)
            item = collection.encode(found)
            collection.items = {**collection.items, key: item}
            told = {False: collection.line("MODIFIED", item), True: line("MODIFIED", partial(item))}
            for stream, metadata in self._streams.items():
                stream.put(lambda metadata=metadata: [[told[metadata]]])
        return collection.version

    def _take(self) -> Prepared:
        if self._prepared is None:
            raise RuntimeError("nothing was prepared")
        prepared, self._prepared = self._prepared, None
        return prepared

    def _end_streams(self, last: dict[bool, bytes] | None) -> None:
        for stream, metadata in self._streams.items():
            if last is not None:
                stream.put(lambda metadata=metadata: [[last[metadata]]])
            stream.put(None)
        self._streams.clear()

    # Answers

    def _answer(self, asked: Asked, connection: Connection) -> None:
        if (body := discovery(asked.path, self._collection)) is not None:
            connection.answer([[body]])
            return
        watch = asked.query.get("watch") in ("true", "True", "1")
        if asked.path.endswith(f"/{self._collection.path.rpartition('/')[2]}"):
            self._asked[("stream" if _with_state(asked) else "watch") if watch else "list"] += 1
        metadata = "as=PartialObjectMetadata" in asked.headers.get("accept", "")
        if not watch:
            self._list(asked, self._part(asked, metadata), connection)
            return
        stream: queue.SimpleQueue[Pieces | None] = queue.SimpleQueue()
        with self._watched:
            collection = self._part(asked, metadata)
            version = asked.query.get("resourceVersion", "0")
            if asked.query.get("sendInitialEvents") == "true":
                stream.put(collection.state())
            elif version == "0":  # the state comes first, and nothing says where it ends
                stream.put(collection.state(end=False))
            elif version != str(collection.version):
                stream.put(lambda: [[GONE]])
                stream.put(None)
            followed = version in ("0", str(collection.version)) or "sendInitialEvents" in asked.query
            if followed and collection.items and len(collection.items) == len(self._collection.items):
                self._streams[stream] = metadata
                self._watched.notify_all()
        try:
            connection.begin()
            while (pieces := stream.get()) is not None:
                for piece in pieces():
                    connection.chunk(piece)
            connection.end()
        finally:  # who has gone away watches no more
            with self._watched:
                self._streams.pop(stream, None)

    def _part(self, asked: Asked, metadata: bool) -> Collection:
        """What is asked for: all, a namespace, what a selector chooses; nothing where the path leads elsewhere."""
        collection = self._collection
        base, _, plural = collection.path.rpartition("/")
        prefix = f"{base}/namespaces/"
        namespace = None
        if asked.path.startswith(prefix) and asked.path.endswith(f"/{plural}"):
            namespace = asked.path[len(prefix) : -len(plural) - 1]
        elif asked.path != collection.path:
            return Collection(Kind("v1/nothings", "Nothing"), [])
        labels = dict(term.split("=") for term in asked.query.get("labelSelector", "").split(",") if term)
        wanted = (namespace, tuple(labels.items()), metadata)
        if wanted == (None, (), False):
            return collection
        if self._parts.get(wanted, (None,))[0] is not collection.items:
            part = collection.chosen(namespace, labels)
            self._parts[wanted] = collection.items, part.metadata() if metadata else part
        part = self._parts[wanted][1]
        part.version = collection.version
        return part

    def _list(self, asked: Asked, collection: Collection, connection: Connection) -> None:
        start, limit = (int(asked.query.get(name, "0")) for name in ("continue", "limit"))
        if asked.query.get("resourceVersion") == "0":
            limit = 0  # which a kube-apiserver's watch cache does not look at then
        pieces = collection.page(start, limit)
        if not (self._gzip and "gzip" in asked.headers.get("accept-encoding", "")):
            connection.answer(pieces)
            return
        # Once for many: what is measured is the client. Level 1, as kube-apiserver has it.
        wanted = (id(collection.items), collection.version, start, limit)
        if wanted not in self._zipped:
            self._zipped[wanted] = gzip.compress(b"".join(buffer for piece in pieces for buffer in piece), 1)
        connection.answer([[self._zipped[wanted]]], encoding="gzip")


def _with_state(asked: Asked) -> bool:
    """Whether a watch begins with all that there is."""
    return asked.query.get("sendInitialEvents") == "true" or asked.query.get("resourceVersion", "0") == "0"


def _version_of(item: bytes) -> bytes:
    return b'"resourceVersion":"%s"' % msgspec.json.decode(item)["metadata"]["resourceVersion"].encode()


def main() -> None:
    """Serves until its standard input ends."""
    server = Server(**json.loads(sys.argv[1]))
    for text in sys.stdin:
        order = json.loads(text)
        print(json.dumps(getattr(server, order["do"])(**order["with"])), flush=True)


if __name__ == "__main__":
    main()
