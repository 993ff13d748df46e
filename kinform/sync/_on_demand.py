"""The read-through cache for programs with threads."""

from __future__ import annotations

from types import TracebackType
from typing import Generic, Self

import kinform
from kinform import OnDemandStats, Prune, Resource, Transport
from kinform._decoding import DICT, T
from kinform.sync._connection import Connection, as_transport
from kinform.sync._lifetime import Lifetime


class OnDemand(Generic[T]):
    """Objects that are fetched at their first read, and then kept current.

    It is a `kinform.OnDemand` in the event loop of `kinform.sync`, with the same promise. All threads can call all
    methods. Concurrent readers of a key, in any threads, share one request.

    Args:
        api: A connection from `kinform.sync.connect`, or a `Transport`, which the event loop of `kinform.sync` uses.
        resource: As in `kinform.OnDemand`, as all that follow.
        ttl: The largest age of an answer, in seconds.
        negative_ttl: The largest age of the answer that there is no such object, in seconds.
        max_objects: The most answers that are kept.
        max_bytes: The most bytes that the objects may take; None: no limit.
        max_watches: The most watches. Each follows one object, or several namespaces.
        max_stale: Seconds by which an answer may be older than its age allows, if a request fails.
        prune: The fields of each object to keep.
        type: The type that objects are decoded to.
        timeout: Seconds that a reader waits for the server.
    """

    def __init__(
        self,
        api: Connection | Transport,
        resource: Resource | str,
        *,
        ttl: float = 300.0,
        negative_ttl: float = 10.0,
        max_objects: int = 500,
        max_bytes: int | None = None,
        max_watches: int = 100,
        max_stale: float = 0.0,
        prune: Prune | None = None,
        type: type[T] = DICT,  # type: ignore[assignment]
        timeout: float = 30.0,
    ) -> None:
        self._cache = kinform.OnDemand(
            as_transport(api),
            resource,
            ttl=ttl,
            negative_ttl=negative_ttl,
            max_objects=max_objects,
            max_bytes=max_bytes,
            max_watches=max_watches,
            max_stale=max_stale,
            prune=prune,
            type=type,
            timeout=timeout,
        )
        self.resource = self._cache.resource
        self._lifetime = Lifetime(self._cache.name, self._cache)

    def __repr__(self) -> str:
        return repr(self._cache).replace("<kinform.", "<kinform.sync.")

    def __enter__(self) -> Self:
        self._lifetime.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lifetime.exit(error)

    @property
    def name(self) -> str:
        """The name in logs and errors: the resource."""
        return self._cache.name

    def get(self, key: str) -> T | None:
        """Returns an object, or None if it does not exist.

        See `kinform.OnDemand.get`.
        """
        return self._lifetime.call(self._cache.get, key)

    def stats(self) -> OnDemandStats:
        """Returns counts and sizes, as of now. Any thread can call it."""
        return self._cache.stats()
