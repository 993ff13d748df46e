"""The claim of a replica on one shard: the Lease, and the work that needs it.

Stops the work before another replica can take the Lease. Never decides who should have the shard.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from kinform import Connection
from kinform._errors import LeadershipLost
from kinform.controllers._leases.lease import LeaseMachine, Record, Step
from kinform.controllers._leases.lease_requests import LeaseRequests
from kinform.controllers._leases.term import Block, Term


class Claim:
    """A shard, which this replica may have.

    Args:
        api: The connection.
        key: The key of the Lease.
        identity: The identity of this replica.
        lease_seconds: Seconds for which a replica has the shard after each renewal.
        renew_deadline: Seconds after which its work stops.
        on_change: A function that is called when `active` has changed.

    Attributes:
        key: The key of the Lease.
        machine: Decides about the Lease.
        requests: The requests for the Lease.
        owned: This replica has the Lease, and its time is not over.
        leaving: It is giving the shard up.
        lost: Number of times that the time was over, or that another replica took the Lease.
        renew_at: The time of the next renewal.
        retry_at: The time before which no attempt to take the Lease is made.
        operation: The request that runs for this shard, or None.
    """

    def __init__(
        self,
        api: Connection,
        key: str,
        identity: str,
        lease_seconds: float,
        renew_deadline: float,
        on_change: Callable[[], None],
    ) -> None:
        self.key = key
        self.machine = LeaseMachine(key, identity, lease_seconds)
        self.requests = LeaseRequests(api, key, self.machine)
        self.owned = self.leaving = False
        self.lost = 0
        self.renew_at = self.retry_at = -math.inf
        self.operation: asyncio.Task[None] | None = None
        self._identity = identity
        self._renew_deadline = renew_deadline
        self._on_change = on_change
        self._blocks: dict[Block, None] = {}
        self._idle = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def deadline(self) -> float:
        """The time at which the work stops, unless the Lease is renewed."""
        return self.requests.renewed_at + self._renew_deadline

    @property
    def active(self) -> bool:
        """True if the work for this shard may go on."""
        return self.owned and not self.leaving and _now() < self.deadline

    def holder(self, now: float) -> str:
        """Returns the replica that has the shard, as far as known; `""`: none."""
        if self.owned:
            return self._identity
        return self.machine.holder if now < self.machine.held_until else ""

    def observe(self, lease: dict[str, Any] | None) -> None:
        """Takes what a watch has brought; None: the Lease is gone."""
        if self.machine.term is None:
            self.machine.observe(lease, _now())
        elif lease is not None:
            # The machine must not go back to an older event of this replica itself.
            record = Record.of(lease.get("spec") or {})
            transitions, term = record.transitions or 0, self.machine.term
            taken = transitions > term or (transitions == term and record.holder not in ("", self._identity))
            if taken and self.machine.observe(lease, _now()) is Step.LOSE:
                self.lose("another replica has taken the Lease")

    def start(self, work: Coroutine[Any, Any, None], done: Callable[[], None]) -> None:
        """Starts the one operation that may run for this shard."""

        def ended(_: asyncio.Task[None]) -> None:
            self.operation = None
            done()

        self.operation = asyncio.create_task(work, name=f"kinform shard {self.key}")
        self.operation.add_done_callback(ended)

    # The states

    def begin(self) -> None:
        """Marks the shard as owned: the Lease was written."""
        self.owned, self.leaving = True, False
        self.extend()
        self._on_change()

    def extend(self) -> None:
        """Moves the deadline after a renewal."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(self.deadline, self.lose, "it was not renewed in time")
        for block in self._blocks:
            block.extend(self.deadline)

    def lose(self, why: str) -> None:
        """Stops the work at once, because another replica may take the shard."""
        if self.owned:
            self.lost += 1
            self.end()
            self._stop(why)

    async def leave(self) -> None:
        """Stops the work, and waits for its end, or until `renew_at`."""
        if not self.leaving:
            self.leaving = True
            self._on_change()
            self._stop("the shard moves to another replica")
        if self._blocks:
            self._idle.clear()
            try:
                async with asyncio.timeout_at(self.renew_at):
                    await self._idle.wait()
            except TimeoutError:
                pass

    @property
    def busy(self) -> bool:
        """True if work for this shard has not ended."""
        return bool(self._blocks)

    def end(self) -> None:
        """Marks the shard as no longer owned."""
        self.owned = self.leaving = False
        self.machine.end_term()
        if self._timer is not None:
            self._timer.cancel()
        self._on_change()

    def _stop(self, why: str) -> None:
        for block in self._blocks:
            block.lose(why)

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[Term]:
        """Runs a block that ends before the shard does. See `Shards.hold`."""
        if not self.active:
            raise LeadershipLost(self.key, "this replica does not have the shard")
        assert self.machine.term is not None
        block = Block(self.key, Term(self.machine.term, self.deadline))
        self._blocks[block] = None

        async def finish() -> None:
            del self._blocks[block]
            if not self._blocks:
                self._idle.set()

        try:
            yield block.term
        except BaseException as error:
            await block.close(error, finish)
            raise
        await block.close(None, finish)


def _now() -> float:
    return asyncio.get_running_loop().time()
