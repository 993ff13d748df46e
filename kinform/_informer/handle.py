"""The handle of an informer on its collection: opens it, and closes it.

A lazy handle opens it at the first use, and closes it when it is idle. Opening and closing are tasks, so that a wait
that is cancelled does not break them off. Never decodes an object.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from collections.abc import Collection as Several
from contextlib import contextmanager
from typing import Any, get_args

from kinform._checks import require_one_of, require_positive
from kinform._connection.connection import require_open
from kinform._dispatch.dispatcher import Dispatcher
from kinform._errors import KinformError, OptionError
from kinform._informer.background import start_background
from kinform._informer.collection import Collection
from kinform._informer.resync import run_resyncs
from kinform._listwatch.stream import Stream
from kinform._options import StartMode
from kinform._stats import State

log = logging.getLogger("kinform.informer")


class Handle:
    """The part of an informer that starts and ends.

    Args:
        collection: The collection, which other handles may share.
        dispatcher: The listeners of this handle.
        start: `"lazy"`: open the collection at the first use, not at the start.
        idle_timeout: Seconds without a use after which a lazy handle closes the collection; None: never.
        resync_period: Seconds between two resyncs; None: no resync.

    Raises:
        OptionError: An option is not valid.

    Attributes:
        indexes: Indexes of this handle alone, in addition to those of the collection.
        entered: The block of the informer, or of its factory, was entered and not left.
        left: The block was left.
        started: The collection is open or being opened.
        on_idle: A function that is called when the informer becomes idle.
        opened: The handle is one of those of the running collection.
    """

    def __init__(
        self,
        collection: Collection,
        dispatcher: Dispatcher[Any],
        *,
        start: StartMode = "eager",
        idle_timeout: float | None = None,
        resync_period: float | None = None,
    ) -> None:
        require_one_of("start", start, get_args(StartMode))
        if idle_timeout is not None:
            if start != "lazy":
                raise OptionError("idle_timeout", idle_timeout, 'None, unless start is "lazy"')
            require_positive("idle_timeout", idle_timeout)
        if resync_period is not None:
            require_positive("resync_period", resync_period)
        self.indexes: Mapping[str, str] = {}
        self._index_lock = asyncio.Lock()
        self.on_idle: Callable[[], None] = lambda: None
        self.entered = self.left = self.started = self.opened = False
        self._collection = collection
        self._dispatcher = dispatcher
        self._lazy = start == "lazy"
        self._idle_timeout = idle_timeout
        self._resync_period = resync_period
        self._readable = False  # the store has a complete state of at least one stream
        self._transition: asyncio.Task[None] | None = None  # that opens or closes
        self._tasks: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._ending = False  # `leave` runs
        self._waits = 0
        self._last_use = 0.0

    # Start

    def begin(self) -> None:
        """Starts the informer. A lazy one without listeners waits for its first use.

        Raises:
            OptionError: The connection is not open, or the block of the shards was not entered.
            KinformError: The handle is entered already, or it was entered in another event loop.
        """
        if self.entered or self._ending:
            raise KinformError(f"{self._collection.name}: the informer is running already: its block was not left")
        require_open(self._collection.transport)
        shards = self._collection.spec.scope.shards
        if shards is not None and not shards.entered:
            raise OptionError("Scope.shards", shards.name, "shards whose block was entered before that of the informer")
        self._dispatcher.open()
        self.entered, self.left = True, False
        self._index_lock = asyncio.Lock()  # a new one, as the event loop may be another one than last time
        self._readable = False
        if not self._lazy or self._dispatcher.has_listeners:
            self.start()

    def start(self) -> None:
        """Opens the collection in the background.

        Has no effect if it is open or being opened, or if the block was not entered.
        """
        if self.entered and not self.started:
            self.started = True
            opening = self._open(self._transition)
            self._transition = self._create_task(opening, "start")

    async def wait_entered(self) -> None:
        """Waits for the end of the start, if the informer does not wait for its first use.

        Raises:
            SnapshotError: kinform must not use the path of the snapshot.
        """
        if self.started:
            await self.wait_open()

    async def wait_open(self) -> None:
        """Waits until the collection is open. Opens it if the informer is idle.

        Raises:
            SnapshotError: kinform must not use the path of the snapshot.
            KinformError: The block was not entered, or was left.
        """
        self.start()
        await self.wait_opening()
        if not self.opened:
            self.check()

    async def wait_opening(self) -> None:
        """Waits until the collection is open or has failed to open, if it is being opened."""
        if self.started and self._transition is not None and not self._transition.done():
            await asyncio.wait([self._transition])  # which goes on if this is cancelled

    async def _open(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        try:
            await self._collection.open(self._dispatcher, self.indexes)
        except Exception as error:
            why = error if isinstance(error, KinformError) else type(error).__name__
            log.error("%s: cannot start: %s", self._collection.name, why)
            self._dispatcher.fail(error)
            self._collection.wake()
            return
        self._start_tasks()
        self.opened = True
        self._last_use = time.monotonic()
        self._watch_use()

    def _start_tasks(self) -> None:
        collection, dispatcher = self._collection, self._dispatcher
        self._tasks = [
            start_background(collection.name, "handlers", dispatcher.handlers.run()),
            start_background(collection.name, "key handlers", dispatcher.key_handlers.run()),
        ]
        if self._resync_period is not None:
            resyncs = run_resyncs(self._resync_period, collection, dispatcher)
            self._tasks.append(start_background(collection.name, "resync", resyncs))

    async def add_index(self, path: str) -> None:
        """Adds an index to those of this handle.

        If the collection is open, returns when the index is complete. A later call with the same path adds nothing.

        Raises:
            MemoryLimitError: With the index, the store takes more than `memory_limit`.
        """
        async with self._index_lock:
            if path in self.indexes:
                return
            await self.wait_opening()
            added = {path: path}
            if self.opened:
                await self._collection.writer.add_indexes(added)
                if not self.opened:  # closed meanwhile, without this index
                    await self._collection.writer.drop_indexes(added)
            self.indexes = {**self.indexes, **added}

    async def remove_index(self, path: str, is_used: Callable[[], bool]) -> None:
        """Removes an index that `add_index` has added, unless it is used again."""
        async with self._index_lock:
            await self.wait_opening()
            if path not in self.indexes or is_used():
                return
            self.indexes = {name: its_path for name, its_path in self.indexes.items() if name != path}
            if self.opened:
                await self._collection.writer.drop_indexes({path: path})

    # End

    def check_caller(self) -> None:
        """Checks that the caller is not a handler.

        Raises:
            KinformError: It is, and wants to end the block, which waits for it.
        """
        if asyncio.current_task() in self._tasks:
            raise KinformError(
                f"{self._collection.name}: a handler cannot end the block: the end waits for the handler. Set an event "
                "for which the block waits"
            )

    async def leave(self) -> None:
        """Ends all that the handle has started. The last handle stops the collection."""
        self.entered, self.left, self._ending = False, True, True
        transition = [] if self._transition is None else [self._transition]
        if self.started:
            for task in transition:
                task.cancel()
        try:
            await asyncio.gather(*transition, return_exceptions=True)
        finally:
            self.started, self._transition = False, None
            try:
                await self._close()
            finally:  # readers and waits must see the end, even if this is cancelled
                self._ending = False
                self._dispatcher.close()
                self._collection.wake()

    async def _close(self) -> None:
        self.opened = False
        if self._timer is not None:
            self._timer.cancel()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await self._collection.close(self._dispatcher, tasks, self.indexes)

    async def _close_idle(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        await self._close()
        self._collection.release()
        self.on_idle()

    # Use

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts a wait as a use, as long as it lasts."""
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1
            self._last_use = time.monotonic()

    def note_read(self) -> None:
        """Counts a read of the store as a use.

        Raises:
            KinformError: The store has no complete state. It would look like an empty collection.
        """
        self._last_use = time.monotonic()
        if not self._readable:
            streams = self._collection.streams.copy().values() if self.opened else ()  # the caller may be a thread
            if not any(stream.resource_version or stream.last_sync is not None for stream in streams):
                self._refuse_read()
            self._readable = True

    def _refuse_read(self) -> None:
        if (failure := self._dispatcher.failure) is not None:
            raise failure.with_traceback(None)
        if self.state == "stopped":
            raise KinformError(f"{self._collection.name}: the informer has stopped, and its store has no objects")
        why = "idle" if self.state == "idle" else "not synced"
        raise KinformError(f"{self._collection.name}: the informer is {why}: wait for its `synced()` before you read")

    def _watch_use(self) -> None:
        if self._idle_timeout is None or self._dispatcher.failure is not None:
            return
        now = time.monotonic()
        if self._waits or self._dispatcher.has_listeners:
            self._last_use = now
        left = self._last_use + self._idle_timeout - now
        if left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self._watch_use)
        else:
            self.started = self._readable = self.opened = False
            closing = self._close_idle(self._transition)
            self._transition = self._create_task(closing, "stop")

    def _create_task(self, work: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
        # A handler may be registered outside of the running loop.
        return self._dispatcher.binding.loop.create_task(work, name=f"kinform {what} of {self._collection.name}")

    # State

    @property
    def state(self) -> State:
        """The state that users see."""
        if self.left or self._dispatcher.binding.forked:
            return "stopped"
        if self._dispatcher.failure is not None:
            return "failed"
        if self.opened:
            return self._collection.state
        return "idle" if self._lazy and not self.started else "starting"

    def streams(self) -> Several[Stream]:
        """Returns the streams, for waits.

        Raises:
            KinformError: See `check`.
        """
        self.check()
        return self._collection.streams.values()

    def check(self) -> None:
        """Checks that there is something to wait for.

        Raises:
            KinformError: The informer has not started, or has stopped. If it has failed: the error that ended it.
        """
        if (failure := self._dispatcher.failure) is not None:
            raise failure.with_traceback(None)  # raised again and again it would collect frames
        if not self.entered:
            self._dispatcher.check_started()
            raise KinformError(f"{self._collection.name}: the informer is not running")
