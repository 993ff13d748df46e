"""Shards: replicas divide a collection among themselves by Leases.

Each shard has a Lease. `Shards` has the loop. `plan.py` decides who should have a shard, `claim.py` keeps one and stops
its work, `moves.py` takes it, renews it and gives it up, and `lease.py` decides about its Lease. Each replica also has
a Lease of its own, by which the others know it: `members.py`. All replicas watch all these Leases, so that a free shard
is taken at once.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any

import msgspec

from kinform import Backoff, Connection, Informer, Scope, WatchOptions
from kinform._checks import require_instance, require_integer, require_match
from kinform._error_places import cause_of
from kinform._errors import KinformError, LeadershipLost, OptionError
from kinform._printable import printable
from kinform._sharding import MAX_SHARDS, ShardSet
from kinform._throttled_log import ThrottledLog, function_name
from kinform.controllers._leases.lease_requests import LEASES
from kinform.controllers._leases.lease_times import LEASE_KEY, check_times
from kinform.controllers._leases.term import Term
from kinform.controllers._shards.claim import Claim
from kinform.controllers._shards.members import Members
from kinform.controllers._shards.moves import Moves
from kinform.controllers._shards.plan import plan
from kinform_ext._scan import shard_of

_log = logging.getLogger("kinform.shards")


class ShardsStats(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Statistics of `Shards`, at the time of the call.

    Attributes:
        name: The name: `"namespace/name"`.
        identity: The identity of this replica.
        count: Number of shards.
        owned: The shards that this replica has.
        holders: The holder of each shard, as last seen; `""`: none.
        members: The identities of the live replicas with this number of shards, as last seen, with this one.
        waits_for: The identities of live replicas with another number of shards that came before this one. It takes no
            shard before they are gone.
        lost: Number of shards that this replica has lost without giving them up: it could not renew in time.
        error: The last error of a request; None since the last successful one.
    """

    name: str
    identity: str
    count: int
    owned: list[int]
    holders: list[str]
    members: list[str]
    waits_for: list[str]
    lost: int
    error: str | None


class Shards:
    """The shards of a collection that this replica has, of all that divide it.

        shards = Shards(api, "shop/widget-shards", count=8)
        scope = kinform.Scope(shards=shards)
        async with shards, kinform.Informer(api, "v1/pods", scope=scope) as pods:
            ...  # pods.store has the objects of these shards, and follows when they change

    At any time, each shard has at most one replica. The replicas divide the shards fairly: each has the same number, or
    one more. If a replica comes, others give shards up; if one goes, the others take its shards. Few shards move. A
    replica that ends in good order releases its shards at once. Those of one that dies move `lease_seconds` after its
    last renewal.

    The work for a shard stops in time whatever the network does: a timer, armed when a renewal is sent, stops it
    `renew_deadline` seconds later, and no other replica has the shard before `lease_seconds` have passed. Then the
    objects of the shard leave the informers, and blocks of `hold` are cancelled. Before a shard moves in good order,
    these blocks are cancelled and awaited. As in `LeaderElection`, all times are monotonic and local.

    At rest, a replica sends one write for each of its shards and one for itself in `retry_seconds`, and no read: it
    watches the Leases of the namespace.

    Args:
        api: An open `Connection`. Its user needs the verbs `get`, `list`, `watch`, `create`, `update` and `delete` on
            Leases of the namespace.
        name: `"namespace/name"`: the shard 3 has the Lease `"name-3"`. All replicas have the same.
        count: Number of shards. Use a few times the largest number of replicas. A replica with another number than
            those that came before it takes no shard until they are gone.
        identity: A name for this replica in Leases and logs. None: the name of the host. A random part follows, so
            that no two replicas are the same.
        lease_seconds: Seconds after the last renewal at which another replica may take a shard.
        renew_deadline: Seconds after the last successful renewal at which the work for a shard stops. One attempt to
            write a Lease takes at most half of it, or `retry_seconds` if they are more.
        retry_seconds: Seconds between two renewals; after a failed one, fewer.

    Raises:
        OptionError: An argument is not valid: `lease_seconds` must be above `renew_deadline`, and that above 1.2 times
            `retry_seconds`.
    """

    def __init__(
        self,
        api: Connection,
        name: str,
        *,
        count: int,
        identity: str | None = None,
        lease_seconds: float = 40.0,
        renew_deadline: float = 30.0,
        retry_seconds: float = 10.0,
    ) -> None:
        require_instance("api", api, Connection, "a kinform.Connection")
        require_match("name", name, LEASE_KEY, 'the beginning of the keys of Leases: "namespace/name"')
        require_integer("count", count, 1, f"a number of shards from 1 to {MAX_SHARDS}")
        if count > MAX_SHARDS:
            raise OptionError("count", count, f"a number of shards from 1 to {MAX_SHARDS}")
        if identity is not None and (not isinstance(identity, str) or not identity.strip()):
            raise OptionError("identity", identity, "a name for this replica, or None")
        check_times(lease_seconds, renew_deadline, retry_seconds)
        self.name = name
        self.count = count
        self.identity = f"{identity or socket.gethostname()}_{os.urandom(8).hex()}"
        self._api = api
        self._lease_seconds = lease_seconds
        self._renew_deadline = renew_deadline
        self._retry_seconds = retry_seconds
        self._attempt_seconds = max(retry_seconds, renew_deadline / 2)
        self._namespace = name.partition("/")[0]
        self._claims: list[Claim] = []
        self._by_key: dict[str, Claim] = {}
        self._members = Members(name, count, self.identity, lease_seconds)
        self._current = ShardSet(count, frozenset())
        self._listeners: list[Callable[[ShardSet], None]] = []
        self._entered = False
        self._error: str | None = None
        self._log = ThrottledLog(_log)

    def __repr__(self) -> str:
        return f"<kinform.controllers.Shards {self.name} as {printable(self.identity)}: {self._owned}>"

    async def __aenter__(self) -> Shards:
        if self._entered:
            raise KinformError(f"shards {self.name}: the block was entered already")
        self._entered = True
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._moves = Moves(
            self._api,
            lease_seconds=self._lease_seconds,
            retry_seconds=self._retry_seconds,
            attempt_seconds=self._attempt_seconds,
            on_result=self._set_error,
        )
        self._claims = [self._claim(f"{self.name}-{index}", self._changed) for index in range(self.count)]
        self._members = Members(self.name, self.count, self.identity, self._lease_seconds)
        self._own = self._claim(self._members.key, lambda: None)
        self._by_key = {claim.key: claim for claim in self._claims}
        self._leases = self._informer()
        try:
            await self._leases.__aenter__()
            try:
                await self._leases.synced()
                for lease in self._leases.store.values():
                    self._observe(lease)
                self._main = asyncio.create_task(self._run(), name=f"kinform shards {self.name}")
            except BaseException:
                await self._leases.__aexit__(None, None, None)
                raise
        except BaseException:
            self._entered = False
            raise
        try:
            with suppress(TimeoutError):  # another replica or the server may be slow: shards come later, too
                async with asyncio.timeout(self._attempt_seconds):
                    await self._settled.wait()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._main.cancel()
        try:
            try:
                await asyncio.wait([self._main])
            finally:  # also if this is cancelled
                await self._leave_leases()
            if operations := [each.operation for each in (*self._claims, self._own) if each.operation is not None]:
                await asyncio.wait(operations)
            moves = self._moves
            await asyncio.gather(*(moves.give_up(claim) for claim in self._claims), moves.withdraw(self._own))
        finally:
            for claim in (*self._claims, self._own):
                if claim.operation is not None:  # this was cancelled
                    claim.operation.cancel()
                claim.lose("the block of the shards was left")
            self._entered = False

    # For programs

    @property
    def entered(self) -> bool:
        """True in the block. An informer of these shards raises before it."""
        return self._entered

    @property
    def current(self) -> ShardSet:
        """The shards that this replica has."""
        return self._current

    def owns(self, uid: str) -> bool:
        """Returns whether this replica has the shard of the object with this uid."""
        return self._entered and self._claims[shard_of(uid, self.count)].active

    @asynccontextmanager
    async def hold(self, uid: str) -> AsyncIterator[Term]:
        """Returns a block to enter with `async with`, which ends before the shard moves.

        For work on one object: its body is cancelled if the shard is lost or moves to another replica, and the block
        raises `LeadershipLost`. A shard moves in good order only when the blocks of all tasks have ended, and this
        replica renews it until then. The `Term` has the fencing token of the shard, and the time at which it ends.

        Args:
            uid: The uid of the object.

        Raises:
            LeadershipLost: This replica does not have the shard, or the shard was lost. Raised at the start or the end.
        """
        if not self._entered:
            raise LeadershipLost(self.name, "the block of the shards was not entered")
        async with self._claims[shard_of(uid, self.count)].hold() as term:
            yield term

    def subscribe(self, listener: Callable[[ShardSet], None]) -> Callable[[], None]:
        """Calls a function with each new value of `current`. For informers.

        It is called in the event loop. A lost shard is gone from `current` before another replica can have it.

        Returns:
            A function that ends it.

        Raises:
            KinformError: This is not the event loop of the shards.
        """
        if self._entered and asyncio.get_running_loop() is not self._loop:
            raise KinformError(f"shards {self.name}: their event loop is another one; use them in that one")
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def stats(self) -> ShardsStats:
        """Returns the current statistics. Any thread may call it."""
        now = self._loop.time() if self._entered else -math.inf
        return ShardsStats(
            name=self.name,
            identity=self.identity,
            count=self.count,
            owned=self._owned,
            holders=[claim.holder(now) for claim in self._claims] if self._entered else [""] * self.count,
            members=sorted(self._members.live(now)) if self._entered else [],
            waits_for=self._members.before(now) if self._entered else [],
            lost=sum(claim.lost for claim in self._claims),
            error=self._error,
        )

    @property
    def _owned(self) -> list[int]:
        return sorted(self._current.indices)

    # What the Leases say

    def _informer(self) -> Informer[dict[str, Any]]:
        options = WatchOptions(
            backoff=Backoff(initial=min(0.5, self._retry_seconds / 4), maximum=self._retry_seconds),
            silence_timeout=self._lease_seconds,  # the renewals of this replica come back by the watch
            start_jitter=0.0,
        )
        leases = Informer(self._api, LEASES, scope=Scope(namespaces=[self._namespace]), options=options)
        leases.on_add(self._observe)
        leases.on_update(lambda _, lease: self._observe(lease))
        leases.on_delete(self._forget)
        return leases

    def _observe(self, lease: dict[str, Any]) -> None:
        key = f"{self._namespace}/{lease['metadata']['name']}"
        if (claim := self._by_key.get(key)) is not None:
            before = claim.machine.holder
            claim.observe(lease)
            if claim.machine.holder != before:  # a renewal changes no plan
                claim.retry_at = -math.inf
                self._wake.set()
        elif self._members.observe(key, lease, self._loop.time()):
            self._wake.set()

    def _forget(self, lease: dict[str, Any]) -> None:
        key = f"{self._namespace}/{lease['metadata']['name']}"
        if (claim := self._by_key.get(key)) is not None:
            claim.observe(None)
        self._members.observe(key, None, self._loop.time())
        self._wake.set()

    # The loop

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                if self._leases.state == "failed":
                    await self._follow_again()
                due = self._advance(self._loop.time())
            except Exception as error:  # the timers of the claims still end the work in time
                self._set_error(error)
                due = self._loop.time() + self._retry_seconds
            try:
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _follow_again(self) -> None:
        """Follows the Leases again, after an error that ended their informer."""
        await self._leave_leases()
        self._leases = self._informer()
        await self._leases.__aenter__()

    async def _leave_leases(self) -> None:
        """Stops following the Leases. An error that ended their informer is reported."""
        try:
            await self._leases.__aexit__(None, None, None)
        except Exception as error:
            self._set_error(error)

    def _advance(self, now: float) -> float:
        """Starts what has to be done now, and returns the time of the next step."""
        if self._own.lost and self._own.operation is None:  # the others took it for dead
            self._own = self._claim(self._members.new_key(), lambda: None)
        wanted = self._wanted(now)
        times = self._members.changes()
        everything = [*self._claims, self._own]
        for index, claim in enumerate(everything):
            times.append(claim.machine.held_until)
            if claim.operation is not None:
                continue
            if claim.owned and index not in wanted:
                claim.start(self._moves.give_up(claim), self._wake.set)
            elif claim.owned:
                if now >= claim.renew_at:
                    claim.start(self._moves.renew(claim), self._wake.set)
                times.append(claim.renew_at)
            elif index in wanted and now >= claim.machine.held_until:
                if now >= claim.retry_at:
                    claim.start(self._moves.take(claim), self._wake.set)
                times.append(claim.retry_at)
        if self._own.operation is None and (dead := self._members.dead(now)) is not None:
            self._own.start(self._moves.delete(*dead), self._wake.set)
        if self._own.owned and self._members.announced and not any(claim.operation for claim in everything):
            self._settled.set()
        return min((when for when in times if when > now), default=now + self._retry_seconds)

    def _wanted(self, now: float) -> set[int]:
        """Returns the shards that this replica should have, and `count` for its own Lease.

        Before it has seen all replicas that came before it, it takes none: they may have another number of shards.
        """
        owned = {index for index, claim in enumerate(self._claims) if claim.owned}
        if before := self._members.before(now):
            self._log.warning("count", f"shards {self.name}: waits for {len(before)} replicas with another count")
            return {self.count, *owned}
        holders = {index: holder for index, claim in enumerate(self._claims) if (holder := claim.holder(now))}
        planned = plan(self._members.live(now), holders, self.count)
        wanted = {index for index, member in planned.items() if member == self.identity}
        return {self.count, *(wanted if self._members.announced else wanted & owned)}

    def _claim(self, key: str, on_change: Callable[[], None]) -> Claim:
        return Claim(self._api, key, self.identity, self._lease_seconds, self._renew_deadline, on_change)

    def _changed(self) -> None:
        """Notifies the listeners, if this replica has other shards."""
        active = frozenset(index for index, claim in enumerate(self._claims) if claim.active)
        if active == self._current.indices:
            return
        _log.info("shards %s: %s has %s", self.name, printable(self.identity), sorted(active))
        self._current = ShardSet(self.count, active)
        for listener in list(self._listeners):
            try:
                listener(self._current)
            except Exception as error:
                name = function_name(listener)
                message = f"shards {self.name}: listener {name} raised {cause_of(error, listener)}"
                self._log.exception(name, message, error)

    def _set_error(self, error: Exception | None) -> None:
        if error is None:
            self._error = None
            return
        self._error = str(error) if isinstance(error, KinformError) else type(error).__name__
        self._log.warning(type(error).__name__, f"shards {self.name}: {self._error}")
