"""The metrics of a work queue, as data, with the names that client-go uses.

Source: client-go's `util/workqueue/metrics.go` and component-base's `metrics/prometheus/workqueue`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinform.prometheus._named_metrics import NamedRow

if TYPE_CHECKING:
    from kinform.controllers import QueueStats

# fmt: off
QUEUE_ROWS: tuple[NamedRow[QueueStats], ...] = (
    NamedRow("workqueue_depth", "gauge", "Keys that wait and are ready.", lambda stats: stats.depth),
    NamedRow("workqueue_adds_total", "counter",
        "Keys that got ready, or were added while they were processed.", lambda stats: stats.adds),
    NamedRow("workqueue_retries_total", "counter", "Additions with a delay.", lambda stats: stats.retries),
    NamedRow("workqueue_queue_duration_seconds", "histogram",
        "Seconds that a key was ready before a worker got it.", lambda stats: stats.queue_durations),
    NamedRow("workqueue_work_duration_seconds", "histogram",
        "Seconds that a worker took for a key.", lambda stats: stats.work_durations),
    NamedRow("workqueue_unfinished_work_seconds", "gauge",
        "Sum of the seconds that all keys in process have taken so far.", lambda stats: stats.unfinished_seconds),
    NamedRow("workqueue_longest_running_processor_seconds", "gauge",
        "Seconds that the longest running worker has taken so far.", lambda stats: stats.longest_running_seconds),
)
"""The metrics of a work queue."""
# fmt: on
