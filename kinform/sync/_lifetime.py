"""The lifetime of an object: it is made, its `with` block starts, and ends.

Passes calls of other threads to the event loop of the block, and waits for the results. Raises a clear error where a
call would wait forever. A KeyboardInterrupt ends every wait at once, while the loop continues.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager
from threading import Lock
from typing import Any, ParamSpec, TypeVar

from kinform import KinformError
from kinform._errors import EndedError
from kinform._printable import in_seconds
from kinform.sync._block import Block
from kinform.sync._loop import runs_in_loop

P = ParamSpec("P")
R = TypeVar("R")


class Lifetime:
    """The lifetime of one object.

    Args:
        name: The name of the object, for errors.
        contexts: The block enters these in the loop, in this order.

    Attributes:
        name: The name of the object.
    """

    def __init__(self, name: str, *contexts: AbstractAsyncContextManager[Any]) -> None:
        self.name = name
        self._contexts = contexts
        self._lock = Lock()
        self._block: Block | None = None  # the last one

    def enter(self) -> None:
        """Starts a block, and the event loop if nothing uses it yet.

        Raises:
            KinformError: It has a block that has not ended, or the caller is in a running event loop.
        """
        self._check_caller()
        self.check_process()  # in a forked child, the lock may never be released
        with self._lock:
            if self._block is not None and not self._block.ended:
                raise KinformError(f"{self.name}: is started already")
            self._block = block = Block(self._contexts)
        try:
            block.wait_entered()
        except CancelledError:
            raise self._ended_meanwhile() from None

    def exit(self, error: BaseException | None) -> None:
        """Ends the block, and waits for its end. Has no effect in a forked process.

        Args:
            error: The exception that ends the block, or None.

        Raises:
            KinformError: The caller is the event loop, which would wait for itself.
        """
        block = self._block
        if block is None or block.ended or block.loop.forked:
            return
        if block.loop.runs_here:
            raise self._called_from_loop()
        block.leave(error)

    def call(self, function: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs a coroutine function in the loop, and waits for its result.

        If the wait is interrupted, the coroutine is cancelled.

        Raises:
            KinformError: The block has not started or has ended, this process was forked after the start, or the caller
                is in a running event loop.
        """
        self._check_caller()
        block = self._block
        if block is None:
            raise KinformError(f"{self.name}: not started: enter its `with` block first")
        self.check_process()
        future: Future[R] | None = None if block.ended else block.loop.submit(function, *args, **kwargs)
        if future is None:
            raise EndedError(f"{self.name}: its `with` block has ended")
        try:
            return future.result()
        except CancelledError:
            raise self._ended_meanwhile() from None
        except BaseException:
            future.cancel()
            raise

    def call_within(self, timeout: float | None, missing: str, function: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Runs a coroutine function that has no timeout of its own. See `call`.

        Args:
            timeout: Seconds to wait; None: no limit.
            missing: The missing event and whose it is, for the TimeoutError.
            function: The coroutine function.

        Raises:
            TimeoutError: The timeout passed.
        """

        async def run() -> R:
            limit = asyncio.timeout(timeout)
            try:
                async with limit:
                    return await function()
            except TimeoutError:
                if not limit.expired():
                    raise  # of the function
                raise TimeoutError(f"{missing} after {in_seconds(timeout)}") from None

        return self.call(run)

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs a function in the loop; before the start, in this thread.

        Raises:
            KinformError: As `call`, but it works before the start.
        """
        if self._block is None:
            with self._lock:
                if self._block is None:
                    return function(*args, **kwargs)

        async def run() -> R:
            return function(*args, **kwargs)

        return self.call(run)

    def post(self, function: Callable[[], None]) -> None:
        """Runs a function in the loop, without a wait; before the start, in this thread.

        Has no effect after the end, and in a forked process.
        """
        if self._block is None:
            with self._lock:
                if self._block is None:
                    function()
                    return

        async def run() -> None:
            function()

        block = self._block
        if not block.loop.forked and not block.ended:
            block.loop.submit(run)

    def check_process(self) -> None:
        """Checks that this process was not forked inside of the block.

        Raises:
            KinformError: It was.
        """
        if self._block is not None and self._block.loop.forked and not self._block.ended:
            raise KinformError(
                f"{self.name}: this process was forked after the start; here stores can be read, but their objects no "
                "longer change, and nothing else works. After a fork, start another one in the new process"
            )

    def _check_caller(self) -> None:
        if runs_in_loop():
            raise self._called_from_loop()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        raise KinformError(
            f"{self.name}: called in a running event loop, which the call would block; in a coroutine, use `kinform` "
            "instead of `kinform.sync`"
        )

    def _called_from_loop(self) -> KinformError:
        return KinformError(
            f"{self.name}: called from the event loop of kinform.sync, by a transform or by `on_error`, for example; "
            "the call would wait for itself"
        )

    def _ended_meanwhile(self) -> EndedError:
        return EndedError(f"{self.name}: its `with` block has ended during this call")
