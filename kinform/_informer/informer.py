"""The informer: a live collection, with a type, listeners and waits.

Passes calls to its collection, its handle on it and its dispatcher. It is long because most of it is the documentation
of public methods.
Source: client-go's shared informer, kube-runtime's reflector.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Generic, NoReturn, TypeVar

from kinform._checks import require_integer, require_timeout
from kinform._decoding import DICT, T
from kinform._dispatch.changes import Changes
from kinform._dispatch.dispatcher import Dispatcher, KeyListener
from kinform._dispatch.handlers import EventKind
from kinform._dispatch.queue import DEFAULT_QUEUE_BOUND
from kinform._encoding import AnyObject
from kinform._informer.collection import Collection
from kinform._informer.handle import Handle
from kinform._informer.lazy_store import LazyStore
from kinform._informer.own_writes import sample
from kinform._informer.report import health_of, stats_of
from kinform._informer.waits import describe
from kinform._listwatch.stream import Stream
from kinform._options import Prune, Resource, Scope, Snapshot, StartMode, Transform, WatchOptions
from kinform._paths.index_program import CONTROLLER, OWNER_PATH, paths_read
from kinform._sharding import ShardSet, ShardSource
from kinform._spec import CollectionSpec
from kinform._stats import Health, State, Stats
from kinform._store.reader import Store
from kinform._transport.adapter import ApiClient, as_transport
from kinform._transport.base import Transport

R = TypeVar("R")


class Informer(Generic[T]):
    """A live copy of a collection.

    `async with` starts it, and the end of the block stops it. Entered again, it starts anew, with an empty store, and
    its handlers get all objects as added. The informer recovers from every temporary fault of network or server.
    Readers always see the last complete state. `state` and `stats()` say what is wrong.

    An informer that fails stays in the state `"failed"` until the end of the block. `failed` returns the error at once.
    `synced`, `wait_for` and `changes` raise it, `stats().streams` has its text, and the logger `kinform.informer`
    writes it. The end of the block raises it as well, unless the block itself raises.

    An informer belongs to the event loop in which it starts. From then on, use it only in this loop and its thread.
    After the end of its block, it can be entered in another one.
    Reads of `store` are the exception: they work from any thread, and in a process that is forked later, which keeps
    the state at the fork. All other methods except `stats` and `health` raise a `KinformError` at the call.

    Args:
        api: A `Connection`, a kubernetes_asyncio `ApiClient`, or any `Transport`. The informer does not close it. A
            connection must be open when the block of the informer is entered.
        resource: `"v1/pods"`, `"apps/v1/deployments"`, or a `Resource`.
        scope: The objects to request. Default: all.
        prune: The fields of each object to keep. Default: all but `metadata.managedFields`.
        indexes: Maps the name of each index to the path of the field by which the index finds objects.
        type: The type that objects are decoded to: `dict`, any type that msgspec decodes to, or a model of a Kubernetes
            client, like `kubernetes_asyncio.client.V1Pod`. A model needs all fields that it requires, such as
            `spec.containers`: do not prune them. This is not checked here; without them, each read raises a
            `DecodeError`. The client itself decodes to its models, much slower than msgspec.
        transform: Takes the pruned bytes of an object. Returns the bytes to store, a JSON object, or None to store
            nothing. It cannot be a coroutine function. If it raises or returns anything else, the object is stored
            without it: see `stats().transform_errors`.
        options: How the streams start, and how long they wait.
        snapshot: The path of a file, or a `Snapshot`. A start from a snapshot sends no LIST, and its objects can be
            read at once. Until the server accepts a watch that continues from it, the informer is not synced, and
            `state` is `"stale"`. The file contains the name of the `transform` function, and is refused for a
            function with another name. kinform does not detect a change of its code. The start raises a
            `SnapshotError` if the folder does not exist, if kinform must not replace the file at this path, or if
            another informer uses it.
        memory_limit: Largest `stats().memory.held_bytes` that is allowed. If the store takes more, the informer fails
            with a `MemoryLimitError`. It does not include the cache that all stores of the process share.
        queue_bound: Number of events that can wait for a slow reader. If more wait, events of one object are merged.
        decoded_cache: Number of decoded objects that the store keeps for further reads of the same versions; None:
            none. It drops the least recently read object first. Reads then return the same object again, also to other
            threads, so do not change it. The objects are in the memory of Python, and `memory_limit` does not include
            them. For a program that reads all objects repeatedly, use at least their number: a smaller cache is full of
            other objects when a loop begins again.
        start: `"eager"`: the block starts the streams. `"lazy"`: the first use inside of the block starts them: a call
            of `synced`, `wait_for`, `add_namespace`, `remove_namespace` or `changes`, or a handler. Until then, `state`
            is `"idle"`. Until a state is in the store, each read of a lazy store raises a `KinformError`, because it
            would look like an empty collection.
        idle_timeout: Seconds without a read of the store, a wait, a handler or a reader of `changes()` after which the
            streams of a lazy informer stop, and the store releases its memory. `state` is `"idle"` again. The next use
            starts anew, from the snapshot if there is one. None: they do not stop before the end of the block.
        resync_period: About this number of seconds after the start, and again and again, handlers of `on_update` and
            readers of `changes()` get each object of the store as an update of itself, with the same object as old and
            new. Handlers of `on_change` get each key. No request is sent. Changes always come first. A resync starts
            only after the last one has ended. None: no resync.

    Raises:
        OptionError: An option is not valid, or `type` or an index needs a path that pruning drops.

    Attributes:
        store: The objects, for reading.
    """

    def __init__(
        self,
        api: Transport | ApiClient,
        resource: Resource | str,
        *,
        scope: Scope | None = None,
        prune: Prune | None = None,
        indexes: Mapping[str, str] | None = None,
        type: type[T] = DICT,  # type: ignore[assignment]
        transform: Transform | None = None,
        options: WatchOptions | None = None,
        snapshot: Snapshot | str | os.PathLike[str] | None = None,
        memory_limit: int | None = None,
        queue_bound: int = DEFAULT_QUEUE_BOUND,
        decoded_cache: int | None = None,
        start: StartMode = "eager",
        idle_timeout: float | None = None,
        resync_period: float | None = None,
    ) -> None:
        if memory_limit is not None:
            require_integer("memory_limit", memory_limit, 1, "a positive number of bytes, or None")
        require_integer("queue_bound", queue_bound, 1, "a positive number of events")
        spec = CollectionSpec.of(resource, scope, prune, transform, options)
        indexes = indexes if indexes is not None else {}
        spec.check_readable(type, indexes)
        snapshot = None if snapshot is None else Snapshot.of(snapshot)
        self.resource = spec.resource
        self._collection = self._collection_of(as_transport(api), spec, indexes, snapshot, memory_limit)
        self._dispatcher = Dispatcher(type, self._collection.name, queue_bound)
        self._handle = Handle(
            self._collection, self._dispatcher, start=start, idle_timeout=idle_timeout, resync_period=resync_period
        )
        self.store = self._store_of(type, indexes, decoded_cache, lazy=start == "lazy")

    def _collection_of(
        self,
        transport: Transport,
        spec: CollectionSpec,
        indexes: Mapping[str, str],
        snapshot: Snapshot | None,
        memory_limit: int | None,
    ) -> Collection:
        """Returns the collection for these options."""
        return Collection(transport, spec, indexes=indexes, snapshot=snapshot, memory_limit=memory_limit)

    def _store_of(self, type: type[T], indexes: Mapping[str, str], cached: int | None, *, lazy: bool) -> Store[T]:
        contents, handle, prune = self._collection.contents, self._handle, self._collection.spec.prune
        if not lazy:
            return Store(contents, type, indexes, cached, prune)
        store = LazyStore(contents, type, indexes, cached, prune=prune, note_read=handle.note_read)
        handle.on_idle = store.release
        return store

    def __repr__(self) -> str:
        objects = len(self._collection.contents.table)
        return f"<kinform.Informer of {self._collection.name}: {self.state}, {objects} objects>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {self!r}: start an informer in the other process")

    async def __aenter__(self) -> Informer[T]:
        self._begin()
        try:
            await self._handle.wait_entered()
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        binding = self._dispatcher.binding
        if binding.forked:
            return  # tasks, connections and the snapshot belong to the parent process
        binding.check()
        self._handle.check_caller()
        await self._leave()
        if error is None and self._dispatcher.failure is not None:
            raise self._dispatcher.failure.with_traceback(None)

    def _begin(self) -> None:
        """Starts the informer in the background."""
        self._handle.begin()

    async def _leave(self) -> None:
        """Ends what `__aenter__` has started."""
        await self._handle.leave()

    @property
    def name(self) -> str:
        """The name in logs and errors: the resource, the namespaces and the selectors."""
        return self._collection.name

    @property
    def state(self) -> State:
        """The worst state of all streams. It is `"live"` only if all streams are live."""
        return self._handle.state

    def stats(self) -> Stats:
        """Returns the current counts and sizes, and the seconds since the last events."""
        return stats_of(self._collection, self._dispatcher, self._handle, self.store)

    def health(self, max_age: float | None = None, *, allow_skipped: bool = False) -> Health:
        """Returns whether the store is a complete and recent copy, and why not.

        `ok` is False if the informer is not synced, has stopped or failed, if this process was forked after the start,
        or if `degraded` names skipped objects. An idle informer is ok: it has no copy that could be wrong. An object
        that stays larger than `max_object_bytes` keeps `ok` False until you raise the limit. So use `allow_skipped`
        where one object must not count, such as in a liveness probe.

        Args:
            max_age: Largest `age_seconds` for which `ok` is True. The server sends a bookmark about once a minute, so
                use more than 60. None: `ok` is True only in the state `"live"`.
            allow_skipped: Skipped objects do not make `ok` False.

        Raises:
            OptionError: `max_age` is not positive.
        """
        return health_of(self._collection, self._dispatcher, self._handle, max_age=max_age, allow_skipped=allow_skipped)

    # Waits

    async def synced(
        self,
        timeout: float | None = None,
        *,
        allow_partial: bool = False,
        wait: bool = False,
        allow_skipped: bool = False,
    ) -> None:
        """Waits until the first complete state of every stream is in the store.

        If an object was skipped, because it is malformed or oversized, `synced` waits until kinform has received it.

        A state from a snapshot can be read at once, but is not synced yet. It is synced when the server has accepted
        a watch that continues from it: when the first event or bookmark of this watch arrives, or after half a second
        without a refusal. `synced` does not wait for handlers of any kind.

        If `synced` raises a refusal, the informer continues to send requests: it recovers when the refusal ends.

        Args:
            timeout: Seconds to wait; None: no limit.
            allow_partial: Do not wait for streams that the server refuses (401, 403, 404).
            wait: Wait until such a refusal ends, instead of raising it. Has no effect with `allow_partial`.
            allow_skipped: Do not wait for skipped objects.

        Raises:
            OptionError: `timeout` is not a number.
            KinformError: The informer has not started, or has stopped.
            UnauthorizedError, ForbiddenError, NotFoundError: The server has refused the request of a stream twice in
                a row, and `wait` is False; or it refuses the request at the timeout. The error names this stream.
            SkippedError: The timeout passed, and only skipped objects are missing. The error names their keys.
            TimeoutError: The timeout passed. The error names the state of each stream, and its cause.
            StatusError: The server refuses the request, and a retry cannot succeed.
            MemoryLimitError: The store takes more than `memory_limit`.
        """
        self._dispatcher.binding.check()
        with self._handle.waiting():
            await self._collection.waits.synced(
                self._handle.streams,
                timeout,
                opened=self._handle.wait_open,
                allow_partial=allow_partial,
                wait=wait,
                allow_skipped=allow_skipped,
            )

    async def failed(self) -> Exception:
        """Waits until the informer fails, and returns the error.

        An informer recovers from all faults that can be temporary. It fails if the server says that the request is
        wrong, if the store takes more than `memory_limit`, or if a custom transport raises an unexpected error.

        Raises:
            KinformError: The informer has not started, or has stopped without a failure.
        """
        dispatcher = self._dispatcher
        dispatcher.binding.check()
        if self._handle.entered:
            await dispatcher.ended.wait()
        if dispatcher.failure is None:
            self._handle.check()
        assert dispatcher.failure is not None
        return dispatcher.failure

    async def wait_for(
        self, resource_version: str, timeout: float | None = None, *, allow_skipped: bool = False
    ) -> None:
        """Waits until the store has reached a resourceVersion.

        Use it to read your own writes. If the collection has no changes, only a bookmark brings a newer
        resourceVersion. The server sends one about once a minute, so the wait can take that long. If an object was
        skipped, `wait_for` also waits until kinform has received it.

        Args:
            resource_version: The resourceVersion in the API server's answer to a write; a number.
            timeout: Seconds to wait; None: no limit.
            allow_skipped: Do not wait for skipped objects.

        Raises:
            OptionError: `timeout` is not a number; or this resourceVersion, or that of a stream, is not one.
            KinformError: The informer has not started, or has stopped.
            SkippedError: The timeout passed, and only skipped objects are missing. The error names their keys.
            TimeoutError: The timeout passed. The error names the state of each stream.
            StatusError: The server refuses the request, and a retry cannot succeed.
            MemoryLimitError: The store takes more than `memory_limit`.
        """
        self._dispatcher.binding.check()
        with self._handle.waiting():
            await self._collection.waits.reached(
                self._handle.streams,
                resource_version,
                timeout,
                opened=self._handle.wait_open,
                allow_skipped=allow_skipped,
            )

    def expect(self, obj: AnyObject) -> None:
        """Makes an own write readable at once, without a wait for its event.

        Pass the server's answer to a write. Until the stream has reached its resourceVersion, all reads of the store
        show it in place of an older version: also `keys`, `index`, `len` and reads by other informers of a `Factory`.
        An older event or relist does not bring back an older version, and a newer version replaces it. After the stream
        has reached it, the store has what the server has: this version, a newer one, or none.

        A deletion cannot be expected. After an own `delete`, do not pass its answer, except an object with a
        `deletionTimestamp` that finalizers keep. The store shows a deleted object until its event arrives.

        It is pruned and transformed as all objects are. If the label selector or the names of the scope exclude it, or
        a field selector of its name, the store has no object of this key meanwhile. Other field selectors are not
        evaluated here: an object that they exclude is readable until the stream has reached its resourceVersion.

        Handlers and `changes()` get the change from the stream, as all others. `wait_for`, `stats().streams` and
        snapshots also know only the stream.

        The store keeps at most 1000 own writes, of 16 MiB together, and drops the oldest. It drops one that the stream
        has not reached in 5 minutes, at the next progress or failure of the stream. `stats().dropped_expectations` has
        the number of these, and the log one line in ten minutes.

        Args:
            obj: The object as the server has answered it: a dict, a Struct, bytes with JSON, or a model of a Kubernetes
                client. If it is a Struct, the store has only its fields until the stream brings the object. kinform
                adds a missing `apiVersion`, and a missing `kind` if the store has an object.

        Raises:
            OptionError: It is not an object of the resource, in a namespace that the informer follows, with a
                resourceVersion that is a number. Other resourceVersions have no order.
            KinformError: The informer has not started, or has stopped. If it has failed: the error that ended it.
        """
        self._dispatcher.binding.check()
        self._handle.check()
        self._collection.expect(obj)

    async def add_namespace(
        self, namespace: str, timeout: float | None = None, *, wait: bool = False, allow_skipped: bool = False
    ) -> None:
        """Follows one more namespace; returns when its objects are in the store.

        It waits and raises as `synced` does, but for this namespace alone. If it raises a refusal or a timeout, or is
        cancelled, the informer still follows the namespace.

        Args:
            namespace: The name of the namespace.
            timeout: Seconds to wait; None: no limit.
            wait: Wait until a refusal ends, instead of raising it.
            allow_skipped: Do not wait for skipped objects.

        Raises:
            OptionError: The informer follows all namespaces or those of a selector, this is not a valid name, or
                `timeout` is not a number.
            KinformError: The informer has not started, or has stopped; or the namespace was removed again before its
                objects arrived.
            UnauthorizedError, ForbiddenError, NotFoundError: The server has refused the request twice in a row, and
                `wait` is False; or it refuses the request at the timeout.
            SkippedError: The timeout passed, and only skipped objects are missing. The error names their keys.
            TimeoutError: The timeout passed. The error names the state of the stream, and its cause.
            StatusError: The server refuses the request, and a retry cannot succeed.
            MemoryLimitError: The store takes more than `memory_limit`.
        """
        require_timeout(timeout)
        self._dispatcher.binding.check()
        with self._handle.waiting():
            await self._handle.wait_open()
            added = await self._collection.add_namespace(namespace)

            def streams() -> list[Stream]:
                self._handle.check()
                return added()

            await self._collection.waits.synced(
                streams, timeout, opened=self._handle.wait_open, wait=wait, allow_skipped=allow_skipped
            )

    async def remove_namespace(self, namespace: str) -> None:
        """Stops following a namespace, and removes its objects from the store.

        Listeners get each removed object as deleted.

        Raises:
            OptionError: The informer follows all namespaces or those of a selector, or does not follow this one.
            KinformError: The informer has not started, or has stopped.
        """
        self._dispatcher.binding.check()
        with self._handle.waiting():
            await self._handle.wait_open()
            await self._collection.remove_namespace(namespace)

    # Listeners

    def on_add(self, handler: Callable[[T], R]) -> Callable[[T], R]:
        """Calls `handler(object)` for each object in the store, then for each added one.

        A handler may be a coroutine function. Handlers run one at a time, in the order of the changes. A slow handler
        never delays the stream: its events wait. If more than `queue_bound` wait, events of the same object are
        merged. An exception is counted in `stats().handler_errors` and stops nothing. For each handler, the log has at
        most one line in ten minutes, with the key, and the type and the place of the exception, `app.py:41`. At the
        level DEBUG, it has each exception with its text. All handlers of one event get the same object. A handler
        cannot end the block of its informer, which raises a `KinformError`: it can set an event for which the block
        waits.

        A handler cannot be removed: to follow changes for a limited time, read `changes()` in a task, and cancel it.

        Raises:
            OptionError: The handler cannot be called with one argument.
        """
        self._add_handler("added", handler)
        return handler

    def on_update(self, handler: Callable[[T | None, T], R]) -> Callable[[T | None, T], R]:
        """Calls `handler(old, new)` for each changed object.

        `old` may be None: see `Updated`. A new handler is not called for changes before its registration, such as
        those of an earlier relist, even if other handlers have not received these changes yet.

        Raises:
            OptionError: The handler cannot be called with two arguments.
        """
        self._add_handler("updated", handler)
        return handler

    def on_delete(self, handler: Callable[[T], R]) -> Callable[[T], R]:
        """Calls `handler(object)` with the last known state of each deleted object.

        Raises:
            OptionError: The handler cannot be called with one argument.
        """
        self._add_handler("deleted", handler)
        return handler

    def on_change(self, handler: Callable[[str], R]) -> Callable[[str], R]:
        """Calls `handler(key)` for each key in the store, then for each changed object.

        Additions and deletions are changes, too. Use it for a controller that reads the store itself: the call decodes
        no object. A key is in the queue at most once, even if its object changes many times before the call. At the
        call, the store has the last of these versions or a newer one, or no object if it was deleted. These handlers
        run one at a time, in another task than the handlers of `on_add`, `on_update` and `on_delete`. So there is no
        order between the two groups. An exception is counted and logged as by `on_add`, and stops nothing.

        Raises:
            OptionError: The handler cannot be called with one argument.
        """
        self._dispatcher.binding.check()
        self._collection.enable_notifications(keys_only=True)
        keys = self._collection.present_keys() if self._handle.opened else iter(())
        self._dispatcher.key_handlers.add(handler, keys)
        self._handle.start()
        return handler

    def changes(self, *, allow_skipped: bool = False) -> Changes[T]:
        """Returns an async iterator over the objects in the store and all later changes.

        It yields an `Added` for each object in the store at the time of the call, one `Synced`, and each change.
        `Synced` comes as soon as the objects that came before are a complete copy, which is when `synced` returns. If
        an object was skipped, because it is malformed or oversized, `Synced` comes after kinform has received it.
        Each object is decoded when the reader reaches it. A slow reader gets the newest version of each object: if
        more than `queue_bound` events wait, events of the same object are merged. Several tasks can read one iterator:
        each event goes to one of them. The iterator ends when the informer stops. An iterator that is made before the
        start can be read after it.

        The iteration does not raise a 401, 403 or 404: it waits until the refusal ends. Await `synced` first, which
        raises it.

        Every iterator begins with the objects of the store. To follow later changes alone, skip all events up to
        `Synced`. After the end of the block, a new iterator raises no error: it yields the objects that the store still
        has, `Synced` if they are a complete copy, and ends.

        Args:
            allow_skipped: `Synced` does not wait for skipped objects.

        Raises:
            KinformError: This is not the event loop of the informer; or, in the iteration: the informer has not
                started.
            StatusError: In the iteration: the server refuses the request, and a retry cannot succeed.
            MemoryLimitError: In the iteration: the store takes more than `memory_limit`.
        """
        self._dispatcher.binding.check()
        opened = self._handle.opened or self._handle.left
        changes = self._collection.changes(self._dispatcher, opened=opened, allow_skipped=allow_skipped)
        self._handle.start()
        return changes

    # For `kinform.sync` and `kinform.controllers`

    def _states(self) -> str:
        """Returns the state of each stream and its cause, or `""`. Any thread may call it."""
        return describe(self._collection.streams.copy().values())

    def _add_key_listener(self, listener: KeyListener) -> None:
        """Passes the keys in the store, then those of changes, at once."""
        self._dispatcher.binding.check()
        self._collection.enable_notifications(keys_only=True)
        self._dispatcher.key_listeners.append(listener)
        if self._handle.opened:
            listener.present(self._collection.present_keys())
        self._handle.start()

    def _remove_key_listener(self, listener: KeyListener) -> None:
        self._dispatcher.key_listeners.remove(listener)

    def _check_running(self) -> None:
        """Raises a KinformError if the informer does not run, or the error that ended it."""
        self._dispatcher.binding.check()
        self._handle.check()

    def _can_expect(self, resource: Resource) -> bool:
        """Returns whether an object of this resource can be expected without knowing it.

        A field selector may exclude the object, and only the server can evaluate it.
        """
        return resource == self.resource and not self._collection.spec.scope.field_selector

    def _sample(self) -> tuple[str, str] | None:
        """Returns key and kind of an object, or None without one; `""`: no known kind."""
        return sample(self._collection.spec, self._collection.contents.table)

    def _has_name(self, name: str) -> bool:
        """Returns whether the scope has objects with this name."""
        names = self._collection.spec.scope.names
        return names is None or name in names

    def _keeps(self, *path: str) -> bool:
        """Returns whether scope and pruning keep the field at a path, or a part of it."""
        return self._collection.spec.keeps(path)

    def _keeps_owners(self) -> bool:
        """Returns whether pruning keeps what `_add_owner_listener` needs."""
        return self._collection.spec.keeps(*paths_read(OWNER_PATH))

    @property
    def _shards(self) -> ShardSet | None:
        """The shards that it follows now, or None if it follows all objects."""
        return self._collection.spec.shards

    @property
    def _shard_source(self) -> ShardSource | None:
        return self._collection.spec.scope.shards

    @property
    def _lacks_shards(self) -> bool:
        """True if the objects of new shards have not arrived yet."""
        return any(stream.lacks_shards for stream in self._collection.streams.values())

    @property
    def _transport(self) -> Transport:
        return self._collection.transport

    async def _add_owner_listener(self, listener: KeyListener) -> None:
        """Passes the owners of the objects in the store, then those of changes, at once.

        An owner is `"Kind.group/namespace/name"`, or `"Kind/namespace/name"` in the core group: the owner that the
        object's reference with `controller: true` names. The namespace is that of the object, also if the owner is
        cluster-scoped: a reference does not have its scope. Without a namespace, the owner is `"Kind.group/name"`. A
        change passes the owners of the object before and after it, also a deletion, of whatever cause. They come from
        an index of controllers, which this adds: no object is decoded. An owner of several objects comes several times.

        Raises:
            OptionError: Pruning drops what the index reads.
            MemoryLimitError: With the index, the store takes more than `memory_limit`.
        """
        self._dispatcher.binding.check()
        self._collection.spec.check_indexes({"controller": CONTROLLER})
        self._collection.enable_owner_notifications()
        self._dispatcher.owner_listeners.append(listener)
        try:
            await self._handle.add_index(CONTROLLER)
        except BaseException:
            await self._remove_owner_listener(listener)
            raise
        if self._handle.opened:
            listener.present(self._collection.present_owners())
        self._handle.start()

    async def _remove_owner_listener(self, listener: KeyListener) -> None:
        listeners = self._dispatcher.owner_listeners
        listeners.remove(listener)
        if not listeners:
            await self._handle.remove_index(CONTROLLER, lambda: bool(listeners))

    def _add_handler(self, event_kind: EventKind, handler: Callable[..., object]) -> None:
        self._dispatcher.binding.check()
        self._collection.enable_notifications()
        present = self._collection.present() if event_kind == "added" and self._handle.opened else None
        self._dispatcher.handlers.add(event_kind, handler, present)
        self._handle.start()
