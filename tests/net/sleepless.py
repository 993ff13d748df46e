"""A stand-in for asyncio whose sleeps take no time."""

from __future__ import annotations

import asyncio


class Sleepless:
    """A stand-in for the module asyncio in one module of kinform.

    Attributes:
        waited: The seconds of each sleep, without sleeps of 0.
    """

    def __init__(self) -> None:
        self.waited: list[float] = []

    async def sleep(self, seconds: float) -> None:
        if seconds:
            self.waited.append(seconds)
        await asyncio.sleep(0)

    def __getattr__(self, name: str) -> object:
        return getattr(asyncio, name)
