"""How users' functions are called on the loop: one at a time, others given their turn, and nothing they raise lost.

Never decides whom to invoke, nor with what.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable
from typing import Any

log = logging.getLogger("kinform.informer")

# Who reads and never awaits would hold the loop; after so many seconds others get a turn. A piece of a stream takes
# about as long: with half of it a quarter of a storm's changes would wait at its end, with 500 bytes and more each.
TIME_SLICE_SECONDS = 0.004

Handler = Callable[..., Any]


class TimeSlice:
    """Gives others their turn on the loop now and then."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def end(self) -> None:
        """Lets others have the loop, if this one has had it for long."""
        if time.perf_counter() - self._since > TIME_SLICE_SECONDS:
            await asyncio.sleep(0)
            self._since = time.perf_counter()


async def invoke(handler: Handler, name: str, key: str, *arguments: object) -> None:
    """Calls a user's function, and awaits what it returns if need be; what it raises is logged, with the key."""
    try:
        result = handler(*arguments)
        if inspect.isawaitable(result):
            await result
    except (Exception, asyncio.CancelledError) as error:
        task = asyncio.current_task()
        # What a handler awaits may be cancelled by others; that is no reason to end.
        if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
            raise
        what = getattr(handler, "__qualname__", type(handler).__name__)
        log.exception("%s: handler %s raised at %s", name, what, key)
