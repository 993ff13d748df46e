"""The moves of a shard, as operations on a claim: take it, renew it, give it up.

Each request ends within a deadline, and no error of one leaves an operation. Never decides who should have a shard.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from kinform import Connection
from kinform._errors import ConflictError, NotFoundError
from kinform._jitter import random_fraction
from kinform.controllers._leases.lease import Step
from kinform.controllers._leases.lease_requests import LEASES
from kinform.controllers._leases.lease_times import JITTER, MIN_RETRY
from kinform.controllers._shards.claim import Claim


class Moves:
    """The operations on the claims of a replica.

    Args:
        api: The connection.
        lease_seconds: Seconds after a renewal at which another replica may take a Lease.
        retry_seconds: Seconds between two renewals.
        attempt_seconds: Seconds that a round of requests takes at most.
        on_result: A function that is called with the error of each request, or with None after a success.
    """

    def __init__(
        self,
        api: Connection,
        *,
        lease_seconds: float,
        retry_seconds: float,
        attempt_seconds: float,
        on_result: Callable[[Exception | None], None],
    ) -> None:
        self._api = api
        self._lease_seconds = lease_seconds
        self._retry_seconds = retry_seconds
        self._attempt_seconds = attempt_seconds
        self._on_result = on_result
        self._started = _now()

    async def take(self, claim: Claim) -> None:
        """Takes the Lease of a shard, if it is free."""
        now = _now()
        claim.retry_at = now + self._retry_seconds * (1 + JITTER * random_fraction())
        await self._round(claim, now + self._attempt_seconds)
        if claim.machine.term is None:
            return
        if _now() >= claim.deadline:
            claim.machine.end_term()  # the process was stopped meanwhile
            return
        claim.retry_at = -math.inf
        claim.renew_at = self._next_tick()
        claim.begin()

    async def renew(self, claim: Claim) -> None:
        """Renews the Lease of a shard."""
        sent = _now()
        step = await self._round(claim, min(sent + self._attempt_seconds, claim.deadline))
        if not claim.owned:
            claim.machine.end_term()  # lost meanwhile, whatever the answer says
        elif step is Step.LOSE:
            claim.lose("another replica has taken the Lease")
        elif step is Step.WAIT:
            left = claim.deadline - _now()
            claim.renew_at = sent + max(min(self._retry_seconds, left / 2), self._retry_seconds * MIN_RETRY)
        else:
            claim.renew_at = self._next_tick()
            claim.extend()

    async def give_up(self, claim: Claim) -> None:
        """Stops the work for a shard, waits for its end, and releases the Lease."""
        if not claim.owned and claim.requests.unanswered:  # so it may have the Lease
            await self._release(claim, _now() + self._attempt_seconds)
        while claim.owned:
            await claim.leave()
            if not claim.busy:
                break
            if _now() >= claim.renew_at:
                await self.renew(claim)
        if claim.owned:
            expires = claim.requests.renewed_at + self._lease_seconds
            await self._release(claim, min(_now() + self._attempt_seconds, expires))
            if claim.owned:
                claim.end()
            claim.retry_at = _now() + self._retry_seconds * MIN_RETRY  # the others come first

    async def _release(self, claim: Claim, deadline: float) -> None:
        try:
            await claim.requests.release(deadline)
        except Exception as error:
            self._on_result(error)

    async def _round(self, claim: Claim, deadline: float) -> Step:
        try:
            step = await claim.requests.advance(deadline)
            self._on_result(None)
        except Exception as error:  # an unexpected one, too: the timer of the shard still runs
            self._on_result(error)
            return Step.WAIT
        return step

    async def withdraw(self, own: Claim) -> None:
        """Deletes the Lease of this replica."""
        if own.owned:
            own.end()
        await self.delete(own.key)

    async def delete(self, key: str, resource_version: str = "") -> None:
        """Deletes a Lease, if it has this resourceVersion still."""
        try:
            await self._api.delete(
                LEASES, key, resource_version=resource_version or None, timeout=self._attempt_seconds
            )
        except (ConflictError, NotFoundError):
            pass
        except Exception as error:
            self._on_result(error)

    def _next_tick(self) -> float:
        """Returns the time of the next renewal of all Leases: they expire together."""
        passed = (_now() - self._started) / self._retry_seconds
        return self._started + (math.floor(passed) + 1) * self._retry_seconds


def _now() -> float:
    return asyncio.get_running_loop().time()
