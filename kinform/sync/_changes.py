"""The blocking iterator of `kinform.sync.Informer.changes()`.

Takes changes from the event loop in small batches, and decodes each in the thread that reads it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from threading import TIMEOUT_MAX, Lock
from time import monotonic
from typing import Generic

import kinform
from kinform._checks import require_timeout
from kinform._decoding import T
from kinform._dispatch.queue import Entry
from kinform._errors import EndedError
from kinform._events import Change
from kinform._printable import in_seconds
from kinform.sync._lifetime import Lifetime

BATCH_CHANGES = 64
"""Changes that are taken from the event loop at once. They stay in memory until they are read."""


class _Waited(Exception):
    """The timeout passed."""


class Changes(Generic[T]):
    """The iterator that `Informer.changes` returns.

    Yields `Change[T]`: `Added`, `Synced`, `Updated` and `Deleted`. Waits for the next change, and ends when the
    informer stops, or after `close`. Several threads can read one iterator: each change goes to one of them.
    """

    def __init__(self, changes: kinform.Changes[T], informer: kinform.Informer[T], lifetime: Lifetime) -> None:
        self._changes = changes
        self._informer = informer
        self._lifetime = lifetime
        self._lock = Lock()
        self._taken: deque[Entry] = deque()
        self._closed = False

    def __iter__(self) -> Iterator[Change[T]]:
        return self

    def __next__(self) -> Change[T]:
        event = self.next()
        if event is None:
            raise StopIteration
        return event

    def next(self, timeout: float | None = None) -> Change[T] | None:
        """Waits for the next event, and returns it; returns None at the end.

        Args:
            timeout: Seconds to wait; None: no limit.

        Raises:
            OptionError: `timeout` is not a number.
            TimeoutError: The timeout passed. The iteration can continue. The error names the state of each stream, and
                its cause.
            KinformError: As in the iteration.
        """
        self._lifetime.check_process()  # in a forked child, the lock may never be released
        require_timeout(timeout)
        deadline = None if timeout is None else monotonic() + timeout
        if not self._lock.acquire(timeout=-1 if timeout is None else min(max(timeout, 0), TIMEOUT_MAX)):
            raise self._no_event(timeout)
        try:
            while not self._closed and (self._taken or self._take(deadline)):
                if event := self._changes.decode(self._taken.popleft()):
                    return event
            return None
        except _Waited:
            raise self._no_event(timeout) from None
        finally:
            self._lock.release()

    def _no_event(self, timeout: float | None) -> TimeoutError:
        states = self._informer._states() or f"{self._informer.name}: {self._informer.state}"
        return TimeoutError(f"no event after {in_seconds(timeout)}; {states}")

    def close(self) -> None:
        """Ends the iteration; what waits is dropped.

        A thread that waits for the next event wakes up at once.
        """
        self._closed = True
        self._lifetime.post(self._changes.close)

    def _take(self, deadline: float | None) -> bool:
        """Waits for changes; returns False at the end of the iteration."""
        try:
            self._lifetime.call(self._fill, deadline)
        except EndedError:
            return False
        return bool(self._taken)

    async def _fill(self, deadline: float | None) -> None:
        # In the loop up to the last step: a call that is interrupted loses no change.
        limit = asyncio.timeout(None if deadline is None else deadline - monotonic())
        try:
            async with limit:
                self._taken.extend(await self._changes.take(BATCH_CHANGES))
        except TimeoutError:
            if not limit.expired():
                raise  # the error with which the informer has failed
            raise _Waited from None
