"""The age of the renewals of Leases, as a histogram.

Each collection observes the age of every lease that is not released. So a lease without renewals moves the histogram,
too. The ages are measured by the clock of this process, from the moment at which it saw a new renewTime,
because the clocks of the holders may differ.
Source: tools/leaderelection of client-go, which measures a lease in the same way.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Protocol

import msgspec
from prometheus_client import Metric
from prometheus_client.core import HistogramMetricFamily

from kinform import OptionError

BUCKETS = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 120.0, 300.0, 600.0)
"""The bounds of the buckets in seconds, around the usual durations of leases: 15 and 40."""


class _Spec(msgspec.Struct):
    renewTime: str | None = None
    holderIdentity: str | None = None


class _Lease(msgspec.Struct):
    spec: _Spec = msgspec.field(default_factory=_Spec)


class _Store(Protocol):
    def raw(self, key: str, /) -> bytes | None: ...


class _Leases(Protocol):
    @property
    def resource(self) -> object: ...
    @property
    def store(self) -> _Store: ...
    def on_change(self, handler: Callable[[str], None], /) -> object: ...
    def _keeps(self, *path: str) -> bool: ...


class LeaseRenewalAge:
    """Measures how long ago leases were renewed: `lease_renewal_age_seconds`.

    Give it to `register` or to a `Collector`. It lives as long as the informer. It needs `spec.renewTime` and
    `spec.holderIdentity` of each lease, and keeps one time for each. Each scrape observes the age of each lease, also
    of a heartbeat without the field `holderIdentity`, but not of one that was released: its `holderIdentity` is `""`.
    More scrapes give more observations, but the same quantiles.

    An age starts when this process has seen the renewal, so it lacks the delay of the watch. At the first sight of a
    lease its age is 0.

    The metric has no label of its own, so use one for each registry. Its informer may follow several namespaces.

    Args:
        leases: An informer on `coordination.k8s.io/v1/leases`, of `kinform` or of `kinform.sync`.

    Raises:
        OptionError: `leases` is something else, or its scope or its pruning drops one of these fields.
    """

    def __init__(self, leases: _Leases) -> None:
        resource = str(getattr(leases, "resource", type(leases).__name__))
        if not resource.endswith("/leases"):
            raise OptionError("leases", resource, "an informer on coordination.k8s.io/v1/leases")
        for field in ("renewTime", "holderIdentity"):
            if not leases._keeps("spec", field):
                raise OptionError("leases", resource, f"an informer that keeps spec.{field}")
        self._leases = leases
        self._lock = threading.Lock()
        self._renewed: dict[str, tuple[str, float]] = {}
        self._counts = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0
        leases.on_change(self._changed)

    def _changed(self, key: str) -> None:
        raw = self._leases.store.raw(key)
        spec = _Spec() if raw is None else msgspec.json.decode(raw, type=_Lease).spec
        with self._lock:
            if spec.holderIdentity == "" or spec.renewTime is None:  # deleted, or released
                self._renewed.pop(key, None)
            elif self._renewed.get(key, ("", 0.0))[0] != spec.renewTime:
                self._renewed[key] = spec.renewTime, time.monotonic()

    def collect(self) -> Iterable[Metric]:
        """Observes each lease, and returns the histogram. Works in any thread."""
        with self._lock:
            now = time.monotonic()
            for _, renewed in self._renewed.values():
                self._counts[bisect_left(BUCKETS, now - renewed)] += 1
                self._sum += now - renewed
            counts, total = list(accumulate(self._counts)), self._sum
        bounds = [*map(str, BUCKETS), "+Inf"]
        yield HistogramMetricFamily(
            "lease_renewal_age_seconds",
            "Seconds since each lease that is not released was renewed, at each scrape.",
            buckets=list(zip(bounds, counts, strict=True)),
            sum_value=total,
        )
