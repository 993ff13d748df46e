"""Threads that read while 50,000 events arrive see only states of the server.

Event `k` writes object `k % OBJECTS` with the resourceVersion `OBJECTS + k`. So one number, that of the last event in
it, determines a whole state.
"""

from __future__ import annotations

import asyncio
import random
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec
import pytest

import kinform
import kinform.sync
from tests.support.switching import switching_after
from tests.sync.conftest import InThread
from tests.sync.programs import until

OBJECTS = 400
EVENTS = 50_000
LAST = OBJECTS + EVENTS
READERS = 8
CHUNK_EVENTS = 500
MIN_READS = 12
"""The reads of each thread until the last event."""


class Metadata(msgspec.Struct):
    name: str
    resourceVersion: str


class Config(msgspec.Struct):
    metadata: Metadata
    data: dict[str, str]

    def number(self) -> int:
        """Checks the contents, and returns the number of the event that wrote them."""
        version = int(self.metadata.resourceVersion)
        number = version - OBJECTS
        assert self.metadata.name == name(number % OBJECTS)
        assert self.data == data(version)
        return number


def name(number: int) -> str:
    return f"config-{number:04}"


def data(version: int) -> dict[str, str]:
    return {"check": str(zlib.crc32(str(version).encode())), "group": f"g{version % 7}"}


def encoded(number: int, version: int) -> bytes:
    metadata = {"name": name(number), "namespace": "shop", "uid": f"u{number}", "resourceVersion": str(version)}
    return msgspec.json.encode({"metadata": metadata, "data": data(version)})


class Body:
    """A response."""

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, chunks: Callable[[], AsyncIterator[bytes]]) -> None:
        self.chunks = chunks

    async def head(self, limit: int) -> bytes:
        raise AssertionError

    def close(self) -> None:
        pass


class Events:
    """A transport: a list, and a watch whose events begin when `start` is set.

    The events wait for the readers, so that each of them reads from the first event to the last.
    """

    def __init__(self) -> None:
        self.start = threading.Event()
        self.readers: list[Reader] = []

    @property
    def identity(self) -> object:
        return self

    async def open(self, request: kinform.Request) -> Any:
        return Body(self._watch if request.watch else self._list)

    async def refresh_credentials(self) -> bool:
        return False

    async def _list(self) -> AsyncIterator[bytes]:
        items = b",".join(encoded(number, number) for number in range(OBJECTS))
        head = b'{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"%d"},"items":[' % OBJECTS
        yield head + items + b"]}"

    async def _watch(self) -> AsyncIterator[bytes]:
        while not self.start.is_set():
            await asyncio.sleep(0.01)
        for first in range(0, EVENTS, CHUNK_EVENTS):
            while any(reader.reads * EVENTS < MIN_READS * first for reader in self.readers):
                await asyncio.sleep(0.001)
            numbers = range(first, first + CHUNK_EVENTS)
            lines = (b'{"type":"MODIFIED","object":%s}\n' % encoded(k % OBJECTS, OBJECTS + k) for k in numbers)
            yield b"".join(lines)
        bookmark = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"resourceVersion": str(LAST)}}
        yield msgspec.json.encode({"type": "BOOKMARK", "object": bookmark}) + b"\n"
        await asyncio.sleep(3600)


Configs = kinform.sync.Informer[Config]


class Reader:
    """A thread that reads until the last event has arrived."""

    def __init__(self, configs: Configs, seed: int) -> None:
        self._configs = configs
        self._random = random.Random(seed)
        self._seen: dict[str, int] = {}
        self.reads = 0

    def run(self) -> None:
        reads = (self._get, self._get, self._raw, self._items, self._index)
        while self._configs.store.meta(f"shop/{name(OBJECTS - 1)}").resource_version != str(LAST - 1):
            self._random.choice(reads)()
            self.reads += 1
        self._items()

    def _key(self) -> str:
        return f"shop/{name(self._random.randrange(OBJECTS))}"

    def _get(self) -> None:
        key = self._key()
        found = self._configs.store.get(key)
        assert found is not None
        self._note(key, found.number())

    def _raw(self) -> None:
        key = self._key()
        raw, meta = self._configs.store.raw(key), self._configs.store.meta(key)
        assert raw is not None
        assert meta is not None
        number = msgspec.json.decode(raw, type=Config).number()
        assert number <= int(meta.resource_version) - OBJECTS
        self._note(key, number)

    def _items(self) -> None:
        numbers = {key: config.number() for key, config in self._configs.store.items()}
        assert len(numbers) == OBJECTS
        last = max(numbers.values())
        for place in range(OBJECTS):
            expected = last - (last - place) % OBJECTS
            assert numbers[f"shop/{name(place)}"] == expected, f"a state between events, after event {last}"
        for key, number in numbers.items():
            self._note(key, number)

    def _index(self) -> None:
        group = f"g{self._random.randrange(7)}"
        for found in self._configs.store.index("group", group):
            number = found.number()
            assert found.data["group"] == group
            self._note(f"shop/{found.metadata.name}", number)

    def _note(self, key: str, number: int) -> None:
        assert self._seen.get(key, -OBJECTS) <= number, f"{key} went backwards"
        self._seen[key] = number


def follow(configs: Configs) -> dict[str, int]:
    """Reads `changes()` until the last event; returns the last version of each object."""
    last: dict[str, int] = {}
    for change in configs.changes():
        if isinstance(change, kinform.Added | kinform.Updated):
            number = change.object.number()
            assert last.get(change.key, -OBJECTS - 1) < number
            last[change.key] = number
            if number == EVENTS - 1:
                break
    return last


@pytest.mark.parametrize(("handlers", "cache"), [(False, False), (True, True)])
async def test_threads_read_states_of_the_server_while_events_arrive(handlers, cache):
    events = Events()
    handled: dict[str, int] = {}

    def program() -> None:
        options = kinform.WatchOptions(initial="list")
        indexes = {"group": "data.group"}
        configs = kinform.sync.Informer(
            events,
            "v1/configmaps",
            type=Config,
            indexes=indexes,
            options=options,
            decoded_cache=OBJECTS // 2 if cache else None,
        )
        if handlers:

            @configs.on_update
            def updated(old: Config | None, new: Config) -> None:
                handled[f"shop/{new.metadata.name}"] = new.number()

        with configs, switching_after(5e-5):
            configs.synced(timeout=20)
            readers = [Reader(configs, seed) for seed in range(READERS)]
            events.readers = readers
            threads = [InThread(reader.run) for reader in readers]
            follower = InThread(lambda: follow(configs))
            events.start.set()
            configs.wait_for(str(LAST), timeout=100)
            for thread in threads:
                thread.result()
            expected = {f"shop/{name(k % OBJECTS)}": k for k in range(EVENTS - OBJECTS, EVENTS)}
            followed = follower.result()
            assert followed.pop(f"shop/{name((EVENTS - 1) % OBJECTS)}") == EVENTS - 1
            assert {key: config.number() for key, config in configs.store.items()} == expected
            assert all(reader.reads > 10 for reader in readers)
            if handlers:
                until(lambda: handled == expected, within=30)
            assert configs.stats().handler_errors == 0

    await asyncio.to_thread(program)
