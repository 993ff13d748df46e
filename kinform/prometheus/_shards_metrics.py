"""The metrics of shards, as data; `name` is the begin of the keys of Leases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinform.prometheus._named_metrics import NamedRow

if TYPE_CHECKING:
    from kinform.controllers import ShardsStats

SHARDS_ROWS: tuple[NamedRow[ShardsStats], ...] = (
    NamedRow("kinform_shards", "gauge", "Shards of the collection.", lambda stats: stats.count),
    NamedRow("kinform_shards_owned", "gauge", "Shards that this replica has.", lambda stats: len(stats.owned)),
    NamedRow(
        "kinform_shards_members", "gauge", "Live replicas, as this one sees them.", lambda stats: len(stats.members)
    ),
    NamedRow(
        "kinform_shards_free",
        "gauge",
        "Shards without a replica, as this one sees them.",
        lambda stats: stats.holders.count(""),
    ),
    NamedRow(
        "kinform_shards_lost_total",
        "counter",
        "Shards that this replica has lost because it could not renew their Leases in time.",
        lambda stats: stats.lost,
    ),
)
