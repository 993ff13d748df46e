"""The loop around the state machine: the network, the clock, retries and cancellation.

The only module that awaits the network. Knows nothing of stores but that a writer takes steps.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import random
import re
import time
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import TypeVar

from kinform._errors import (
    KinformError,
    OptionError,
    ProtocolError,
    SkippedError,
    StalledError,
    TransportError,
)
from kinform._events import Applied, Apply, Delete, Init, InitApply, InitDone, Step
from kinform._listwatch.frames import Bookmark, Frame, Frames, Skip, read_status
from kinform._listwatch.machine import Capabilities, ListWatchMachine
from kinform._objects import Object
from kinform._options import Prune, Resource, Scope, WatchOptions
from kinform._spec import CollectionSpec
from kinform._stats import State, StreamStats
from kinform._throttled_log import ThrottledLog
from kinform._transport.api_client import as_transport
from kinform._transport.base import Response, Transport

log = logging.getLogger("kinform.reflector")

T = TypeVar("T")
Event = Init | InitApply | InitDone | Apply | Delete

ERROR_BODY_BYTES = 64 << 10
# A server that cannot carry a state on accepts the watch, and says so in its first event, at once.
ACCEPTED_SECONDS = 0.5

# What was learnt about a cluster is shared by all streams to it, and forgotten with the client.
_capabilities: weakref.WeakKeyDictionary[object, Capabilities] = weakref.WeakKeyDictionary()


class Stream:
    """One collection, followed through every fault: all namespaces, or one.

    Iterating gives events, one an object. Errors that can be recovered from are, with waits in between; what
    cannot be is raised. Leaving the iteration closes the connection.

    Attributes:
        namespace: The namespace it follows, `""` for all.
        resource_version: Up to where it is complete and current, and taken so by who follows it; `""` before that.
        skipped: Objects left out so far.
        errors: Failures recovered from so far.
        last_byte: When the last byte came, by `time.monotonic`; None before the first.
        last_bookmark: Likewise for the last bookmark.
        last_sync: Likewise for the last complete state; or, of one from a snapshot, for when the server was seen
            to carry it on.
        on_progress: Called after each piece of a body, and after each connection: anything here may have changed.
    """

    def __init__(
        self,
        transport: Transport,
        spec: CollectionSpec,
        *,
        namespace: str,
        resource_version: str = "",
    ) -> None:
        self.namespace = namespace
        self.resource_version = resource_version
        self.skipped = 0
        self.errors = 0
        self.last_byte: float | None = None
        self.last_bookmark: float | None = None
        self.last_sync: float | None = None
        self.on_progress: Callable[[], None] = _ignore
        self._transport = transport
        self._resource = spec.resource
        self._program = spec.prune.program()
        self._options = spec.options
        self._log = ThrottledLog(log)
        self._machine = ListWatchMachine(
            spec,
            namespace,
            capabilities=_capabilities.setdefault(transport.identity, Capabilities()),
            random=random.random,
            resource_version=resource_version,
        )

    @property
    def name(self) -> str:
        """The resource, and the namespace where it is one."""
        return self._machine.name

    @property
    def state(self) -> State:
        """What a user should know: `"live"`, `"forbidden"`, ..."""
        return self._machine.state

    @property
    def error(self) -> KinformError | None:
        """The last failure, or None since the last progress."""
        return self._machine.error

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        async with aclosing(self.steps()) as steps:
            async for step in steps:
                for event in events_of(step):
                    yield event
                    del event
                del step  # see `_connection`

    async def steps(self) -> AsyncGenerator[Step, None]:
        """The stream in its natural pieces: batches of objects, a chunk each.

        Raises:
            StatusError: The server says that asking again is no use.
        """
        try:
            while True:
                if self._machine.delay:
                    await asyncio.sleep(self._machine.delay)
                async with aclosing(self._connection()) as connection:
                    async for step in connection:
                        yield step
                        del step  # see `_connection`
                if self._machine.reload_credentials:
                    await self._reload_credentials()
        except Exception:
            self._machine.give_up()
            raise
        finally:
            self._machine.stop()

    async def _connection(self) -> AsyncGenerator[Step, None]:
        """One request and its answer, to the end, the turn or the failure of it."""
        watcher, begun = self._machine, time.monotonic()
        failure: TransportError | ProtocolError | None = None
        told = watcher.error  # it stays until there is progress, which a page of a LIST is not
        response: Response | None = None
        frame: Frame | None
        step: Step | None
        request = watcher.request()
        standing: asyncio.TimerHandle | None = None
        try:
            response = await self._within(self._options.headers_timeout, self._transport.open(request))
            if response.status != 200:
                body = await self._within(self._options.headers_timeout, response.head(ERROR_BODY_BYTES))
                watcher.refused(
                    read_status(response.status, body),
                    retry_after=_seconds(response.headers.get("Retry-After")),
                )
            else:
                if init := watcher.accepted():
                    yield init
                elif self.last_sync is None and watcher.state == "live":
                    standing = asyncio.get_running_loop().call_later(ACCEPTED_SECONDS, self._carried_on)
                frames = Frames(
                    "watch" if request.watch else "list",
                    self._resource,
                    self._program,
                    max_object_bytes=self._options.max_object_bytes,
                )
                chunks = aiter(response.chunks())
                while not watcher.close_requested:
                    chunk = await self._within(watcher.silence, anext(chunks, None))
                    if chunk is None:
                        frames.finish()
                        break
                    self.last_byte = time.monotonic()
                    for frame in frames.feed(chunk):
                        step = watcher.take(frame)
                        self._note(frame)
                        if step is not None:
                            yield step
                        # Only now, when who follows the stream has taken the step, in as many turns as it took.
                        self.resource_version = watcher.resource_version
                        if isinstance(step, InitDone) or (self.last_sync is None and watcher.state == "live"):
                            self.last_sync = self.last_byte
                        if watcher.close_requested:
                            break
                    # Hours may go by until more comes: what came last, up to a MiB, is not kept for so long.
                    chunk = frame = step = None
                    self.on_progress()
                    await asyncio.sleep(0)  # a body that is already here would hold the loop
        except (TransportError, ProtocolError) as error:
            failure = error
        finally:
            if standing is not None:
                standing.cancel()
            if response is not None:
                response.close()
        if not watcher.close_requested:
            watcher.ended(failure, time.monotonic() - begun)
        if watcher.error is not None and watcher.error is not told:
            self._recovered(watcher.error)
        self.on_progress()

    async def _within(self, seconds: float, awaitable: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await awaitable
        except TimeoutError as error:
            raise StalledError(f"{self.name}: nothing came for {seconds:g} s") from error

    async def _reload_credentials(self) -> None:
        self._machine.reload_credentials = False
        try:
            await self._transport.refresh_credentials()
        except KinformError as error:
            self._recovered(error)

    def _note(self, frame: Frame) -> None:
        if isinstance(frame, Bookmark):
            self.last_bookmark = self.last_byte
        elif isinstance(frame, Skip):
            self.skipped += 1
            self._recovered(SkippedError(self.name, frame.key, frame.reason, offset=frame.offset, size=frame.size))

    def _carried_on(self) -> None:
        if self.last_sync is None and self._machine.state == "live":
            self.last_sync = time.monotonic()
            self.on_progress()

    def _recovered(self, error: KinformError) -> None:
        self.errors += 1
        self._log.warning(f"{type(error).__name__} {getattr(error, 'status', '')}", str(error))
        if self._options.on_error is not None:
            try:
                self._options.on_error(error)
            except Exception:
                log.exception("%s: on_error raised", self.name)


def stream_stats(stream: Stream) -> StreamStats:
    """How one stream is now."""
    now = time.monotonic()

    def since(then: float | None) -> float | None:
        return None if then is None else now - then

    return StreamStats(
        state=stream.state,
        error=None if stream.error is None else str(stream.error),
        resource_version=stream.resource_version,
        seconds_since_byte=since(stream.last_byte),
        seconds_since_bookmark=since(stream.last_bookmark),
        seconds_since_sync=since(stream.last_sync),
        skipped=stream.skipped,
        errors=stream.errors,
    )


def _ignore() -> None:
    """Nobody wants to know."""


def events_of(step: Step) -> Iterator[Event]:
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
    """Follows a collection and tells what happens; holds nothing of it.

    Args:
        api: What `kinform.connect()` gives, a kubernetes_asyncio `ApiClient`, or any `Transport`.
        resource: `"v1/pods"`, `"apps/v1/deployments"`, or a `Resource`.
        scope: Which objects; all by default. At most one namespace: an `Informer` follows several.
        prune: What of each object; by default all but `metadata.managedFields`.
        options: How to start, and how long to wait.

    Returns:
        An async iterable of `Init`, `InitApply`, `InitDone`, `Apply` and `Delete`.

    Raises:
        OptionError: An option cannot mean anything.
    """
    spec = CollectionSpec.of(resource, scope, prune, None, options)
    namespaces = tuple(spec.scope.namespaces or ("",))
    if len(namespaces) > 1:
        raise OptionError("Scope.namespaces", list(namespaces), "None or one namespace here; an Informer takes several")
    return Stream(as_transport(api), spec, namespace=namespaces[0])


def _seconds(retry_after: str | None) -> float | None:
    """Reads a Retry-After header: seconds, or a date (RFC 9110, 10.2.3)."""
    if not retry_after:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d*)?", retry_after.strip()):
        return float(retry_after)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
