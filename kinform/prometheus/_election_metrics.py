"""The metrics of leader elections, as data; `name` is the key of the Lease.

Source: client-go's `tools/leaderelection/metrics.go`, whose names they have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinform.prometheus._stats_metrics import StatsRow

if TYPE_CHECKING:
    from kinform.controllers import ElectionStats

ELECTION_ROWS: tuple[StatsRow[ElectionStats], ...] = (
    StatsRow(
        "leader_election_master_status", "gauge", "1 if this process leads, 0 otherwise.", lambda stats: stats.leading
    ),
    StatsRow(
        "leader_election_slowpath_total",
        "counter",
        "Renewals that had to read the Lease first, because another client had changed it.",
        lambda stats: stats.slow_paths,
    ),
)
