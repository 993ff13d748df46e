"""Blocking iteration over an async generator, which runs in the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from typing import Generic, TypeVar

from kinform._errors import EndedError
from kinform.sync._lifetime import Lifetime

Item = TypeVar("Item")


class Iteration(Generic[Item]):
    """An iteration over an async generator. One thread iterates.

    Args:
        name: The name of what it iterates over, for errors.
        items: The generator.
    """

    def __init__(self, name: str, items: AsyncGenerator[Item, None]) -> None:
        self._pull = _Pull(items)
        self.lifetime = Lifetime(name, self._pull)

    def __iter__(self) -> Generator[Item, None, None]:
        self.lifetime.enter()
        try:
            while (item := self.lifetime.call(self._pull.next)) is not None:
                yield item
                del item  # it may be large, and the next one may be hours away
        except EndedError:  # by `close`
            return
        finally:
            self.close()

    def close(self) -> None:
        """Ends the iteration, also in a thread that waits, and closes the generator."""
        self.lifetime.exit(None)


class _Pull(Generic[Item]):
    """The part of an iteration in the event loop.

    It can be ended while a thread waits for the next item.
    """

    def __init__(self, items: AsyncGenerator[Item, None]) -> None:
        self._items = items
        self._lock = asyncio.Lock()
        self._waiting: asyncio.Task[object] | None = None

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        async with self._lock:  # a generator cannot be closed before it has ended its last step
            await self._items.aclose()

    async def next(self) -> Item | None:
        """Waits for the next item; returns None at the end."""
        async with self._lock:
            self._waiting = asyncio.current_task()
            try:
                return await anext(self._items, None)
            finally:
                self._waiting = None
