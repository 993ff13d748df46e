"""The metrics of read-through caches, as data.

`ON_DEMAND_ROWS` holds all of them. docs/reference/metrics.md is generated from it.
Source: "Metric and label naming" of the Prometheus documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec
from prometheus_client import Metric

from kinform import OnDemandStats
from kinform.prometheus._sources import Cache

NAMES: tuple[str, str] = ("resource", "cache")
"""The labels that identify a cache."""


class OnDemandRow(msgspec.Struct, frozen=True):
    """A metric of a read-through cache.

    Attributes:
        name: Its name; a counter has `_total` at the end.
        type: `"counter"` or `"gauge"`.
        help: The text that Prometheus shows for it.
        read: Reads its value from the statistics of a cache; with a label, one for each of its values.
        label: The label in addition to those of the cache, or `""`.
    """

    name: str
    type: Literal["counter", "gauge"]
    help: str
    read: Callable[[OnDemandStats], float | Mapping[str, float]]
    label: str = ""


# fmt: off
ON_DEMAND_ROWS: tuple[OnDemandRow, ...] = (
    OnDemandRow("kinform_on_demand_answers", "gauge",
        "Answers in the cache: objects, and keys that are known to have no object.",
        lambda stats: {"object": stats.objects, "missing": stats.missing}, "kind"),
    OnDemandRow("kinform_on_demand_watches", "gauge", "Objects that have a watch.", lambda stats: stats.watches),
    OnDemandRow("kinform_on_demand_bytes", "gauge", "Memory of the objects.",
        lambda stats: stats.memory.held_bytes),
    OnDemandRow("kinform_on_demand_reads_total", "counter",
        "Reads that were answered without a request (hit), and others (miss).",
        lambda stats: {"hit": stats.hits, "miss": stats.misses}, "result"),
    OnDemandRow("kinform_on_demand_stale_answers_total", "counter",
        "Reads that got an answer that is older than promised, because of `max_stale`.",
        lambda stats: stats.stale_answers),
    OnDemandRow("kinform_on_demand_requests_total", "counter", "LISTs of an object, and watches that begin with it.",
        lambda stats: stats.requests),
    OnDemandRow("kinform_on_demand_errors_total", "counter", "Requests that failed.", lambda stats: stats.errors),
    OnDemandRow("kinform_on_demand_evictions_total", "counter", "Answers that were removed to make room for others.",
        lambda stats: stats.evictions),
    OnDemandRow("kinform_on_demand_received_bytes_total", "counter",
        "Bytes of all objects received, as the server sent them.", lambda stats: stats.wire_bytes),
)
# fmt: on


def on_demand_families(caches: Iterable[tuple[tuple[str, str], Cache]]) -> Iterable[Metric]:
    """Returns all metrics, with the samples of these caches.

    Args:
        caches: The values of `NAMES` for each cache, and the cache.
    """
    metrics = {row: Metric(row.name.removesuffix("_total"), row.help, row.type) for row in ON_DEMAND_ROWS}
    for values, cache in caches:
        labels, stats = dict(zip(NAMES, values, strict=True)), cache.stats()
        for row, metric in metrics.items():
            found = row.read(stats)
            if isinstance(found, Mapping):
                for value, number in found.items():
                    metric.add_sample(row.name, {**labels, row.label: value}, float(number))
            else:
                metric.add_sample(row.name, labels, float(found))
    return metrics.values()
