"""A collection: streams that fill a store, its snapshot, and its dispatchers.

Starts and stops tasks. Several handles may share a collection: the first one starts it, the last one stops it, and a
later one starts it anew. Never decodes an object. Over 500 lines: the order of start, stop and each change of streams
must be read in one place.
Source: client-go's shared informer, controller-runtime's `internal/informers.go`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from kinform._counts import StreamCounts
from kinform._decoding import T
from kinform._dispatch.changes import Changes
from kinform._dispatch.dispatcher import Dispatcher
from kinform._encoding import AnyObject
from kinform._errors import KinformError, OptionError
from kinform._events import Skipped
from kinform._heap import start_trim
from kinform._informer.background import start_background
from kinform._informer.covering_writer import CoveringWriter
from kinform._informer.healer import Healer
from kinform._informer.own_writes import read_own_write
from kinform._informer.selected_namespaces import NamespaceFollower, SelectedNamespaces
from kinform._informer.waits import Waits, degraded_keys, is_degraded
from kinform._listwatch.pacing import Pacing
from kinform._listwatch.stream import Stream
from kinform._namespace_selector import NamespaceSelector
from kinform._options import Scope, Snapshot
from kinform._printable import listed
from kinform._sharding import ShardSet
from kinform._spec import CollectionSpec
from kinform._stats import State, worst
from kinform._store.contents import StoreContents
from kinform._store.writer import Writer
from kinform._transport.base import Transport
from kinform_ext._table import Change, Version

if TYPE_CHECKING:
    from kinform._snapshot.keeper import SnapshotKeeper

NAMESPACES = "(namespaces)"  # the key of the stream of the namespaces that match a selector

log = logging.getLogger("kinform.informer")


class Collection:
    """A live copy of a collection, which its handles share.

    Args:
        transport: The transport to the cluster.
        spec: The identity of the collection.
        indexes: Maps the name of each index to its path.
        snapshot: Where the collection is kept between two runs, or None.
        memory_limit: Largest `held_bytes` of the store that is allowed, or None.
        pacing: The pace of its streams.

    Attributes:
        transport: The transport to the cluster.
        spec: The identity of the collection.
        name: Its name in logs and errors.
        snapshot: Where it is kept between two runs, or None.
        memory_limit: Largest `held_bytes` of the store that is allowed, or None.
        contents: The contents of the store.
        writer: Fills the store.
        keeper: Its snapshot, or None.
        streams: By namespace, `""` for all.
        counts: The counts of all streams that it has had.
        running: True between the first `open` and the last `close`.
        failure: The error that ended it, or None.
        waits: The waits for its streams.
        on_progress: A function that is called each time that waits are woken.
    """

    def __init__(
        self,
        transport: Transport,
        spec: CollectionSpec,
        *,
        indexes: Mapping[str, str],
        snapshot: Snapshot | None,
        memory_limit: int | None,
        pacing: Pacing | None = None,
    ) -> None:
        self.spec = spec
        self.name = spec.name()
        self.snapshot = snapshot
        self.memory_limit = memory_limit
        self.contents = StoreContents(self.name, indexes)
        self.streams: dict[str, Stream] = {}
        self.counts = StreamCounts()
        self.running = False
        self.waits = Waits(self.name)
        self.on_progress: Callable[[], None] = lambda: None
        self.transport = transport
        self._pacing = pacing
        self._started = False
        self._open_lock = asyncio.Lock()  # a second handle waits while the first one starts
        self._stopping: asyncio.Future[None] | None = None
        self._dispatchers: list[Dispatcher[Any]] = []
        self._healers: dict[str, Healer] = {}
        self._stream_tasks: dict[str, asyncio.Task[None]] = {}
        self._background_tasks: list[asyncio.Task[None]] = []
        self._notifies_of_keys = self._notifies_of_objects = self._notifies_of_owners = False
        self.selected: SelectedNamespaces | None = None
        selector = spec.scope.namespaces
        self._selector = selector if isinstance(selector, NamespaceSelector) else None
        self._namespaces = () if self._selector is not None else spec.scope.fixed_namespaces or ("",)
        self._ignore_shards: Callable[[], None] = _do_nothing
        self._prepare(Writer(self.contents))

    def _prepare(self, writer: Writer) -> None:
        """Makes everything for a start with an empty store."""
        self.writer = writer
        self.writer.memory_limit = self.memory_limit
        self.writer.transform = self.spec.transform
        self._namespace_lock = asyncio.Lock()  # namespaces are added and removed one after another
        self.failure: Exception | None = None
        self.keeper: SnapshotKeeper | None = None
        if self.snapshot is not None:
            if isinstance(self.spec.scope.namespaces, NamespaceSelector):
                raise OptionError("snapshot", self.snapshot.path, "None, with a NamespaceSelector")
            from kinform._snapshot.keeper import SnapshotKeeper  # and hashlib: memory that few processes need

            self.keeper = SnapshotKeeper(self.snapshot, self.transport, self.spec, self.writer, self.streams)

    def configure(self, snapshot: Snapshot | None, memory_limit: int | None) -> None:
        """Changes what belongs to all handles. No handle may be open."""
        self.snapshot, self.memory_limit = snapshot, memory_limit
        self._prepare(self.writer)

    # Life

    async def open(self, dispatcher: Dispatcher[Any], indexes: Mapping[str, str] = {}) -> None:
        """Adds a handle by its dispatcher. The first handle starts the streams.

        Args:
            dispatcher: The dispatcher of the handle.
            indexes: Indexes of this handle, in addition to those of the collection.

        Raises:
            SnapshotError: kinform must not use the path of the snapshot.
            OptionError: The paths of all indexes overlap too much.
            MemoryLimitError: With the indexes, the store takes more than `memory_limit`.
        """
        async with self._open_lock:
            await self._settle()
            if indexes:
                await self.writer.add_indexes(indexes)
            try:
                await self._settle()  # the last handle may have left since
                if self.running:
                    self._join(dispatcher)
                else:
                    self._dispatchers.append(dispatcher)
                    await self._start()
            except BaseException:
                if dispatcher in self._dispatchers:
                    self._dispatchers.remove(dispatcher)
                if self.keeper is not None and not self._dispatchers:
                    self.keeper.release()
                await self.writer.drop_indexes(indexes)
                raise

    async def _settle(self) -> None:
        """Waits for the end of a stop, and forgets a run that has ended."""
        while self._stopping is not None:
            await asyncio.shield(self._stopping)
        if self._started and not self.running:
            self._restart()

    def _join(self, dispatcher: Dispatcher[Any]) -> None:
        self.writer.catch_up()  # so that the new handle is notified only of later changes
        self._dispatchers.append(dispatcher)
        self._dispatch_present(dispatcher)
        self._dispatch_synced(dispatcher)
        if self.failure is not None:
            dispatcher.fail(self.failure)

    async def _start(self) -> None:
        loaded = await self.keeper.load() if self.keeper is not None else None
        if loaded is not None:
            await self.writer.adopt(loaded.contents, loaded.numbers)
            for dispatcher in self._dispatchers:
                self._dispatch_present(dispatcher)
        if (source := self.spec.scope.shards) is not None:
            self._ignore_shards = source.subscribe(self._set_shards)
        for namespace in self._namespaces:
            known = "" if loaded is None else loaded.resource_versions.get(namespace, "")
            self.follow(namespace, resource_version=known)
        if self._selector is not None:
            self._follow_selected(self._selector)
        if loaded is not None:
            for namespace, keys in loaded.degraded.items():
                for key in keys:
                    self.writer.skip(namespace, Skipped("MODIFIED", key, initial=False))  # no effect without an object
                self._healers[namespace].restore(keys)
        self._background_tasks = [start_background(self.name, "compaction", self.writer.run_background())]
        if self.keeper is not None:
            self._background_tasks.append(start_background(self.name, "snapshot", self.keeper.run()))
        self.running = self._started = True
        self._connect()

    def _restart(self) -> None:
        """Forgets the last run. Readers of the store continue with the new, empty state."""
        self.contents.adopt(self.contents.empty_copy())
        self.streams.clear()
        self._started = False
        self._prepare(Writer(self.contents))

    def release(self) -> None:
        """Releases the memory of the store, if no handle is open."""
        if self._started and not self._dispatchers and self._stopping is None:
            self._restart()
            start_trim()

    async def close(
        self,
        dispatcher: Dispatcher[Any],
        tasks: Sequence[asyncio.Task[None]] = (),
        indexes: Mapping[str, str] = {},
    ) -> None:
        """Removes a handle, and waits for its tasks.

        The last handle stops all tasks, then writes the snapshot.

        Args:
            dispatcher: The dispatcher of the handle. One that is not open is ignored.
            tasks: The tasks of the handle, cancelled already.
            indexes: The indexes of the handle, as for `open`.
        """
        if dispatcher not in self._dispatchers:
            if self._stopping is not None:  # another caller closes it
                await asyncio.shield(self._stopping)
            return
        self._dispatchers.remove(dispatcher)
        if self._dispatchers:
            try:
                await self.writer.drop_indexes(indexes)
            finally:
                await asyncio.gather(*tasks, return_exceptions=True)
            return
        self.running = False
        self._ignore_shards()
        self._ignore_shards = _do_nothing
        self._stopping = asyncio.get_running_loop().create_future()
        if self._selector is None:
            self._namespaces = tuple(self.streams)
        keeper, failure = self.keeper, self.failure
        own = [*self._stream_tasks.values(), *self._background_tasks]
        for healer in self._healers.values():
            own += healer.stop()
        for task in own:
            task.cancel()
        try:
            try:
                await self.writer.drop_indexes(indexes)
            finally:
                await asyncio.gather(*tasks, *own, return_exceptions=True)  # waits for all, even if it is cancelled
            if keeper is not None and failure is None:
                self.writer.catch_up()  # an interrupted sweep would keep the snapshot from being written
                await keeper.write()
        finally:
            # Without cycles, what belongs to this run is freed when the next one starts, or with this object.
            for stream in self.streams.values():
                stream.on_progress = _do_nothing
            for part in (self._healers, self._stream_tasks, self._background_tasks):
                part.clear()
            self.writer.listener = self.writer.key_listener = self.writer.owner_listener = None
            if keeper is not None:
                keeper.release()
            self._stopping.set_result(None)
            self._stopping = None
            self.wake()

    def _follow_selected(self, selector: NamespaceSelector) -> None:
        """Follows the namespaces that match, and has streams for them."""
        self.selected = SelectedNamespaces(selector, self, self.writer)
        follower = NamespaceFollower(self.transport, selector, self.spec.options, self._pacing, self.selected.select)
        follower.stream.on_progress = self.wake
        self.streams[NAMESPACES] = follower.stream
        self._stream_tasks[NAMESPACES] = asyncio.create_task(
            self._run(follower.stream, follower.run), name=f"kinform {follower.stream.name}"
        )

    async def leave(self, namespace: str) -> None:
        """Ends the stream of a namespace. Its objects stay."""
        await asyncio.gather(*self._end(namespace), return_exceptions=True)

    def _end(self, namespace: str) -> list[asyncio.Task[None]]:
        """Cancels the stream of a namespace. Returns the tasks to wait for."""
        task = self._stream_tasks.pop(namespace)
        del self.streams[namespace]
        task.cancel()
        return [task, *self._healers.pop(namespace).stop()]

    async def drop(self, namespace: str) -> None:
        """Removes the objects of a namespace."""
        try:
            while self.writer.drop(namespace):
                await asyncio.sleep(0)
        except asyncio.CancelledError:  # a namespace that is half removed could not be followed again
            while self.writer.drop(namespace):
                pass
            raise
        finally:
            self.wake()

    def follow(self, namespace: str, covering: CoveringWriter | None = None, *, resource_version: str = "") -> Stream:
        """Starts the stream of a namespace, or of all (`""`).

        `covering` writes it to the states of other namespaces. `resource_version` is that of a snapshot.
        """
        writer = self.writer if covering is None else covering
        stream = Stream(
            self.transport,
            self.spec,
            namespace=namespace,
            resource_version=resource_version,
            pacing=self._pacing,
            counts=self.counts,
        )
        healer = self._healers[namespace] = Healer(self.transport, self.spec, stream, writer)

        def progress() -> None:
            healer.update()
            writer.reached(namespace, stream.resource_version)
            self.wake()

        stream.on_progress = progress
        self.streams[namespace] = stream
        self._stream_tasks[namespace] = asyncio.create_task(
            self._run(stream, partial(self._fill, stream, writer)), name=f"kinform {stream.name}"
        )
        return stream

    async def _fill(self, stream: Stream, writer: Writer | CoveringWriter) -> None:
        try:
            async with aclosing(stream.steps()) as steps:
                async for step in steps:
                    try:
                        await writer.write(stream.namespace, step, stream)
                    except Exception as error:
                        await steps.athrow(error)  # the stream has failed, too, and has the error
                    del step  # it holds a batch of up to a MiB, and the next step may be hours away
        except Exception:
            self._healers[stream.namespace].stop()
            raise
        finally:
            writer.abort(stream.namespace, stream)

    async def _run(self, stream: Stream, work: Callable[[], Awaitable[None]]) -> None:
        """Runs the work of a stream. Its failure is that of the collection."""
        try:
            await work()
        except Exception as error:
            # The text of an error that is not ours, such as a bug of a transport, may quote anything.
            why = error if isinstance(error, KinformError) else type(error).__name__
            log.error("%s: failed: %s", stream.name, why)
            self.failure = error
            for dispatcher in self._dispatchers:
                dispatcher.fail(error)
        finally:
            self.wake()

    # Changes

    def enable_notifications(self, *, keys_only: bool = False) -> None:
        """Notifies the dispatchers from now on. Until then no Change is allocated.

        Finishes running sweeps first, so that a new listener is notified only of later changes.

        Args:
            keys_only: The new listener needs only keys. As long as all do, no Change is allocated either.
        """
        self.writer.catch_up()
        if keys_only:
            self._notifies_of_keys = True
        else:
            self._notifies_of_objects = True
        if self.running:
            self._connect()

    def enable_owner_notifications(self) -> None:
        """Notifies the dispatchers of owners from now on.

        The store must have an index of controllers.
        """
        self.writer.catch_up()
        self._notifies_of_owners = True
        if self.running:
            self._connect()

    def _connect(self) -> None:
        if self._notifies_of_keys:
            self.writer.key_listener = self._dispatch_keys
        if self._notifies_of_objects:
            self.writer.listener = self._dispatch
        if self._notifies_of_owners:
            self.writer.owner_listener = self._dispatch_owners

    def _dispatch(self, change: Change) -> None:
        for dispatcher in self._dispatchers:
            dispatcher.dispatch(change)

    def _dispatch_keys(self, keys: list[str]) -> None:
        for dispatcher in self._dispatchers:
            dispatcher.dispatch_keys(keys)

    def _dispatch_owners(self, owners: list[str]) -> None:
        for dispatcher in self._dispatchers:
            dispatcher.dispatch_owners(owners)

    def _dispatch_present(self, dispatcher: Dispatcher[Any]) -> None:
        dispatcher.dispatch_present(self.present, self.present_keys, self.present_owners)

    def _dispatch_synced(self, dispatcher: Dispatcher[Any]) -> None:
        """Notifies the readers that have waited for a complete copy, if it is one."""
        if dispatcher.awaits_synced and self._synced:
            dispatcher.dispatch_synced(complete=not is_degraded(self.streams.values()))

    def changes(self, dispatcher: Dispatcher[T], *, opened: bool, allow_skipped: bool = False) -> Changes[T]:
        """Returns a new reader of `changes()`.

        Args:
            dispatcher: The dispatcher of the handle.
            opened: The handle is open, or was. Otherwise the reader gets the present state when it opens.
            allow_skipped: `Synced` does not wait for skipped objects.
        """
        self.enable_notifications()
        synced = opened and self._synced and (allow_skipped or not is_degraded(self.streams.values()))
        present = self.present if opened else lambda: iter(())
        return dispatcher.changes(present, synced=synced, allow_skipped=allow_skipped)

    def present(self) -> Iterator[Version]:
        """Returns all objects that the store has at the time of the call."""
        return self.writer.contents.versions()

    def present_keys(self) -> Iterator[str]:
        """Returns the keys of these objects."""
        return self.writer.contents.table.ids().keys()

    def present_owners(self) -> Iterator[str]:
        """Returns the owners of these objects."""
        return self.writer.contents.owners()

    # Shards

    def _set_shards(self, shards: ShardSet) -> None:
        """Follows other shards. Objects of lost ones are gone for readers at the return."""
        for stream in self.streams.values():
            before = stream.shards
            assert before is not None
            stream.set_shards(shards)
            if not before.indices <= shards.indices:
                self.writer.retain(stream.namespace, shards)
        running = [task for task in self._background_tasks if not task.done()]
        self._background_tasks = [*running, start_background(self.name, "change of shards", self._sweep())]

    async def _sweep(self) -> None:
        for namespace in list(self.streams):
            while self.writer.sweep(namespace):
                await asyncio.sleep(0)
        self.wake()

    # Own writes

    def expect(self, obj: AnyObject) -> None:
        """Lets readers see an own write, also after a later start. See `Informer.expect`."""
        selected = None if self.selected is None else self.selected.names
        streams = selected if selected is not None else self.streams if self.running else self._namespaces
        write = read_own_write(self.spec, obj, streams, self.contents.table, self.spec.shards)
        self.writer.expect(write.stream, write.batch, excluded=write.excluded)
        if self.running:
            stream = self.streams.get(write.stream) or self.streams.get("")
            self.writer.reached(write.stream, "0" if stream is None else stream.resource_version)

    # State and waits

    @property
    def state(self) -> State:
        """The worst state of all streams. It is `"live"` only if all streams are live."""
        return "failed" if self.failure is not None else worst(stream.state for stream in self.streams.copy().values())

    @property
    def degraded(self) -> list[str]:
        """The keys of the skipped objects of all streams."""
        return degraded_keys(self.streams.copy().values())

    @property
    def _synced(self) -> bool:
        """True if every stream has received its first complete state."""
        return self._started and all(stream.last_sync is not None for stream in self.streams.values())

    def wake(self) -> None:
        """Wakes all waits: states, errors or resourceVersions may have changed."""
        for dispatcher in self._dispatchers:
            self._dispatch_synced(dispatcher)
            dispatcher.resume()
        self.waits.wake()
        self.on_progress()

    # Namespaces

    async def add_namespace(self, namespace: str) -> Callable[[], list[Stream]]:
        """Follows one more namespace. See `Informer.add_namespace`.

        Returns:
            A function that gives the stream, for waits. It raises an error if the namespace was removed again.
        """
        async with self._namespace_lock:
            self._check_namespaced()
            Scope(namespaces=[namespace])
            if namespace not in self.streams:
                self.follow(namespace)
        stream = self.streams[namespace]

        def streams() -> list[Stream]:
            if self.streams.get(namespace) is not stream:
                raise KinformError(f"{stream.name}: the namespace was removed again")
            return [stream]

        return streams

    async def remove_namespace(self, namespace: str) -> None:
        """Stops following a namespace. See `Informer.remove_namespace`."""
        async with self._namespace_lock:
            self._check_namespaced()
            if namespace not in self.streams:
                raise OptionError("namespace", namespace, f"a followed namespace: {listed(list(self.streams))}")
            ending = self._end(namespace)
            try:
                await asyncio.gather(*ending, return_exceptions=True)
            finally:
                await self.drop(namespace)

    def _check_namespaced(self) -> None:
        if self._selector is not None:
            raise OptionError("Scope.namespaces", self._selector, "names: this informer follows those that match")
        if self.spec.scope.namespaces is None:
            raise OptionError("Scope.namespaces", None, "names of namespaces: this informer follows all of them")
        self._check_running()

    def _check_running(self) -> None:
        if not self.running:
            raise KinformError(f"{self.name}: the informer is not running")


def _do_nothing() -> None: ...
