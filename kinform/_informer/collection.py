"""A collection: streams that fill a store, its snapshot, and its dispatchers.

Starts and stops tasks. Several handles may share a collection: the first one starts it, the last one stops it.
Never decodes an object.
Source: client-go's shared informer, controller-runtime's `internal/informers.go`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from kinform._decoding import T
from kinform._dispatch.changes import Changes
from kinform._dispatch.dispatcher import Dispatcher
from kinform._errors import MAX_NAMED_KEYS, KinformError, OptionError, SkippedError, StatusError
from kinform._informer.healer import Healer
from kinform._listwatch.stream import Stream
from kinform._options import Scope, Snapshot
from kinform._spec import CollectionSpec
from kinform._stats import UNKNOWN_KEYS, Health, State, worst
from kinform._store.contents import StoreContents
from kinform._store.writer import Writer
from kinform._transport.base import Transport
from kinform_ext._table import Change, Version

if TYPE_CHECKING:
    from kinform._snapshot.keeper import SnapshotKeeper

log = logging.getLogger("kinform.informer")

REFUSED: tuple[State, ...] = ("unauthorized", "forbidden", "not_found")

# One refusal may be a short fault: an expired token, or a CRD that the server is about to serve.
ANSWERS_UNTIL_RAISED = 2


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
        writer: Fills the store.
        keeper: Its snapshot, or None.
        streams: By namespace, `""` for all.
        running: True between the first `open` and the last `close`.
        failure: The error that ended it, or None.
        synced: True as soon as every stream has received its first complete state.
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
        self.writer = Writer(StoreContents(str(spec.resource), indexes))
        self.writer.memory_limit = memory_limit
        self.writer.transform = spec.transform
        self.streams: dict[str, Stream] = {}
        self.keeper: SnapshotKeeper | None = None
        if snapshot is not None:
            from kinform._snapshot.keeper import SnapshotKeeper  # and hashlib: memory that few processes need

            self.keeper = SnapshotKeeper(snapshot, transport, spec, self.writer, self.streams)
        self.running = False
        self.failure: Exception | None = None
        self.synced = False
        self._transport = transport
        self._closed = False
        self._open_lock = asyncio.Lock()  # a second handle waits while the first one starts
        self._dispatchers: list[Dispatcher[Any]] = []
        self._healers: dict[str, Healer] = {}
        self._stream_tasks: dict[str, asyncio.Task[None]] = {}
        self._background_tasks: list[asyncio.Task[None]] = []
        self._progress = asyncio.Event()
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
                raise KinformError(f"{self.spec.resource}: the collection is closed; make another one")
            if self.running:
                self.writer.catch_up()  # so that the new handle is notified only of later changes
                self._dispatchers.append(dispatcher)
                self._dispatch_present(dispatcher)
                if self.synced:
                    dispatcher.dispatch_synced()
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
        resource_versions: Mapping[str, str] = {}
        if loaded is not None:
            resource_versions = loaded.resource_versions
            self.writer.adopt(loaded.contents, loaded.numbers)
            for dispatcher in self._dispatchers:
                self._dispatch_present(dispatcher)
        for namespace in self.spec.scope.namespaces or ("",):
            self._follow(namespace, resource_versions.get(namespace, ""))
        resource = self.spec.resource
        self._background_tasks.append(
            start_background(self.writer.run_background(), f"kinform background of {resource}")
        )
        if self.keeper is not None:
            self._background_tasks.append(start_background(self.keeper.run(), f"kinform snapshot of {resource}"))
        self.running = True

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
        dispatcher.dispatch_present(self.present, self.writer.contents.table.ids().keys())

    def changes(self, dispatcher: Dispatcher[T]) -> Changes[T]:
        """Returns a new reader of `changes()`. It is closed if the collection has failed.

        A dispatcher that is not open yet gets the present state when it opens.
        """
        self.enable_notifications()
        opened = self._closed or dispatcher in self._dispatchers
        present = self.present if opened else lambda: iter(())
        changes = dispatcher.changes(present, synced=opened and self.synced, failure=lambda: self.failure)
        if self.failure is not None:
            changes.queue.close()
        return changes

    def present(self) -> Iterator[Version]:
        """Returns all objects that the store has at the time of the call."""
        return self.writer.contents.versions()

    # State and waits

    @property
    def state(self) -> State:
        """The worst state of all streams. It is `"live"` only if all streams are live."""
        return "failed" if self.failure is not None else worst(stream.state for stream in self.streams.values())

    @property
    def degraded(self) -> list[str]:
        """The keys of the skipped objects of all streams."""
        return [key for stream in self.streams.values() for key in stream.healing.degraded]

    def health(self, max_age: float | None) -> Health:
        """Returns the health. See `Informer.health`."""
        now = time.monotonic()
        streams = list(self.streams.values())
        seen = [stream.last_current for stream in streams]
        times = [then for then in seen if then is not None]
        age = now - min(times) if times and len(times) == len(seen) else None
        failing = max(streams, key=lambda stream: (stream.error is not None, stream.failures), default=None)
        error = failing.error if failing is not None else None
        state, degraded = self.state, self.degraded
        if self.failure is not None:
            reason = (
                f"failed: {self.failure if isinstance(self.failure, KinformError) else type(self.failure).__name__}"
            )
        elif not self.running:
            reason = "the informer is not running"
        elif age is None or not self.synced:
            reason = f"not synced: {state}"
        elif degraded:
            reason = f"skipped: {', '.join(degraded[:MAX_NAMED_KEYS])}"
            reason += f" and {len(degraded) - MAX_NAMED_KEYS} more" if len(degraded) > MAX_NAMED_KEYS else ""
        elif max_age is None and state != "live":
            reason = state
        elif max_age is not None and age > max_age:
            reason = f"no news for {age:.0f} s: {state}"
        else:
            reason = ""
        return Health(
            ok=not reason,
            state=state,
            reason=f"{self.spec.resource}: {reason}" if reason else "",
            age_seconds=age,
            degraded=degraded,
            consecutive_failures=max((stream.failures for stream in streams), default=0),
            last_error=None if error is None else str(error),
        )

    def wake(self) -> None:
        """Wakes all waits: states, errors or resourceVersions may have changed."""
        if not self.synced and self.streams and all(s.last_sync is not None for s in self.streams.values()):
            self.synced = True
            for dispatcher in self._dispatchers:
                dispatcher.dispatch_synced()
        progress, self._progress = self._progress, asyncio.Event()
        progress.set()

    async def wait_synced(
        self,
        timeout: float | None,
        *,
        allow_partial: bool = False,
        wait: bool = False,
        allow_skipped: bool = False,
    ) -> None:
        """Waits for the first complete state of every stream. See `Informer.synced`."""

        def synced() -> bool:
            missing = [stream for stream in self.streams.values() if stream.last_sync is None]
            refused = [stream for stream in missing if stream.state in REFUSED]
            if allow_partial:
                return len(missing) == len(refused)
            if not wait:
                _raise_refusal(stream for stream in refused if stream.refusals >= ANSWERS_UNTIL_RAISED)
            return not missing

        await self._wait_until(synced, timeout, "not synced", raise_refusal=True, allow_skipped=allow_skipped)

    async def wait_failed(self) -> Exception:
        """Waits until the collection fails. See `Informer.failed`."""
        while self.failure is None:
            self._check_running()
            await self._ended.wait()
        return self.failure

    async def wait_for(self, resource_version: str, timeout: float | None, *, allow_skipped: bool = False) -> None:
        """Waits until every stream has reached a resourceVersion. See `Informer.wait_for`."""
        wanted = _number(resource_version)
        await self._wait_until(
            lambda: all(_number(stream.resource_version or "0") >= wanted for stream in self.streams.values()),
            timeout,
            f"resourceVersion {resource_version} not seen",
            allow_skipped=allow_skipped,
        )

    async def _wait_until(
        self,
        holds: Callable[[], bool],
        timeout: float | None,
        what: str,
        *,
        raise_refusal: bool = False,
        allow_skipped: bool = True,
    ) -> None:
        """Waits until a condition holds; it is tested after each progress of a stream.

        Args:
            holds: The condition. It may raise to end the wait.
            timeout: Seconds to wait; None: no limit.
            what: The missing event, for the TimeoutError.
            allow_skipped: Do not wait until the skipped objects are received.
            raise_refusal: At the timeout, raise the error of a stream that the server refuses instead.

        Raises:
            SkippedError: At the timeout, if only skipped objects are missing.
            TimeoutError: At the timeout; names the state of each stream.
            KinformError: The collection has stopped or failed. If it has failed: the error that ended it.
        """
        try:
            async with asyncio.timeout(timeout):
                while True:
                    progress = self._progress
                    if self.failure is not None:
                        raise self.failure.with_traceback(None)  # raised again and again it would collect frames
                    self._check_running()
                    if holds() and (allow_skipped or not self.degraded):
                        return
                    await progress.wait()
        except TimeoutError:
            if not allow_skipped and holds():
                raise self._skipped(f"not received again after {timeout:g} s") from None
            if raise_refusal:
                _raise_refusal(stream for stream in self.streams.values() if stream.state in REFUSED)
            states = ", ".join(f"{stream.name}: {_state(stream)}" for stream in self.streams.values())
            raise TimeoutError(f"{what} after {timeout:g} s; {states}") from None

    def _skipped(self, why: str) -> SkippedError:
        keys = self.degraded
        known = [key for key in keys if key != UNKNOWN_KEYS]
        return SkippedError(str(self.spec.resource), known[0] if known else None, why, keys=keys)

    def _check_running(self) -> None:
        if not self.running:
            raise KinformError(f"{self.spec.resource}: the informer is not running")

    # Namespaces

    async def add_namespace(self, namespace: str) -> None:
        """Follows one more namespace. See `Informer.add_namespace`."""
        async with self._namespace_lock:
            self._check_namespaced()
            Scope(namespaces=[namespace])
            if namespace not in self.streams:
                self._follow(namespace)
        stream = self.streams[namespace]

        def synced() -> bool:
            if self.streams.get(namespace) is not stream:
                raise KinformError(f"{stream.name}: the namespace was removed again")
            return stream.last_sync is not None

        await self._wait_until(synced, None, "not synced")

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


def start_background(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Starts a task that the rest can do without. Its failure is logged."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_log_failure)
    return task


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s: failed with %s", task.get_name(), type(error).__name__)


def _raise_refusal(streams: Iterable[Stream]) -> None:
    for stream in streams:
        if isinstance(stream.error, StatusError):
            raise stream.error.with_traceback(None) from None


def _state(stream: Stream) -> str:
    if stream.error is None:
        return stream.state
    # An error is kept until progress. While a request is under way, it is the past and not the cause of the wait.
    present = stream.state in (*REFUSED, "retrying", "failed")
    return f"{stream.state} ({stream.error})" if present else f"{stream.state}, last error: {stream.error}"


def _number(resource_version: str) -> int:
    if not isinstance(resource_version, str) or not resource_version.isdecimal():
        raise ValueError(f"resourceVersion {resource_version!r} is not a number: expected decimal digits")
    return int(resource_version)
