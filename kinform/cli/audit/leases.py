"""The leases of the cluster: their age, and who renews them how often."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from datetime import datetime
from typing import Annotated

import msgspec

from kinform.cli.audit.report import Leases, Renewer

NODES = "kube-node-lease"
"""The namespace of the leases of nodes."""
LARGEST = 10
"""The number of renewers that are named."""


class _Metadata(msgspec.Struct, frozen=True):
    name: str = ""
    namespace: str = ""


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    holder_identity: str | None = None
    renew_time: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class _Lease(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()
    spec: _Spec = _Spec()


_LEASE = msgspec.json.Decoder(_Lease)


class LeaseAges:
    """Ages and renewals of leases.

    Args:
        now: The time of the audit.
    """

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._leases: Counter[str] = Counter()
        self._ages: list[float] = []
        self._renewals: Counter[str] = Counter()

    def add(self, raw: bytes) -> None:
        """Adds a lease."""
        try:
            lease = _LEASE.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        self._leases[_renewer(f"{lease.metadata.namespace}/{lease.metadata.name}")] += 1
        if lease.spec.holder_identity and (renewed := lease.spec.renew_time):
            self._ages.append(max(0.0, (self._now - renewed).total_seconds()))

    def renewed(self, key: str) -> None:
        """Counts a renewal."""
        self._renewals[_renewer(key)] += 1

    def report(self, seconds: float) -> Leases:
        """Returns the report, for the time in seconds for which renewals were counted."""
        ages = sorted(self._ages)
        most = heapq.nlargest(LARGEST, self._leases, key=lambda name: (self._renewals[name], self._leases[name]))
        return Leases(
            leases=self._leases.total(),
            held=len(ages),
            seconds=seconds,
            renewals_per_second=self._renewals.total() / seconds if seconds else 0.0,
            age_p50=_percentile(ages, 0.5),
            age_p99=_percentile(ages, 0.99),
            renewers=[
                Renewer(name, self._leases[name], self._renewals[name] / seconds if seconds else 0.0) for name in most
            ],
            other_renewers=len(self._leases) - len(most),
        )


def _renewer(key: str) -> str:
    return "nodes" if key.startswith(f"{NODES}/") else key


def _percentile(ordered: list[float], share: float) -> float:
    """Returns the percentile by nearest rank; 0.0 if there are no values."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
