"""The metrics of read-through caches, as data.

`ON_DEMAND_ROWS` holds all of them. docs/reference/metrics.md is generated from it.
Source: "Metric and label naming" of the Prometheus documentation.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Metric

from kinform import OnDemandStats
from kinform.prometheus._sources import Cache
from kinform.prometheus._stats_metrics import StatsRow, stats_families

NAMES: tuple[str, str] = ("resource", "cache")
"""The labels that identify a cache."""


# fmt: off
ON_DEMAND_ROWS: tuple[StatsRow[OnDemandStats], ...] = (
    StatsRow("kinform_on_demand_answers", "gauge",
        "Answers in the cache: objects, and keys that are known to have no object.",
        lambda stats: {"object": stats.objects, "missing": stats.missing}, "kind"),
    StatsRow("kinform_on_demand_watches", "gauge", "Watches, each with a connection.", lambda stats: stats.watches),
    StatsRow("kinform_on_demand_bytes", "gauge", "Memory of the objects.",
        lambda stats: stats.memory.held_bytes),
    StatsRow("kinform_on_demand_reads_total", "counter",
        "Reads that were answered without a request (hit), and others (miss).",
        lambda stats: {"hit": stats.hits, "miss": stats.misses}, "result"),
    StatsRow("kinform_on_demand_stale_answers_total", "counter",
        "Reads that got an answer that is older than promised, because of `max_stale`.",
        lambda stats: stats.stale_answers),
    StatsRow("kinform_on_demand_requests_total", "counter", "LISTs of an object, and watches that begin with objects.",
        lambda stats: stats.requests),
    StatsRow("kinform_on_demand_errors_total", "counter", "Requests that failed.", lambda stats: stats.errors),
    StatsRow("kinform_on_demand_evictions_total", "counter", "Answers that were removed to make room for others.",
        lambda stats: stats.evictions),
    StatsRow("kinform_on_demand_received_bytes_total", "counter",
        "Bytes of all objects received, as the server sent them.", lambda stats: stats.wire_bytes),
)
# fmt: on


def on_demand_families(caches: Iterable[tuple[tuple[str, str], Cache]]) -> Iterable[Metric]:
    """Returns all metrics, with the samples of these caches.

    Args:
        caches: The values of `NAMES` for each cache, and the cache.
    """
    found = [(dict(zip(NAMES, values, strict=True)), cache.stats()) for values, cache in caches]
    return stats_families(ON_DEMAND_ROWS, found)
