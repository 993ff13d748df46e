"""The blocking form of streams: `watcher`, `Stream` and `reflector`.

The stream runs in the event loop. One step, which has the objects of one chunk, is passed to the thread at once. The
next chunk is read when the thread has taken all events of the step.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import closing

import kinform
from kinform import Prune, Resource, Scope, StreamStats, Transport, WatchOptions, Writer
from kinform._events import Step
from kinform._informer.reflector import reflected_steps
from kinform._listwatch.stream import WatcherEvent, events_of
from kinform._stats import State
from kinform.sync._connection import Connection, as_transport
from kinform.sync._iteration import Iteration


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
        self._iteration: Iteration[Step] | None = None  # the last one

    def __iter__(self) -> Generator[WatcherEvent, None, None]:
        return self._iterate(self._stream.steps())

    def close(self) -> None:
        """Ends the iteration, and waits until the connection is closed.

        A thread that waits for the next event wakes up, and its iteration ends.
        """
        if self._iteration is not None:
            self._iteration.close()

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
        if self._iteration is not None:
            self._iteration.lifetime.post(self._stream.relist)

    def _iterate(self, steps: AsyncGenerator[Step, None]) -> Generator[WatcherEvent, None, None]:
        self._iteration = iteration = Iteration(self.name, steps)
        with closing(iter(iteration)) as found:
            for step in found:
                yield from events_of(step)
                del step  # see `Iteration`
