"""Functions that are called with the key of whatever changed: what a controller wants that looks for itself.

A key waits once, however often its object changes meanwhile, so that who is slow is told less often and never late:
what is read then is the newest state. Holds keys alone, no record and no decoded object.
Source: client-go's work queue, which is filled by handlers in the same way.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterator

from kinform._dispatch.invoke import Handler, TimeSlice, invoke
from kinform._errors import OptionError


class KeyHandlers:
    """An informer's functions of that kind, and the keys that wait for them.

    Args:
        name: What the objects are, for the log.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._handlers: list[Handler] = []
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._present: deque[tuple[Handler, Iterator[str]]] = deque()
        self._news = asyncio.Event()
        self._time_slice = TimeSlice()

    @property
    def depth(self) -> int:
        """Keys that wait."""
        return len(self._waiting)

    def add(self, handler: Handler, present: Iterator[str]) -> None:
        """Registers a function for what happens from here on; it alone is told of the keys that are present.

        Raises:
            OptionError: It is not callable.
        """
        if not callable(handler):
            raise OptionError("handler", handler, "a callable")
        self._handlers.append(handler)
        self._present.append((handler, present))
        self._news.set()

    def present(self, keys: Iterator[str]) -> None:
        """Tells all of what was there before anything was written."""
        for key in keys if self._handlers else ():
            self.push(key)

    def push(self, key: str) -> None:
        """Takes a key, if anybody wants to know."""
        if self._handlers:
            self._waiting[key] = None
            self._news.set()

    async def run(self) -> None:
        """Calls functions until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._present:
                handler, keys = self._present.popleft()
                for key in keys:
                    await self._time_slice.end()
                    await invoke(handler, self._name, key, key)
            while self._waiting:
                await self._time_slice.end()
                key, _ = self._waiting.popitem(last=False)
                for handler in self._handlers:
                    await invoke(handler, self._name, key, key)
