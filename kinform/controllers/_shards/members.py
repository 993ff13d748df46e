"""The live replicas, as far as this one sees.

Each has a Lease of its own, which says that it lives. Never sends a request, and never decides who should have a shard.
"""

from __future__ import annotations

import math
import os
from typing import Any

from kinform.controllers._leases.lease import LeaseMachine


class Members:
    """The replicas that live.

    Their Leases begin in an order, that of `leaseTransitions`: the first one follows from the resourceVersion of the
    new Lease.

    Args:
        name: The name of the shards: `"namespace/name"`.
        count: Number of shards.
        identity: The identity of this replica.
        lease_seconds: Seconds for which a replica lives after each renewal, if its Lease does not say it.

    Attributes:
        key: The key of the Lease of this replica. It has the number of shards.
        identity: The identity of this replica.
    """

    def __init__(self, name: str, count: int, identity: str, lease_seconds: float) -> None:
        self._prefix = f"{name}-member-"
        self._same_count = f"{self._prefix}{count}-"
        self.key = self.new_key()
        self.identity = identity
        self._lease_seconds = lease_seconds
        self._machines: dict[str, LeaseMachine] = {}  # by key, with that of this replica
        self._next_tries: dict[str, float] = {}  # of the deletion of Leases, by key

    def new_key(self) -> str:
        """Sets a new `key`, and returns it.

        A replica that others took for dead begins again with it, as the last one.
        """
        self.key = f"{self._same_count}{os.urandom(5).hex()}"
        return self.key

    @property
    def announced(self) -> bool:
        """True if this replica has seen that its own Lease has it as the holder.

        A watch keeps the order of writes. So it has seen all replicas, too, that came before it.
        """
        own = self._machines.get(self.key)
        return own is not None and own.holder == self.identity

    def observe(self, key: str, lease: dict[str, Any] | None, now: float) -> bool:
        """Takes what a watch has brought. Returns whether a replica came or went.

        Args:
            key: The key of any Lease.
            lease: The Lease; None: it is gone.
            now: The monotonic time.
        """
        if not key.startswith(self._prefix):
            return False
        if lease is None:
            self._next_tries.pop(key, None)
            return self._machines.pop(key, None) is not None
        machine = self._machines.setdefault(key, LeaseMachine(key, "", self._lease_seconds))
        known = self._holder(machine, now)
        machine.observe(lease, now)
        return machine.holder != known

    def live(self, now: float) -> set[str]:
        """Returns the live replicas with this number of shards, and this replica."""
        others = (machine for key, machine in list(self._machines.items()) if key.startswith(self._same_count))
        return {self.identity, *(self._holder(machine, now) for machine in others)} - {""}

    def before(self, now: float) -> list[str]:
        """Returns the live replicas with another count that came before this one."""
        own = _began(self._machines[self.key]) if self.announced else math.inf
        return sorted(
            holder
            for key, machine in list(self._machines.items())
            if not key.startswith(self._same_count) and (holder := self._holder(machine, now)) and _began(machine) < own
        )

    def changes(self) -> list[float]:
        """Returns the times at which the other results can change."""
        return [*(machine.held_until for machine in self._machines.values()), *self._next_tries.values()]

    def dead(self, now: float) -> tuple[str, str] | None:
        """Returns key and resourceVersion of the Lease of a dead replica, or None.

        It has to be deleted: a replica that comes later would take it for that of a live one. Returns each key once in
        `lease_seconds`.
        """
        for key, machine in self._machines.items():
            grace = 0.0 if machine.holder else self._lease_seconds  # a new Lease has no holder yet
            if key != self.key and now >= max(machine.held_until + grace, self._next_tries.get(key, -math.inf)):
                self._next_tries[key] = now + self._lease_seconds
                return key, machine.resource_version
        return None

    def _holder(self, machine: LeaseMachine, now: float) -> str:
        return machine.holder if now < machine.held_until else ""


def _began(machine: LeaseMachine) -> int:
    return (machine.record and machine.record.transitions) or 0
