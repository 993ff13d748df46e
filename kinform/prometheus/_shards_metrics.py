"""The metrics of shards, as data; `name` is the beginning of the keys of Leases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinform.prometheus._stats_metrics import StatsRow

if TYPE_CHECKING:
    from kinform.controllers import ShardsStats

SHARDS_ROWS: tuple[StatsRow[ShardsStats], ...] = (
    StatsRow("kinform_shards", "gauge", "Shards of the collection.", lambda stats: stats.count),
    StatsRow("kinform_shards_owned", "gauge", "Shards that this replica has.", lambda stats: len(stats.owned)),
    StatsRow(
        "kinform_shards_members", "gauge", "Live replicas, as this one sees them.", lambda stats: len(stats.members)
    ),
    StatsRow(
        "kinform_shards_free",
        "gauge",
        "Shards without a replica, as this one sees them.",
        lambda stats: stats.holders.count(""),
    ),
    StatsRow(
        "kinform_shards_lost_total",
        "counter",
        "Shards that this replica has lost because it could not renew their Leases in time.",
        lambda stats: stats.lost,
    ),
)
