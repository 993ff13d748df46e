"""Calls a user's function on the event loop, and limits time slices.

Logs what the function raises. Never decides which function to call, or with what.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable
from typing import Any

log = logging.getLogger("kinform.informer")

# About the time that a stream takes for one chunk. With half of it, a quarter of the changes of a burst still wait at
# its end, each with the memory of its records.
TIME_SLICE_SECONDS = 0.004

Handler = Callable[..., Any]


class TimeSlice:
    """Yields to the event loop after `TIME_SLICE_SECONDS` of synchronous work."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    @property
    def is_over(self) -> bool:
        """True if `end` yields. A check before `end` saves a coroutine."""
        return time.perf_counter() - self._since > TIME_SLICE_SECONDS

    async def end(self) -> None:
        """Yields to the event loop if the time slice is over."""
        if self.is_over:
            await asyncio.sleep(0)
            self._since = time.perf_counter()


async def invoke(handler: Handler, name: str, key: str, *arguments: object) -> None:
    """Calls a handler, and awaits an awaitable result. Logs what it raises.

    Args:
        handler: The user's function.
        name: The name of the informer, for the log.
        key: The key of the object, for the log.
        arguments: The arguments of the handler.
    """
    try:
        result = handler(*arguments)
        if result is not None and inspect.isawaitable(result):
            await result
    except (Exception, asyncio.CancelledError) as error:
        task = asyncio.current_task()
        # Others may cancel what a handler awaits: that is no reason to end this task.
        if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
            raise
        what = getattr(handler, "__qualname__", type(handler).__name__)
        log.exception("%s: handler %s raised at %s", name, what, key)
