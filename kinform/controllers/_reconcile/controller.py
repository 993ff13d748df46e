"""The controller: informers feed a work queue, and workers reconcile its keys.

Starts and ends everything in order: sources, leadership, feeds, workers.
Source: controller-runtime's `Controller` and `Manager`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, nullcontext, suppress
from typing import Any, Protocol, runtime_checkable

from kinform import Connection
from kinform._checks import (
    require_arguments,
    require_instance,
    require_integer,
    require_match,
    require_positive,
    require_scope,
    require_synchronous,
)
from kinform._errors import KinformError, OptionError
from kinform._informer.informer import Informer
from kinform._options import Backoff, Resource
from kinform._printable import printable, type_of
from kinform.controllers._events.recorder import EventRecorder, EventType
from kinform.controllers._identity import QUALIFIED_NAME
from kinform.controllers._queue.retry_limits import DEFAULT_BACKOFF
from kinform.controllers._queue.work_queue import WorkQueue
from kinform.controllers._reconcile.feeds import Feed, FilteredFeed, KeyFeed, MappedFeed, Mapper, OwnedFeed
from kinform.controllers._reconcile.interrupt import Interrupt
from kinform.controllers._reconcile.owners import Owners
from kinform.controllers._reconcile.predicates import MetadataChanged, Predicate
from kinform.controllers._reconcile.sharded_calls import ShardedCalls, ShardedFeed
from kinform.controllers._reconcile.sigterm import on_sigterm
from kinform.controllers._reconcile.user_calls import Reconcile, require_asynchronous
from kinform.controllers._reconcile.workers import Workers

log = logging.getLogger("kinform.controllers")

_INFORMER = "an informer of kinform"


class LeadershipTerm(Protocol):
    """The term of a leader, as far as a controller needs it."""

    lost: asyncio.Event


@runtime_checkable
class Leadership(Protocol):
    """An election, as far as a controller needs it: `LeaderElection`.

    Attributes:
        warm: True: the sources sync before this process leads.
    """

    warm: bool

    def leading(self) -> AbstractAsyncContextManager[LeadershipTerm]:
        """Returns a block that starts when this process leads.

        Its body is cancelled when this process leads no longer.
        """
        ...


class Controller:
    """Calls a function for each object that may need work.

    `reconcile` gets the key of an object of `primary`, reads its newest state from the stores, and writes what should
    be there. It is called for each object at the start, and after each change of the object, of an object that it owns,
    or of a watched object that maps to it. It is also called for deleted objects, which the store no longer has.
    Changes of one key that come while it waits or is reconciled are one call. So it must depend on the state alone, and
    not on the change.

    - Two calls for one key never run at the same time.
    - The first call comes after all sources are synced.
    - A call that raises is repeated after a backoff. So is one that takes longer than `reconcile_timeout`, which
      cancels it. The log has the key, the type of the error and its place, such as `operator.py:41`, each time that the
      backoff grows. Errors of kinform are logged with their text. The exception of a call never ends the controller.
    - Keys of live changes come before those of the start and of resyncs.
    - After a write by the `Connection` of the informers, the stores of the sources show the server's answer at once, as
      after `Informer.expect`, unless the scope of the informer has a field selector.
    - At rest, it sends no request.
    - If `primary` follows shards, it is called for their objects only. With `Shards`, a call is cancelled when the
      shard of its object is lost or has to move, and the shard moves only when the call has ended. An object that
      leaves with its shard is no deletion. No replica sees a deletion while none has the shard: use finalizers for
      cleanups.

    `kinform.prometheus.register(controller)` adds the metrics of its queue and of its Events.

    `event` records Events. It needs the permissions `create` and `patch` on `events` in the group `events.k8s.io`;
    without them, only the log has a line.

    Args:
        primary: The informer of the objects to reconcile. Its block, or that of its factory, is entered by the program.
        reconcile: An asynchronous function that takes a key, and returns None or a `Requeue`. An ordinary function may
            return an awaitable of these. If a call returns no awaitable, `run` raises an OptionError.
        owns: Informers of objects that belong to those of `primary`. A change of such an object reconciles the owner
            that its `metadata.ownerReferences` names with `controller: true`, before and after the change, unless
            `Scope.names` of `primary` lacks its name. Their scopes must not have shards: an owned object has another
            uid than its owner, so it is mostly in another shard.
        watches: Informers of other objects, each with a function. It takes an `Added`, `Updated` or `Deleted`, and
            returns the keys to reconcile. If it raises, the change is logged and ignored.
        predicate: A function that takes the pruned JSON of an object of `primary` before and after an update, as bytes,
            and returns whether to reconcile: `MetadataChanged("generation")`. Additions, deletions and resyncs always
            count. None: every update.
        workers: Number of keys that can be reconciled at the same time.
        backoff: The delays of repeated calls for one key. There is no limit over all keys, so that all of them are
            repeated soon after an outage: `workers` bounds the calls at a time.
        reconcile_timeout: Seconds that a call may take; None: no limit.
        sync_timeout: Seconds for all sources to sync.
        drain_timeout: Seconds that running calls may take after SIGTERM, a cancellation or the failure of an informer.
            Then they are cancelled. Keys that wait are dropped: the next start reconciles all objects. Events that
            wait may take 5 s more.
        leader: An election, such as a `LeaderElection`: calls are made only while this process leads. If it leads no
            longer, all running calls are cancelled at once, and the controller stands by again. The sources sync
            meanwhile.
        name: The name in logs, metrics and Events: `"example.com/widget-operator"`. Default: made of the resource of
            `primary`.

    Raises:
        OptionError: An argument is not valid, or pruning drops what `owns` or a `MetadataChanged` reads.

    Attributes:
        queue: The work queue. Add a key to it to reconcile an object because of something else than an informer.
        started: True from the start of `run`, also after its end.
    """

    def __init__(
        self,
        primary: Informer[Any],
        reconcile: Reconcile,
        *,
        owns: Iterable[Informer[Any]] = (),
        watches: Mapping[Informer[Any], Mapper] | None = None,
        predicate: Predicate | None = None,
        workers: int = 1,
        backoff: Backoff = DEFAULT_BACKOFF,
        reconcile_timeout: float | None = None,
        sync_timeout: float = 120.0,
        drain_timeout: float = 20.0,
        leader: Leadership | None = None,
        name: str | None = None,
    ) -> None:
        require_instance("primary", primary, Informer, _INFORMER)
        require_asynchronous(reconcile)
        require_integer("workers", workers, 1, "a positive number of workers")
        if predicate is not None:
            allowed = "a function that takes the old and the new JSON, or None"
            require_arguments("predicate", predicate, 2, allowed)
            require_synchronous("predicate", predicate, allowed)
        if reconcile_timeout is not None:
            require_positive("reconcile_timeout", reconcile_timeout)
        require_positive("sync_timeout", sync_timeout)
        require_positive("drain_timeout", drain_timeout)
        if leader is not None and not isinstance(leader, Leadership):
            raise OptionError("leader", leader, "an election, such as a LeaderElection, or None")
        if name is not None:
            require_match("name", name, QUALIFIED_NAME, 'a name like "example.com/widget-operator", or None')
        self.name = f"controller of {primary.resource}" if name is None else name
        self.queue: WorkQueue[str] = WorkQueue(name=self.name, backoff=backoff, rate=None)
        self._primary = primary
        self._events: EventRecorder | None = None
        if isinstance(primary._transport, Connection):
            reporter = _reporter(primary.resource) if name is None else name
            self._events = EventRecorder(primary._transport, reporting_controller=reporter)
        self._reconcile: Reconcile = reconcile
        self._count = workers
        self._reconcile_timeout = reconcile_timeout
        self._sync_timeout = sync_timeout
        self._drain_timeout = drain_timeout
        self._leader = leader
        self._feeds = self._feeds_of(primary, predicate, owns, watches if watches is not None else {})
        self._informers = list({id(feed.informer): feed.informer for feed in self._feeds}.values())
        self._interrupt = Interrupt()
        self._workers: Workers | None = None  # of the last term
        self.started = False

    def _feeds_of(
        self,
        primary: Informer[Any],
        predicate: Predicate | None,
        owns: Iterable[Informer[Any]],
        watches: Mapping[Informer[Any], Mapper],
    ) -> list[Feed]:
        if isinstance(owns, Informer) or not isinstance(owns, Iterable):
            raise OptionError("owns", owns, "a list of informers")
        if not isinstance(watches, Mapping):
            raise OptionError("watches", type_of(watches), "a dict of informers and functions")
        _check_kept(primary, predicate)
        feeds: list[Feed] = [self._primary_feed(primary, predicate)]
        owners = Owners(primary)
        for informer in owns:
            require_instance("owns", informer, Informer, _INFORMER)
            if informer is primary:
                allowed = "another informer than primary; it may be one of the same resource"
                raise OptionError("owns", informer.name, allowed)
            if informer._shards is not None:
                allowed = "an informer without shards: the shard of an owned object is not that of its owner"
                raise OptionError("owns", informer.name, allowed)
            if not informer._keeps_owners():
                raise OptionError("owns", informer.name, "an informer whose pruning keeps metadata.ownerReferences")
            feeds.append(OwnedFeed(informer, owners))
        for informer, mapper in watches.items():
            require_instance("watches", informer, Informer, _INFORMER)
            _require_mapper(mapper)
            feeds.append(MappedFeed(informer, self.name, mapper))
        return feeds

    def _primary_feed(self, primary: Informer[Any], predicate: Predicate | None) -> Feed:
        if primary._shards is not None:
            self._reconcile = calls = ShardedCalls(primary, self._reconcile)
            return ShardedFeed(primary, self.name, predicate, calls)
        return KeyFeed(primary) if predicate is None else FilteredFeed(primary, self.name, predicate)

    def __repr__(self) -> str:
        return f"<kinform.controllers.Controller {self.name!r}: {len(self.queue)} keys>"

    @property
    def last_failure(self) -> str | None:
        """The last call that failed: `"shop/a: ValueError at operator.py:41"`, or None.

        It stays after a success. `queue.stats().failing` is the number of keys that fail now. After a loss of the
        leadership, it begins with None.
        """
        return None if self._workers is None else self._workers.last_failure

    @property
    def events(self) -> EventRecorder:
        """The recorder of `event`.

        Raises:
            KinformError: The informer of `primary` has no `kinform.Connection`, but another transport.
        """
        if self._events is None:
            raise KinformError(f"{self.name}: Events need a primary informer with a kinform.Connection")
        return self._events

    def event(self, key: str, reason: str, note: str, *, type: EventType = "Normal", action: str | None = None) -> None:
        """Records an Event about an object of `primary`.

        `kubectl describe` and `kubectl events` show it. It returns at once, and no fault of the server raises here:
        `run` writes the Events in the background, with the series and limits of `EventRecorder`. At its end, it writes
        those that wait, for at most 5 s.

        An object that the store does not have gets no Event. Record an Event about the last step of a cleanup before
        you remove the finalizer.

        Args:
            key: The key of the object.
            reason: The reason, as a word for programs: `"Created"`. At most 128 characters.
            note: The explanation for people. More than 1024 bytes are cut.
            type: `"Normal"` or `"Warning"`.
            action: The action of the controller, as a word for programs. At most 128 characters. None: the reason.

        Raises:
            OptionError: An argument is not valid; or `primary` has metadata only, so that it does not know the kind.
            KinformError: As for `events`; or `run` was not called, or this is not its event loop.
        """
        events, obj = self.events, self._primary.store.raw(key)
        if obj is None:
            some = next(iter(self._primary.store), None)
            if some is not None:
                require_scope(key, namespaced="/" in some)
            events._check_running()
            log.debug("%s: no event about %s: the store does not have it", self.name, printable(key))
        else:
            events.event(obj, reason, note, type=type, action=action)

    async def run(self) -> None:
        """Reconciles until SIGTERM, a cancellation or the failure of an informer.

        Then it accepts no further keys, and waits for the running calls of `reconcile`, at most `drain_timeout`. After
        SIGTERM it returns. It handles SIGTERM only in the main thread, and only if the program does not. A controller
        runs once.

        Raises:
            KinformError: An informer has not started or has stopped, or the controller has run before.
            TimeoutError: The sources did not sync within `sync_timeout`. The error names the streams that are missing.
            SkippedError: The same, because an object was skipped.
            UnauthorizedError, ForbiddenError, NotFoundError: The server refuses the request of a source.
            StatusError, MemoryLimitError, SnapshotError: An informer has failed.
            OptionError: `reconcile` is not asynchronous: it has returned something that cannot be awaited.
        """
        if self.started:
            raise KinformError(f"{self.name}: a controller runs once; make another one")
        self.started = True
        for informer in self._informers:
            informer._check_running()
        guards = [
            asyncio.create_task(self._guard(each), name=f"kinform guard of {self.name}") for each in self._informers
        ]
        try:
            async with self._events or nullcontext(), self._interrupt:
                with ExitStack() as stack:
                    stack.enter_context(on_sigterm(self._interrupt.interrupt))
                    for api in {api for each in self._informers if isinstance(api := each._transport, Connection)}:
                        api.write_listeners.append(self._expect)
                        stack.callback(api.write_listeners.remove, self._expect)
                    await self._run()
        finally:
            self.queue.shutdown()
            await _cancelled(guards)

    async def _guard(self, informer: Informer[Any]) -> None:
        """Ends the controller when an informer fails or stops."""
        try:
            self._interrupt.interrupt(await informer.failed())
        except KinformError as error:
            self._interrupt.interrupt(error)

    async def _run(self) -> None:
        if self._leader is None:
            await self._work(None)
            return
        if self._leader.warm:
            await self._sync()
        while True:
            term: LeadershipTerm | None = None
            try:
                async with self._leader.leading() as term:
                    await self._work(term)
            except KinformError as error:
                if term is None or not term.lost.is_set():
                    raise
                log.warning("%s: stands by again: %s", self.name, error)

    async def _sync(self) -> None:
        """Waits until all sources are synced."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._sync_timeout
        for informer in self._informers:
            await informer.synced(deadline - loop.time())

    async def _work(self, term: LeadershipTerm | None) -> None:
        """Reconciles until it is cancelled."""
        await self._sync()
        interrupt = self._interrupt.interrupt
        workers = self._workers = Workers(self.name, self.queue, self._reconcile, self._reconcile_timeout, interrupt)
        feeds = [asyncio.create_task(self._feed(feed), name=f"kinform feed of {self.name}") for feed in self._feeds]
        workers.start(self._count)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            try:
                await _cancelled(feeds)
                if term is None or not term.lost.is_set():
                    await workers.drain(self._drain_timeout)
            finally:
                await workers.cancel()

    async def _feed(self, feed: Feed) -> None:
        try:
            await feed.run(self.queue)
        except Exception as error:
            self._interrupt.interrupt(error)

    def _expect(self, resource: Resource, body: bytes) -> None:
        """Lets the sources show the server's answer to a write."""
        for informer in self._informers:
            if informer._can_expect(resource):
                with suppress(KinformError):  # of another scope, or without an order
                    informer.expect(body)


def _require_mapper(mapper: Any) -> None:
    """Requires a function that returns keys, or yields them."""
    allowed = "a function that takes a change and returns keys"
    require_arguments("watches", mapper, 1, allowed)
    for function in (mapper, mapper.__call__):
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise OptionError("watches", mapper, f"{allowed}, without `async`")


def _reporter(resource: Resource) -> str:
    """Returns a name for Events, which need a qualified one."""
    name = f"{resource.group}/{resource.plural}"
    return name if QUALIFIED_NAME.fullmatch(name) else resource.plural


def _check_kept(primary: Informer[Any], predicate: Predicate | None) -> None:
    """Checks that pruning keeps all that a predicate compares."""
    if isinstance(predicate, MetadataChanged):
        for member in predicate.members:
            if not primary._keeps("metadata", member):
                allowed = f"a predicate that does not read metadata.{member}, because pruning drops it"
                raise OptionError("predicate", repr(predicate), allowed)


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    """Cancels tasks, and waits for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
