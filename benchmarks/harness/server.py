"""The benchmark server: an API server that is much faster than its clients.

Serves one collection: LIST with pages, WATCH, WatchList and bookmarks; also metadata only, one namespace, a label
selector with `=` and `in`, or the field selector of one name. Ignores shard selectors, as a kube-apiserver does by
default. Over TLS, its certificate is that of the tests. It keeps no history: a watch from any version but the current
one ends with 410. It sends a WATCH in chunks of 64 KiB, where a kube-apiserver under load sends smaller ones. Every
path but the collection's is an empty collection. Changes are encoded in advance (`prepare`), so that the server only
writes bytes while a client is measured.
"""

from __future__ import annotations

import gzip
import json
import queue
import random
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.corpus import Kind, make, read_dump, touch
from benchmarks.harness.collection import Chunks, Collection, LabelValues, in_chunks, partial, watch_event
from benchmarks.harness.digest import Identified
from benchmarks.harness.discovery import discovery
from benchmarks.harness.wire import Connection, HttpRequest, Listener
from tests.support.tls import CERTIFICATES

GONE = (
    b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",'
    b'"message":"too old resource version","reason":"Expired","code":410}}\n'
)
"""The last event of a watch that cannot continue. Its HTTP status is 200."""

WATCH_TIMEOUT = 20.0
"""Seconds that a command waits for a client to open a watch."""


class Prepared(msgspec.Struct):
    """A prepared change: the objects after it, and its events.

    `chunks` are the events for watches of whole objects, `partial` for watches of metadata.
    """

    items: dict[str, bytes]
    version: int
    chunks: Chunks
    partial: Chunks | None = None


class Server:
    """Serves one collection.

    Each public method is a command, and atomic for the clients.
    """

    def __init__(
        self,
        *,
        resource: str,
        objects: int | None,
        seed: int,
        corpus: str | None,
        tls: bool = False,
        gzip: bool = False,
    ) -> None:
        kind, found = read_dump(Path(corpus)) if corpus else make(resource, objects or 0, seed)
        self._collection = Collection(kind, found[:objects] if objects is not None else found)
        self._initial = dict(self._collection.items)
        self._seed = seed
        self._changes = 0
        self._prepared: Prepared | None = None
        # The events to send on each open watch, and whether it is a watch of metadata.
        self._streams: dict[queue.SimpleQueue[Chunks | None], bool] = {}
        self._watched = threading.Condition()
        self._requests: Counter[str] = Counter()
        self._parts: dict[tuple[Any, ...], tuple[dict[str, bytes], Collection]] = {}
        self._gzip = gzip
        self._compressed: dict[tuple[int, ...], bytes] = {}
        self._ca = str(CERTIFICATES / "ca.pem") if tls else None
        self._listener = Listener(self._respond, CERTIFICATES / "server.pem" if tls else None)

    # Commands

    def open(self) -> dict[str, Any]:
        """Returns the address, the CA to trust over TLS, and what is served."""
        names = {"url": self._listener.url, "ca": self._ca, "resource": self._collection.kind.resource}
        return {**names, "path": self._collection.path, **self.sizes()}

    def sizes(self) -> dict[str, int]:
        """Returns the number of objects, and their bytes with and without managedFields."""
        pruned = 0
        for item in self._collection.items.values():
            found = msgspec.json.decode(item)
            found["metadata"].pop("managedFields", None)
            pruned += len(msgspec.json.encode(found))
        raw = sum(map(len, self._collection.items.values()))
        return {"objects": len(self._collection.items), "raw_bytes": raw, "pruned_bytes": pruned}

    def digest(self, *, whole: bool = True) -> dict[str, Any]:
        """Returns the digest of the objects. `whole` takes a while for many objects."""
        return self._collection.digest(whole=whole).result()

    def versions(self) -> dict[str, str]:
        """Returns the resourceVersion of each object."""
        items = self._collection.items.items()
        return {key: msgspec.json.decode(item, type=Identified).metadata.resourceVersion for key, item in items}

    def request_counts(self) -> dict[str, int]:
        """Counts requests: `list`, `watch`, and `stream` for a watch with initial events."""
        return dict(self._requests)

    def reset(self) -> None:
        """Ends all watches and restores the initial objects. The version still increases."""
        with self._watched:
            self._compressed.clear()
            self._collection.items = dict(self._initial)
            self._collection.version += 1
            self._changes = 0
            self._end_streams(None)

    def prepare(self, *, change: float = 0.0, delete: float = 0.0, events: int = 0) -> dict[str, int]:
        """Prepares changes for `send` or `expire`.

        Args:
            change: The share of the objects to update.
            delete: The share of the objects to delete.
            events: A number of updates, of all objects in turn.
        """
        self._changes += 1
        rng = random.Random(f"{self._seed} {self._changes}")
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
                partials.append(watch_event(verb, partial(items[key])))
            if delete:
                del items[key]
        chunks, partial_chunks = list(in_chunks(lines)), list(in_chunks(partials))
        self._prepared = Prepared(items, version, lambda: chunks, (lambda: partial_chunks) if metadata else None)
        return {"events": len(lines), "bytes": sum(map(len, lines))}

    def prepare_churn(self, *, events: int) -> dict[str, int]:
        """Prepares updates that change little but the version.

        All objects are updated in turn. `send` encodes the events, so that they take no memory before.
        """
        collection = self._collection
        first = collection.version + 1
        keys, around = list(collection.items), list[tuple[bytes, bytes]]()
        for item in collection.items.values():
            head, _, tail = collection.line("MODIFIED", item).partition(_version_of(item))
            around.append((head, tail))

        def lines() -> Iterator[bytes]:
            for number in range(events):
                head, tail = around[number % len(around)]
                yield head + b'"resourceVersion":"%d"' % (first + number) + tail

        items = dict(collection.items)
        for number in range(max(events - len(keys), 0), events):
            key = keys[number % len(keys)]
            items[key] = items[key].replace(_version_of(items[key]), b'"resourceVersion":"%d"' % (first + number), 1)
        self._prepared = Prepared(items, first + events - 1, lambda: in_chunks(lines()))
        return {"events": events}

    def send(self) -> int | None:
        """Makes the prepared change and sends its events to the open watches.

        Returns the new version.

        Returns None, and changes nothing, if no watch was opened in time.
        """
        with self._watched:
            if not self._watched.wait_for(lambda: self._streams, WATCH_TIMEOUT):
                return None
            prepared = self._take()
            if prepared.partial is None and any(self._streams.values()):
                raise RuntimeError("the change was prepared before a watch of metadata was opened")
            self._collection.items, self._collection.version = prepared.items, prepared.version
            for stream, metadata in self._streams.items():
                stream.put(prepared.partial if metadata else prepared.chunks)
        return prepared.version

    def expire(self) -> int | None:
        """Ends the open watches with 410, and makes the prepared change, if any, unseen.

        Returns the new version.

        Returns None, and changes nothing, if no watch was opened in time.
        """
        with self._watched:
            if not self._watched.wait_for(lambda: self._streams, WATCH_TIMEOUT):
                return None
            self._collection.version += 1
            # After a watch without a single event, clients would wait before they reconnect.
            last = {metadata: self._collection.bookmark(metadata=metadata) + GONE for metadata in (False, True)}
            if self._prepared is not None:
                prepared = self._take()
                self._collection.items, self._collection.version = prepared.items, prepared.version
            self._collection.version += 1
            self._end_streams(last)
        return self._collection.version

    def mark(self) -> int | None:
        """Updates one object as soon as there is a watch.

        Returns the object's new version.

        A client that has seen this version has seen everything before it. Returns None if no watch was opened in time.
        """
        collection = self._collection
        with self._watched:
            if not self._watched.wait_for(lambda: self._streams, WATCH_TIMEOUT):
                return None
            collection.version += 1
            key = next(iter(collection.items))
            found = msgspec.json.decode(collection.items[key])
            found["metadata"]["resourceVersion"] = str(collection.version)
            item = collection.encode(found)
            collection.items = {**collection.items, key: item}
            events = {False: collection.line("MODIFIED", item), True: watch_event("MODIFIED", partial(item))}
            for stream, metadata in self._streams.items():
                stream.put(lambda metadata=metadata: [[events[metadata]]])
        return collection.version

    def _take(self) -> Prepared:
        if self._prepared is None:
            raise RuntimeError("no change was prepared")
        prepared, self._prepared = self._prepared, None
        return prepared

    def _end_streams(self, last: dict[bool, bytes] | None) -> None:
        for stream, metadata in self._streams.items():
            if last is not None:
                stream.put(lambda metadata=metadata: [[last[metadata]]])
            stream.put(None)
        self._streams.clear()

    # Responses

    def _respond(self, request: HttpRequest, connection: Connection) -> None:
        if (body := discovery(request.path, self._collection)) is not None:
            connection.respond([[body]])
            return
        watch = request.query.get("watch") in ("true", "True", "1")
        if request.path.endswith(f"/{self._collection.path.rpartition('/')[2]}"):
            self._requests[("stream" if _with_state(request) else "watch") if watch else "list"] += 1
        metadata = "as=PartialObjectMetadata" in request.headers.get("accept", "")
        if not watch:
            self._list(request, self._part(request, metadata), connection)
            return
        stream: queue.SimpleQueue[Chunks | None] = queue.SimpleQueue()
        with self._watched:
            collection = self._part(request, metadata)
            version = request.query.get("resourceVersion", "0")
            if request.query.get("sendInitialEvents") == "true":
                stream.put(collection.initial_events())
            elif version == "0":  # initial events without a bookmark that ends them
                stream.put(collection.initial_events(end=False))
            elif version != str(collection.version):
                stream.put(lambda: [[GONE]])
                stream.put(None)
            continues = version in ("0", str(collection.version)) or "sendInitialEvents" in request.query
            if continues and collection.items and len(collection.items) == len(self._collection.items):
                self._streams[stream] = metadata
                self._watched.notify_all()
        try:
            connection.start_stream()
            while (chunks := stream.get()) is not None:
                for chunk in chunks():
                    connection.send_chunk(chunk)
            connection.end_stream()
        finally:  # also if the client closed the connection
            with self._watched:
                self._streams.pop(stream, None)

    def _part(self, request: HttpRequest, metadata: bool) -> Collection:
        """The requested part of the collection; an empty collection for another path."""
        collection = self._collection
        base, _, plural = collection.path.rpartition("/")
        prefix = f"{base}/namespaces/"
        namespace = None
        if request.path.startswith(prefix) and request.path.endswith(f"/{plural}"):
            namespace = request.path[len(prefix) : -len(plural) - 1]
        elif request.path != collection.path:
            return Collection(Kind("v1/nothings", "Nothing"), [])
        labels = _labels(request.query.get("labelSelector", ""))
        fields = dict(term.split("=") for term in request.query.get("fieldSelector", "").split(",") if term)
        name = fields.get("metadata.name")
        wanted = (namespace, tuple(labels.items()), name, metadata)
        if wanted == (None, (), None, False):
            return collection
        if self._parts.get(wanted, (None,))[0] is not collection.items:
            part = collection.select(namespace, labels, name)
            self._parts[wanted] = collection.items, part.metadata() if metadata else part
        part = self._parts[wanted][1]
        part.version = collection.version
        return part

    def _list(self, request: HttpRequest, collection: Collection, connection: Connection) -> None:
        start, limit = (int(request.query.get(name, "0")) for name in ("continue", "limit"))
        if request.query.get("resourceVersion") == "0":
            limit = 0  # kube-apiserver's watch cache ignores the limit then
        chunks = collection.page(start, limit)
        if not (self._gzip and "gzip" in request.headers.get("accept-encoding", "")):
            connection.respond(chunks)
            return
        # Compressed once for all rounds, since the client is measured. Level 1, as in kube-apiserver.
        wanted = (id(collection.items), collection.version, start, limit)
        if wanted not in self._compressed:
            self._compressed[wanted] = gzip.compress(b"".join(buffer for chunk in chunks for buffer in chunk), 1)
        connection.respond([[self._compressed[wanted]]], encoding="gzip")


def _with_state(request: HttpRequest) -> bool:
    """Returns whether a watch starts with the initial events."""
    return request.query.get("sendInitialEvents") == "true" or request.query.get("resourceVersion", "0") == "0"


def _labels(selector: str) -> LabelValues:
    """Parses a label selector of terms such as `app=web` and `app in (web,db)`."""
    terms = re.findall(r"([^,=()\s]+)(?:=([^,]*)|\s+in\s+\(([^)]*)\))", selector)
    return {name: tuple(several.split(",") if several else [value]) for name, value, several in terms}


def _version_of(item: bytes) -> bytes:
    return b'"resourceVersion":"%s"' % msgspec.json.decode(item)["metadata"]["resourceVersion"].encode()


def main() -> None:
    """Carries out commands until standard input ends."""
    server = Server(**json.loads(sys.argv[1]))
    for text in sys.stdin:
        command = json.loads(text)
        print(json.dumps(getattr(server, command["do"])(**command["with"])), flush=True)


if __name__ == "__main__":
    main()
