"""Metrics from the statistics of a source, and those with the label `name` alone.

The rows of each kind are in a file of their own, as data. docs/reference/metrics.md is generated from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import msgspec
from prometheus_client import Metric

if TYPE_CHECKING:
    from kinform.controllers import Durations

S = TypeVar("S")


class HasStats(Protocol):
    """A source with statistics."""

    def stats(self) -> Any:
        """Returns the current statistics."""
        ...


class StatsRow(msgspec.Struct, Generic[S], frozen=True):
    """A metric that is read from statistics.

    Attributes:
        name: Its name; a counter has `_total` at the end.
        type: Its type.
        help: The text that Prometheus shows for it.
        read: Reads its value from the statistics of a source; with a label, one for each of its values.
        label: The label in addition to those of the source, or `""`.
    """

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    read: Callable[[S], float | Durations | Mapping[str, float]]
    label: str = ""


def named_families(rows: Sequence[StatsRow[Any]], sources: Iterable[tuple[str, HasStats]]) -> list[Metric]:
    """Returns all metrics, with the samples of these sources; without a source, none.

    Args:
        rows: The metrics.
        sources: The name of each source in the label, and the source.
    """
    found = [({"name": name}, source.stats()) for name, source in sources]
    return stats_families(rows, found) if found else []


def stats_families(rows: Sequence[StatsRow[Any]], found: Sequence[tuple[dict[str, str], Any]]) -> list[Metric]:
    """Returns all metrics, with the samples of these sources.

    Args:
        rows: The metrics.
        found: The labels of each source, and its statistics.
    """
    return [_family(row, found) for row in rows]


def _family(row: StatsRow[Any], found: Sequence[tuple[dict[str, str], Any]]) -> Metric:
    metric = Metric(row.name.removesuffix("_total"), row.help, row.type)
    for labels, stats in found:
        value = row.read(stats)
        if isinstance(value, int | float):
            metric.add_sample(row.name, labels, float(value))
        elif isinstance(value, Mapping):
            for each, number in value.items():
                metric.add_sample(row.name, {**labels, row.label: each}, float(number))
        else:
            _add_histogram(metric, labels, value)
    return metric


def _add_histogram(metric: Metric, labels: dict[str, str], durations: Durations) -> None:
    counts = accumulate(durations.counts.values())
    for bound, count in zip(durations.counts, counts, strict=True):
        le = "+Inf" if bound == float("inf") else str(bound)
        metric.add_sample(f"{metric.name}_bucket", {**labels, "le": le}, count)
    metric.add_sample(f"{metric.name}_count", labels, sum(durations.counts.values()))
    metric.add_sample(f"{metric.name}_sum", labels, durations.total_seconds)
