"""Events about objects, aggregated, limited, and written in the background.

Never blocks or fails the caller. `series` has the counts and the bodies; this file has the queue and the
requests.
Source: client-go's `tools/events` (series), and the spam filter of its `tools/record` (limits); KEP-383.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import OrderedDict, deque
from contextlib import suppress
from types import TracebackType
from typing import Final, Literal, get_args

import msgspec

from kinform import Connection
from kinform._checks import require_instance, require_integer, require_match, require_one_of
from kinform._errors import (
    AlreadyExistsError,
    KinformError,
    NotFoundError,
    OptionError,
    StatusError,
    TransportError,
)
from kinform._jitter import random_fraction
from kinform._loop_binding import LoopBinding
from kinform._options import Backoff
from kinform._throttled_log import ThrottledLog
from kinform.controllers._events.limits import EventLimits
from kinform.controllers._events.series import EventSeries, Regarding
from kinform.controllers._identity import QUALIFIED_NAME, AnyIdentity, read_identity

log = logging.getLogger("kinform.controllers")

EventType = Literal["Normal", "Warning"]

RESOURCE: Final = "events.k8s.io/v1/events"
SERIES_SECONDS: Final = 360.0
"""After this time without a repetition, the next event is a new object."""
REFRESH_SECONDS: Final = 1800.0
"""A series that goes on is written after this time, so that the server does not delete it."""
MAX_SERIES: Final = 4096
"""Series in memory. With more, the one that was quiet for the longest time ends."""
MAX_REASON: Final = 128
ATTEMPTS: Final = 12
"""Requests for one write, if there is no answer, or the answer is 429 or 5xx."""
REQUEST_SECONDS: Final = 10.0
DRAIN_SECONDS: Final = 5.0
MAX_RETRY_AFTER: Final = 60.0
"""The longest Retry-After of a server that is followed. Later events wait for this one."""
_BACKOFF: Final = Backoff(initial=1.0, maximum=10.0)


class EventStats(msgspec.Struct, frozen=True, gc=False):
    """Counts of an `EventRecorder`.

    Attributes:
        waiting: Writes that wait.
        created: Events that were created.
        updated: Updates of series that were written.
        repeated: Events that only added to the count of a series.
        limited: Events that were not written, because their object has had too many.
        dropped: Events that were not written, because too many waited, or because the recorder was closed.
        failed: Writes that the server has refused, or that had no answer.
    """

    waiting: int
    created: int
    updated: int
    repeated: int
    limited: int
    dropped: int
    failed: int


class EventRecorder:
    """Writes Events of `events.k8s.io/v1` in the background.

    `kubectl describe` and `kubectl events` show them. `event` never waits. A task writes the events one after another:
    `async with` starts it, and the end of the block writes what waits, for at most 5 s.

    Events with the same object, type, reason and action within 6 minutes are a series: one Event with a count. The
    first repetition is written at once, later ones when the series ends or 30 minutes after its last write. An object
    can have 25 writes in a burst, and one more every 5 minutes; further events of it are counted in `stats().limited`.
    If the server does not answer, or answers 429 or 5xx, there are up to 12 attempts, with a backoff of 1 to 10 s, or
    the Retry-After of the server if it is longer, up to 60 s.

    A recorder belongs to the event loop in which it is entered. It needs the permissions `create` and `patch` on
    `events` in the group `events.k8s.io`.

    Args:
        api: The connection.
        reporting_controller: The name of the controller: `"example.com/widget-operator"`.
        reporting_instance: The name of this process. None: the name of the host, which is that of the pod.
        queue_bound: Number of writes that can wait. If more wait, further events are dropped.

    Raises:
        OptionError: An argument is not valid.

    Attributes:
        name: The name of the controller.
    """

    def __init__(
        self,
        api: Connection,
        *,
        reporting_controller: str,
        reporting_instance: str | None = None,
        queue_bound: int = 1000,
    ) -> None:
        require_instance("api", api, Connection, "a kinform.Connection")
        allowed = 'a name like "example.com/widget-operator"'
        require_match("reporting_controller", reporting_controller, QUALIFIED_NAME, allowed)
        if reporting_instance is None:
            reporting_instance = os.uname().nodename[:128]
        _require_text("reporting_instance", reporting_instance)
        require_integer("queue_bound", queue_bound, 1, "a positive number of writes")
        self.name = reporting_controller
        self._api = api
        self._reporter = (reporting_controller, reporting_instance)
        self._bound = queue_bound
        self._binding = LoopBinding(f"events of {reporting_controller}")
        self._series: OrderedDict[tuple[object, ...], EventSeries] = OrderedDict()  # least recently repeated first
        self._waiting: deque[EventSeries] = deque()
        self._limits = EventLimits()
        self._log = ThrottledLog(log)
        self._pushed, self._drained = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._created = self._updated = self._repeated = self._limited = self._dropped = self._failed = 0

    async def __aenter__(self) -> EventRecorder:
        if self._task is not None:
            raise KinformError(f"events of {self.name}: the recorder is running already")
        self._binding.check()
        self._binding.bind()
        self._closed = False
        self._task = asyncio.create_task(self._run(), name=f"kinform events of {self.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._binding.check()
        assert self._task is not None
        self._closed = True
        for series in self._series.values():
            self._push(series)
        self._series.clear()
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._waiting:
                    self._drained.clear()
                    await self._drained.wait()
        except TimeoutError:
            pass
        finally:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._dropped += len(self._waiting)
            self._waiting.clear()

    def event(
        self,
        regarding: AnyIdentity,
        reason: str,
        note: str,
        *,
        type: EventType = "Normal",
        action: str | None = None,
    ) -> None:
        """Records an event about an object.

        It returns at once, and no fault of the server raises here. After the end of the block, it has no effect but a
        count in `stats().dropped`.

        Args:
            regarding: The object: a dict, a Struct, or bytes with JSON, as of `store.raw`. It has apiVersion and kind.
                The Event is in its namespace; that of a cluster-scoped object is in `default`.
            reason: The reason, as a word for programs: `"Created"`. At most 128 characters.
            note: The explanation for people. More than 1024 bytes are cut.
            type: `"Normal"` or `"Warning"`.
            action: The action of the controller, as a word for programs. At most 128 characters. None: the reason.

        Raises:
            OptionError: An argument is not valid.
            KinformError: The block of the recorder was not entered, or this is not its event loop.
        """
        _require_text("reason", reason)
        require_instance("note", note, str, "a text")
        require_one_of("type", type, get_args(EventType))
        action = reason if action is None else action
        _require_text("action", action)
        about = Regarding.of(read_identity("regarding", regarding)[0])
        self._check_running()
        if self._closed:
            self._dropped += 1
            return
        now = self._binding.loop.time()
        key = (about, type, reason, action)
        series = self._series.get(key)
        if series is not None and now - series.seen < SERIES_SECONDS:
            self._repeat(key, series, now)
        elif not self._limits.take(about, now):
            self._limited += 1
        elif len(self._waiting) >= self._bound:
            self._dropped += 1
        else:
            if series is not None:
                self._end(key)
            elif len(self._series) >= MAX_SERIES:
                self._end(next(iter(self._series)))
            self._series[key] = series = EventSeries(about, self._reporter, type, reason, action, note, now)
            self._push(series)

    def _check_running(self) -> None:
        """Checks that the block was entered, in this event loop. It may have ended.

        Raises:
            KinformError: It was not.
        """
        self._binding.check()
        if self._task is None and not self._closed:
            what = "enter the `async with` block of the recorder, or call the controller's `run`, first"
            raise KinformError(f"events of {self.name}: not running: {what}")

    def _repeat(self, key: tuple[object, ...], series: EventSeries, now: float) -> None:
        self._repeated += 1
        series.repeat(now)
        self._series.move_to_end(key)
        first = series.count == 2 and self._limits.take(series.regarding, now)
        if first or now - series.written_at > REFRESH_SECONDS:
            self._push(series)

    def _end(self, key: tuple[object, ...]) -> None:
        self._push(self._series.pop(key))

    def _push(self, series: EventSeries) -> None:
        """Lets a series wait for a write, if it has anything to write."""
        if series.waits or series.count == series.written:
            return
        if len(self._waiting) >= self._bound:
            self._dropped += 1
            return
        series.waits = True
        self._waiting.append(series)
        self._pushed.set()

    async def _run(self) -> None:
        while True:
            while self._waiting:
                await self._write(self._waiting[0])
                self._waiting.popleft()
            self._drained.set()
            self._pushed.clear()
            try:
                async with asyncio.timeout_at(self._next_end()):
                    await self._pushed.wait()
            except TimeoutError:
                now = asyncio.get_running_loop().time()
                while self._series and (end := self._next_end()) is not None and end <= now:
                    self._end(next(iter(self._series)))

    def _next_end(self) -> float | None:
        """Returns the time at which the first series ends, or None."""
        series = next(iter(self._series.values()), None)
        return None if series is None else series.seen + SERIES_SECONDS

    async def _write(self, series: EventSeries) -> None:
        wait = _BACKOFF.initial
        for attempt in range(ATTEMPTS):
            try:
                await self._send(series)
                return
            except NotFoundError as error:
                if not series.written:  # no such namespace
                    self._fail(series, error)
                    return
                series.written = 0  # the server has deleted it: it keeps events for an hour
            except (TransportError, StatusError) as error:
                again = isinstance(error, TransportError) or error.status == 429 or error.status >= 500
                if not again or attempt == ATTEMPTS - 1:
                    self._fail(series, error)
                    return
                asked = (error.retry_after or 0.0) if isinstance(error, StatusError) else 0.0
                at_least = max(wait, min(asked, MAX_RETRY_AFTER))
                await asyncio.sleep(at_least * (1 + _BACKOFF.jitter * random_fraction()))
                wait = min(2 * wait, _BACKOFF.maximum)
            except Exception as error:
                self._fail(series, error)
                return

    async def _send(self, series: EventSeries) -> None:
        series.waits = False
        count, now = series.count, asyncio.get_running_loop().time()
        if count == series.written:  # it waited twice
            return
        if series.written:
            patch = {"series": series.body()["series"]}
            await self._api.patch(RESOURCE, series.key, patch, type=Answer, timeout=REQUEST_SECONDS)
            self._updated += 1
        else:
            with suppress(AlreadyExistsError):  # an earlier attempt has reached the server
                await self._api.create(RESOURCE, series.body(), type=Answer, timeout=REQUEST_SECONDS)
            self._created += 1
        series.written, series.written_at = count, now

    def _fail(self, series: EventSeries, error: Exception) -> None:
        self._failed += 1
        series.waits = False
        why = error if isinstance(error, KinformError) else type(error).__name__
        self._log.warning(type(error).__name__, f"events of {self.name}: event not written: {why}")

    def stats(self) -> EventStats:
        """Returns the counts. Works from any thread."""
        return EventStats(
            waiting=len(self._waiting),
            created=self._created,
            updated=self._updated,
            repeated=self._repeated,
            limited=self._limited,
            dropped=self._dropped,
            failed=self._failed,
        )


class Answer(msgspec.Struct, gc=False):
    """The answer to a write, of which nothing is read."""


def _require_text(field: str, value: object) -> None:
    if not isinstance(value, str) or not value or len(value) > MAX_REASON or not value.isprintable():
        raise OptionError(field, value, f"a text of 1 to {MAX_REASON} printable characters")
