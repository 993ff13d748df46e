"""A transport without a network: each request gets an endless, prepared watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping

import kinform


class Replay:
    """A transport that is also its only response."""

    def __init__(self) -> None:
        self.identity = self
        self.status = 200
        self.headers: Mapping[str, str] = {}
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()

    def send(self, chunks: Iterable[bytes]) -> None:
        """Queues chunks."""
        for chunk in chunks:
            self._queue.put_nowait(chunk)

    async def open(self, request: kinform.Request) -> kinform.Response:
        """Returns the response to any request."""
        return self

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yields the queued chunks. Yields to the event loop after each, as a socket does."""
        while True:
            yield await self._queue.get()
            await asyncio.sleep(0)

    async def head(self, limit: int) -> bytes:
        """Returns nothing: no request is refused."""
        return b""

    async def refresh_credentials(self) -> bool:
        """Returns False: there are no credentials."""
        return False

    def close(self) -> None:
        """Does nothing: no connection is open."""
