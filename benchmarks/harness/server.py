"""An API server for measurements: one collection, kept as the bytes to be sent, so that what is measured is the client.

LIST with pages, WATCH, WatchList and bookmarks; no history: a watch from any version but the present is answered 410.
A thread a connection, blocking writes. A WATCH comes in pieces of 64 KiB, each a chunk of the transfer encoding, where
a kube-apiserver under load sends smaller ones. Whatever path is asked for that is not the collection's is an empty
collection. What happens is made before the clock runs: then bytes are sent, and nothing else is done.
"""

from __future__ import annotations

import json
import queue
import random
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from benchmarks.corpus import Kind, make, read_dump, touch
from benchmarks.harness.collection import Collection, Piece, Pieces, in_pieces

PATIENCE = 60.0
"""Seconds to wait for a client to open the stream that an order speaks of."""


class Prepared(msgspec.Struct):
    """What is to happen: the collection after it, and what watches are told."""

    items: dict[str, bytes]
    version: int
    pieces: Pieces


class Server:
    """Serves one collection, and takes orders. Each order is a method; each is carried out in one step for clients."""

    def __init__(self, *, resource: str, objects: int | None, seed: int, corpus: str | None) -> None:
        kind, made = read_dump(Path(corpus)) if corpus else make(resource, objects or 0, seed)
        made = made[:objects] if objects is not None else made
        self._collection = Collection(kind, made)
        self._first = dict(self._collection.items)
        self._seed = seed
        self._turn = 0
        self._prepared: Prepared | None = None
        self._streams: set[queue.SimpleQueue[Pieces | None]] = set()
        self._watched = threading.Condition()
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    # Orders

    def open(self) -> dict[str, Any]:
        """Tells where it is, and what it serves."""
        names = {"url": f"http://127.0.0.1:{self._socket.getsockname()[1]}", "resource": self._collection.kind.resource}
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

    def digest(self) -> dict[str, Any]:
        """What identifies the content."""
        return self._collection.digest().result()

    def reset(self) -> None:
        """Ends all streams, and takes back all that happened to the objects, but not the versions."""
        with self._watched:
            self._collection.items = dict(self._first)
            self._collection.version += 1
            self._turn = 0
            self._end_streams(None)

    def prepare(self, *, change: float = 0.0, delete: float = 0.0, events: int = 0) -> dict[str, int]:
        """Makes what `go` or `expire` will do: shares of the objects that change or go, or so many updates in turn."""
        self._turn += 1
        rng = random.Random(f"{self._seed} {self._turn}")
        keys = rng.sample(list(self._collection.items), len(self._collection.items))
        items, version, lines = dict(self._collection.items), self._collection.version, []
        for number in range(events or round(len(keys) * (change or delete))):
            key, version = keys[number % len(keys)], version + 1
            found = msgspec.json.decode(items[key])
            touch(found, version, f"2026-04-{number % 28 + 1:02}T{number // 3600 % 24:02}:{number // 60 % 60:02}:01Z")
            items[key] = self._collection.encode(found)
            lines.append(self._collection.line("DELETED" if delete else "MODIFIED", items[key]))
            if delete:
                del items[key]
        pieces = list(in_pieces(lines))
        self._prepared = Prepared(items, version, lambda: pieces)
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

    def go(self) -> int:
        """Does what was prepared, as events to the open watches; returns the version that this leads to."""
        prepared = self._take()
        with self._watched:
            if not self._watched.wait_for(lambda: self._streams, PATIENCE):
                raise RuntimeError("nobody watches")
            self._collection.items, self._collection.version = prepared.items, prepared.version
            for stream in self._streams:
                stream.put(prepared.pieces)
        return prepared.version

    def expire(self) -> int:
        """Does what was prepared, if anything, unseen: watches end in 410. Returns the version of the new state."""
        gone = b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure",'
        gone += b'"message":"too old resource version","reason":"Expired","code":410}}\n'
        with self._watched:
            if not self._watched.wait_for(lambda: self._streams, PATIENCE):
                raise RuntimeError("nobody watches")
            self._collection.version += 1
            # A watch that brought nothing at all would be followed by a wait.
            last = self._collection.bookmark() + gone
            if self._prepared is not None:
                prepared = self._take()
                self._collection.items, self._collection.version = prepared.items, prepared.version
            self._collection.version += 1
            self._end_streams(lambda: [[last]])
        return self._collection.version

    def mark(self) -> int:
        """Once somebody watches: one object is changed, and watches are told. Returns the version that it has now.

        Whoever has seen that version has seen all that happened before it.
        """
        collection = self._collection
        with self._watched:
            if not self._watched.wait_for(lambda: self._streams, PATIENCE):
                raise RuntimeError("nobody watches")
            collection.version += 1
            key = next(iter(collection.items))
            found = msgspec.json.decode(collection.items[key])
            found["metadata"]["resourceVersion"] = str(collection.version)
            item = collection.encode(found)
            collection.items = {**collection.items, key: item}
            line = collection.line("MODIFIED", item)
            for stream in self._streams:
                stream.put(lambda: [[line]])
        return collection.version

    def _take(self) -> Prepared:
        if self._prepared is None:
            raise RuntimeError("nothing was prepared")
        prepared, self._prepared = self._prepared, None
        return prepared

    def _end_streams(self, last: Pieces | None) -> None:
        for stream in self._streams:
            if last is not None:
                stream.put(last)
            stream.put(None)
        self._streams.clear()

    # Connections

    def _accept(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            received = b""
            try:
                while True:
                    while b"\r\n\r\n" not in received:
                        if not (more := connection.recv(65536)):
                            return
                        received += more
                    head, _, received = received.partition(b"\r\n\r\n")
                    target = urlsplit(head.split(b" ", 2)[1].decode())
                    self._answer(connection, target.path, {k: v[-1] for k, v in parse_qs(target.query).items()})
            except ConnectionError:
                return

    def _answer(self, connection: socket.socket, path: str, query: dict[str, str]) -> None:
        collection = self._collection
        if path != collection.path:
            collection = Collection(Kind("v1/nothings", "Nothing"), [])
        if query.get("watch") not in ("true", "1"):
            self._list(connection, collection, query)
            return
        stream: queue.SimpleQueue[Pieces | None] = queue.SimpleQueue()
        with self._watched:
            if query.get("sendInitialEvents") == "true":
                stream.put(collection.state())
            elif query.get("resourceVersion") != str(collection.version):
                body = b'{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}'
                connection.sendall(_head("410 Gone", b"Content-Length: %d" % len(body)) + body)
                return
            if collection is self._collection:
                self._streams.add(stream)
                self._watched.notify_all()
        connection.sendall(_head("200 OK", b"Transfer-Encoding: chunked"))
        while (pieces := stream.get()) is not None:
            for piece in pieces():
                _send(connection, [b"%x\r\n" % _size(piece), *piece, b"\r\n"])
        connection.sendall(b"0\r\n\r\n")

    def _list(self, connection: socket.socket, collection: Collection, query: dict[str, str]) -> None:
        with self._watched:
            pieces = collection.page(int(query.get("continue", "0")), int(query.get("limit", "0")))
        connection.sendall(_head("200 OK", b"Content-Length: %d" % sum(map(_size, pieces))))
        for piece in pieces:
            _send(connection, piece)


def _version_of(item: bytes) -> bytes:
    return b'"resourceVersion":"%s"' % msgspec.json.decode(item)["metadata"]["resourceVersion"].encode()


def _size(piece: Piece) -> int:
    return sum(map(len, piece))


def _send(connection: socket.socket, piece: Piece) -> None:
    if (sent := connection.sendmsg(piece)) < _size(piece):
        connection.sendall(b"".join(piece)[sent:])


def _head(status: str, length: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n%s\r\n\r\n" % (status.encode(), length)


def main() -> None:
    """Serves until its standard input ends."""
    server = Server(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(getattr(server, order["do"])(**order["with"])), flush=True)


if __name__ == "__main__":
    main()
