"""The lifetime of an object in the event loop.

It lasts from the start to the end of the object's `with` block. Passes calls of other threads to the loop, and waits
for the results. Raises a clear error where a call would wait forever. A KeyboardInterrupt ends every wait at once,
while the loop continues.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future, wait
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from threading import Lock
from typing import Any, ParamSpec, TypeVar

from kinform import KinformError
from kinform.sync._loop import EventLoop, use_loop

P = ParamSpec("P")
R = TypeVar("R")


class EndedError(KinformError):
    """The `with` block has ended."""


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
        # From the start on:
        self._loop: EventLoop | None = None
        self._life: Future[None] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._leave: asyncio.Future[BaseException | None] | None = None

    # The block

    def enter(self) -> None:
        """Starts the lifetime, and the event loop if nothing uses it yet.

        Raises:
            KinformError: It was started before, or the caller is in a running event loop.
        """
        self._check_caller()
        entered: Future[None] = Future()
        with self._lock:
            if self._loop is not None:
                self.check_process()
                raise KinformError(f"{self.name}: can be started only once; make another one")
            self._loop = loop = use_loop(self)
            life = loop.submit(self._live, loop, entered)
            assert life is not None
            self._life = life
        life.add_done_callback(lambda _: entered.cancel())  # if the loop has ended before
        try:
            self._result(entered)
        except BaseException:
            loop.submit(self._abort)  # if it was interrupted: closes what it has entered
            if entered.done():
                loop.join_if_stopping()
            raise

    def exit(self, error: BaseException | None) -> None:
        """Ends the lifetime, and waits for its end. Has no effect in a forked process.

        Args:
            error: The exception that ends the block, or None.

        Raises:
            KinformError: The caller is the event loop, which would wait for itself.
        """
        if self._loop is None or self._life is None or self._loop.forked or self._life.done():
            return
        if self._loop.runs_here:
            raise self._called_from_loop()
        self._loop.submit(self._request_leave, error)
        with suppress(CancelledError):  # the loop has ended, and has closed everything
            self._life.result()
        self._loop.join_if_stopping()

    def close_at_exit(self, timeout: float) -> None:
        """Ends the lifetime at the end of the program."""
        with self._lock:  # a daemon thread may be at the start
            loop, life = self._loop, self._life
        if loop is not None and life is not None:
            loop.submit(self._request_leave, None)
            wait([life], timeout)

    async def _live(self, loop: EventLoop, entered: Future[None]) -> None:
        self._task = asyncio.current_task()
        self._leave = asyncio.get_running_loop().create_future()
        try:
            async with AsyncExitStack() as stack:
                for context in self._contexts:
                    await stack.enter_async_context(context)
                started = stack.pop_all()
        except BaseException as error:
            loop.release(self)
            entered.set_exception(error)
            return
        reason: BaseException | None
        try:
            entered.set_result(None)
            reason = await self._leave
        except asyncio.CancelledError as cancelled:
            reason = cancelled
        try:
            await started.__aexit__(None if reason is None else type(reason), reason, None)
        finally:
            loop.release(self)

    async def _request_leave(self, error: BaseException | None) -> None:
        assert self._leave is not None
        if not self._leave.done():
            self._leave.set_result(error)

    async def _abort(self) -> None:
        assert self._task is not None
        self._task.cancel()

    # Calls

    def call(self, function: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs a coroutine function in the loop, and waits for its result.

        If the wait is interrupted, the coroutine is cancelled.

        Raises:
            KinformError: The block has not started or has ended, this process was forked after the start, or the caller
                is in a running event loop.
        """
        if self._loop is None or self._life is None:
            raise KinformError(f"{self.name}: not started: enter its `with` block first")
        self.check_process()
        self._check_caller()
        future = None if self._life.done() else self._loop.submit(function, *args, **kwargs)
        if future is None:
            raise EndedError(f"{self.name}: its `with` block has ended")
        return self._result(future)

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs a function in the loop; before the start, in this thread.

        Raises:
            KinformError: As `call`, but it works before the start.
        """
        with self._lock:
            if self._loop is None:
                return function(*args, **kwargs)

        async def run() -> R:
            return function(*args, **kwargs)

        return self.call(run)

    def post(self, function: Callable[[], None]) -> None:
        """Runs a function in the loop, without a wait; before the start, in this thread.

        Has no effect after the end.
        """
        with self._lock:
            if self._loop is None:
                function()
                return

        async def run() -> None:
            function()

        if not self._loop.forked:
            self._loop.submit(run)

    def check_process(self) -> None:
        """Checks that this process was not forked after the start.

        Raises:
            KinformError: It was.
        """
        if self._loop is not None and self._loop.forked:
            raise KinformError(
                f"{self.name}: this process was forked after the start; here stores can be read, but their objects no "
                "longer change, and nothing else works. After a fork, start another one in the new process"
            )

    def _result(self, future: Future[R]) -> R:
        try:
            return future.result()
        except CancelledError:
            raise EndedError(f"{self.name}: its `with` block has ended during this call") from None
        except BaseException:
            future.cancel()
            raise

    def _check_caller(self) -> None:
        if self._loop is not None and self._loop.runs_here:
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
