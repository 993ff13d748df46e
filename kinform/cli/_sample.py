"""Measures what kinform takes for a sample of a collection, by an informer on it.

The informer reads the sample from memory: it sends no request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence

import msgspec

from kinform import Informer, Prune, Request, Resource, WatchOptions

SAMPLE_OBJECTS = 1_000
"""The number of objects in a sample. A larger collection takes less for each object."""
SAMPLE_BYTES = 16 << 20
"""The largest size of a sample."""


class Sample:
    """The first objects of a collection.

    Attributes:
        objects: The JSON of the objects.
        total: The number of objects of the collection.
    """

    def __init__(self) -> None:
        self.objects: list[bytes] = []
        self.total = 0
        self._size = 0

    def add(self, raw: bytes) -> None:
        """Counts an object of the collection, and keeps it if the sample has room for it."""
        self.total += 1
        if len(self.objects) < SAMPLE_OBJECTS and self._size + len(raw) <= SAMPLE_BYTES:
            self.objects.append(raw)
            self._size += len(raw)

    async def sizes(self, resource: Resource, prune: Prune | None = None) -> Sizes:
        """Returns the sizes of the collection in a store, estimated from the sample."""
        if not self.objects:
            return Sizes(0, 0)
        options = WatchOptions(initial="list", page_size=0, start_jitter=0)
        async with Informer(_Memory(self.objects), resource, prune=prune, options=options) as informer:
            await informer.synced(allow_skipped=True)
            memory = informer.stats().memory
        scale = self.total / len(self.objects)
        return Sizes(round(memory.held_bytes * scale), round(memory.pruned_bytes * scale))


class Sizes(msgspec.Struct, frozen=True):
    """The sizes of a collection.

    Attributes:
        stored: Bytes that the store takes.
        json: Bytes of the pruned JSON.
    """

    stored: int
    json: int


class _Memory:
    """A transport whose server has the objects of a sample."""

    def __init__(self, objects: Sequence[bytes]) -> None:
        self._objects = objects

    @property
    def identity(self) -> object:
        return self

    async def open(self, request: Request) -> _Body:
        return _Body(() if request.watch else self._objects, ends=not request.watch)

    async def refresh_credentials(self) -> bool:
        return False


class _Body:
    """The body of a LIST, or of a silent watch."""

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, objects: Sequence[bytes], *, ends: bool) -> None:
        self._objects = objects
        self._ends = ends

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        if not self._ends:
            await asyncio.get_running_loop().create_future()
        yield b'{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":['
        for place, raw in enumerate(self._objects):
            yield b"," + raw if place else raw
        yield b"]}"

    async def head(self, limit: int) -> bytes:
        return b""

    def close(self) -> None:
        pass
