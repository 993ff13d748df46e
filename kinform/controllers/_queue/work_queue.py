"""The work queue: keys for workers, with waits, delays, rate limits and counts.

Never calls a function of the user. `key_queue` has the rules of the order.
Source: client-go's `util/workqueue`, controller-runtime's `priorityqueue`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Generic

import msgspec

from kinform._checks import require_instance, require_number
from kinform._errors import OptionError, QueueShutDown
from kinform._loop_binding import LoopBinding
from kinform._options import Backoff
from kinform.controllers._queue.durations import Durations, Histogram
from kinform.controllers._queue.key_queue import K, KeyQueue
from kinform.controllers._queue.retry_limits import DEFAULT_BACKOFF, DEFAULT_BURST, DEFAULT_RATE, RetryLimits

# Times that are closer than this share one float: a waiting key takes less memory, and durations stay exact enough.
_SHARED_SECONDS = 1e-5


class QueueStats(msgspec.Struct, frozen=True, gc=False):
    """Counts and durations of a work queue.

    Attributes:
        depth: Keys that wait and are ready.
        delayed: Keys that wait for the end of a delay.
        processing: Keys that `get` has returned, without `done`.
        adds: Additions, without those of a key that waited already. A delayed key counts when it gets ready.
        retries: Calls of `add_after` and `add_rate_limited`.
        failing: Keys with an `add_rate_limited` since their last `forget`.
        queue_durations: From the time that a key is ready, or added while it is processed, to its `get`.
        work_durations: From `get` to `done`.
        unfinished_seconds: The sum of the seconds since `get`, over all keys in `processing`.
        longest_running_seconds: The largest of these.
    """

    depth: int
    delayed: int
    processing: int
    adds: int
    retries: int
    failing: int
    queue_durations: Durations
    work_durations: Durations
    unfinished_seconds: float
    longest_running_seconds: float


class WorkQueue(Generic[K]):
    """A queue of keys for workers, in which a key waits at most once.

    A key that is added while it waits is not added again. A key that is added while a worker processes it waits until
    `done`, and is handed out again then. So two workers never process one key at the same time, and each addition of a
    key is followed by a `get` of it.

    Keys with a higher priority come first. Keys of one priority come in the order in which they got ready. A further
    addition of a waiting key can only raise its priority, which moves it to the end of its new priority, and only
    shorten its delay.

    A queue belongs to the event loop in which it is first used. A call from elsewhere raises a `KinformError`, and has
    no effect. Only `stats`, `len`, `num_requeues` and `backoff_grew` work from any thread.

    A waiting key takes at most 210 bytes, with its own object if that is a text of 30 characters.

    Args:
        name: The name in metrics and errors.
        backoff: The delays of `add_rate_limited` for one key. `refused` has no effect.
        rate: Calls of `add_rate_limited` per second over all keys. More are delayed further. None: no limit.
        burst: Number of calls that `rate` does not delay. A queue without such calls regains `rate` of them per second.

    Raises:
        OptionError: An argument is not valid.
    """

    def __init__(
        self,
        *,
        name: str = "work queue",
        backoff: Backoff = DEFAULT_BACKOFF,
        rate: float | None = DEFAULT_RATE,
        burst: int = DEFAULT_BURST,
    ) -> None:
        require_instance("name", name, str, "a text")
        require_instance("backoff", backoff, Backoff, "a Backoff")
        self.name = name
        self._limits = RetryLimits(backoff, rate, burst)
        self._binding = LoopBinding(name)
        self._keys: KeyQueue[K] = KeyQueue()
        self._getters: deque[asyncio.Future[None]] = deque()
        self._drained = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._shut_down = False
        self._last_time = 0.0
        self._retries = 0
        self._queue_durations, self._work_durations = Histogram(), Histogram()

    def __repr__(self) -> str:
        return f"<kinform.controllers.WorkQueue {self.name!r}: {len(self)} keys>"

    def __len__(self) -> int:
        """Returns the number of ready keys, without delayed and processed ones."""
        return self._keys.depth

    # Additions

    def add(self, key: K, *, priority: int = 0) -> None:
        """Adds a key, which is ready at once.

        Ends the delay of a waiting key. Has no effect after `shutdown`.

        Args:
            key: The key.
            priority: Keys with a higher number come first.

        Raises:
            OptionError: `priority` is not an integer.
        """
        self._put(key, priority)

    def add_after(self, key: K, seconds: float, *, priority: int | None = None) -> None:
        """Adds a key, which gets ready after a delay.

        A waiting key keeps its own time if that is earlier.

        Args:
            key: The key.
            seconds: The delay. If it is not positive, the key is ready at once.
            priority: Keys with a higher number come first. None: the priority that the key had at its `get` if it is
                processed, otherwise 0.

        Raises:
            OptionError: `seconds` is not a finite number, or `priority` is not an integer.
        """
        self._binding.check()
        require_number("seconds", seconds, "a finite number of seconds", lambda n: abs(n) < float("inf"))
        self._retries += 1
        self._put(key, self._default(key) if priority is None else priority, seconds)

    def add_rate_limited(self, key: K, *, priority: int | None = None) -> float:
        """Adds a key, which gets ready after its backoff.

        The backoff doubles with each call.

        Args:
            key: The key.
            priority: As for `add_after`.

        Returns:
            The delay in seconds: that of the key, or that of `rate` if it is longer.

        Raises:
            OptionError: `priority` is not an integer.
        """
        self._binding.check()
        self._retries += 1
        delay = self._limits.next_delay(key, self._now())
        self._put(key, self._default(key) if priority is None else priority, delay)
        return delay

    def forget(self, key: K) -> None:
        """Resets the backoff of a key, after a success.

        Does not remove the key from the queue.
        """
        self._binding.check()
        self._limits.forget(key)

    def num_requeues(self, key: K) -> int:
        """Returns the number of retries of a key since the last `forget`."""
        return self._limits.failures(key)

    def backoff_grew(self, key: K) -> bool:
        """Returns whether the last `add_rate_limited` of a key had a longer backoff.

        It is False if the backoff had its maximum before. Use it to log a failure that lasts only a few times.
        """
        return self._limits.grew(key)

    def _put(self, key: K, priority: int, delay: float = 0.0) -> None:
        self._binding.check()
        require_instance("priority", priority, int, "an integer")
        if self._shut_down:
            return
        self._keys.put(key, priority, self._now(), delay)
        if delay > 0:
            self._arm()
        elif self._getters:
            self._wake(1)

    def _default(self, key: K) -> int:
        processed = self._keys.processing.get(key)
        return 0 if processed is None else processed.priority

    # Workers

    async def get(self) -> K:
        """Waits for the next ready key, removes it and returns it. `done` has to follow.

        After `shutdown`, it still returns keys that are ready. If it is cancelled, it removes no key.

        Raises:
            QueueShutDown: The queue was shut down, and no key is ready.
        """
        self._binding.check()
        if not self._binding.bound:
            self._arm()
        while (item := self._keys.pop()) is None:
            if self._shut_down:
                raise QueueShutDown(f"{self.name}: the queue was shut down, and no key is ready")
            await self._wait()
        now = time.monotonic()
        self._queue_durations.add(now - item.time)
        item.time = now
        key: K = item.key
        return key

    def done(self, key: K) -> None:
        """Ends the processing of a key. If it was added meanwhile, it is ready now.

        Call it once after each `get`, whether the work succeeded or not.

        Raises:
            OptionError: The key is not processed.
        """
        self._binding.check()
        item = self._keys.done(key)
        if item is None:
            raise OptionError("key", key, "a key that `get` has returned, without a `done` since")
        self._work_durations.add(time.monotonic() - item.time)
        if self._getters:
            self._wake(1)
        if self._shut_down and not self._keys.depth and not self._keys.processing:
            self._drained.set()

    @asynccontextmanager
    async def item(self) -> AsyncIterator[K]:
        """Gets a key for a block, and calls `done` at its end.

        Raises:
            QueueShutDown: See `get`.
        """
        key = await self.get()
        try:
            yield key
        finally:
            self.done(key)

    async def _wait(self) -> None:
        """Waits until a key may be ready."""
        getter = asyncio.get_running_loop().create_future()
        self._getters.append(getter)
        try:
            await getter
        except asyncio.CancelledError:
            if not getter.cancelled():  # woken for a key, which another one has to take
                self._wake(1)
            raise
        finally:
            if not getter.done() or getter.cancelled():
                with suppress(ValueError):  # `_wake` has passed over it
                    self._getters.remove(getter)

    def _wake(self, most: int) -> None:
        """Wakes calls of `get`, not more than keys are ready.

        Passes over those that were cancelled, and whose tasks have not run since.
        """
        left = min(most, self._keys.depth)
        while left > 0 and self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                left -= 1

    # Delays

    def _arm(self) -> None:
        """Sets the timer to the next delayed key, as soon as there is an event loop."""
        if not self._binding.bound:
            with suppress(RuntimeError):
                self._binding.bind()
        due = self._keys.next_due()
        if due is None or not self._binding.bound or (self._timer is not None and self._timer_at <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        self._timer = self._binding.loop.call_later(max(due - time.monotonic(), 0.0), self._advance)

    def _advance(self) -> None:
        self._timer = None
        self._keys.advance(time.monotonic())
        self._wake(self._keys.depth)
        self._arm()

    def _now(self) -> float:
        now = time.monotonic()
        if now - self._last_time >= _SHARED_SECONDS:
            self._last_time = now
        return self._last_time

    # End

    def shutdown(self) -> None:
        """Refuses further keys, and drops delayed ones.

        `get` returns the keys that are ready, and then raises `QueueShutDown`. If a call of `drain` waits, it returns.
        """
        self._refuse()
        self._drained.set()

    async def drain(self) -> None:
        """Refuses further keys as `shutdown` does, and waits until the others are done.

        It waits for ready keys, and for those that were added while they were processed. So it needs workers that call
        `get` and `done`.
        """
        self._refuse()
        if self._keys.depth or self._keys.processing:
            self._drained.clear()
            await self._drained.wait()

    def _refuse(self) -> None:
        self._binding.check()
        self._shut_down = True
        self._keys.drop_all_delayed()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)

    # Counts

    def stats(self) -> QueueStats:
        """Returns the current counts and durations."""
        keys, now = self._keys, time.monotonic()
        ages = [now - item.time for item in list(keys.processing.values())]
        return QueueStats(
            depth=keys.depth,
            delayed=keys.delayed,
            processing=len(ages),
            adds=keys.adds,
            retries=self._retries,
            failing=len(self._limits),
            queue_durations=self._queue_durations.read(),
            work_durations=self._work_durations.read(),
            unfinished_seconds=sum(ages),
            longest_running_seconds=max(ages, default=0.0),
        )
