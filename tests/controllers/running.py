"""A recorder of reconciles, and a controller that runs for a block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from kinform.controllers import Controller, Requeue
from tests.support.waiting import until


class Recorder:
    """A `reconcile` that records its calls, of which each key has one at a time."""

    def __init__(self, work: Callable[[str], Awaitable[Requeue | None]] | None = None) -> None:
        self.keys: list[str] = []
        self.running: set[str] = set()
        self.most = 0
        self._work = work

    async def __call__(self, key: str) -> Requeue | None:
        assert key not in self.running
        self.keys.append(key)
        self.running.add(key)
        self.most = max(self.most, len(self.running))
        try:
            return None if self._work is None else await self._work(key)
        finally:
            self.running.remove(key)

    async def called(self, *keys: str) -> None:
        """Waits until each of these keys was reconciled since the last `forget`."""
        await until(lambda: set(keys) <= set(self.keys))

    def forget(self) -> None:
        self.keys.clear()


@asynccontextmanager
async def running(controller: Controller) -> AsyncIterator[asyncio.Task[None]]:
    """Runs a controller for a block, and cancels it at the end."""
    task = asyncio.create_task(controller.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def idle(controller: Controller) -> None:
    """Waits until no key is ready or being reconciled."""

    def is_idle() -> bool:
        stats = controller.queue.stats()
        return not stats.depth and not stats.processing

    await until(is_idle)
