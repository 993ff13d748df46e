"""Polling for a condition that cannot be awaited, under a deadline."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

POLL_SECONDS = 0.02


async def until(condition: Callable[[], bool | Awaitable[bool]], *, within: float = 10.0) -> None:
    """Waits until the condition holds; a plain or a coroutine function.

    Raises:
        TimeoutError: It did not hold in `within` seconds.
    """
    async with asyncio.timeout(within):
        while True:
            held = condition()
            if await held if inspect.isawaitable(held) else held:
                return
            await asyncio.sleep(POLL_SECONDS)
