"""The blocking form of streams: `watcher`, `Stream` and `reflector`.

The stream runs in the event loop. One step, which has the objects of one chunk, is passed to the thread at once. The
next chunk is read when the thread has taken all events of the step.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator

import kinform
from kinform import Prune, Resource, Scope, StreamStats, Transport, WatchOptions, Writer
from kinform._events import Step
from kinform._informer.reflector import reflected_steps
from kinform._listwatch.stream import WatcherEvent, events_of
from kinform._stats import State
from kinform.sync._connection import Connection, as_transport
from kinform.sync._lifetime import EndedError, Lifetime


def watcher(
    api: Connection | Transport,
    resource: Resource | str,
    *,
    scope: Scope | None = None,
    prune: Prune | None = None,
    options: WatchOptions | None = None,
) -> Stream:
    """Streams the events of a collection. Stores no objects.

    See `kinform.watcher`.

    Returns:
        An iterable of `Init`, `InitApply`, `InitDone`, `Apply` and `Delete`.
    """
    return Stream(kinform.watcher(as_transport(api), resource, scope=scope, prune=prune, options=options))


def reflector(writer: Writer, stream: Stream) -> Generator[WatcherEvent, None, None]:
    """Fills a store from a stream, and yields each event after the store has it.

    See `kinform.reflector`.

    Args:
        writer: The writer that `kinform.store()` returned. It belongs to the event loop of `kinform.sync` that writes
            first: stay in the block of one connection for all streams of a writer.
        stream: The stream that `kinform.sync.watcher()` returned.
    """
    return stream._iterate(reflected_steps(writer, stream._stream))


class Stream:
    """Lists and watches one collection, of all namespaces or of one.

    Iterating waits for the next event, as in `kinform.Stream`. Leaving the iteration closes the connection. One thread
    iterates; all others can call the methods.
    """

    def __init__(self, stream: kinform.Stream) -> None:
        self._stream = stream
        self._lifetime: Lifetime | None = None  # of the iteration

    def __iter__(self) -> Generator[WatcherEvent, None, None]:
        return self._iterate(self._stream.steps())

    def close(self) -> None:
        """Ends the iteration, and waits until the connection is closed.

        A thread that waits for the next event wakes up, and its iteration ends.
        """
        if self._lifetime is not None:
            self._lifetime.exit(None)

    @property
    def name(self) -> str:
        """The name in logs and errors: the resource, the namespace and the selectors."""
        return self._stream.name

    @property
    def state(self) -> State:
        """The state that users see: `"live"`, `"forbidden"`, ..."""
        return self._stream.state

    def stats(self) -> StreamStats:
        """Returns state, counts and ages, as of now."""
        return self._stream.stats()

    def relist(self) -> None:
        """Requests a new complete state instead of the rest of the watch."""
        if self._lifetime is not None:
            self._lifetime.post(self._stream.relist)

    def _iterate(self, steps: AsyncGenerator[Step, None]) -> Generator[WatcherEvent, None, None]:
        iteration = _Iteration(steps)
        self._lifetime = lifetime = Lifetime(self.name, iteration)
        lifetime.enter()
        try:
            while (step := lifetime.call(iteration.next)) is not None:
                yield from events_of(step)
                del step  # it holds a batch of up to a MiB, and the next step may be hours away
        except EndedError:  # by `close`
            return
        finally:
            lifetime.exit(None)


class _Iteration:
    """An iteration in the event loop.

    It can be ended while a thread waits for its next step.
    """

    def __init__(self, steps: AsyncGenerator[Step, None]) -> None:
        self._steps = steps
        self._lock = asyncio.Lock()
        self._waits: asyncio.Task[Step | None] | None = None

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        if self._waits is not None:
            self._waits.cancel()
        async with self._lock:  # a generator cannot be closed before it has ended its last step
            await self._steps.aclose()

    async def next(self) -> Step | None:
        """Waits for the next step; returns None at the end."""
        async with self._lock:
            self._waits = asyncio.current_task()
            try:
                return await anext(self._steps, None)
            finally:
                self._waits = None
