"""The pace of streams: when each starts, and how many states come in at a time.

Without it, streams that start together request their states together: the server has to send all of them, and the
program has to receive them, at the same time. Never knows a stream.
"""

from __future__ import annotations

import asyncio
import time


class Pacing:
    """The pace of all streams that share it.

    Args:
        start_jitter: Seconds over which the first requests are spread.
        max_concurrent_syncs: Number of streams that may receive a complete state at the same time; None: no limit.
    """

    def __init__(self, start_jitter: float = 0.0, max_concurrent_syncs: int | None = None) -> None:
        self._start_jitter = start_jitter
        self._spread_until = 0.0
        self.turns = None if max_concurrent_syncs is None else asyncio.Semaphore(max_concurrent_syncs)

    def begin(self) -> None:
        """Starts the time over which the first requests are spread."""
        self._spread_until = time.monotonic() + self._start_jitter

    def first_delay(self, fraction: float) -> float:
        """Returns the seconds before the first request of a stream that starts now.

        Args:
            fraction: A random number from 0 up to 1.
        """
        return max(0.0, self._spread_until - time.monotonic()) * fraction


class Cooldown:
    """The time for which a server has asked its clients to wait.

    All streams to the server share it.

    Args:
        maximum: The longest time in seconds that a server may ask for.
    """

    def __init__(self, maximum: float) -> None:
        self._maximum = maximum
        self._until = float("-inf")

    def begin(self, seconds: float) -> None:
        """Starts a wait, or extends the present one."""
        self._until = max(self._until, time.monotonic() + min(seconds, self._maximum))

    def seconds(self) -> float:
        """Returns the seconds that are left; 0 or less: no wait."""
        return self._until - time.monotonic()


class Turn:
    """The turn of one stream to receive a complete state.

    Streams get their turns in the order in which they ask.

    Attributes:
        waiting: True if the stream waits for its turn.
    """

    def __init__(self, pacing: Pacing) -> None:
        self._turns = pacing.turns
        self._taken = False
        self.waiting = False

    async def take(self) -> None:
        """Waits for the turn. Has no effect if the stream has it."""
        if self._turns is None or self._taken:
            return
        self.waiting = self._turns.locked()
        try:
            await self._turns.acquire()
        finally:
            self.waiting = False
        self._taken = True

    def end(self) -> None:
        """Passes the turn on. Has no effect if the stream does not have it."""
        if self._turns is not None and self._taken:
            self._taken = False
            self._turns.release()
