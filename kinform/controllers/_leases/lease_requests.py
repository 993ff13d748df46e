"""The requests for one Lease, as a `LeaseMachine` decides.

Each ends within a deadline. One call of `advance` is one round: at rest one GET of a candidate that stands by, or one
PUT of the one that leads. Never waits between requests, and never decides who leads.
"""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

from kinform import Connection
from kinform._errors import AlreadyExistsError, ConflictError, NotFoundError, StalledError
from kinform.controllers._leases.lease import LeaseMachine, Step, micro_time

LEASES = "coordination.k8s.io/v1/leases"

MAX_READS = 3
"""The most reads in a round. Each further one follows a write that another client has overtaken."""


class LeaseRequests:
    """The requests of one candidate for one Lease.

    Args:
        api: The connection.
        key: `"namespace/name"`.
        machine: The machine of this candidate.

    Attributes:
        renewed_at: The time of the loop before the last successful write of a holder was sent.
        slow_paths: Number of times a holder had to read the Lease before it could write it.
        unanswered: True after a write without an answer: this candidate may have the Lease.
    """

    def __init__(self, api: Connection, key: str, machine: LeaseMachine) -> None:
        self._api = api
        self._key = key
        self._machine = machine
        self.renewed_at = 0.0
        self.slow_paths = 0
        self.unanswered = False

    async def advance(self, deadline: float) -> Step:
        """Makes one round, and returns its last step.

        This is WAIT or LOSE, or the step with which this candidate has written the Lease.

        Args:
            deadline: The time of the loop at which it ends at the latest, whatever the server does.

        Raises:
            KinformError: The server refuses a request or does not answer. A write may have taken effect.
        """
        step = Step.RENEW if self._machine.term is not None else await self._read(deadline)
        for _ in range(MAX_READS):
            if step in (Step.WAIT, Step.LOSE):
                return step
            try:
                if step is Step.CREATE and self._machine.term is None:
                    step = await self._create(deadline)
                    continue
                await self._write(step, deadline)
                return step
            except (AlreadyExistsError, ConflictError, NotFoundError) as error:  # lost the race, or the Lease is gone
                if step is Step.CREATE and isinstance(error, NotFoundError):
                    raise  # there is no such namespace
                self.slow_paths += self._machine.term is not None
                step = await self._read(deadline)
        return step if step is Step.LOSE else Step.WAIT

    async def release(self, deadline: float) -> bool:
        """Gives the Lease up, if this candidate holds it; returns whether it did.

        Raises:
            KinformError: The server refuses a request or does not answer. The Lease may have been released.
        """
        while True:
            await self._read(deadline)
            body = self._machine.released_body(_wall_clock())
            if body is None:
                return False
            try:
                self._machine.observe(await self._replace(body, deadline), _now())
            except ConflictError:
                continue
            except NotFoundError:
                return False
            return True

    async def _read(self, deadline: float) -> Step:
        try:
            lease: dict[str, Any] | None = await self._api.get(LEASES, self._key, timeout=self._left(deadline))
        except NotFoundError:
            lease = None
        self.unanswered = False
        return self._machine.observe(lease, _now())

    async def _create(self, deadline: float) -> Step:
        """Creates the Lease without a holder, and returns the next step."""
        body = self._machine.body(Step.CREATE, _wall_clock())
        answer = await self._api.create(LEASES, body, timeout=self._left(deadline))
        return self._machine.observe(answer, _now())

    async def _write(self, step: Step, deadline: float) -> None:
        body = self._machine.body(step, _wall_clock())
        sent = _now()
        self.unanswered = True
        if step is Step.CREATE:
            answer = await self._api.create(LEASES, body, timeout=self._left(deadline))
        else:
            answer = await self._replace(body, deadline)
        self.unanswered = False
        self._machine.written(body, answer)
        self.renewed_at = sent

    async def _replace(self, body: dict[str, Any], deadline: float) -> dict[str, Any]:
        return await self._api.replace(LEASES, body, timeout=self._left(deadline))

    def _left(self, deadline: float) -> float:
        left = deadline - _now()
        if left <= 0:
            raise StalledError(f"lease {self._key}: the time for a request is over")
        return left


def _now() -> float:
    return asyncio.get_running_loop().time()


def _wall_clock() -> str:
    return micro_time(datetime.datetime.now(datetime.UTC))
