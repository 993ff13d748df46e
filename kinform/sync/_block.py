"""A `with` block, as one task of the event loop.

The task enters asynchronous blocks, waits for the end, and leaves them. So they are always left, even if the thread
that starts or ends the block is interrupted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, wait
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Any

from kinform.sync._loop import use_loop


class Block:
    """A block. It starts at construction.

    Args:
        contexts: The asynchronous blocks, in the order in which they are entered.

    Attributes:
        loop: The event loop of the block.
    """

    def __init__(self, contexts: Sequence[AbstractAsyncContextManager[Any]]) -> None:
        self._contexts = contexts
        entered: Future[None] = Future()
        self._entered = entered
        self._task: asyncio.Task[Any] | None = None
        self._end: asyncio.Future[BaseException | None] | None = None
        self.loop, self._life = use_loop(self)
        self._life.add_done_callback(lambda _: entered.cancel())  # if the loop ends before the start

    @property
    def ended(self) -> bool:
        """True after the end of the block."""
        return self._life.done()

    def wait_entered(self) -> None:
        """Waits until everything is entered. If the wait is interrupted, the block ends.

        Raises:
            CancelledError: The loop has ended.
            Exception: An asynchronous block cannot be entered.
        """
        try:
            self._entered.result()
        except BaseException:
            self.loop.submit(self._abort)
            if self._entered.cancelled() or (self._entered.done() and self._entered.exception() is not None):
                wait([self._life])
                self.loop.join_if_stopping()
            raise

    def leave(self, error: BaseException | None) -> None:
        """Ends the block, and waits for its end.

        If the wait is interrupted, the block ends nevertheless.

        Args:
            error: The exception that ends the block, or None.
        """
        self.loop.submit(self.request_end, error)
        try:
            with suppress(CancelledError):  # the loop has ended, and has left everything
                self._life.result()
        finally:
            if self._life.done():
                self.loop.join_if_stopping()

    async def live(self) -> None:
        """Enters the asynchronous blocks, waits for the end, and leaves them."""
        self._task = asyncio.current_task()
        self._end = asyncio.get_running_loop().create_future()
        try:
            async with AsyncExitStack() as stack:
                for context in self._contexts:
                    await stack.enter_async_context(context)
                entered = stack.pop_all()
        except asyncio.CancelledError:  # the loop ends, or no caller waits any more
            self._entered.cancel()
            return
        except BaseException as error:
            self._entered.set_exception(error)
            return
        reason: BaseException | None
        try:
            self._entered.set_result(None)
            reason = await self._end
        except asyncio.CancelledError as cancelled:
            reason = cancelled
        await entered.__aexit__(None if reason is None else type(reason), reason, None)

    async def request_end(self, error: BaseException | None = None) -> None:
        """Makes `live` leave the asynchronous blocks."""
        assert self._end is not None
        if not self._end.done():
            self._end.set_result(error)

    async def _abort(self) -> None:
        assert self._task is not None
        self._task.cancel()
