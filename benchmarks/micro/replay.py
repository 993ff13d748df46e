"""A transport without a network: whoever asks is answered by one endless watch, which brings what is put into it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping

import kinform


class Replay:
    """A transport and its one response."""

    def __init__(self) -> None:
        self.identity = self
        self.status = 200
        self.headers: Mapping[str, str] = {}
        self._coming: asyncio.Queue[bytes] = asyncio.Queue()

    def send(self, chunks: Iterable[bytes]) -> None:
        """These come next."""
        for chunk in chunks:
            self._coming.put_nowait(chunk)

    async def open(self, request: kinform.Request) -> kinform.Response:
        """Answers whatever is asked."""
        return self

    async def chunks(self) -> AsyncIterator[bytes]:
        """What was put in; between two pieces others have their turn, as with a socket."""
        while True:
            yield await self._coming.get()
            await asyncio.sleep(0)

    async def head(self, limit: int) -> bytes:
        """Nothing is ever refused."""
        return b""

    async def refresh_credentials(self) -> bool:
        """There are none."""
        return False

    def close(self) -> None:
        """Nothing is open."""
