"""Key handlers: functions that take the key of a changed object.

They are for controllers that read the store themselves. A key is in the queue at most once, even if its object changes
many times before the call. So a slow handler is called less often, and always reads the newest state. Holds keys only:
no record and no decoded object.
Source: client-go's work queue, which event handlers fill in the same way.
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator

from kinform._checks import require_handler
from kinform._dispatch.invoke import Handler, Invoker, TimeSlice


class KeyHandlers:
    """The key handlers of one informer, and the keys that wait for them.

    Args:
        name: The name of the informer, for the log.

    Attributes:
        invoke: Calls the handlers.
    """

    def __init__(self, name: str) -> None:
        self.invoke = Invoker(name)
        self._registrations: list[tuple[Handler, int]] = []  # with the number of the last change before
        self._waiting: OrderedDict[str, int] = OrderedDict()  # with the number of the newest change
        self._changes = 0
        self._present: deque[tuple[Handler, Iterator[str]]] = deque()
        self._resync: Iterator[str] | None = None
        self._pushed = asyncio.Event()
        self._time_slice = TimeSlice()

    @property
    def registered(self) -> bool:
        """True if there is a handler."""
        return bool(self._registrations)

    @property
    def depth(self) -> int:
        """Keys that wait."""
        return len(self._waiting)

    def add(self, handler: Handler, present: Iterator[str]) -> None:
        """Registers a handler for later changes; it alone gets the present keys first.

        Raises:
            OptionError: The handler is not callable.
        """
        require_handler(handler, "key")
        self._registrations.append((handler, self._changes))
        self._present.append((handler, present))
        self._pushed.set()

    def push_all(self, keys: Iterable[str]) -> None:
        """Queues keys, if there is a handler."""
        if self._registrations:
            self._changes += 1
            self._waiting.update(dict.fromkeys(keys, self._changes))
            self._pushed.set()

    def resync(self, keys: Iterator[str]) -> None:
        """Passes keys again, each time that no key waits.

        Has no effect while an earlier resync runs.
        """
        if self._registrations and self._resync is None:
            self._resync = keys
            self._pushed.set()

    def clear(self) -> None:
        """Drops the keys that wait. Handlers stay registered."""
        self._waiting.clear()
        self._present.clear()
        self._resync = None

    async def run(self) -> None:
        """Calls handlers until cancelled."""
        self._pushed = asyncio.Event()  # a new one, as the event loop may be another one than last time
        while True:
            while self._present or self._waiting or self._resync is not None:
                if self._time_slice.is_over:
                    await self._time_slice.end()
                if self._present:
                    await self._call_for_present(*self._present.popleft())
                    continue
                key, number = self._waiting.popitem(last=False) if self._waiting else self._next_of_resync()
                for handler, since in self._registrations.copy():
                    if number > since:
                        await self.invoke(handler, key, key)
            await self._pushed.wait()
            self._pushed.clear()

    def _next_of_resync(self) -> tuple[str, int]:
        """Returns the next key, for all handlers; at the end, a number for none."""
        assert self._resync is not None
        if (key := next(self._resync, None)) is not None:
            return key, sys.maxsize
        self._resync = None
        return "", -1

    async def _call_for_present(self, handler: Handler, keys: Iterator[str]) -> None:
        for key in keys:
            await self._time_slice.end()
            await self.invoke(handler, key, key)
