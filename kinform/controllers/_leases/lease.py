"""Decisions about one Lease: who holds it, until when, and what to write.

Sans-io: never sends a request, awaits or reads a clock. The caller passes monotonic times, and the text of the wall
clock for the record. No time in a record is ever read: a record counts from the local time at which it was last seen to
change. `DECISIONS` is the whole of it, as data.
Source: client-go's `tools/leaderelection`, and the Lease of `coordination.k8s.io/v1`.
"""

from __future__ import annotations

import datetime
import enum
import math
from collections.abc import Mapping
from typing import Any, TypeGuard

import msgspec

MAX_TRANSITIONS = (1 << 31) - 1
"""The largest `leaseTransitions`, an int32."""
MAX_VERSION = 1 << 30
"""A Lease without `leaseTransitions` starts with its resourceVersion, if this is smaller."""
EPOCH = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
"""Otherwise it starts with MAX_VERSION and the seconds from here to its creation. This fits until 2054."""
RELEASED_SECONDS = 1
"""The `leaseDurationSeconds` of a Lease that its holder has released, as client-go writes it."""


@enum.unique
class Found(enum.Enum):
    """The holder of the Lease."""

    ABSENT = "there is no Lease"
    FREE = "the Lease has no holder"
    OWN = "this candidate holds the Lease"
    OTHER = "another candidate holds the Lease, or held it after this one"


@enum.unique
class Standing(enum.Enum):
    """The standing of this candidate."""

    LEADING = "leads"
    GUARDED = "does not lead, and another one may"
    OPEN = "does not lead, and the time of every other one is over"


@enum.unique
class Step(enum.Enum):
    """The next step."""

    WAIT = "read the Lease again later"
    CREATE = "create the Lease"
    TAKE = "write the Lease, and begin to lead"
    RENEW = "write the Lease, and go on"
    LOSE = "stop leading"


# fmt: off
ROWS: tuple[tuple[Found, Step, Step, Step], ...] = (
    #              LEADING      GUARDED    OPEN
    (Found.ABSENT, Step.CREATE, Step.WAIT, Step.CREATE),
    (Found.FREE,   Step.RENEW,  Step.WAIT, Step.TAKE),
    (Found.OWN,    Step.RENEW,  Step.WAIT, Step.TAKE),
    (Found.OTHER,  Step.LOSE,   Step.WAIT, Step.TAKE),
)
# fmt: on

DECISIONS = {(found, standing): step for found, *steps in ROWS for standing, step in zip(Standing, steps, strict=True)}


class Record(msgspec.Struct, frozen=True):
    """A Lease, as far as decisions depend on it.

    A value of another form counts as missing.

    Attributes:
        holder: The identity of the holder, or `""`.
        duration: Seconds for which the holder holds the Lease after each renewal; None if missing.
        transitions: The number of changes of the holder; None if missing.
    """

    holder: str = ""
    duration: float | None = None
    transitions: int | None = None

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Record:
        """Returns the record in the spec of a Lease."""
        holder, duration, transitions = (
            spec.get(name) for name in ("holderIdentity", "leaseDurationSeconds", "leaseTransitions")
        )
        return cls(
            holder if isinstance(holder, str) else "",
            float(duration) if _is_int32(duration) and duration > 0 else None,
            int(transitions) if _is_int32(transitions) else None,
        )

    @property
    def released(self) -> bool:
        """True if its holder has given it up.

        A holder that was merely erased may still act.
        """
        return not self.holder and self.duration == RELEASED_SECONDS


class LeaseMachine:
    """The view of one candidate on one Lease.

    The order of calls: `observe` after each read, `body` for the step that it returns, and `written` after that write.
    `end_term` ends the term that began with the first write of TAKE.

    Args:
        key: `"namespace/name"`.
        identity: The identity of this candidate. No other one may have it at the same time.
        lease_seconds: Seconds for which this candidate holds the Lease after each renewal.

    Attributes:
        record: The newest record; None without a Lease.
        held_until: The monotonic time until which another candidate may act, as far as this one knows.
        term: The fencing token of this candidate's term: `leaseTransitions`. None if it does not lead.
    """

    def __init__(self, key: str, identity: str, lease_seconds: float) -> None:
        namespace, _, name = key.rpartition("/")
        self._new = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"namespace": namespace, "name": name},
        }
        self._identity = identity
        self._lease_seconds = lease_seconds
        self._lease: dict[str, Any] | None = None
        self._highest = 0  # the highest transitions seen
        self._acquired = ""  # the acquireTime of the term
        self.record: Record | None = None
        self.held_until = -math.inf
        self.term: int | None = None

    @property
    def holder(self) -> str:
        """The identity of the current holder, or `""`."""
        return self.record.holder if self.record else ""

    @property
    def resource_version(self) -> str:
        """The resourceVersion of the Lease as last seen, or `""`."""
        return str(self._lease["metadata"].get("resourceVersion", "")) if self._lease else ""

    def observe(self, lease: dict[str, Any] | None, now: float) -> Step:
        """Takes what a read has returned, and returns the next step.

        Args:
            lease: The Lease, or None if it does not exist.
            now: The time at which the answer was there, or later.
        """
        before, self._lease = self._lease, lease
        changed = lease is None or before is None or _spec(lease) != _spec(before)
        self.record = None if lease is None else Record.of(_spec(lease))
        self._highest = max(self._highest, self._transitions)
        if changed:
            self.held_until = self._held_until(now)
        return DECISIONS[self._found(), self._standing(now)]

    def body(self, step: Step, wall_clock: str) -> dict[str, Any]:
        """Returns the Lease to write: for CREATE to create, for TAKE and RENEW to replace.

        Without a term, CREATE makes a Lease without a holder: the first fencing token depends on the answer.

        Args:
            step: The step that `observe` has returned; RENEW without a read while this candidate leads.
            wall_clock: The wall clock as MicroTime, for the record only.
        """
        if step is Step.CREATE and self.term is None:
            return {**self._new, "spec": {}}
        transitions = self._next_transitions() if step is Step.TAKE else self.term
        acquired = wall_clock if step is Step.TAKE else self._acquired
        return self._with(self._identity, math.ceil(self._lease_seconds), acquired, wall_clock, transitions)

    def released_body(self, wall_clock: str) -> dict[str, Any] | None:
        """Returns the Lease without a holder; None if this candidate does not hold it."""
        if self._found() is not Found.OWN:
            return None
        return self._with("", RELEASED_SECONDS, wall_clock, wall_clock, max(self.term or 0, self._transitions))

    def written(self, body: dict[str, Any], answer: dict[str, Any]) -> None:
        """Takes the answer to a write of a body: this candidate leads.

        Not for the body of a release, and not for a Lease without a holder: `observe` takes that.
        """
        self._lease, self.record = answer, Record.of(_spec(answer))
        self.term, self._acquired = body["spec"]["leaseTransitions"], body["spec"]["acquireTime"]
        self._highest = max(self._highest, self.term or 0)

    def end_term(self) -> None:
        """Ends the term."""
        self.term = None

    @property
    def _transitions(self) -> int:
        return (self.record and self.record.transitions) or 0

    def _found(self) -> Found:
        record = self.record
        if record is None:
            return Found.ABSENT
        # A higher number means that there was another term in between, also one of the same identity.
        if self.term is not None and self._transitions > self.term:
            return Found.OTHER
        if not record.holder:
            return Found.FREE
        return Found.OWN if record.holder == self._identity else Found.OTHER

    def _standing(self, now: float) -> Standing:
        if self.term is not None:
            return Standing.LEADING
        return Standing.GUARDED if now < self.held_until else Standing.OPEN

    def _held_until(self, now: float) -> float:
        """Returns until when another one may act, after a change of the record.

        A deletion and an erased record do not stop the candidate that held the Lease before: it may act until its time
        is over. Nor does a shorter duration.
        """
        record = self.record
        if record is not None and record.released:
            return now
        duration = 0.0
        if record is not None and record.holder and self._found() is Found.OTHER:
            duration = record.duration or self._lease_seconds
        return max(now + duration, min(self.held_until, now + self._lease_seconds))

    def _next_transitions(self) -> int:
        """Returns a fencing token above those of all earlier terms."""
        assert self._lease is not None
        assert self.record is not None
        last = self.record.transitions
        if last is None:
            last = _first_transitions(self._lease)
        return min(max(last, self._highest) + 1, MAX_TRANSITIONS)

    def _with(self, holder: str, duration: int, acquired: str, renewed: str, transitions: int | None) -> dict[str, Any]:
        """Returns the Lease with another record. Labels and all other fields stay."""
        lease = self._new if self._lease is None else self._lease
        record = {
            "holderIdentity": holder,
            "leaseDurationSeconds": duration,
            "acquireTime": acquired,
            "renewTime": renewed,
            "leaseTransitions": transitions,
        }
        return {**lease, "spec": {**_spec(lease), **record}}


def micro_time(when: datetime.datetime) -> str:
    """Returns a time as MicroTime, which always has six digits."""
    return when.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _spec(lease: Mapping[str, Any]) -> dict[str, Any]:
    spec = lease.get("spec")
    return spec if isinstance(spec, dict) else {}


def _is_int32(value: Any) -> TypeGuard[float]:
    """Returns whether a value is a number from 0 to the largest int32, such as 6.0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_TRANSITIONS


def _first_transitions(lease: Mapping[str, Any]) -> int:
    """Returns a number above the transitions of all Leases that had this name before.

    Each term of such a Lease began with a write, so the resourceVersion is larger than their number. In a cluster with
    more than 2**30 writes it does not fit into an int32: then the time of the server counts.
    """
    metadata = lease["metadata"]
    version = str(metadata.get("resourceVersion", ""))
    if version.isdecimal() and len(version) <= 10 and int(version) < MAX_VERSION:
        return int(version)
    try:
        created = datetime.datetime.fromisoformat(metadata["creationTimestamp"])
        return MAX_VERSION + max(0, int((created - EPOCH).total_seconds()))
    except (KeyError, TypeError, ValueError):
        return MAX_VERSION
