"""The metrics of leader elections, as data.

docs/reference/metrics.md is generated from `ELECTION_ROWS`.
Source: client-go's `tools/leaderelection/metrics.go`, whose names they have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

import msgspec
from prometheus_client import Metric

from kinform.prometheus._sources import Election

if TYPE_CHECKING:
    from kinform.controllers import ElectionStats


class ElectionRow(msgspec.Struct, frozen=True):
    """A metric of an election, with the label `name`: the key of its Lease.

    Attributes:
        name: Its name; a counter has `_total` at the end.
        type: `"counter"` or `"gauge"`.
        help: The text that Prometheus shows for it.
        read: Reads its value from the statistics of an election.
    """

    name: str
    type: Literal["counter", "gauge"]
    help: str
    read: Callable[[ElectionStats], float]


ELECTION_ROWS: tuple[ElectionRow, ...] = (
    ElectionRow(
        "leader_election_master_status", "gauge", "1 if this process leads, 0 otherwise.", lambda stats: stats.leading
    ),
    ElectionRow(
        "leader_election_slowpath_total",
        "counter",
        "Renewals that had to read the Lease first, because another client had changed it.",
        lambda stats: stats.slow_paths,
    ),
)


def election_families(elections: Iterable[tuple[str, Election]]) -> list[Metric]:
    """Returns all metrics, with the samples of these elections.

    Without an election, it returns none.

    Args:
        elections: The name of each election in the label, and the election.
    """
    found = [(name, election.stats()) for name, election in elections]
    return [_family(row, found) for row in ELECTION_ROWS] if found else []


def _family(row: ElectionRow, elections: list[tuple[str, ElectionStats]]) -> Metric:
    metric = Metric(row.name.removesuffix("_total"), row.help, row.type)
    for name, stats in elections:
        metric.add_sample(row.name, {"name": name}, float(row.read(stats)))
    return metric
