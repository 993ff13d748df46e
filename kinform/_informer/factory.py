"""The factory: the public face of informers that share streams and stores.

Makes informers, starts them, waits for them, and adds up what they report. Never decodes an object.
Source: client-go's shared informer factory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from kinform._checks import require_integer, require_max_age, require_number
from kinform._decoding import DICT, T
from kinform._dispatch.queue import DEFAULT_QUEUE_BOUND
from kinform._errors import KinformError
from kinform._informer.informer import Informer
from kinform._informer.sharing import FACTORY_NAME, SharedInformer, Sharing
from kinform._listwatch.pacing import Pacing
from kinform._listwatch.stream import Stream
from kinform._options import Prune, Resource, Scope, Snapshot, StartMode, Transform, WatchOptions
from kinform._stats import FactoryStats, Health, add_up, worst
from kinform._transport.adapter import ApiClient, as_transport
from kinform._transport.base import Transport


class Factory:
    """Informers that share one stream and one store if they ask for the same objects.

    Informers share if their resource, `scope`, `prune`, `transform` and `options` are equal. Each has its own `type`,
    `indexes` and handlers, its own `changes()`, and its own `queue_bound`. `snapshot` and `memory_limit` belong to what
    they share.

    `async with` starts all informers of the factory, once, and the end of the block stops them. An informer that the
    factory makes inside of its block starts at once. The end of the block raises the error of an informer that has
    failed, unless the block itself raises.

    A factory belongs to the event loop in which it starts, as an informer does.

    Args:
        api: A `Connection`, a kubernetes_asyncio `ApiClient`, or any `Transport`. The factory does not close it.
        start_jitter: The first requests of all streams are spread over this number of seconds after the start of the
            factory. A stream that starts later does not wait. Use it to spread the requests of many processes that
            start at the same time. A `WatchOptions.start_jitter` of an informer still holds: the longer wait counts.
        max_concurrent_syncs: Number of streams that may receive a complete state at the same time, in first syncs and
            in relists. The others wait in the state `"queued"`. A stream that has to wait before its next attempt lets
            another one go first. None: no limit.

    Raises:
        OptionError: An option has a value that is not allowed.
    """

    def __init__(
        self, api: Transport | ApiClient, *, start_jitter: float = 0.0, max_concurrent_syncs: int | None = None
    ) -> None:
        require_number("start_jitter", start_jitter, "0 or more seconds", lambda n: 0 <= n < float("inf"))
        if max_concurrent_syncs is not None:
            require_integer("max_concurrent_syncs", max_concurrent_syncs, 1, "a positive number of streams, or None")
        self._sharing = Sharing(as_transport(api), Pacing(start_jitter, max_concurrent_syncs))

    def __repr__(self) -> str:
        return f"<kinform.Factory of {len(self._sharing.informers)} informers: {self.stats().state}>"

    async def __aenter__(self) -> Factory:
        if self._sharing.binding.bound:
            raise KinformError(f"{FACTORY_NAME} can be started only once; make another one")
        try:
            await self._sharing.start()
        except BaseException:
            await self._sharing.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        sharing = self._sharing
        if sharing.binding.forked:
            return  # tasks, connections and snapshots belong to the parent process
        sharing.binding.check()
        for informer in self.informers:
            informer._handle.check_caller()
        await sharing.stop()
        if error is None and (failure := sharing.failure) is not None:
            raise failure.with_traceback(None)

    def informer(
        self,
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
    ) -> Informer[T]:
        """Makes an informer, which shares its stream and its store with equal ones.

        Before the block of the factory, it starts with the block; inside, it starts at once. It stops with the block of
        the factory, or with a block of its own: `async with factory.informer(...) as pods` waits until it has started,
        and stops it at the end. The stream stops with the last informer that shares it. A stopped informer can be
        entered again. If it is the first, it starts anew.

        If two informers ask for the same objects and cannot share, the log has a warning, which says what would make
        them share. The namespaces of an informer are fixed here, because others share them.

        Args:
            resource: As for `Informer`, as are all other arguments.
            scope: The objects to request.
            prune: The fields of each object to keep.
            indexes: The indexes of this informer.
            type: The type to which this informer decodes.
            transform: A function from bytes to bytes or None. Only informers with the same function share.
            options: How the streams start, and how long they wait.
            snapshot: A file for all informers that share. Give it to the first one; the others have the same or None.
            memory_limit: The limit of their store. Give it to the first one; the others have the same or None.
            queue_bound: Number of events that can wait for a slow reader of this informer.
            decoded_cache: Number of decoded objects that the store of this informer keeps for further reads.
            start: `"lazy"`: this informer uses the stream only from its first use on.
            idle_timeout: Seconds without a use after which a lazy informer stops using the stream.
            resync_period: Seconds between two resyncs of this informer's listeners.

        Raises:
            OptionError: An option is not valid, or contradicts that of an informer that shares the stream.
            KinformError: The block of the factory was left, or this is not its event loop.
        """
        if self._sharing.binding.bound:
            self._sharing.check_running()
        informer: SharedInformer[T] = SharedInformer(
            self._sharing,
            resource,
            scope=scope,
            prune=prune,
            indexes=indexes,
            type=type,
            transform=transform,
            options=options,
            snapshot=snapshot,
            memory_limit=memory_limit,
            queue_bound=queue_bound,
            decoded_cache=decoded_cache,
            start=start,
            idle_timeout=idle_timeout,
            resync_period=resync_period,
        )
        return informer

    @property
    def informers(self) -> tuple[Informer[Any], ...]:
        """The informers of this factory that were not stopped, from first to last."""
        return tuple(self._sharing.informers)

    # Waits

    async def synced(
        self,
        timeout: float | None = None,
        *,
        allow_partial: bool = False,
        wait: bool = False,
        allow_skipped: bool = False,
    ) -> None:
        """Waits until each informer has the first complete state of every stream.

        It is `Informer.synced` for all informers of the factory at once. Each error names the informers.

        Args:
            timeout: Seconds to wait; None: no limit.
            allow_partial: Do not wait for streams that the server refuses (401, 403, 404).
            wait: Wait until such a refusal ends, instead of raising it. Has no effect with `allow_partial`.
            allow_skipped: Do not wait for skipped objects.

        Raises:
            OptionError: `timeout` is not a number.
            UnauthorizedError, ForbiddenError, NotFoundError: The server has refused the request of a stream twice in
                a row, and `wait` is False; or it refuses the request at the timeout. The error names this stream.
            SkippedError: The timeout passed, and only skipped objects are missing. The error names their keys.
            TimeoutError: The timeout passed. The error names each stream that is not synced, its state and its cause.
            SnapshotError: kinform must not use the path of a snapshot.
            StatusError: The server refuses the request of a stream, and a retry cannot succeed.
            MemoryLimitError: A store takes more than its `memory_limit`.
        """
        sharing = self._sharing

        def streams() -> list[Stream]:
            sharing.check_running()
            if (failure := sharing.failure) is not None:
                raise failure.with_traceback(None)  # raised again and again it would collect frames
            return [stream for collection in sharing.collections for stream in collection.streams.values()]

        sharing.check_running()
        await sharing.waits.synced(
            streams,
            timeout,
            opened=sharing.wait_opening,
            allow_partial=allow_partial,
            wait=wait,
            allow_skipped=allow_skipped,
        )

    async def failed(self) -> Exception:
        """Waits until an informer fails, and returns the error.

        Raises:
            KinformError: The block of the factory was not entered, or was left without a failure.
        """
        sharing = self._sharing
        sharing.binding.check()
        while (failure := sharing.failure) is None:
            sharing.check_running()
            sharing.changed.clear()
            await sharing.changed.wait()
        return failure

    # State

    def stats(self) -> FactoryStats:
        """Returns the sums over all informers. What they share counts once."""
        informers, collections = self.informers, self._sharing.collections
        streams = [stream.state for collection in collections for stream in collection.streams.copy().values()]
        return FactoryStats(
            state=worst(informer.state for informer in informers),
            informers=len(informers),
            collections=len(collections),
            streams=len(streams),
            queued=streams.count("queued"),
            objects=sum(len(collection.contents.table) for collection in collections),
            wire_bytes=sum(collection.writer.wire_bytes for collection in collections),
            memory=add_up(collection.writer.memory_usage() for collection in collections),
        )

    def health(self, max_age: float | None = None, *, allow_skipped: bool = False) -> Health:
        """Returns whether all stores are complete and recent copies, and why not.

        `ok` is True if the health of each informer is ok. `state` is the worst state, `age_seconds` the largest age,
        and `reason` has the reasons of all informers, each with its name. `Informer.health` returns that of one.

        Args:
            max_age: Largest `age_seconds` for which `ok` is True: see `Informer.health`.
            allow_skipped: Skipped objects do not make `ok` False.

        Raises:
            OptionError: `max_age` is not positive.
        """
        require_max_age(max_age)
        found = [informer.health(max_age, allow_skipped=allow_skipped) for informer in self.informers]
        ages = [each.age_seconds for each in found if each.state != "idle"]
        known = [age for age in ages if age is not None]
        reasons = [each.reason for each in found if each.reason]
        if not self._sharing.running or self._sharing.binding.forked:
            reasons.append(f"{FACTORY_NAME} is not running")
        return Health(
            ok=not reasons,
            state=worst(each.state for each in found),
            reason="; ".join(dict.fromkeys(reasons)),
            age_seconds=max(known) if known and len(known) == len(ages) else None,
            degraded=list(dict.fromkeys(key for each in found for key in each.degraded)),
            consecutive_failures=max((each.consecutive_failures for each in found), default=0),
            last_error=next((each.last_error for each in found if each.last_error is not None), None),
        )
