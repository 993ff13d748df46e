"""The informer for programs with threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Generic, Self, TypeVar

import kinform
from kinform import Health, Prune, Resource, Scope, Snapshot, Stats, Transport, WatchOptions
from kinform._decoding import DICT, T
from kinform._dispatch.queue import DEFAULT_QUEUE_BOUND
from kinform._encoding import AnyObject
from kinform._options import StartMode, Transform
from kinform._stats import State
from kinform.sync._changes import Changes
from kinform.sync._connection import Connection, as_transport
from kinform.sync._handlers import HandlerThread
from kinform.sync._lifetime import Lifetime

R = TypeVar("R")


class Informer(Generic[T]):
    """A live copy of a collection.

    It is a `kinform.Informer` in the event loop of `kinform.sync`. Each method has the same name and the same
    arguments. Those that are coroutines there block here. All threads can call all methods.

    Reads of `store`, `stats`, `health` and `state` do not wait for the event loop: they also work in handlers, in
    coroutines, and in a process that is forked later.

    Args:
        api: A connection from `kinform.sync.connect`, or a `Transport`, which the event loop of `kinform.sync` uses.
        resource: `"v1/pods"`, `"apps/v1/deployments"`, or a `Resource`.
        scope: As in `kinform.Informer`, like all other arguments.
    """

    def __init__(
        self,
        api: Connection | Transport,
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
        informer = kinform.Informer(
            as_transport(api),
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
        handlers = HandlerThread(informer.name)
        self._wrap(informer, handlers, Lifetime(informer.name, handlers, informer))

    def _wrap(self, informer: kinform.Informer[T], handlers: HandlerThread, lifetime: Lifetime) -> None:
        """Wraps an informer of the event loop.

        Args:
            informer: The informer.
            handlers: Runs its handlers.
            lifetime: Passes calls to the loop in which it runs.
        """
        self._informer = informer
        self._handlers = handlers
        self._lifetime = lifetime
        self.resource = informer.resource
        self.store = informer.store

    def __repr__(self) -> str:
        return repr(self._informer).replace("<kinform.", "<kinform.sync.")

    def __enter__(self) -> Self:
        self._lifetime.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._handlers.check_caller()
        self._lifetime.exit(error)

    @property
    def name(self) -> str:
        """The name in logs and errors: the resource, the namespaces and the selectors."""
        return self._informer.name

    @property
    def state(self) -> State:
        """The worst state of all streams. It is `"live"` only if all streams are live."""
        return self._informer.state

    def stats(self) -> Stats:
        """Returns the current counts and sizes, and the seconds since the last events."""
        return self._informer.stats()

    def health(self, max_age: float | None = None, *, allow_skipped: bool = False) -> Health:
        """Returns whether the store is a complete and recent copy, and why not."""
        return self._informer.health(max_age, allow_skipped=allow_skipped)

    def _keeps(self, *path: str) -> bool:
        return self._informer._keeps(*path)

    # Waits

    def synced(
        self,
        timeout: float | None = None,
        *,
        allow_partial: bool = False,
        wait: bool = False,
        allow_skipped: bool = False,
    ) -> None:
        """Waits until the first complete state of every stream is in the store."""
        self._lifetime.call(
            self._informer.synced, timeout, allow_partial=allow_partial, wait=wait, allow_skipped=allow_skipped
        )

    def failed(self, timeout: float | None = None) -> Exception:
        """Waits until the informer fails, and returns the error.

        Args:
            timeout: Seconds to wait; None: no limit.

        Raises:
            TimeoutError: The timeout passed.
            KinformError: The informer has not started, or has stopped without a failure.
        """
        return self._lifetime.call_within(timeout, f"{self.name}: no failure", self._informer.failed)

    def wait_for(self, resource_version: str, timeout: float | None = None, *, allow_skipped: bool = False) -> None:
        """Waits until the store has reached a resourceVersion."""
        self._lifetime.call(self._informer.wait_for, resource_version, timeout, allow_skipped=allow_skipped)

    def expect(self, obj: AnyObject) -> None:
        """Makes an own write readable at once, without a wait for its event."""
        self._lifetime.run(self._informer.expect, obj)

    def add_namespace(
        self, namespace: str, timeout: float | None = None, *, wait: bool = False, allow_skipped: bool = False
    ) -> None:
        """Follows one more namespace; returns when its objects are in the store."""
        self._lifetime.call(self._informer.add_namespace, namespace, timeout, wait=wait, allow_skipped=allow_skipped)

    def remove_namespace(self, namespace: str) -> None:
        """Stops following a namespace, and removes its objects from the store."""
        self._lifetime.call(self._informer.remove_namespace, namespace)

    # Listeners

    def on_add(self, handler: Callable[[T], R]) -> Callable[[T], R]:
        """Calls `handler(object)` for each object in the store, then for each added one.

        All handlers of an informer run in a thread of their own, one at a time, in the order of the changes. So a
        handler may block, and may call methods of the informer. A handler cannot be a coroutine function. The end of
        the block waits for the handler that runs. If that takes long, the log names the handler. `sys.exit` in a
        handler is counted and logged as any other exception: it ends neither the thread nor the program. Everything
        else is as in `kinform.Informer`.
        """
        self._lifetime.run(self._informer.on_add, self._handlers.wrap(handler, "object"))
        return handler

    def on_update(self, handler: Callable[[T | None, T], R]) -> Callable[[T | None, T], R]:
        """Calls `handler(old, new)` for each changed object."""
        self._lifetime.run(self._informer.on_update, self._handlers.wrap(handler, "old, new"))
        return handler

    def on_delete(self, handler: Callable[[T], R]) -> Callable[[T], R]:
        """Calls `handler(object)` with the last known state of each deleted object."""
        self._lifetime.run(self._informer.on_delete, self._handlers.wrap(handler, "object"))
        return handler

    def on_change(self, handler: Callable[[str], R]) -> Callable[[str], R]:
        """Calls `handler(key)` for each key in the store, then for each changed object."""
        self._lifetime.run(self._informer.on_change, self._handlers.wrap(handler, "key"))
        return handler

    def changes(self, *, allow_skipped: bool = False) -> Changes[T]:
        """Returns an iterator over the objects in the store and all later changes.

        The iteration does not raise a 401, 403 or 404: it waits until the refusal ends. Call `synced` first, which
        raises it. An iterator that was made in the block can be read after its end. Everything else is as in
        `kinform.Informer`.

        Raises:
            EndedError: The block has ended.
        """
        changes = self._lifetime.run(self._informer.changes, allow_skipped=allow_skipped)
        return Changes(changes, self._informer, self._lifetime)
