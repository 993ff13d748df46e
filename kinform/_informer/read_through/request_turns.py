"""Turns of requests: a few at a time, and none while the server wants a pause."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kinform._errors import StalledError
from kinform._listwatch.pacing import Cooldown

MAX_CONCURRENT_REQUESTS = 16


class RequestTurns:
    """Limits the requests of a cache.

    Args:
        cooldown: The wait that all clients in this process owe to the server.
    """

    def __init__(self, cooldown: Cooldown) -> None:
        self._cooldown = cooldown
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_REQUESTS)

    @asynccontextmanager
    async def turn(self, what: object, deadline: float) -> AsyncIterator[None]:
        """Waits for a turn, which lasts until the end of the block.

        Args:
            what: The request. Its text is for messages.
            deadline: The time until which the request may start.

        Raises:
            StalledError: Other requests, or the wait that the server demands, take too long.
        """
        seconds = deadline - time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                await self._slots.acquire()
        except TimeoutError as error:
            raise StalledError(f"{what}: waited {seconds:.3g} s for other requests") from error
        try:
            while (wait := self._cooldown.seconds()) > 0:
                if time.monotonic() + wait >= deadline:
                    raise StalledError(f"{what}: the server has asked to send no requests for {wait:.0f} s more")
                await asyncio.sleep(wait)
            yield
        finally:
            self._slots.release()
