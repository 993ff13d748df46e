"""Interrupts: end a block of the current task from elsewhere, for a reason.

Source: `asyncio.timeout`, which counts cancellations in the same way.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class Interrupt:
    """A block that `interrupt` cancels, and that ends without the cancellation.

    A cancellation of the task from elsewhere leaves the block as usual.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self._before = self._count = 0
        self._error: BaseException | None = None

    async def __aenter__(self) -> Interrupt:
        self._task = asyncio.current_task()
        assert self._task is not None
        self._before = self._task.cancelling()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        task, self._task = self._task, None
        assert task is not None
        for _ in range(self._count):
            task.uncancel()
        if not self._count or task.cancelling() > self._before or not isinstance(error, asyncio.CancelledError | None):
            return False
        if self._error is not None:
            raise self._error.with_traceback(None) from None
        return kind is asyncio.CancelledError

    def interrupt(self, error: BaseException | None = None) -> None:
        """Cancels the block. It raises the first error of all interrupts, if there is one.

        Has no effect outside of the block.
        """
        if self._task is not None:
            self._count += 1
            self._error = self._error or error
            self._task.cancel()
