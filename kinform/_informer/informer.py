"""The whole convenience: streams that fill a store, and those who want to know of each change.

Starts and stops tasks, and nothing else: what a stream is, is `_reflector`'s; what is held, `_store`'s.
Source: client-go's shared informer, kube-runtime's reflector.
"""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections.abc import Callable, Coroutine, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, TypeVar

from kinform._checks import require_integer
from kinform._dispatch.changes import Changes
from kinform._dispatch.event_decoder import EventDecoder
from kinform._dispatch.handlers import Handlers
from kinform._dispatch.invoke import Handler
from kinform._dispatch.key_handlers import KeyHandlers
from kinform._dispatch.queue import QUEUE_BOUND, Entry, Queue
from kinform._errors import ForbiddenError, KinformError, OptionError
from kinform._informer.reflector import write
from kinform._listwatch.stream import Stream, stream_stats
from kinform._options import DEFAULT_PRUNE, Prune, Resource, Scope, Snapshot, Transform, WatchOptions
from kinform._paths.conflicts import check_indexes, check_type
from kinform._snapshot.file import Loaded
from kinform._snapshot.keeper import SnapshotKeeper
from kinform._stats import State, Stats, worst
from kinform._store.reader import Store, store
from kinform._transport.api_client import as_transport
from kinform_ext._version import Change

log = logging.getLogger("kinform.informer")

F = TypeVar("F", bound=Handler)

# What there is of objects that come without spec and status.
METADATA = Prune(keep=["metadata"]).program()

REFUSED: tuple[State, ...] = ("unauthorized", "forbidden", "not_found")


class Informer:
    """A live copy of a collection: `async with` starts it, and leaving stops all that it started.

    It recovers from every fault of the network and the server that can be recovered from; readers see the last
    complete state throughout. What holds it up can be asked: `state`, `stats()`.

    Args:
        api: What `kinform.connect()` gives, a kubernetes_asyncio `ApiClient`, or any `Transport`. Not closed here.
        resource: `"v1/pods"`, `"apps/v1/deployments"`, or a `Resource`.
        scope: Which objects; all by default.
        prune: What of each object; by default all but `metadata.managedFields`.
        indexes: Name to path of the values to find objects by.
        type: What objects are decoded to: `dict`, or any type msgspec decodes to.
        transform: Replaces an object's pruned bytes before they are stored, or leaves it out by None.
        options: How to start, and how long to wait.
        snapshot: The path of a file, or a `Snapshot`: a start from it serves reads at once and sends no LIST. Its
            state is readable but not synced until the server was seen to carry it on; until then `state` is
            `"stale"`. It is refused where `transform` has another name, not where it does another thing.
        memory_limit: Bytes that the store may take; beyond it the informer stops with a `MemoryLimitError`.
        queue_bound: Events that wait for a slow reader before those of one object are merged.

    Raises:
        OptionError: An option cannot mean anything, or `type` or an index needs what is pruned.

    Attributes:
        store: What is held, to read from.
    """

    def __init__(
        self,
        api: object,
        resource: Resource | str,
        *,
        scope: Scope | None = None,
        prune: Prune | None = None,
        indexes: Mapping[str, str] | None = None,
        type: Any = dict,
        transform: Transform | None = None,
        options: WatchOptions | None = None,
        snapshot: Snapshot | str | os.PathLike[str] | None = None,
        memory_limit: int | None = None,
        queue_bound: int = QUEUE_BOUND,
    ) -> None:
        if memory_limit is not None:
            require_integer("memory_limit", memory_limit, 1, "a positive number of bytes, or None")
        require_integer("queue_bound", queue_bound, 1, "a positive number of events")
        if transform is not None and not callable(transform):
            raise OptionError("transform", transform, "a callable from bytes to bytes or None")
        self.resource = Resource.of(resource)
        self._transport = as_transport(api)
        self._scope = _instance("scope", scope, Scope, Scope())
        self._prune = _instance("prune", prune, Prune, DEFAULT_PRUNE)
        self._options = _instance("options", options, WatchOptions, WatchOptions())
        program = self._prune.program()
        for held in (program, METADATA) if self._scope.metadata_only else (program,):
            check_type(type, held)
            check_indexes(indexes or {}, held)
        self.store: Store[Any]
        self._writer, self.store = store(type=type, indexes=indexes or {}, name=str(self.resource))
        self._writer.memory_limit = memory_limit
        self._writer.transform = transform
        self._retell = EventDecoder(type, str(self.resource))
        self._bound = queue_bound
        self._streams: dict[str, Stream] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._handlers = Handlers(self._retell, str(self.resource), queue_bound)
        self._keys = KeyHandlers(str(self.resource))
        self._keeping: SnapshotKeeper | None = None
        if snapshot is not None:
            self._keeping = SnapshotKeeper(
                Snapshot.of(snapshot),
                self._transport,
                self.resource,
                self._scope,
                self._prune,
                transform,
                self._writer,
                self._streams,
            )
        self._entered = False
        self._runner: asyncio.Task[None] | None = None
        self._background_tasks: list[asyncio.Task[None]] = []
        self._changes: weakref.WeakSet[Changes] = weakref.WeakSet()
        self._news = asyncio.Event()
        self._namespace_lock = asyncio.Lock()  # namespaces come and go one after another
        self._failure: Exception | None = None
        self._was_synced = False
        self._stopped = False

    # Life

    async def __aenter__(self) -> Informer:
        if self._entered:
            raise KinformError(f"{self.resource}: an informer is started once; make another")
        self._entered = True
        loaded = await self._keeping.load() if self._keeping is not None else None
        if loaded is not None:
            self._adopt(loaded)
        for namespace in self._scope.namespaces or (None,):
            self._start(namespace, loaded.resource_versions.get(namespace or "", "") if loaded is not None else "")
        self._runner = asyncio.create_task(self._handlers.run(), name=f"kinform handlers of {self.resource}")
        self._start_background(self._keys.run(), f"kinform keys of {self.resource}")
        self._start_background(self._writer.run_background(), f"kinform background of {self.resource}")
        if self._keeping is not None:
            self._start_background(self._keeping.run(), f"kinform snapshot of {self.resource}")
        return self

    def _adopt(self, loaded: Loaded) -> None:
        self._writer.adopt(loaded.contents, loaded.numbers)
        self.store._adopt(loaded.contents)
        self._handlers.present(self.store.versions())
        self._keys.present(self.store.keys())
        for changes in list(self._changes):
            changes.queue.push(Entry("present", present=self.store.versions()))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped = True
        tasks = [*self._tasks.values(), *self._background_tasks, *([self._runner] if self._runner is not None else [])]
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._keeping is not None and self._failure is None:
                self._writer.catch_up()  # a sweep that was broken off would keep it from being written
                await self._keeping.write()
        finally:  # who reads or waits must learn of the end, even where this is cancelled
            self._handlers.queue.close()
            for changes in list(self._changes):
                changes.queue.close()
            self._wake()

    def _start_background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Does what the informer could do without; that it came to an end is said."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_say_if_broken)
        self._background_tasks.append(task)

    def _start(self, namespace: str | None, resource_version: str = "") -> None:
        stream = Stream(
            self._transport,
            self.resource,
            namespace=namespace,
            scope=self._scope,
            prune=self._prune,
            options=self._options,
            resource_version=resource_version,
        )
        stream.on_progress = self._wake
        self._streams[stream.namespace] = stream
        self._tasks[stream.namespace] = asyncio.create_task(self._follow(stream), name=f"kinform {stream.name}")

    async def _follow(self, stream: Stream) -> None:
        try:
            async with aclosing(stream.steps()) as steps:
                async for step in steps:
                    await write(self._writer, stream, step)
                    del step  # or the last batch would stay until more comes
        except Exception as error:
            # Of what is not ours, such as a transport's bug, the text may quote anything.
            why = error if isinstance(error, KinformError) else type(error).__name__
            log.error("%s: given up: %s", stream.name, why)
            self._failure = error
            for changes in list(self._changes):
                changes.queue.close()
        finally:
            self._writer.abort(stream.namespace, stream)
            self._wake()

    # What it is

    @property
    def state(self) -> State:
        """The state of the stream that is worst off; `"live"` if all are."""
        if self._stopped:
            return "stopped"
        if self._failure is not None:
            return "failed"
        return worst(stream.state for stream in self._streams.values())

    def stats(self) -> Stats:
        """Counts and ages, as of now."""
        return Stats(
            state=self.state,
            objects=len(self.store),
            wire_bytes=self._writer.wire_bytes,
            memory=self._writer.held(),
            peak_bytes=self._writer.peak_bytes,
            stale=self.store.stale,
            undecodable=self._retell.undecodable,
            queue_depth=self._handlers.queue.depth + self._keys.depth,
            changes_depth=[changes.queue.depth for changes in list(self._changes)],
            dropped_old=self._handlers.queue.dropped_old
            + sum(changes.queue.dropped_old for changes in list(self._changes)),
            transform_seconds=self._writer.transform_seconds,
            snapshot=None if self._keeping is None else self._keeping.stats(),
            streams={namespace: stream_stats(stream) for namespace, stream in self._streams.items()},
        )

    async def synced(self, timeout: float | None = None, *, allow_partial: bool = False) -> None:
        """Waits until the first complete state of every stream is in the store.

        A state from a snapshot is readable at once but not synced: it is when the server was seen to carry it on,
        by the first event or bookmark of its watch, or by half a second in which it did not refuse.

        Args:
            timeout: Seconds to wait; None: as long as it takes.
            allow_partial: Do not wait for streams that the server refuses (401, 403, 404).

        Raises:
            ForbiddenError: At the timeout, where a stream is forbidden; names it.
            TimeoutError: At the timeout; names the state of each stream.
            StatusError: The server said that asking again is no use.
        """

        def synced() -> bool:
            return all(
                stream.last_sync is not None or (allow_partial and stream.state in REFUSED)
                for stream in self._streams.values()
            )

        await self._wait(synced, timeout, "not synced", refusals=True)

    async def wait_for(self, resource_version: str, timeout: float | None = None) -> None:
        """Waits until the store has seen a resourceVersion: read your writes.

        A quiet collection advances by bookmarks alone, about once a minute.

        Args:
            resource_version: What the API server answered to a write; a number.
            timeout: Seconds to wait; None: as long as it takes.

        Raises:
            ValueError: The resourceVersion, or that of a stream, is no number.
            TimeoutError: At the timeout; names the state of each stream.
            StatusError: The server said that asking again is no use.
        """
        wanted = _number(resource_version)
        await self._wait(
            lambda: all(_number(stream.resource_version or "0") >= wanted for stream in self._streams.values()),
            timeout,
            f"resourceVersion {resource_version} not seen",
        )

    async def add_namespace(self, namespace: str) -> None:
        """Follows one more namespace; returns when its objects are in the store.

        Raises:
            OptionError: All namespaces are followed already, or it is no name.
        KinformError: The namespace was removed again meanwhile.
            StatusError: The server said that asking again is no use.
        """
        async with self._namespace_lock:
            self._check_namespaced(namespace)
            Scope(namespaces=[namespace])
            if namespace not in self._streams:
                self._start(namespace)
        stream = self._streams[namespace]
        gone = f"{stream.name}: removed again"

        def synced() -> bool:
            if self._streams.get(namespace) is not stream:
                raise KinformError(gone)
            return stream.last_sync is not None

        await self._wait(synced, None, "not synced")

    async def remove_namespace(self, namespace: str) -> None:
        """Follows a namespace no longer; its objects leave the store, and handlers are told so.

        Raises:
            OptionError: All namespaces are followed, or not this one.
        """
        async with self._namespace_lock:
            self._check_namespaced(namespace)
            if namespace not in self._streams:
                raise OptionError("namespace", namespace, f"one that is followed: {', '.join(self._streams)}")
            task = self._tasks[namespace]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            del self._tasks[namespace], self._streams[namespace]
            try:
                while self._writer.drop(namespace):
                    await asyncio.sleep(0)
            except asyncio.CancelledError:  # one that is half gone could not be followed again
                while self._writer.drop(namespace):
                    pass
                raise
            finally:
                self._wake()

    def _check_namespaced(self, namespace: str) -> None:
        if self._scope.namespaces is None:
            raise OptionError("namespace", namespace, "an informer whose Scope names its namespaces: this one has all")
        if self._stopped or not self._runner:
            raise KinformError(f"{self.resource}: the informer is not running")

    async def _wait(
        self, holds: Callable[[], bool], timeout: float | None, what: str, *, refusals: bool = False
    ) -> None:
        try:
            async with asyncio.timeout(timeout):
                while True:
                    news = self._news
                    if self._failure is not None:
                        raise self._failure.with_traceback(None)  # raised again and again it would gather frames
                    if not self._runner or self._stopped:
                        raise KinformError(f"{self.resource}: the informer is not running")
                    if holds():
                        return
                    await news.wait()
        except TimeoutError:
            for stream in self._streams.values():
                if refusals and isinstance(stream.error, ForbiddenError):
                    raise stream.error from None
            states = ", ".join(f"{stream.name}: {_state(stream)}" for stream in self._streams.values())
            raise TimeoutError(f"{what} after {timeout:g} s; {states}") from None

    def _wake(self) -> None:
        if not self._was_synced and self._streams and all(s.last_sync is not None for s in self._streams.values()):
            self._was_synced = True
            for changes in list(self._changes):
                changes.queue.push(Entry("synced"))
        news, self._news = self._news, asyncio.Event()
        news.set()

    # Who wants to know

    def on_add(self, handler: F) -> F:
        """Calls `handler(object)` for each object that is added; at once for those that are there already.

        Handlers may be coroutine functions. They run one at a time, in the order of what happened; a slow one
        makes events wait, merged per object beyond a bound, but never the stream. An exception is logged with
        the key, and stops nothing. All handlers of one event are given the same object.
        """
        self._writer.catch_up()
        self._listen()
        return self._handlers.add("added", handler, self.store.versions() if self._runner else None)

    def on_update(self, handler: F) -> F:
        """Calls `handler(old, new)` for each object that changes. `old` may be None: see `Updated`."""
        self._listen()
        return self._handlers.add("updated", handler)

    def on_delete(self, handler: F) -> F:
        """Calls `handler(object)` with the last known state of each object that is deleted."""
        self._listen()
        return self._handlers.add("deleted", handler)

    def on_change(self, handler: F) -> F:
        """Calls `handler(key)` for each object that is added, changes or is deleted; at once for those there are.

        For a controller that reads the store itself: no object is decoded for the call. A key waits once, however often
        its object changes meanwhile, and what the store then has is at least as new as the last of these changes; where
        it has nothing the object was deleted. Called one at a time, beside the other handlers; `synced` does not wait
        for them. An exception is logged with the key, and stops nothing.
        """
        self._writer.catch_up()
        self._listen()
        self._keys.add(handler, self.store.keys() if self._runner else iter(()))
        return handler

    def changes(self) -> Changes:
        """The present state as `Added`, one `Synced`, then what happens, each object decoded as it is reached.

        The state is that at the call. A reader who is slow gets the newest of each object: events wait up to a
        bound, and are merged per object beyond it.

        Returns:
            An async iterator; it ends when the informer stops, and raises where the informer gave up.
        """
        self._writer.catch_up()
        self._listen()
        changes = Changes(
            self._retell,
            Queue(self._bound),
            self.store.versions(),
            synced=self._was_synced,
            failure=lambda: self._failure,
        )
        if self._stopped or self._failure is not None:
            changes.queue.close()
        self._changes.add(changes)
        return changes

    def _listen(self) -> None:
        """From here on changes are told; before anybody asks none is made up."""
        self._writer.listener = self._changed

    def _changed(self, change: Change) -> None:
        self._handlers.push(change)
        self._keys.push(change.key)
        for changes in list(self._changes):
            changes.queue.push(Entry.of(change))


def _say_if_broken(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s: ended by %s", task.get_name(), type(error).__name__)


def _state(stream: Stream) -> str:
    return f"{stream.state} ({stream.error})" if stream.error is not None else stream.state


def _instance(field: str, value: Any, kind: Any, default: Any) -> Any:
    if value is None:
        return default
    if not isinstance(value, kind):
        raise OptionError(field, value, f"a kinform.{kind.__name__}")
    return value


def _number(resource_version: str) -> int:
    if not isinstance(resource_version, str) or not resource_version.isdecimal():
        raise ValueError(f"resourceVersion {resource_version!r} is no number, so there is no telling which is newer")
    return int(resource_version)
