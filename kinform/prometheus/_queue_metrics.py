"""The metrics of a work queue, as data, with the names that client-go uses.

Source: client-go's `util/workqueue/metrics.go` and component-base's `metrics/prometheus/workqueue`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinform.prometheus._stats_metrics import StatsRow

if TYPE_CHECKING:
    from kinform.controllers import QueueStats

# fmt: off
QUEUE_ROWS: tuple[StatsRow[QueueStats], ...] = (
    StatsRow("workqueue_depth", "gauge", "Keys that wait and are ready.", lambda stats: stats.depth),
    StatsRow("workqueue_adds_total", "counter",
        "Keys that got ready, or were added while they were processed.", lambda stats: stats.adds),
    StatsRow("workqueue_retries_total", "counter", "Additions with a delay.", lambda stats: stats.retries),
    StatsRow("workqueue_queue_duration_seconds", "histogram",
        "Seconds that a key was ready before a worker got it.", lambda stats: stats.queue_durations),
    StatsRow("workqueue_work_duration_seconds", "histogram",
        "Seconds that a worker took for a key.", lambda stats: stats.work_durations),
    StatsRow("workqueue_unfinished_work_seconds", "gauge",
        "Sum of the seconds that all keys in process have taken so far.", lambda stats: stats.unfinished_seconds),
    StatsRow("workqueue_longest_running_processor_seconds", "gauge",
        "Seconds that the longest running worker has taken so far.", lambda stats: stats.longest_running_seconds),
)
"""The metrics of a work queue."""
# fmt: on
