"""The workers of a controller: call `reconcile` for each key, and retry failures.

One key is with one worker at a time. Never knows an informer.
Source: controller-runtime's `internal/controller`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from kinform._dispatch.invoke import TimeSlice
from kinform._error_places import place_of
from kinform._errors import KinformError, OptionError, QueueShutDown
from kinform._printable import listed, printable, type_of
from kinform._throttled_log import ThrottledLog
from kinform.controllers._queue.work_queue import WorkQueue
from kinform.controllers._reconcile.call_timeout import CallTimeout
from kinform.controllers._reconcile.user_calls import NotAsynchronous, Reconcile, Requeue, call

log = logging.getLogger("kinform.controllers")

# Seconds for cancelled reconciles to end: one that goes on must not keep a process from ending.
CANCEL_SECONDS = 5.0

LOGGED_FAILURES = 20
"""Failed calls with errors of the same type and place that are logged in `REPEAT_SECONDS`, over all keys."""


class Workers:
    """Tasks that take keys from a queue until they are stopped.

    Args:
        name: The name of the controller, for the log.
        queue: The queue.
        reconcile: The function of the user.
        timeout: Seconds that one call may take, or None.
        on_error: A function that is called with an error of a worker itself, such as a `SystemExit` of `reconcile`, or
            if that is not asynchronous.

    Attributes:
        last_failure: The key and the error of the last call that failed, as in the log.
    """

    def __init__(
        self,
        name: str,
        queue: WorkQueue[str],
        reconcile: Reconcile,
        timeout: float | None,
        on_error: Callable[[BaseException], None],
    ) -> None:
        self.last_failure: str | None = None
        self._name = name
        self._queue = queue
        self._reconcile = reconcile
        self._timeout = timeout
        self._on_error = on_error
        self._log = ThrottledLog(log, LOGGED_FAILURES)
        self._tasks: list[asyncio.Task[None]] = []
        self._keys: dict[asyncio.Task[None], str] = {}  # that are being reconciled
        self._draining = self._cancelled = False

    def start(self, count: int) -> None:
        """Starts tasks."""
        for number in range(count):
            task = asyncio.create_task(self._run(), name=f"kinform worker {number} of {self._name}")
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def drain(self, seconds: float) -> None:
        """Shuts the queue down, and waits for the calls of `reconcile` that are running.

        Args:
            seconds: The longest wait.
        """
        self._draining = True
        self._queue.shutdown()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def cancel(self) -> None:
        """Cancels the calls of `reconcile` that are running, and waits for their end."""
        self._draining = self._cancelled = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CANCEL_SECONDS)
        if self._keys:
            log.error("%s: reconcile goes on after its cancellation: %s", self._name, listed(list(self._keys.values())))

    async def _run(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        queue, time_slice, timeout = self._queue, TimeSlice(), CallTimeout(task, self._timeout)
        try:
            while not self._draining:
                try:
                    if time_slice.is_over:
                        await time_slice.end()
                    key = await queue.get()
                except QueueShutDown:
                    return
                except asyncio.CancelledError:
                    self._take_back(task)
                    continue
                self._keys[task] = key
                try:
                    if not self._draining:
                        await self._call(key, task, timeout)
                finally:
                    del self._keys[task]
                    queue.done(key)
        finally:
            timeout.close()

    async def _call(self, key: str, task: asyncio.Task[None], timeout: CallTimeout) -> None:
        queue = self._queue
        try:
            with timeout:
                result = await call(self._reconcile, key)
            if result is not None and not isinstance(result, Requeue):
                raise OptionError("the result of reconcile", type_of(result), "None or a Requeue")
        except NotAsynchronous:
            raise
        except asyncio.CancelledError as error:
            if self._cancelled:
                queue.add(key)  # for the next term of leadership
            self._take_back(task)
            self._failed(key, error, "CancelledError")
        except Exception as error:
            if timeout.expired and isinstance(error, TimeoutError):
                self._failed(key, error, f"no end within reconcile_timeout, {self._timeout:g} s")
            else:
                self._failed(key, error, str(error) if isinstance(error, KinformError) else type(error).__name__)
        else:
            queue.forget(key)
            if result is not None:
                queue.add_after(key, result.after)

    def _take_back(self, task: asyncio.Task[None]) -> None:
        """Takes back a cancellation by code of the user.

        Raises:
            CancelledError: The worker was cancelled by `cancel`.
        """
        if self._cancelled:
            raise asyncio.CancelledError
        while task.cancelling():
            task.uncancel()

    def _failed(self, key: str, error: BaseException, why: str) -> None:
        queue = self._queue
        delay = queue.add_rate_limited(key)
        failures = queue.num_requeues(key)
        times = "once" if failures == 1 else f"{failures} times"
        place = place_of(error, self._reconcile)
        cause = f"{why} at {place}" if place else why
        self.last_failure = f"{printable(key)}: {cause}"
        message = f"{self._name}: reconcile of {printable(key)} failed {times}: {cause}"
        if queue.backoff_grew(key):
            self._log.error(f"{type(error).__name__} {place}", f"{message}; it is called again in {delay:.3g} s")
        log.debug("%s", message, exc_info=error)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_error(error.error if isinstance(error, NotAsynchronous) else error)
