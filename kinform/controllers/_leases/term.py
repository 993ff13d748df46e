"""A term of leadership: the block that leads, and what its body knows.

Ends the body at the loss, as `asyncio.timeout` ends one at a timeout. Never sends a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from kinform._errors import KinformError, LeadershipLost


class Term:
    """A term of leadership: from the election to the end of the block, or to the loss.

    Attributes:
        transitions: The fencing token of this term: `leaseTransitions`. Each later term of any candidate has a higher
            one, also if the Lease was deleted in between. Write it into what you write, and let nothing be overwritten
            by a lower one: see "Lead with a fencing token".
        lost: Set when the leadership is lost, when the body is cancelled. For work that cannot be cancelled.
    """

    def __init__(self, transitions: int, deadline: float) -> None:
        self.transitions = transitions
        self.lost = asyncio.Event()
        self._deadline = deadline

    def __repr__(self) -> str:
        return f"<kinform.controllers.Term {self.transitions}{', lost' if self.lost.is_set() else ''}>"

    @property
    def deadline(self) -> float:
        """The time at which this term ends if it is not renewed again.

        As `time.monotonic()`. Each renewal moves it: `renew_deadline` seconds after the renewal was sent. Threads may
        read it.
        """
        return self._deadline


class Block:
    """The body of an `async with` block, in the task that entered it.

    The timer that stops it is armed for the deadline of the term, in advance: nothing has to run in time but the event
    loop.

    Args:
        name: The name of the Lease, for the error.
        term: The term.

    Attributes:
        term: The term.
        error: The last error of a renewal, or None.
        why_lost: The reason of the loss; `""` before it.
    """

    def __init__(self, name: str, term: Term) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.term = term
        self.error: KinformError | None = None
        self._name = name
        self._task = task
        self._cancelling = task.cancelling()
        self.why_lost = ""
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_at(term.deadline, self._expire)

    def extend(self, deadline: float) -> None:
        """Moves the deadline. Has no effect after the loss."""
        if not self.why_lost:
            self.term._deadline = deadline
            self._timer.cancel()
            self._timer = self._loop.call_at(deadline, self._expire)

    def lose(self, why: str) -> None:
        """Cancels the body. Only the first call has an effect."""
        if not self.why_lost:
            self.why_lost = why
            self._timer.cancel()
            self.term.lost.set()
            self._task.cancel(f"{self._name}: {why}")

    async def close(self, error: BaseException | None, finish: Callable[[], Awaitable[None]]) -> None:
        """Ends the block after its body.

        Args:
            error: The exception of the body, or None.
            finish: Runs after the body, and before the error is raised.

        Raises:
            LeadershipLost: The leadership was lost, and the body has raised nothing else.
        """
        self._timer.cancel()
        if not self.why_lost:
            await finish()
            return
        cancelled = isinstance(error, asyncio.CancelledError)
        if not cancelled:
            try:
                await asyncio.sleep(0)  # delivers the cancellation if the body was over before it
            except asyncio.CancelledError:
                cancelled = error is None
        elsewhere = self._task.uncancel() > self._cancelling  # as in asyncio.timeout: that cancellation goes on
        await finish()
        if cancelled and elsewhere:
            raise asyncio.CancelledError
        if cancelled or error is None:
            raise LeadershipLost(self._name, self.why_lost) from self.error

    def _expire(self) -> None:
        self.lose("it was not renewed in time")
