"""The metrics of leader elections, as data.

docs/reference/metrics.md is generated from `ROWS`.
Source: client-go's `tools/leaderelection/metrics.go`, whose names they have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec
from prometheus_client import Metric

from kinform.prometheus._sources import Election


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
    read: Callable[[Any], float]


ROWS: tuple[ElectionRow, ...] = (
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


def election_families(elections: Iterable[Election]) -> Iterable[Metric]:
    """Returns all metrics, with the samples of these elections.

    Elections of one name count as one.
    """
    metrics = [Metric(row.name.removesuffix("_total"), row.help, row.type) for row in ROWS]
    by_name: dict[str, list[Any]] = {}
    for election in elections:
        by_name.setdefault(election.name, []).append(election.stats())
    for name, stats in by_name.items():
        for row, metric in zip(ROWS, metrics, strict=True):
            merge = sum if row.type == "counter" else max
            metric.add_sample(row.name, {"name": name}, float(merge(row.read(each) for each in stats)))
    return metrics
