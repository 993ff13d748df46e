"""An API server in memory that answers requests for named objects, with faults.

It keeps the whole history of each object, so that a test can say which answers a reader may get.
"""

from __future__ import annotations

import asyncio
import random
import time
from bisect import bisect_right
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec

import kinform

BOOKMARK_SECONDS = 60.0


class Watcher:
    """An open watch of one or several objects."""

    def __init__(self, keys: list[str], resource_version: int) -> None:
        self.keys = keys
        self.sent = resource_version
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()  # None: the connection breaks
        self.silent = False  # nothing arrives any more, and no end either


class Reply:
    """A response, whose body is a list of chunks or an open watch."""

    def __init__(self, api: SingleObjects, status: int, chunks: list[bytes], watcher: Watcher | None = None) -> None:
        self.status = status
        self.headers: dict[str, str] = {}
        self._api, self._chunks, self._watcher = api, chunks, watcher

    async def chunks(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            if not chunk:
                raise kinform.TransportError("the body broke off")
            yield chunk
        while self._watcher is not None:
            try:
                async with asyncio.timeout(BOOKMARK_SECONDS):
                    chunk = await self._watcher.queue.get()
            except TimeoutError:
                chunk = self._api.bookmark()
                if self._watcher.silent:
                    continue
            if chunk is None:
                raise kinform.TransportError("the connection was reset")
            yield chunk

    async def head(self, limit: int) -> bytes:
        return b"".join(self._chunks)[:limit]

    def close(self) -> None:
        if self._watcher is not None:
            self._api.watchers.discard(self._watcher)
            self._watcher = None


class SingleObjects:
    """A transport to such a server. Objects are namespaces with one label, a number.

    Args:
        random: Decides about faults.
        faults: The probability of a fault for each request.
        unlabelled: Keys of objects without the label that has their name.

    Attributes:
        history: For each key, times and the label from then on; None: there is no object.
        requests: All requests.
        faults: The probability of a fault for each request.
    """

    def __init__(self, random: random.Random, *, faults: float = 0.0, unlabelled: frozenset[str] = frozenset()) -> None:
        self.history: dict[str, list[tuple[float, str | None]]] = {}
        self.requests: list[kinform.Request] = []
        self.faults = faults
        self.watchers: set[Watcher] = set()
        self._random = random
        self._unlabelled = unlabelled
        self._revision = 100
        self._events: dict[str, list[tuple[int, bytes]]] = {}
        self._bodies: dict[str, bytes | None] = {}

    @property
    def identity(self) -> object:
        return self

    async def refresh_credentials(self) -> bool:
        return False

    # Writes

    def write(self, key: str, label: str | None) -> None:
        """Creates, updates or deletes (None) an object."""
        before = self._bodies.get(key)
        if before is None and label is None:
            return
        self._revision += 1
        name = label if label is not None else "deleted"
        body = msgspec.json.encode(
            {
                "metadata": {
                    "name": key,
                    "uid": f"uid-{key}",
                    "resourceVersion": str(self._revision),
                    "labels": {"number": name},
                }
            }
        )
        verb = b"DELETED" if label is None else b"ADDED" if before is None else b"MODIFIED"
        self._bodies[key] = None if label is None else body
        self.history.setdefault(key, []).append((time.monotonic(), label))
        event = b'{"type":"%s","object":%s}\n' % (verb, body)
        self._events.setdefault(key, []).append((self._revision, event))
        for watcher in self.watchers:
            if key in watcher.keys and not watcher.silent:
                watcher.queue.put_nowait(event)

    def labels(self, key: str, earliest: float, latest: float) -> set[str | None]:
        """Returns the labels that an object had between two times."""
        history = self.history.get(key, [])
        first = bisect_right(history, earliest, key=lambda entry: entry[0])
        found = {label for then, label in history[first:] if then <= latest}
        return found | {history[first - 1][1] if first else None}

    # Requests

    async def open(self, request: kinform.Request) -> Reply:
        self.requests.append(request)
        keys = self._selected(dict(request.params))
        if self._random.random() < self.faults:
            return await self._fail(request, keys)
        await asyncio.sleep(self._random.random() * 0.01)
        return self._answer(request, keys)

    def _selected(self, params: dict[str, str]) -> list[str]:
        if "fieldSelector" in params:
            return [params["fieldSelector"].removeprefix("metadata.name=")]
        start, _, names = params["labelSelector"].removesuffix(")").partition(" in (")
        assert start == "kubernetes.io/metadata.name"
        return [name for name in names.split(",") if name not in self._unlabelled]

    def _answer(self, request: kinform.Request, keys: list[str]) -> Reply:
        return self._watch(request, keys) if request.watch else self._list(keys)

    def bookmark(self, end: bytes = b"false") -> bytes:
        about = b'"resourceVersion":"%d","annotations":{"k8s.io/initial-events-end":"%s"}' % (self._revision, end)
        return b'{"type":"BOOKMARK","object":{"metadata":{%s}}}\n' % about

    def disturb(self) -> None:
        """Breaks or silences a random watch."""
        if self.watchers:
            watcher = self._random.choice(sorted(self.watchers, key=lambda each: (each.keys, id(each))))
            if self._random.random() < 0.5:
                watcher.silent = True
            else:
                watcher.queue.put_nowait(None)

    def _list(self, keys: list[str]) -> Reply:
        items = b",".join(body for key in keys if (body := self._bodies.get(key)) is not None)
        start = b'{"kind":"NamespaceList","apiVersion":"v1","metadata":{"resourceVersion":"%d"},"items":['
        return Reply(self, 200, [start % self._revision + items + b"]}"])

    def _watch(self, request: kinform.Request, keys: list[str]) -> Reply:
        params = dict(request.params)
        watcher = Watcher(keys, int(params.get("resourceVersion", self._revision)))
        self.watchers.add(watcher)
        if "sendInitialEvents" in params:
            bodies = [body for key in keys if (body := self._bodies.get(key)) is not None]
            events = [b'{"type":"ADDED","object":%s}\n' % body for body in bodies]
            return Reply(self, 200, [*events, self.bookmark(b"true")], watcher)
        later = [each for key in keys for each in self._events.get(key, []) if each[0] > watcher.sent]
        return Reply(self, 200, [event for _, event in sorted(later)], watcher)

    async def _fail(self, request: kinform.Request, keys: list[str]) -> Reply:
        match self._random.randrange(9):
            case 0:
                raise kinform.TransportError("refused", reached=False)
            case 1:
                return _status(self, self._random.choice((401, 403, 500, 503)))
            case 2:
                reply = _status(self, 429)
                reply.headers["Retry-After"] = str(self._random.randrange(1, 60))
                return reply
            case 3:  # slow, with a state from before or after
                await asyncio.sleep(self._random.random() * 40)
                return self._answer(request, keys)
            case 4:
                reply = self._answer(request, keys)
                if reply._watcher is not None and self._random.random() < 0.5:
                    reply._watcher.silent = True  # after a state from before
                await asyncio.sleep(self._random.random() * 40)
                return reply
            case 5 if request.watch:
                gone = b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}\n'
                return Reply(self, 200, [gone])
            case 6 if request.watch:  # accepted, and silent from the start
                watcher = Watcher(keys, 0)
                watcher.silent = True
                return Reply(self, 200, [], watcher)
            case 7:
                reply = self._list(keys)
                return Reply(self, 200, [reply._chunks[0][:60], b""])
            case _:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(1e6)
                raise asyncio.CancelledError
        raise AssertionError


def _status(api: SingleObjects, code: int) -> Reply:
    body = msgspec.json.encode({"kind": "Status", "code": code, "reason": "Test", "message": "a fault"})
    return Reply(api, code, [body])
