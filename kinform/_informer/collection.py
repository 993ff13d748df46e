"""A collection: streams that fill a store, its snapshot, and its dispatchers.

Starts and stops tasks. Several handles may share a collection: the first one starts it, the last one stops it.
Never decodes an object.
Source: client-go's shared informer, controller-runtime's `internal/informers.go`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from kinform._decoding import T
from kinform._dispatch.changes import Changes
from kinform._dispatch.dispatcher import Dispatcher
from kinform._encoding import AnyObject
from kinform._errors import KinformError, OptionError
from kinform._informer.background import start_background
from kinform._informer.healer import Healer
from kinform._informer.health import assess
from kinform._informer.own_writes import read_own_write
from kinform._informer.waits import Waits, degraded_keys, is_degraded
from kinform._listwatch.stream import Stream
from kinform._options import Scope, Snapshot
from kinform._spec import CollectionSpec
from kinform._stats import Health, State, worst
from kinform._store.contents import StoreContents
from kinform._store.writer import Writer
from kinform._transport.base import Transport
from kinform_ext._table import Change, Version

if TYPE_CHECKING:
    from kinform._snapshot.keeper import SnapshotKeeper

log = logging.getLogger("kinform.informer")


class Collection:
    """A live copy of a collection, which its handles share.

    Args:
        transport: The transport to the cluster.
        spec: The identity of the collection.
        indexes: Maps the name of each index to its path.
        snapshot: Where the collection is kept between two runs, or None.
        memory_limit: Largest `held_bytes` of the store that is allowed, or None.

    Attributes:
        spec: The identity of the collection.
        name: Its name in logs and errors.
        writer: Fills the store.
        keeper: Its snapshot, or None.
        streams: By namespace, `""` for all.
        running: True between the first `open` and the last `close`.
        failure: The error that ended it, or None.
        waits: The waits for its streams.
    """

    def __init__(
        self,
        transport: Transport,
        spec: CollectionSpec,
        *,
        indexes: Mapping[str, str],
        snapshot: Snapshot | None,
        memory_limit: int | None,
    ) -> None:
        self.spec = spec
        self.name = spec.name()
        self.writer = Writer(StoreContents(self.name, indexes))
        self.writer.memory_limit = memory_limit
        self.writer.transform = spec.transform
        self.streams: dict[str, Stream] = {}
        self.keeper: SnapshotKeeper | None = None
        if snapshot is not None:
            from kinform._snapshot.keeper import SnapshotKeeper  # and hashlib: memory that few processes need

            self.keeper = SnapshotKeeper(snapshot, transport, spec, self.writer, self.streams)
        self.running = False
        self.failure: Exception | None = None
        self.waits = Waits(self.name, self._check_alive)
        self._transport = transport
        self._started = self._closed = False
        self._open_lock = asyncio.Lock()  # a second handle waits while the first one starts
        self._dispatchers: list[Dispatcher[Any]] = []
        self._healers: dict[str, Healer] = {}
        self._stream_tasks: dict[str, asyncio.Task[None]] = {}
        self._background_tasks: list[asyncio.Task[None]] = []
        self._ended = asyncio.Event()  # failed or closed
        self._namespace_lock = asyncio.Lock()  # namespaces are added and removed one after another

    # Life

    async def open(self, dispatcher: Dispatcher[Any]) -> None:
        """Adds a handle by its dispatcher. The first handle starts the streams.

        Raises:
            KinformError: The last handle has closed the collection already.
            SnapshotError: kinform must not use the path of the snapshot.
        """
        dispatcher.binding.bind()
        async with self._open_lock:
            if self._closed:
                raise KinformError(f"{self.name}: the collection is closed; make another one")
            if self.running:
                self.writer.catch_up()  # so that the new handle is notified only of later changes
                self._dispatchers.append(dispatcher)
                self._dispatch_present(dispatcher)
                self._dispatch_synced(dispatcher)
                if self.failure is not None:
                    dispatcher.close_readers()
                return
            self._dispatchers.append(dispatcher)
            try:
                await self._start()
            except BaseException:
                self._dispatchers.remove(dispatcher)
                raise

    async def _start(self) -> None:
        loaded = await self.keeper.load() if self.keeper is not None else None
        if loaded is not None:
            await self.writer.adopt(loaded.contents, loaded.numbers)
            for dispatcher in self._dispatchers:
                self._dispatch_present(dispatcher)
        for namespace in self.spec.scope.namespaces or ("",):
            self._follow(namespace, "" if loaded is None else loaded.resource_versions.get(namespace, ""))
        if loaded is not None:
            for namespace, keys in loaded.degraded.items():
                self._healers[namespace].restore(keys)
        self._background_tasks.append(start_background(self.name, "compaction", self.writer.run_background()))
        if self.keeper is not None:
            self._background_tasks.append(start_background(self.name, "snapshot", self.keeper.run()))
        self.running = self._started = True

    async def close(self, dispatcher: Dispatcher[Any], tasks: Sequence[asyncio.Task[None]] = ()) -> None:
        """Removes a handle, and waits for its tasks.

        The last handle stops all tasks, then writes the snapshot.

        Args:
            dispatcher: The dispatcher of the handle. One that is not open is ignored.
            tasks: The tasks of the handle, cancelled already.
        """
        if dispatcher not in self._dispatchers:
            return
        if len(self._dispatchers) > 1:
            self._dispatchers.remove(dispatcher)
            await asyncio.gather(*tasks, return_exceptions=True)
            return
        self._closed = True
        self.running = False
        own = [*self._stream_tasks.values(), *self._background_tasks]
        for healer in self._healers.values():
            own += healer.stop()
        for task in own:
            task.cancel()
        try:
            await asyncio.gather(*tasks, *own, return_exceptions=True)  # waits for all, even if it is cancelled
            if self.keeper is not None and self.failure is None:
                self.writer.catch_up()  # an interrupted sweep would keep the snapshot from being written
                await self.keeper.write()
        finally:
            if self.keeper is not None:
                self.keeper.release()
            self._dispatchers.remove(dispatcher)
            self._ended.set()
            self.wake()

    def _follow(self, namespace: str, resource_version: str = "") -> None:
        stream = Stream(self._transport, self.spec, namespace=namespace, resource_version=resource_version)
        healer = self._healers[namespace] = Healer(self._transport, self.spec, stream, self.writer)

        def progress() -> None:
            healer.update()
            self.writer.reached(namespace, stream.resource_version)
            self.wake()

        stream.on_progress = progress
        self.streams[namespace] = stream
        self._stream_tasks[namespace] = asyncio.create_task(self._fill(stream), name=f"kinform {stream.name}")

    async def _fill(self, stream: Stream) -> None:
        try:
            async with aclosing(stream.steps()) as steps:
                async for step in steps:
                    try:
                        await self.writer.write(stream.namespace, step, stream)
                    except Exception as error:
                        await steps.athrow(error)  # the stream has failed, too, and has the error
                    del step  # it holds a batch of up to a MiB, and the next step may be hours away
        except Exception as error:
            # The text of an error that is not ours, such as a bug of a transport, may quote anything.
            why = error if isinstance(error, KinformError) else type(error).__name__
            log.error("%s: failed: %s", stream.name, why)
            self.failure = error
            self._ended.set()
            self._healers[stream.namespace].stop()
            for dispatcher in self._dispatchers:
                dispatcher.close_readers()
        finally:
            self.writer.abort(stream.namespace, stream)
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
            self.writer.key_listener = self._dispatch_keys
        else:
            self.writer.listener = self._dispatch

    def _dispatch(self, change: Change) -> None:
        for dispatcher in self._dispatchers:
            dispatcher.dispatch(change)

    def _dispatch_keys(self, keys: list[str]) -> None:
        for dispatcher in self._dispatchers:
            dispatcher.key_handlers.push_all(keys)

    def _dispatch_present(self, dispatcher: Dispatcher[Any]) -> None:
        dispatcher.dispatch_present(self.present, self.present_keys())

    def _dispatch_synced(self, dispatcher: Dispatcher[Any]) -> None:
        """Notifies the readers that have waited for a complete copy, if it is one."""
        if dispatcher.awaits_synced and self._synced:
            dispatcher.dispatch_synced(complete=not is_degraded(self.streams.values()))

    def changes(self, dispatcher: Dispatcher[T], *, allow_skipped: bool = False) -> Changes[T]:
        """Returns a new reader of `changes()`. It is closed if the collection has failed.

        A dispatcher that is not open yet gets the present state when it opens.
        """
        self.enable_notifications()
        opened = self._closed or dispatcher in self._dispatchers
        present = self.present if opened else lambda: iter(())
        synced = opened and self._synced and (allow_skipped or not is_degraded(self.streams.values()))
        changes = dispatcher.changes(present, synced=synced, allow_skipped=allow_skipped, failure=lambda: self.failure)
        if self.failure is not None:
            changes.queue.close()
        return changes

    def present(self) -> Iterator[Version]:
        """Returns all objects that the store has at the time of the call."""
        return self.writer.contents.versions()

    def present_keys(self) -> Iterator[str]:
        """Returns the keys of these objects."""
        return self.writer.contents.table.ids().keys()

    # Own writes

    def expect(self, obj: AnyObject) -> None:
        """Lets readers see an own write. See `Informer.expect`."""
        self._check_running()
        write = read_own_write(self.spec, obj, self.streams, self.writer.contents.table)
        self.writer.expect(write.stream, write.batch, excluded=write.excluded)
        self.writer.reached(write.stream, self.streams[write.stream].resource_version)

    # State and waits

    @property
    def state(self) -> State:
        """The worst state of all streams. It is `"live"` only if all streams are live."""
        return "failed" if self.failure is not None else worst(stream.state for stream in self.streams.values())

    @property
    def degraded(self) -> list[str]:
        """The keys of the skipped objects of all streams."""
        return degraded_keys(self.streams.values())

    @property
    def _synced(self) -> bool:
        """True if every stream has received its first complete state."""
        return self._started and all(stream.last_sync is not None for stream in self.streams.values())

    def health(self, max_age: float | None, *, allow_skipped: bool) -> Health:
        """Returns the health. See `Informer.health`."""
        return assess(
            self.name,
            list(self.streams.values()),
            state=self.state,
            running=self.running,
            failure=self.failure,
            max_age=max_age,
            allow_skipped=allow_skipped,
        )

    def wake(self) -> None:
        """Wakes all waits: states, errors or resourceVersions may have changed."""
        for dispatcher in self._dispatchers:
            self._dispatch_synced(dispatcher)
        self.waits.wake()

    async def wait_failed(self) -> Exception:
        """Waits until the collection fails. See `Informer.failed`."""
        while self.failure is None:
            self._check_running()
            await self._ended.wait()
        return self.failure

    def _check_alive(self) -> None:
        if self.failure is not None:
            raise self.failure.with_traceback(None)  # raised again and again it would collect frames
        self._check_running()

    def _check_running(self) -> None:
        if not self.running:
            raise KinformError(f"{self.name}: the informer is not running")

    # Namespaces

    async def add_namespace(self, namespace: str, timeout: float | None, *, wait: bool, allow_skipped: bool) -> None:
        """Follows one more namespace. See `Informer.add_namespace`."""
        async with self._namespace_lock:
            self._check_namespaced()
            Scope(namespaces=[namespace])
            if namespace not in self.streams:
                self._follow(namespace)
        stream = self.streams[namespace]

        def streams() -> list[Stream]:
            if self.streams.get(namespace) is not stream:
                raise KinformError(f"{stream.name}: the namespace was removed again")
            return [stream]

        await self.waits.synced(streams, timeout, wait=wait, allow_skipped=allow_skipped)

    async def remove_namespace(self, namespace: str) -> None:
        """Stops following a namespace. See `Informer.remove_namespace`."""
        async with self._namespace_lock:
            self._check_namespaced()
            if namespace not in self.streams:
                raise OptionError("namespace", namespace, f"a followed namespace: {', '.join(self.streams)}")
            task = self._stream_tasks.pop(namespace)
            del self.streams[namespace]
            task.cancel()
            healing = self._healers.pop(namespace).stop()
            try:
                await asyncio.gather(task, *healing, return_exceptions=True)
                while self.writer.drop(namespace):
                    await asyncio.sleep(0)
            except asyncio.CancelledError:  # a namespace that is half removed could not be followed again
                while self.writer.drop(namespace):
                    pass
                raise
            finally:
                self.wake()

    def _check_namespaced(self) -> None:
        if self.spec.scope.namespaces is None:
            raise OptionError("Scope.namespaces", None, "names of namespaces: this informer follows all of them")
        self._check_running()
