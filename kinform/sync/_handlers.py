"""The thread in which the handlers of an informer run.

A handler may block there without delaying a stream. Never decides which handler is called, or with what: the informer
in the event loop does, and waits for each call.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from queue import SimpleQueue
from threading import Thread, current_thread
from typing import Any, ParamSpec

from kinform import KinformError, OptionError
from kinform._checks import require_handler
from kinform._throttled_log import function_name

P = ParamSpec("P")

Done = asyncio.Future[None]

LOG_SECONDS = 3.0
"""Seconds that the end of a block waits for a handler until the log names it."""

_log = logging.getLogger("kinform.sync")


class HandlerThread:
    """A thread that runs one call after the other. It starts with the first call.

    Args:
        name: The name of the informer.
        running: The handler threads that run, among which this one adds itself.
    """

    def __init__(self, name: str, running: set[HandlerThread] | None = None) -> None:
        self._name = name
        self._running = set() if running is None else running
        self._calls: SimpleQueue[tuple[Done, partial[object]] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._ended: Done | None = None
        self._handler = ""  # the name of the one that runs

    def check_caller(self) -> None:
        """Checks that the caller is not a handler.

        Raises:
            KinformError: It is, and wants to end a block, which waits for it.
        """
        if current_thread() is self._thread:
            raise KinformError(f"{self._name}: a handler cannot end the block: the end waits for the handler")

    def wrap(self, handler: Callable[P, object], arguments: str) -> Callable[P, Coroutine[Any, Any, None]]:
        """Returns a coroutine function that calls this handler in the thread.

        Raises:
            OptionError: The handler is not callable with these arguments, or is a coroutine function.
        """
        require_handler(handler, arguments)
        if inspect.iscoroutinefunction(handler):
            raise OptionError("handler", handler, "a function; for coroutine functions, use kinform.Informer")

        async def call(*args: P.args, **kwargs: P.kwargs) -> None:
            if self._thread is None:
                self._start()
            done = asyncio.get_running_loop().create_future()
            self._calls.put((done, partial(handler, *args, **kwargs)))
            await done

        call.__qualname__ = function_name(handler)
        return call

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        """Waits for the end of the call that runs now. A call that waits is dropped."""
        if self._thread is not None:
            self._calls.put(None)
            assert self._ended is not None
            timer = asyncio.get_running_loop().call_later(LOG_SECONDS, self._log_wait)
            try:
                await self._ended
            finally:
                timer.cancel()
            self._thread.join()
            self._thread = None
            self._running.discard(self)

    def _log_wait(self) -> None:
        _log.warning("%s: the end of the block waits for the handler %s, which still runs", self._name, self._handler)

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        self._thread = Thread(
            target=self._work, args=(loop, self._ended), name=f"kinform handlers of {self._name}", daemon=True
        )
        self._thread.start()
        self._running.add(self)

    def _work(self, loop: asyncio.AbstractEventLoop, ended: Done) -> None:
        while call := self._calls.get():
            done, function = call
            self._handler = function_name(function.func)
            if not done.cancelled():
                loop.call_soon_threadsafe(_settle, done, _error_of(function))
            del call, done, function  # the next call may come hours later
        loop.call_soon_threadsafe(_settle, ended, None)


def _error_of(function: Callable[[], object]) -> Exception | None:
    """Calls a function, and returns what it raises."""
    try:
        function()
    except Exception as error:
        return error
    except BaseException as error:  # SystemExit, for example: it would end the event loop
        # The log has the name of the class, and the place from the traceback.
        substitute: type[Exception] = type(type(error).__name__, (RuntimeError,), {})
        return substitute().with_traceback(error.__traceback__)
    return None


def _settle(done: Done, error: Exception | None) -> None:
    if done.cancelled():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
