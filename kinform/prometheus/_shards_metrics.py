"""The metrics of shards, as data.

docs/reference/metrics.md is generated from `SHARDS_ROWS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec
from prometheus_client import Metric

from kinform.prometheus._sources import Shards


class ShardsRow(msgspec.Struct, frozen=True):
    """A metric of shards. Its label `name` is the begin of the keys of their Leases.

    Attributes:
        name: Its name; a counter has `_total` at the end.
        type: `"counter"` or `"gauge"`.
        help: The text that Prometheus shows for it.
        read: Reads its value from the statistics of shards.
    """

    name: str
    type: Literal["counter", "gauge"]
    help: str
    read: Callable[[Any], float]


SHARDS_ROWS: tuple[ShardsRow, ...] = (
    ShardsRow("kinform_shards", "gauge", "Shards of the collection.", lambda stats: stats.count),
    ShardsRow("kinform_shards_owned", "gauge", "Shards that this replica has.", lambda stats: len(stats.owned)),
    ShardsRow(
        "kinform_shards_members", "gauge", "Live replicas, as this one sees them.", lambda stats: len(stats.members)
    ),
    ShardsRow(
        "kinform_shards_free",
        "gauge",
        "Shards without a replica, as this one sees them.",
        lambda stats: stats.holders.count(""),
    ),
    ShardsRow(
        "kinform_shards_lost_total",
        "counter",
        "Shards that this replica has lost because it could not renew their Leases in time.",
        lambda stats: stats.lost,
    ),
)


def shards_families(sources: Iterable[tuple[str, Shards]]) -> list[Metric]:
    """Returns all metrics, with the samples of these shards.

    Without shards, it returns none.

    Args:
        sources: The name of the shards in the label, and the shards.
    """
    found = [(name, shards.stats()) for name, shards in sources]
    return [_family(row, found) for row in SHARDS_ROWS] if found else []


def _family(row: ShardsRow, found: list[tuple[str, Any]]) -> Metric:
    metric = Metric(row.name.removesuffix("_total"), row.help, row.type)
    for name, stats in found:
        metric.add_sample(row.name, {"name": name}, float(row.read(stats)))
    return metric
