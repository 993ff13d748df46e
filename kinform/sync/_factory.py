"""The factory for programs with threads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import kinform
from kinform import FactoryStats, Health, Prune, Resource, Scope, Snapshot, Transport, WatchOptions
from kinform._decoding import DICT, T
from kinform._dispatch.queue import DEFAULT_QUEUE_BOUND
from kinform._options import StartMode, Transform
from kinform.sync._connection import Connection, as_transport
from kinform.sync._handlers import HandlerThread
from kinform.sync._informer import Informer
from kinform.sync._lifetime import Lifetime

FACTORY_NAME = "the factory"


class Factory:
    """Informers that share one stream and one store if they ask for the same objects.

    It is a `kinform.Factory` in the event loop of `kinform.sync`. All threads can call all methods.

    Args:
        api: A connection from `kinform.sync.connect`, or a `Transport`, which the event loop of `kinform.sync` uses.
        start_jitter: As in `kinform.Factory`.
        max_concurrent_syncs: As in `kinform.Factory`.
    """

    def __init__(
        self, api: Connection | Transport, *, start_jitter: float = 0.0, max_concurrent_syncs: int | None = None
    ) -> None:
        self._factory = kinform.Factory(
            as_transport(api), start_jitter=start_jitter, max_concurrent_syncs=max_concurrent_syncs
        )
        self._handlers = _HandlerThreads()
        self._lifetime = Lifetime(FACTORY_NAME, self._handlers, self._factory)
        self._informers: dict[kinform.Informer[Any], Informer[Any]] = {}

    def __repr__(self) -> str:
        return repr(self._factory).replace("<kinform.", "<kinform.sync.")

    def __enter__(self) -> Self:
        self._lifetime.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for thread in self._handlers.running.copy():
            thread.check_caller()
        self._lifetime.exit(error)

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

        See `kinform.Factory.informer`.
        """
        informer = self._lifetime.run(
            self._factory.informer,
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
        handlers = HandlerThread(informer.name, self._handlers.running)
        return _SharedInformer(informer, handlers, self._lifetime, self._informers)

    @property
    def informers(self) -> tuple[Informer[Any], ...]:
        """The informers of this factory that were not stopped, from first to last."""
        found = (self._informers.get(informer) for informer in self._factory.informers)
        return tuple(informer for informer in found if informer is not None)

    def synced(
        self,
        timeout: float | None = None,
        *,
        allow_partial: bool = False,
        wait: bool = False,
        allow_skipped: bool = False,
    ) -> None:
        """Waits until each informer has the first complete state of every stream."""
        self._lifetime.call(
            self._factory.synced, timeout, allow_partial=allow_partial, wait=wait, allow_skipped=allow_skipped
        )

    def failed(self, timeout: float | None = None) -> Exception:
        """Waits until an informer fails, and returns the error.

        Args:
            timeout: Seconds to wait; None: no limit.

        Raises:
            TimeoutError: The timeout passed.
            KinformError: The block of the factory was not entered, or was left without a failure.
        """
        return self._lifetime.call_within(timeout, f"{FACTORY_NAME}: no failure", self._factory.failed)

    def stats(self) -> FactoryStats:
        """Returns the sums over all informers. What they share counts once."""
        return self._factory.stats()

    def health(self, max_age: float | None = None, *, allow_skipped: bool = False) -> Health:
        """Returns whether all stores are complete and recent copies, and why not."""
        return self._factory.health(max_age, allow_skipped=allow_skipped)


class _SharedInformer(Informer[T]):
    """An informer of a factory.

    Its calls use the lifetime of the factory, since it runs without a block of its own as well.

    Args:
        informer: The informer in the event loop.
        handlers: Runs its handlers.
        lifetime: The lifetime of the factory.
        informers: The informers of the factory that were not stopped, among which it adds itself.
    """

    def __init__(
        self,
        informer: kinform.Informer[T],
        handlers: HandlerThread,
        lifetime: Lifetime,
        informers: dict[kinform.Informer[Any], Informer[Any]],
    ) -> None:
        self._wrap(informer, handlers, lifetime)
        self._own = Lifetime(informer.name, handlers, informer)
        self._informers = informers
        informers[informer] = self

    def __enter__(self) -> Self:
        self._own.enter()
        self._informers[self._informer] = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._handlers.check_caller()
        try:
            self._own.exit(error)
        finally:
            self._informers.pop(self._informer, None)


class _HandlerThreads:
    """Ends the handler threads of a factory, at the end of its block.

    Attributes:
        running: The threads that run. Only the event loop changes it.
    """

    def __init__(self) -> None:
        self.running: set[HandlerThread] = set()

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(thread.__aexit__() for thread in self.running))
