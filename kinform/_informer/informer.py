"""The informer: a handle on a live collection, with a type, listeners and waits.

Only decodes and waits: the collection does the rest.
Source: client-go's shared informer, kube-runtime's reflector.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TypeVar

from kinform._checks import require_integer
from kinform._dispatch.changes import Changes
from kinform._dispatch.dispatcher import Dispatcher
from kinform._dispatch.handlers import EventKind
from kinform._dispatch.invoke import Handler
from kinform._dispatch.queue import DEFAULT_QUEUE_BOUND
from kinform._errors import KinformError
from kinform._informer.collection import Collection, start_background
from kinform._listwatch.stream import stream_stats
from kinform._options import Prune, Resource, Scope, Snapshot, Transform, WatchOptions
from kinform._spec import CollectionSpec
from kinform._stats import State, Stats
from kinform._store.reader import Store
from kinform._transport.api_client import as_transport

F = TypeVar("F", bound=Handler)


class Informer:
    """A live copy of a collection.

    `async with` starts the informer. Leaving the block stops all that it started. The informer recovers from every
    fault of the network and the server that allows it. Readers see the last complete state throughout. `state` and
    `stats()` say what is wrong while something is.

    Args:
        api: A connection of `kinform.connect()`, a kubernetes_asyncio `ApiClient`, or any `Transport`. The informer
            does not close it.
        resource: `"v1/pods"`, `"apps/v1/deployments"`, or a `Resource`.
        scope: The objects that the server is asked for; by default all.
        prune: The parts of each object that are kept; by default all but `metadata.managedFields`.
        indexes: Name to path of the values to find objects by.
        type: The type that objects are decoded to: `dict`, or any type that msgspec decodes to.
        transform: Replaces the pruned bytes of an object before they are stored. None as its result leaves the
            object out.
        options: How the streams start, and how long they wait.
        snapshot: The path of a file, or a `Snapshot`. A start from a snapshot serves reads at once and sends no LIST.
            Its state is readable, but not synced until the server has continued it; until then `state` is `"stale"`.
            A snapshot is refused if `transform` has another name, but not if it does something else.
        memory_limit: Bytes that the store may take. Beyond them the informer stops with a `MemoryLimitError`.
        queue_bound: Events that wait for a slow reader before the informer merges those of one object.

    Raises:
        OptionError: An option is not valid, or `type` or an index needs a path that pruning drops.

    Attributes:
        store: The objects, for reading.
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
        queue_bound: int = DEFAULT_QUEUE_BOUND,
    ) -> None:
        if memory_limit is not None:
            require_integer("memory_limit", memory_limit, 1, "a positive number of bytes, or None")
        require_integer("queue_bound", queue_bound, 1, "a positive number of events")
        spec = CollectionSpec.of(resource, scope, prune, transform, options)
        indexes = indexes if indexes is not None else {}
        spec.check_readable(type, indexes)
        self.resource = spec.resource
        self._collection = Collection(
            as_transport(api),
            spec,
            indexes=indexes,
            snapshot=None if snapshot is None else Snapshot.of(snapshot),
            memory_limit=memory_limit,
        )
        self._dispatcher = Dispatcher(type, str(spec.resource), queue_bound)
        self.store: Store[Any] = Store(self._collection.writer.contents, type)
        self._entered = False
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Informer:
        if self._entered:
            raise KinformError(f"{self.resource}: an informer can be started only once; make another one")
        self._entered = True
        await self._collection.open(self._dispatcher)
        self._tasks = [
            start_background(self._dispatcher.handlers.run(), f"kinform handlers of {self.resource}"),
            start_background(self._dispatcher.key_handlers.run(), f"kinform key handlers of {self.resource}"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        try:
            await self._collection.close(self._dispatcher)
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:  # readers must see the end, even if this is cancelled
            self._dispatcher.close()

    @property
    def state(self) -> State:
        """The state of the stream that is worst off; `"live"` if all are."""
        return "stopped" if self._stopped else self._collection.state

    def stats(self) -> Stats:
        """Returns counts and ages, as of now."""
        collection, dispatcher = self._collection, self._dispatcher
        writer, keeper = collection.writer, collection.keeper
        return Stats(
            state=self.state,
            objects=len(self.store),
            wire_bytes=writer.wire_bytes,
            memory=writer.memory_usage(),
            peak_bytes=writer.peak_bytes,
            stale=self.store.stale,
            undecodable=dispatcher.undecodable,
            queue_depth=dispatcher.queue_depth,
            changes_depth=dispatcher.changes_depth,
            dropped_old=dispatcher.dropped_old,
            transform_seconds=writer.transform_seconds,
            snapshot=None if keeper is None else keeper.stats(),
            streams={namespace: stream_stats(stream) for namespace, stream in collection.streams.items()},
        )

    # Waits

    async def synced(self, timeout: float | None = None, *, allow_partial: bool = False) -> None:
        """Waits until the first complete state of every stream is in the store.

        A state from a snapshot is readable at once but not synced. It is synced when the server has continued it:
        at the first event or bookmark of its watch, or after half a second without a refusal.

        Args:
            timeout: Seconds to wait; None: no limit.
            allow_partial: Do not wait for streams that the server refuses (401, 403, 404).

        Raises:
            ForbiddenError: At the timeout, if a stream is forbidden; names it.
            TimeoutError: At the timeout; names the state of each stream.
            StatusError: The server refuses in a way that a retry cannot heal.
        """
        await self._collection.wait_synced(timeout, allow_partial=allow_partial)

    async def wait_for(self, resource_version: str, timeout: float | None = None) -> None:
        """Waits until the store has reached a resourceVersion: read your own writes.

        A collection without changes advances by bookmarks alone, about once a minute.

        Args:
            resource_version: The resourceVersion in the API server's answer to a write; a number.
            timeout: Seconds to wait; None: no limit.

        Raises:
            ValueError: This resourceVersion, or that of a stream, is not a number.
            TimeoutError: At the timeout; names the state of each stream.
            StatusError: The server refuses in a way that a retry cannot heal.
        """
        await self._collection.wait_for(resource_version, timeout)

    async def add_namespace(self, namespace: str) -> None:
        """Follows one more namespace; returns when its objects are in the store.

        Raises:
            OptionError: The informer follows all namespaces, or this is not a valid name.
            KinformError: The namespace was removed again before its objects came in.
            StatusError: The server refuses in a way that a retry cannot heal.
        """
        await self._collection.add_namespace(namespace)

    async def remove_namespace(self, namespace: str) -> None:
        """Stops following a namespace; its objects leave the store as deleted.

        Raises:
            OptionError: The informer follows all namespaces, or does not follow this one.
        """
        await self._collection.remove_namespace(namespace)

    # Listeners

    def on_add(self, handler: F) -> F:
        """Calls `handler(object)` for each added object, first for those present.

        A handler may be a coroutine function. Handlers run one at a time, in the order of the changes. A slow handler
        makes events wait, merged per object beyond a bound; it never delays the stream. An exception is logged with
        the key, and stops nothing. All handlers of one event get the same object.
        """
        return self._add_handler("added", handler)

    def on_update(self, handler: F) -> F:
        """Calls `handler(old, new)` for each changed object; `old` may be None."""
        return self._add_handler("updated", handler)

    def on_delete(self, handler: F) -> F:
        """Calls `handler(object)` with the last known state of each deleted object."""
        return self._add_handler("deleted", handler)

    def on_change(self, handler: F) -> F:
        """Calls `handler(key)` for each changed object, first for those present.

        Additions and deletions are changes, too. For a controller that reads the store itself: the call decodes no
        object. A key waits once, however often its object changes meanwhile. The store then has the last of these
        changes or a newer one; it has nothing if the object was deleted. Key handlers run one at a time, concurrently
        with the other handlers; `synced` does not wait for them. An exception is logged with the key, and stops
        nothing.
        """
        self._collection.enable_notifications()
        self._dispatcher.key_handlers.add(handler, self.store.keys() if self._tasks else iter(()))
        return handler

    def changes(self) -> Changes:
        """Returns a reader: the present state as `Added`, `Synced`, then each change.

        The state is that at the call. Each object is decoded when the reader reaches it. A slow reader gets the newest
        version of each object: events wait up to a bound, and are merged per object beyond it.

        Returns:
            An async iterator. It ends when the informer stops, and raises if the informer has failed.
        """
        changes = self._collection.changes(self._dispatcher)
        if self._stopped:
            changes.queue.close()
        return changes

    def _add_handler(self, event_kind: EventKind, handler: F) -> F:
        self._collection.enable_notifications()
        present = self._collection.present() if event_kind == "added" and self._tasks else None
        return self._dispatcher.handlers.add(event_kind, handler, present)
