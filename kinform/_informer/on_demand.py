"""A read-through cache: objects are fetched at their first read, and kept current.

Decides what is requested, and what readers get. In `read_through`, `answers` keeps the answers, and `watch_set` follows
objects.
Source: the managers of Secrets and ConfigMaps in the kubelet; RFC 5861 (stale-if-error) for stale answers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from types import TracebackType
from typing import Any, Generic, Self

from kinform._checks import require_integer, require_number, require_positive
from kinform._connection.connection import require_open
from kinform._connection.exchange import Call, exchange
from kinform._connection.target import Target
from kinform._decoding import DICT, T, decode_object, make_decoder
from kinform._errors import KinformError, StatusError, release_frames
from kinform._informer.background import start_background
from kinform._informer.read_through.answers import AnswerCache
from kinform._informer.read_through.names_watch import NamesWatch
from kinform._informer.read_through.request_turns import RequestTurns
from kinform._informer.read_through.watch_set import WatchSet
from kinform._listwatch.fetch import Fetched, read_fetched, request_of
from kinform._listwatch.stream import cooldown_of
from kinform._loop_binding import LoopBinding
from kinform._options import Prune, Resource, WatchOptions
from kinform._printable import printable
from kinform._resource_versions import is_newer
from kinform._spec import CollectionSpec
from kinform._stats import OnDemandStats
from kinform._throttled_log import ThrottledLog
from kinform._transport.adapter import ApiClient, as_transport
from kinform._transport.base import Response, Transport

log = logging.getLogger("kinform.on_demand")

ERROR_SECONDS = 1.0  # after a failed request, its error is the answer for this long
MAX_RETRY_AFTER = 600.0  # seconds: one bad header of a proxy must not stop a key for years
TIDY_SECONDS = 15.0  # between two searches for unread answers and watches; less for a short ttl


class OnDemand(Generic[T]):
    """Objects that are fetched at their first read, and then kept current.

    For programs that read a few objects of a large collection, such as the namespaces of the pods on one node. An
    informer would hold all objects.

    The promise: **`get` answers with a state that the object had at some moment between `ttl` seconds before the call
    and the answer.** For an object that does not exist, it is `negative_ttl` seconds. Without a watch, the age counts
    from the start of the request that fetched the answer. With a watch, changes are readable as soon as they arrive,
    and the age counts from the last bookmark, which an API server sends about once a minute. So a watch whose
    connection is dead, silent or refused does not extend the promise: after `ttl` seconds, the next read fetches the
    object again. Only `max_stale` allows older answers. Each of them is counted and logged.

    A first read sends one request with the field selector `metadata.name`, for all concurrent readers of the key: a
    watch that begins with the object (WatchList, KEP-3157). Servers without WatchList get a LIST, then a watch. If a
    server accepts the watch, but sends no complete state in half of the `timeout`, it counts as one of them.

    Several namespaces can share one watch, because each has a label with its name (KEP-2161): those that are first read
    at the same time, and after about a second those that had watches of their own, if these are five or more. If a
    shared watch is refused or fails at its start, each of them is requested alone.

    Cancellation of a reader does not affect the others. An object keeps its watch as long as it is read at least once
    in `ttl` seconds. If there are `max_watches` others, if the object does not exist, or if the watch fails, a read of
    a missing or old answer sends a LIST. After a watch was refused, the `ttl` alone keeps the object current.
    Permissions to `list` and `watch` are necessary, which a Role may limit to `resourceNames`.

    An error is raised to all readers that wait for it. It is the answer for this key for one second longer, or for the
    time that the server demands by Retry-After. A 429 with a Retry-After is awaited within `timeout`, also if the
    server sent it to another stream or cache of this connection. After a 401, the credentials are read again, once. A
    failed connection is tried twice.

    Objects are kept in the compact form of a `Store`. `async with` starts the cache, and the end of the block stops it,
    and wakes all readers with a `KinformError`. Entered again, it starts empty. It belongs to the event loop in which
    it starts.

    Args:
        api: A `Connection`, a kubernetes_asyncio `ApiClient`, or any `Transport`. The cache does not close it.
        resource: `"v1/namespaces"`, `"apps/v1/deployments"`, or a `Resource`.
        ttl: The largest age of an answer, in seconds. Below 70 seconds, bookmarks come too late, and also objects with
            a watch are fetched again.
        negative_ttl: The largest age of the answer that there is no such object, in seconds; at most `ttl`.
        max_objects: The most answers that are kept, with those for missing objects. The least recently read one is
            evicted first.
        max_bytes: The most bytes that the objects may take, without free space: `memory.held_bytes` minus
            `memory.dead_bytes` of `stats()`. At least one object is kept. None: no limit.
        max_watches: The most watches. Each has an HTTP connection, and follows one object, or for `v1/namespaces` as
            many as a request can name, about 170. 0: the `ttl` alone keeps objects current.
        max_stale: If a request fails, an answer may be older than its age allows by this number of seconds. 0: the
            error is raised.
        prune: The fields of each object to keep. Default: all but `metadata.managedFields`.
        type: The type that objects are decoded to: `dict`, any type that msgspec decodes to, or a model of a Kubernetes
            client, like `V1Pod`.
        timeout: Seconds that a reader waits for the server.

    Raises:
        OptionError: An option is not valid, or pruning drops a field that the type requires.
    """

    def __init__(
        self,
        api: Transport | ApiClient,
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
        for field, seconds in (("ttl", ttl), ("negative_ttl", negative_ttl), ("timeout", timeout)):
            require_positive(field, seconds)
        require_integer("max_objects", max_objects, 1, "a positive number of answers")
        if max_bytes is not None:
            require_integer("max_bytes", max_bytes, 1, "a positive number of bytes, or None")
        require_integer("max_watches", max_watches, 0, "0 or a positive number of watches")
        require_number("max_stale", max_stale, "0 or more seconds", lambda n: 0 <= n < float("inf"))
        self._transport = as_transport(api)
        self._cooldown = cooldown_of(self._transport)
        options = WatchOptions(headers_timeout=timeout, start_jitter=0.0)  # readers wait for the first state
        self._spec = CollectionSpec.of(resource, prune=prune, options=options)
        self._spec.check_readable(type, {})
        self.resource = self._spec.resource
        self._ttl = ttl
        self._negative_ttl = min(negative_ttl, ttl)
        self._max_objects = max_objects
        self._max_bytes = max_bytes
        self._max_watches = max_watches
        self._max_stale = max_stale
        self._timeout = timeout
        self._decoder = make_decoder(type)
        self._binding = LoopBinding(self.name)
        self._log = ThrottledLog(log)
        self._running = False
        self._hits = self._misses = self._stale_answers = self._requests = self._errors = 0
        self._evictions = self._wire_bytes = 0  # of earlier blocks
        self._begin()

    def _begin(self) -> None:
        """Makes everything for a start without answers."""
        self._cache = AnswerCache(self.name, self._max_objects, self._max_bytes)
        self._turns = RequestTurns(self._cooldown)
        self._watches = WatchSet(
            self._transport,
            self._spec,
            self._cache,
            self._turns,
            max_watches=self._max_watches,
            ttl=self._ttl,
            throttled_log=self._log,
        )
        self._fetches: dict[str, asyncio.Task[tuple[float, bytes | None]]] = {}
        self._background_tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        state = "running" if self._running else "not running"
        return f"<kinform.OnDemand of {self.name}, {state}, {self._cache.objects} objects>"

    @property
    def name(self) -> str:
        """The name in logs and errors: the resource."""
        return self._spec.name()

    # Life

    async def __aenter__(self) -> Self:
        """Starts the cache. Sends nothing.

        Raises:
            OptionError: The connection is not open.
            KinformError: It runs already.
        """
        if self._running:
            raise KinformError(f"{self.name}: is started already")
        require_open(self._transport)
        self._binding.bind()
        self._begin()
        self._running = True
        self._background_tasks = [
            start_background(self.name, "compaction", self._cache.writer.run_background()),
            start_background(self.name, "expiry", self._tidy()),
            start_background(self.name, "merge of watches", self._watches.merge()),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._binding.forked:
            return  # the connections belong to the parent process
        self._binding.check()
        self._running = False
        tasks: list[asyncio.Task[object]] = [*self._background_tasks, *self._fetches.values()]
        for task in tasks:
            task.cancel()
        tasks += self._watches.stop()
        self._requests += self._watches.requests
        self._evictions += self._cache.evictions
        self._wire_bytes += self._cache.writer.wire_bytes
        self._begin()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Reads

    async def get(self, key: str) -> T | None:
        """Returns an object, or None if it does not exist.

        The class says how old the answer can be.

        Args:
            key: `"namespace/name"`, or `"name"` for a cluster-scoped object.

        Raises:
            StatusError: The server refuses the request. `NotFoundError`: it does not know the resource,
                or the resource is cluster-scoped and the key has a namespace.
            TransportError: There was no response within `timeout`.
            SkippedError: The object is malformed, or has more than 16 MiB.
            DecodeError: The object does not fit the type.
            KinformError: The cache is not running, or stopped during the call.
            OptionError: The key is not valid, or does not fit the scope of the resource. For a custom resource, a
                missing namespace is noticed only if an object in some namespace has this name.
        """
        self._check_running()
        called = time.monotonic()
        if isinstance(key, str) and self._is_current(key, called):
            self._hits += 1
            return self._answer(key, called)
        Target.of_key(self.resource, key).check_scope()
        self._misses += 1
        while True:
            if (failure := self._cache.failure(key, time.monotonic())) is not None:
                return self._stale_answer(key, failure)
            fetch = self._fetches.get(key)
            if fetch is None:
                name = f"kinform fetch of {self.name} {printable(key)}"
                fetch = self._fetches[key] = asyncio.create_task(self._fetch(key), name=name)
                fetch.add_done_callback(_retrieve)
            await asyncio.wait([fetch])  # a reader that is cancelled leaves it to the others
            if fetch.cancelled():
                raise KinformError(f"{self.name}: stopped during the read of {printable(key)}")
            error = fetch.exception()
            if isinstance(error, KinformError):
                return self._stale_answer(key, error)
            started, raw = fetch.result()
            # Another reader may have started it long ago.
            if started >= called - (self._negative_ttl if raw is None else self._ttl):
                return None if raw is None else decode_object(self._decoder, key, raw)

    def stats(self) -> OnDemandStats:
        """Returns counts and sizes, as of now. Any thread can call it."""
        cache = self._cache
        return OnDemandStats(
            objects=cache.objects,
            missing=len(cache) - cache.objects,
            watches=len(self._watches),
            hits=self._hits,
            misses=self._misses,
            stale_answers=self._stale_answers,
            requests=self._requests + self._watches.requests,
            errors=self._errors,
            evictions=self._evictions + cache.evictions,
            wire_bytes=self._wire_bytes + cache.writer.wire_bytes,
            memory=cache.contents.memory_usage(),
        )

    def _check_running(self) -> None:
        self._binding.check()
        if not self._running:
            raise KinformError(f"{self.name}: not running: enter its `async with` block first")

    def _current_at(self, key: str) -> float | None:
        """Returns the last time at which the answer was certainly current, or None."""
        current_at = self._cache.current_at(key)
        return None if current_at is None else max(current_at, self._watches.current_at(key))

    def _limit(self, key: str) -> float:
        return self._ttl if self._cache.has_object(key) else self._negative_ttl

    def _is_current(self, key: str, now: float) -> bool:
        current_at = self._current_at(key)
        return current_at is not None and current_at >= now - self._limit(key)

    def _answer(self, key: str, now: float) -> T | None:
        self._cache.note_read(key)
        self._watches.note_read(key, now)
        raw = self._cache.raw(key)
        return None if raw is None else decode_object(self._decoder, key, raw)

    def _stale_answer(self, key: str, error: KinformError) -> T | None:
        """Returns an answer that is older than promised, if that is allowed."""
        now = time.monotonic()
        current_at = self._current_at(key)
        if not self._max_stale or current_at is None or current_at < now - self._limit(key) - self._max_stale:
            raise _copy_of(error)
        self._stale_answers += 1
        self._log.warning("stale", f"{self.name}: answers are up to {now - current_at:.0f} s old: {error}")
        return self._answer(key, now)

    # Requests

    async def _fetch(self, key: str) -> tuple[float, bytes | None]:
        """Requests an object, and keeps the answer.

        Returns:
            The time at which the request started, and the JSON of the object.
        """
        try:
            return await self._request(key)
        except KinformError as error:
            release_frames(error)
            self._errors += 1
            if isinstance(error, StatusError) and error.status in (429, 503) and error.retry_after is not None:
                self._cooldown.begin(error.retry_after)
            wait = error.retry_after if isinstance(error, StatusError) and error.retry_after is not None else 0.0
            until = time.monotonic() + min(max(wait, ERROR_SECONDS), MAX_RETRY_AFTER)
            self._cache.put_failure(key, error, until)
            raise
        finally:
            if self._fetches.get(key) is asyncio.current_task():
                del self._fetches[key]

    async def _request(self, key: str) -> tuple[float, bytes | None]:
        deadline = time.monotonic() + self._timeout
        target = Target.of_key(self.resource, key)
        hint = target.scope_hint if target.namespace else ""  # the path without a namespace always exists
        call = Call("list", f"{self.resource} {printable(key)}", request_of(self._spec, key), hint)

        async def read(response: Response) -> Fetched:
            try:
                return await read_fetched(response, self._spec, key, name=self.name)
            finally:
                response.close()

        watch = await self._begin_watch(key, deadline)
        if watch is not None:
            current_at = self._cache.current_at(key)
            if current_at is not None and current_at >= watch.started:
                return watch.started, self._cache.raw(key)
            refusal = watch.error
            if isinstance(refusal, StatusError) and time.monotonic() + (refusal.retry_after or 0.0) >= deadline:
                raise refusal
        async with self._turns.turn(str(call), deadline):
            if watch is None or watch.by_label:
                self._requests += 1
            started = time.monotonic()
            fetched = await exchange(self._transport, call, read, timeout=deadline - started)
        if watch is not None and fetched.batch is not None and watch.overlooked(key, fetched.resource_version):
            self._watches.stop_batching()
        self._take(key, fetched, started, follow=watch is None or watch.by_label or not watch.is_refused)
        return started, None if fetched.batch is None else fetched.batch.raw(0)

    async def _begin_watch(self, key: str, deadline: float) -> NamesWatch | None:
        """Starts a watch that begins with the object, which saves a request.

        None for an object that was missing: most likely it still is, and then the connection would be lost.
        """
        is_missing = self._cache.current_at(key) is not None and not self._cache.has_object(key)
        return None if is_missing else await self._watches.begin(key, deadline)

    def _take(self, key: str, fetched: Fetched, started: float, *, follow: bool) -> None:
        """Keeps a fetched answer, and follows the object if this makes sense."""
        if key in self._watches:
            seen = self._cache.resource_version(key)
            found = None if fetched.batch is None else fetched.batch.resource_version(0)
            if seen == found or (seen and not is_newer(fetched.resource_version, seen)):
                self._cache.confirm(key, started)  # the watch works, or is ahead of the answer
                self._watches.note_read(key, time.monotonic())
                return
        self._watches.release(key)
        for evicted in self._cache.put({key: started}, [] if fetched.batch is None else [fetched.batch]):
            self._watches.release(evicted)
        if follow and fetched.batch is not None and fetched.state:
            self._watches.follow(key, fetched.state)

    async def _tidy(self) -> None:
        """Ends watches of unread objects, and drops answers that are too old to be used."""
        while True:
            await asyncio.sleep(min(TIDY_SECONDS, self._ttl / 4))
            now = time.monotonic()
            self._watches.tidy(now)
            oldest = now - self._max_stale
            for key in self._cache.older_than(oldest - self._ttl, oldest - self._negative_ttl):
                if key not in self._watches and key not in self._fetches:
                    self._watches.release(key)
                    self._cache.remove(key)
            self._cache.drop_failures(now)


def _copy_of(error: KinformError) -> KinformError:
    """Returns a copy without a traceback.

    Each raise of an exception adds the frames of a reader, with its objects.
    """
    found = type(error).__new__(type(error), *error.args)
    found.__dict__.update(error.__dict__)
    found.__cause__ = error.__cause__
    return found


def _retrieve(fetch: asyncio.Task[Any]) -> None:
    """Marks the error of a fetch as seen: all its readers may be cancelled."""
    if not fetch.cancelled():
        fetch.exception()
