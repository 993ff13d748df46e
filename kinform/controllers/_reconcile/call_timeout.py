"""The time limit of the calls of one worker, by one timer.

`asyncio.timeout` makes and cancels a timer for each call. This one stays armed from call to call, and moves when it
fires.
Source: `asyncio.timeout`, which counts cancellations in the same way.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class CallTimeout:
    """A block that raises a TimeoutError if it takes too long.

    A worker enters it for each call. It is cancelled at its deadline. A cancellation from elsewhere leaves it as usual.

    Args:
        task: The task that enters the block.
        seconds: Seconds that one call may take, or None.

    Attributes:
        expired: True if the last block has reached its deadline.
    """

    def __init__(self, task: asyncio.Task[None], seconds: float | None) -> None:
        self.expired = False
        self._task = task
        self._seconds = seconds
        self._loop = task.get_loop()
        self._cancelling = 0
        self._deadline: float | None = None  # of the block that runs
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self.expired = False
        if self._seconds is not None:
            self._cancelling = self._task.cancelling()
            self._deadline = self._loop.time() + self._seconds
            if self._timer is None:
                self._timer = self._loop.call_at(self._deadline, self._check)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._deadline = None
        if self.expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def close(self) -> None:
        """Cancels the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        if self._loop.time() < self._deadline:  # that of a later call
            self._timer = self._loop.call_at(self._deadline, self._check)
        else:
            self._deadline = None
            self.expired = True
            self._task.cancel()
