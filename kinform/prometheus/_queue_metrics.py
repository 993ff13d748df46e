"""The metrics of a work queue, with the names that client-go uses.

Source: client-go's `util/workqueue/metrics.go` and component-base's `metrics/prometheus/workqueue`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

import msgspec
from prometheus_client import Metric

from kinform.prometheus._sources import Queue

if TYPE_CHECKING:
    from kinform.controllers import Durations, QueueStats


class QueueRow(msgspec.Struct, frozen=True):
    """A metric of a work queue. Its label is `name`.

    Attributes:
        name: Its name; a counter has `_total` at the end.
        type: Its type.
        help: The text that Prometheus shows for it.
        read: Reads its value from the statistics of a queue.
    """

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    read: Callable[[QueueStats], float | Durations]


# fmt: off
QUEUE_ROWS: tuple[QueueRow, ...] = (
    QueueRow("workqueue_depth", "gauge", "Keys that wait and are ready.", lambda stats: stats.depth),
    QueueRow("workqueue_adds_total", "counter",
        "Keys that got ready, or were added while they were processed.", lambda stats: stats.adds),
    QueueRow("workqueue_retries_total", "counter", "Additions with a delay.", lambda stats: stats.retries),
    QueueRow("workqueue_queue_duration_seconds", "histogram",
        "Seconds that a key was ready before a worker got it.", lambda stats: stats.queue_durations),
    QueueRow("workqueue_work_duration_seconds", "histogram",
        "Seconds that a worker took for a key.", lambda stats: stats.work_durations),
    QueueRow("workqueue_unfinished_work_seconds", "gauge",
        "Sum of the seconds that all keys in process have taken so far.", lambda stats: stats.unfinished_seconds),
    QueueRow("workqueue_longest_running_processor_seconds", "gauge",
        "Seconds that the longest running worker has taken so far.", lambda stats: stats.longest_running_seconds),
)
"""The metrics of a work queue."""
# fmt: on


def queue_families(queues: Iterable[tuple[str, Queue]]) -> list[Metric]:
    """Returns all metrics, with the samples of these queues; without a queue, none.

    Args:
        queues: The name of each queue in the label, and the queue.
    """
    found = [(name, queue.stats()) for name, queue in queues]
    return [_family(row, found) for row in QUEUE_ROWS] if found else []


def _family(row: QueueRow, queues: list[tuple[str, QueueStats]]) -> Metric:
    metric = Metric(row.name.removesuffix("_total"), row.help, row.type)
    for name, stats in queues:
        value = row.read(stats)
        if isinstance(value, int | float):
            metric.add_sample(row.name, {"name": name}, float(value))
        else:
            counts = accumulate(value.counts.values())
            for bound, count in zip(value.counts, counts, strict=True):
                le = "+Inf" if bound == float("inf") else str(bound)
                metric.add_sample(f"{row.name}_bucket", {"name": name, "le": le}, count)
            metric.add_sample(f"{row.name}_count", {"name": name}, sum(value.counts.values()))
            metric.add_sample(f"{row.name}_sum", {"name": name}, value.total_seconds)
    return metric
