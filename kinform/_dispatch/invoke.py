"""Calls a user's function on the event loop, and limits time slices.

Logs and counts what the function raises. Never decides which function to call, or with what.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Generator
from types import coroutine
from typing import Any

from kinform._error_places import cause_of
from kinform._printable import printable
from kinform._throttled_log import ThrottledLog, function_name

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


class Invoker:
    """Calls handlers one at a time, in one task, and awaits awaitable results.

    A handler stops nothing: an exception is logged and counted. If a handler cancels its own task, which is the task of
    other handlers, too, the cancellation is taken back. A cancellation from elsewhere ends the task.

    Args:
        name: The name of the informer, for the log.

    Attributes:
        errors: Number of calls that raised.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._log = ThrottledLog(log)
        self._own_cancellations = 0  # of the task, by the handler that runs now
        self.errors = 0

    async def __call__(self, handler: Handler, key: str, *arguments: object) -> None:
        """Calls a handler with these arguments, because of the object with this key."""
        task = asyncio.current_task()
        assert task is not None
        try:
            try:
                result = handler(*arguments)
            finally:
                self._own_cancellations = task.cancelling()
            if result is not None and inspect.isawaitable(result):
                await self._steps(result, task)
            if task.cancelling():  # not delivered yet, or caught by the handler
                raise asyncio.CancelledError
        except (Exception, asyncio.CancelledError) as error:
            if task.cancelling():
                await self._take_back(task)
            self._report(handler, key, error)

    @coroutine
    def _steps(self, result: Awaitable[Any], task: asyncio.Task[Any]) -> Generator[Any, Any, None]:
        """Awaits a result, and counts the cancellations of the task in each step."""
        steps = result.__await__()
        error: BaseException | None = None
        while True:
            before = task.cancelling()
            try:
                waits_for = next(steps) if error is None else steps.throw(error)
            except StopIteration:
                return
            finally:
                error = None  # with its traceback, it would keep this frame alive
                self._own_cancellations += max(task.cancelling() - before, 0)
            try:
                yield waits_for
            except BaseException as raised:
                error = raised

    async def _take_back(self, task: asyncio.Task[Any]) -> None:
        """Takes back the counted cancellations.

        Raises:
            CancelledError: The task was cancelled from elsewhere, too.
        """
        for _ in range(min(self._own_cancellations, task.cancelling())):
            task.uncancel()
        if task.cancelling():
            raise asyncio.CancelledError
        try:
            await asyncio.sleep(0)  # before Python 3.13, `uncancel` leaves an undelivered cancellation
        except asyncio.CancelledError:
            if task.cancelling():
                raise

    def _report(self, handler: Handler, key: str, error: BaseException) -> None:
        self.errors += 1
        name = function_name(handler)
        message = f"{self._name}: handler {name} raised {cause_of(error, handler)} for {printable(key)}"
        self._log.exception(f"{name} {id(handler)}", message, error)
