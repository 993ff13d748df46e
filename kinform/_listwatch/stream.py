"""The loop around the list-watch machine: network, clock, retries, cancellation.

Only this module and `fetch` await the network in `_listwatch`. Never imports a store: the caller writes the steps to
it. Over 500 lines: the order of one connection, from its request to its end, must be read in one place.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import TypeVar

from kinform._counts import StreamCounts
from kinform._error_places import cause_of
from kinform._errors import (
    KinformError,
    OptionError,
    ProtocolError,
    SkippedError,
    StalledError,
    StatusError,
    TransportError,
    release_frames,
)
from kinform._events import Applied, Apply, Delete, Init, InitApply, InitDone, Skipped, Step
from kinform._fleet import FLEET_JITTER_SECONDS, first_delay, node_name, process_age
from kinform._jitter import random_fraction
from kinform._listwatch.capabilities import capabilities_of
from kinform._listwatch.frames import Bookmark, Foreign, Frame, Frames, ListEnd, Skip
from kinform._listwatch.healing import Healing
from kinform._listwatch.machine import MAX_RETRY_AFTER, ListWatchMachine
from kinform._listwatch.pacing import Cooldown, Pacing, Turn
from kinform._objects import Object
from kinform._options import Prune, Resource, Scope, WatchOptions
from kinform._sharding import ShardSet
from kinform._spec import CollectionSpec
from kinform._stats import ShardFilter, State, StreamStats
from kinform._status import STATUS_BYTES, read_retry_after, read_status
from kinform._throttled_log import ThrottledLog, function_name
from kinform._transport.adapter import as_transport
from kinform._transport.base import Response, Transport
from kinform_ext._scan import Batch

log = logging.getLogger("kinform.reflector")

Result = TypeVar("Result")
WatcherEvent = Init | InitApply | InitDone | Apply | Delete

# A server that cannot resume a state accepts the watch and sends an ERROR event at once. A watch without one for
# this long has resumed.
RESUMED_AFTER_SECONDS = 0.5

# Shared by all streams to a cluster, and released with the client.
_cooldowns: weakref.WeakKeyDictionary[object, Cooldown] = weakref.WeakKeyDictionary()


class Stream:
    """Lists and watches one collection, of all namespaces or of one.

    Iterating yields one event for each object. The stream recovers from errors, with waits in between, and raises
    the errors that it cannot recover from. Leaving the iteration closes the connection.

    Attributes:
        namespace: The namespace, `""` for all.
        resource_version: The iteration has yielded all changes up to this resourceVersion. `""` before the first
            complete state.
        skipped: Number of skipped objects.
        errors: Number of errors from which the stream recovered. Includes skipped objects.
        last_byte: Time of the last byte, by `time.monotonic`; None before the first.
        last_bookmark: Time of the last bookmark; None before the first.
        last_sync: Time of the last complete state; None before the first. For a state from a snapshot: the time when
            the server accepted a watch that continues from it.
        last_current: Time at which the stream last had all changes of the server; None before the first.
        shards: The shards that the stream follows; None: all objects.
        lacks_shards: True until the objects of new shards have arrived, after `set_shards`.
        shard_filter: The side that drops the objects of other shards: see `StreamStats`.
        healing: The skipped objects that the stream has not received since.
        on_progress: A function that kinform calls after each chunk of a body, and each time that a connection has ended
            or failed. Any attribute may have changed.
    """

    def __init__(
        self,
        transport: Transport,
        spec: CollectionSpec,
        *,
        namespace: str,
        resource_version: str = "",
        pacing: Pacing | None = None,
        counts: StreamCounts | None = None,
        throttled_log: ThrottledLog | None = None,
    ) -> None:
        self.namespace = namespace
        self._counts = StreamCounts() if counts is None else counts
        self.resource_version = resource_version
        self.skipped = 0
        self.errors = 0
        self.last_byte: float | None = None
        self.last_bookmark: float | None = None
        self.last_sync: float | None = None
        self.last_current: float | None = None
        self.shard_filter: ShardFilter | None = None
        self.healing = Healing(spec.options.backoff, random_fraction)
        self.on_progress: Callable[[], None] = lambda: None
        self._transport = transport
        self._program = spec.prune.program()
        self._names = spec.scope.names
        self._options = spec.options
        self._log = ThrottledLog(log) if throttled_log is None else throttled_log
        self._last_request = -math.inf
        self._relist_requested = False
        self.lacks_shards = False
        self._resharded = False  # the next request has to name other shards than the last one
        self._complete = True  # the present state has all objects of the shards that the next request names
        self._failure: KinformError | None = None
        self._deadline: asyncio.Timeout | None = None  # of the wait for the next chunk
        self._machine = ListWatchMachine(
            spec,
            namespace,
            capabilities=capabilities_of(transport),
            random=random_fraction,
            resource_version=resource_version,
            counts=self._counts,
            overload_jitter=FLEET_JITTER_SECONDS if node_name() else 0.0,
        )
        self.shards = self._machine.shards
        pacing = Pacing() if pacing is None else pacing
        self._machine.delay = max(
            first_delay(spec.options.start_jitter, self.name, node=node_name(), age=process_age()),
            pacing.first_delay(random_fraction()),
        )
        self._turn = Turn(pacing)
        self._cooldown = cooldown_of(transport)

    @property
    def name(self) -> str:
        """The name in logs and errors: the resource, the namespace and the selectors."""
        return self._machine.name

    @property
    def state(self) -> State:
        """The state that users see: `"live"`, `"forbidden"`, ..."""
        return "queued" if self._turn.waiting else self._machine.state

    @property
    def refusals(self) -> int:
        """Answers of 401, 403 or 404 in a row, all with the same status."""
        return self._machine.refusals

    @property
    def error(self) -> KinformError | None:
        """The last failure. None if there was no failure, or if progress came after it."""
        return self._machine.error

    @property
    def failures(self) -> int:
        """Failures in a row, until progress."""
        return self._machine.failures

    async def __aiter__(self) -> AsyncGenerator[WatcherEvent, None]:
        async with aclosing(self.steps()) as steps:
            async for step in steps:
                for event in events_of(step):
                    yield event
                    del event
                del step  # see `_connection`

    def stats(self) -> StreamStats:
        """Returns state, counts and ages, as of now."""
        now = time.monotonic()

        def since(then: float | None) -> float | None:
            return None if then is None else now - then

        return StreamStats(
            state=self.state,
            error=None if self.error is None else str(self.error),
            resource_version=self.resource_version,
            seconds_since_byte=since(self.last_byte),
            seconds_since_bookmark=since(self.last_bookmark),
            seconds_since_sync=since(self.last_sync),
            shard_filter=self.shard_filter,
            degraded=list(self.healing.degraded),
            skipped=self.skipped,
            errors=self.errors,
        )

    def relist(self) -> None:
        """Requests a new complete state instead of the rest of the watch.

        Without a running watch, kinform does it at the start of the next one. Has no effect while a state comes in.
        """
        if self._machine.watching:
            self._relist_requested = True
            self._interrupt()

    def set_shards(self, shards: ShardSet) -> None:
        """Follows other shards of the same number from now on.

        The iteration yields no object of a lost shard any more. The caller removes those that it has. For a new shard
        it yields a new complete state; until then, `resource_version` is `""`.
        """
        if self.shards is None or self.shards.count != shards.count:
            raise ValueError(f"{self.name}: the number of shards cannot change")
        self._resharded = True
        if not shards.indices <= self.shards.indices:
            self._complete = False
            self.lacks_shards = True
            self.resource_version = self._machine.resource_version = ""
        self.shards = shards
        self._interrupt()

    def fail(self, error: KinformError) -> None:
        """Ends the iteration with an error.

        It does so at once during a watch, otherwise at the start of the next one.
        """
        self._failure = error
        self._interrupt()

    async def steps(self) -> AsyncGenerator[Step, None]:
        """Yields the events of the stream in batches, which are called steps.

        A step is `Init`, the objects of one chunk, the report of one skipped object, or `InitDone`. Iteration over the
        stream itself yields one event for each object, and none for a skipped one.

        Raises:
            StatusError: The server refuses the request, and a retry cannot succeed.
        """
        self._machine.abandoned()  # an iteration that was broken off may have left a connection
        try:
            while True:
                since_last = time.monotonic() - self._last_request
                if (wait := max(self._machine.delay, self._machine.interval - since_last)) > 0:
                    self._turn.end()
                    await asyncio.sleep(wait)
                if self._resharded:
                    self._reshard()  # the wait is over
                if not self._machine.watching:
                    await self._turn.take()
                while (wait := self._cooldown_wait()) > 0:  # of any stream to this server
                    await asyncio.sleep(wait)
                async with aclosing(self._connection()) as connection:
                    async for step in connection:
                        yield step
                        if isinstance(step, InitDone):
                            self._turn.end()
                        del step  # see `_connection`
                if self._machine.reload_credentials:
                    await self._reload_credentials()
        except Exception as error:
            self._machine.give_up(error)
            raise
        finally:
            self._turn.end()
            self._machine.stop()

    async def _connection(self) -> AsyncGenerator[Step, None]:
        """Sends one request, and yields the steps of the answer."""
        machine = self._machine
        started = self._last_request = time.monotonic()
        failure: TransportError | ProtocolError | None = None
        reported = machine.error  # kept until progress; a LIST page is not progress
        response: Response | None = None
        frame: Frame | None
        complete: list[Frame] | None
        step: Step | None
        request = machine.request()
        resumed: asyncio.TimerHandle | None = None
        try:
            response = await self._within(self._options.headers_timeout, self._transport.open(request))
            if response.status != 200:
                body = await self._within(self._options.headers_timeout, response.head(STATUS_BYTES))
                machine.refused(
                    read_status(response.status, body),
                    retry_after=read_retry_after(response.headers.get("Retry-After")),
                )
                self._begin_cooldown(machine.error)
            else:
                if init := machine.accepted():
                    self.shard_filter = None
                    self._relist_requested = False
                    self.healing.begin()
                    yield init
                elif self.last_sync is None and machine.state == "live":
                    resumed = asyncio.get_running_loop().call_later(RESUMED_AFTER_SECONDS, self._resumed)
                frames = Frames(
                    "watch" if request.watch else "list",
                    self._program,
                    name=self.name,
                    max_object_bytes=self._options.max_object_bytes,
                    shards=machine.shards,
                    names=self._names,
                )
                chunks = aiter(response.chunks())
                heard = time.monotonic()  # white space and a frame that does not end are silence, too
                while not machine.close_requested:
                    chunk = await self._next(chunks, machine.silence, since=heard)
                    if self._failure is not None:
                        raise self._failure
                    if self._resharded:
                        self._reshard()
                        break
                    if self._relist_requested:
                        machine.relist()
                        break
                    if chunk is None:
                        frames.finish()
                        break
                    self.last_byte = time.monotonic()
                    complete = frames.feed(chunk)
                    if not complete and self.last_byte - heard > machine.silence:  # the data never let a timer run
                        raise self._stalled(machine.silence)
                    for frame in complete:
                        step = machine.take(frame, self.last_byte - started)
                        self._note(frame)
                        if step is not None:
                            yield step
                        # Only now: the iterating code has taken the step.
                        self.resource_version = machine.resource_version
                        self._heal(step)
                        if isinstance(step, InitDone) or (self.last_sync is None and machine.state == "live"):
                            self.last_sync = self.last_byte
                        if isinstance(step, InitDone) and not self._resharded:
                            self.lacks_shards = False
                        if machine.close_requested or self._resharded:
                            break
                    if complete:
                        heard = time.monotonic()
                        if machine.watching:
                            self.last_current = heard
                    # The next chunk may take hours: release the last one, up to a MiB.
                    chunk = complete = frame = step = None
                    self.on_progress()
                    await asyncio.sleep(0)  # a body that has already arrived would block the loop
        except (TransportError, ProtocolError) as error:
            failure = error
            release_frames(error)
        finally:
            if resumed is not None:
                resumed.cancel()
            if response is not None:
                response.close()
        if not machine.close_requested:
            machine.ended(failure, time.monotonic() - started)
        if machine.error is not None and machine.error is not reported:
            self.report(machine.error)
        self.on_progress()
        await asyncio.sleep(0)  # it may have cancelled this task: send no other request then

    def _reshard(self) -> None:
        assert self.shards is not None
        self._machine.reshard(self.shards, complete=self._complete)
        self._resharded, self._complete = False, True

    @property
    def _is_interrupted(self) -> bool:
        return self._resharded or self._relist_requested or self._failure is not None

    def _interrupt(self) -> None:
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(asyncio.get_running_loop().time())

    async def _next(self, chunks: AsyncIterator[bytes], seconds: float, *, since: float) -> bytes | None:
        """Waits for the next chunk; `relist`, `set_shards` and `fail` end the wait."""
        if self._is_interrupted:
            return None
        try:
            async with asyncio.timeout(seconds + since - time.monotonic()) as self._deadline:
                return await anext(chunks, None)
        except TimeoutError as error:
            if self._is_interrupted:
                return None
            raise self._stalled(seconds) from error
        finally:
            self._deadline = None

    async def _within(self, seconds: float, awaitable: Awaitable[Result]) -> Result:
        """Waits for a result."""
        try:
            async with asyncio.timeout(seconds):
                return await awaitable
        except TimeoutError as error:
            raise self._stalled(seconds) from error

    def _stalled(self, seconds: float) -> StalledError:
        return StalledError(f"{self.name}: no complete data for {seconds:g} s")

    def _begin_cooldown(self, error: KinformError | None) -> None:
        if isinstance(error, StatusError) and error.status in (429, 503) and error.retry_after is not None:
            self._cooldown.begin(error.retry_after)

    def _cooldown_wait(self) -> float:
        return self._cooldown.seconds() * (1 + self._options.backoff.jitter * random_fraction())

    async def _reload_credentials(self) -> None:
        self._machine.reload_credentials = False
        try:
            await self._transport.refresh_credentials()
        except KinformError as error:
            self.report(error)

    def _note(self, frame: Frame) -> None:
        if isinstance(frame, Batch):
            if self._machine.watching:
                self._counts.count_batch(frame.verb_counts())
            if self.shards is not None and self.shard_filter is None:
                # "server" holds until an object of another shard arrives.
                self.shard_filter = "server" if self._machine.names_shards else "client"
        elif isinstance(frame, Foreign):
            self._counts.other_names += frame.other_names
            if other_shards := frame.count - frame.other_names:
                self.shard_filter = "client"
                self._counts.other_shards += other_shards
        elif isinstance(frame, ListEnd):
            if frame.sharded:
                self.shard_filter = "server"
        elif isinstance(frame, Bookmark):
            self.last_bookmark = self.last_byte
            self._counts.events["BOOKMARK"] += 1
        elif isinstance(frame, Skip):
            self.skipped += 1
            self._counts.skipped += 1
            self.report(SkippedError(self.name, frame.key, frame.reason, offset=frame.offset, size=frame.size))

    def _heal(self, step: Step | None) -> None:
        """Updates what is degraded, as soon as the iterating code has taken a step."""
        healing = self.healing
        match step:
            case Applied(batch, initial) if healing.expects(initial=initial):
                for i in range(len(batch)):
                    healing.receive(batch.key(i), initial=initial)
            case Skipped("DELETED", str(key), initial):
                healing.receive(key, initial=initial)
            case Skipped(_, key, initial):
                healing.skip(key, time.monotonic(), initial=initial)
            case InitDone():
                healing.complete(time.monotonic())

    def _resumed(self) -> None:
        if self.last_sync is None and self._machine.state == "live":
            self.last_sync = self.last_current = time.monotonic()
            self.on_progress()

    def report(self, error: KinformError) -> None:
        """Counts an error that the stream recovers from, logs it, calls `on_error`."""
        self.errors += 1
        self._counts.errors += 1
        text = str(error)
        if self.name not in text:  # an error of the transport, which knows no stream
            text = f"{self.name}: {text}"
        self._log.warning(f"{type(error).__name__} {getattr(error, 'status', '')}", text)
        if (on_error := self._options.on_error) is not None:
            try:
                on_error(error)
            except (Exception, asyncio.CancelledError) as raised:  # a function that awaits nothing is not cancelled
                message = f"{self.name}: on_error {function_name(on_error)} raised {cause_of(raised, on_error)}"
                self._log.exception("on_error", message, raised)


def cooldown_of(transport: Transport) -> Cooldown:
    """Returns the cooldown of a server, which all clients in this process share."""
    return _cooldowns.setdefault(transport.identity, Cooldown(MAX_RETRY_AFTER))


def events_of(step: Step) -> Iterator[WatcherEvent]:
    """Yields the events of a step: one for each object, none for a skipped one."""
    match step:
        case Init() | InitDone():
            yield step
        case Applied(batch, initial):
            for i in range(len(batch)):
                found = Object(batch.namespace(i), batch.name(i), batch.uid(i), batch.resource_version(i), batch.raw(i))
                if batch.verb(i) == "DELETED":
                    yield Delete(found)
                else:
                    yield InitApply(found) if initial else Apply(found)


def watcher(
    api: object,
    resource: Resource | str,
    *,
    scope: Scope | None = None,
    prune: Prune | None = None,
    options: WatchOptions | None = None,
) -> Stream:
    """Streams the events of a collection. Stores no objects.

    Args:
        api: A connection from `kinform.connect()`, a kubernetes_asyncio `ApiClient`, or any `Transport`.
        resource: `"v1/pods"`, `"apps/v1/deployments"`, or a `Resource`.
        scope: The objects to request. Default: all. At most one namespace: an `Informer` takes several.
        prune: The fields of each object to keep. Default: all but `metadata.managedFields`.
        options: How the stream starts, and how long it waits.

    Returns:
        An async iterable of `Init`, `InitApply`, `InitDone`, `Apply` and `Delete`.

    Raises:
        OptionError: An option has a value that is not allowed.
    """
    spec = CollectionSpec.of(resource, scope, prune, None, options)
    namespaces = list(spec.scope.fixed_namespaces or ("",))
    if len(namespaces) > 1:
        raise OptionError("Scope.namespaces", namespaces, "None or one namespace here; an Informer takes several")
    return Stream(as_transport(api), spec, namespace=namespaces[0])
