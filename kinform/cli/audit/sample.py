"""Measures what kinform takes for a sample of a collection, by an informer on it.

The informer reads the sample from memory: it makes no request.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence

from kinform import Informer, Prune, Request, Resource, WatchOptions

SAMPLE_OBJECTS = 1_000
"""The number of objects in a sample. A larger collection takes less for each object."""


async def stored_bytes(resource: Resource, sample: Sequence[bytes], prune: Prune | None = None) -> int:
    """Returns the bytes that the store of an informer takes for these objects."""
    async with Informer(
        _Memory(sample), resource, prune=prune, options=WatchOptions(initial="list", page_size=0, start_jitter=0)
    ) as informer:
        await informer.synced(allow_skipped=True)
        return informer.stats().memory.held_bytes


class _Memory:
    """A transport whose server has the objects of a sample."""

    def __init__(self, sample: Sequence[bytes]) -> None:
        self._sample = sample

    @property
    def identity(self) -> object:
        return self

    async def open(self, request: Request) -> _Body:
        return _Body(() if request.watch else self._sample, ends=not request.watch)

    async def refresh_credentials(self) -> bool:
        return False


class _Body:
    """The body of a LIST, or of a watch that never says anything."""

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, objects: Sequence[bytes], *, ends: bool) -> None:
        self._objects = objects
        self._ends = ends

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        import asyncio

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
