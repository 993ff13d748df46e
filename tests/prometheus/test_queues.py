"""Work queues give the metrics of client-go."""

from __future__ import annotations

import kinform.prometheus
from kinform.controllers import WorkQueue
from kinform.prometheus._queue_metrics import QUEUE_ROWS
from tests.prometheus.exposed import Samples, samples


def value(found: Samples, name: str, queue: str = "widgets", **labels: str) -> float | None:
    return found.get((name, frozenset({"name": queue, **labels}.items())))


async def test_metrics_of_a_queue_are_those_of_stats():
    queue = WorkQueue[str](name="widgets")
    collector = kinform.prometheus.Collector(queue)
    for key in ("a", "b", "c"):
        queue.add(key)
    for _ in range(2):
        await queue.get()
    queue.done("a")
    queue.add_rate_limited("a")
    found, stats = samples(collector), queue.stats()
    assert value(found, "workqueue_depth") == 1
    assert value(found, "workqueue_adds_total") == 3
    assert value(found, "workqueue_retries_total") == 1
    assert value(found, "workqueue_queue_duration_seconds_count") == 2
    assert value(found, "workqueue_queue_duration_seconds_sum") == stats.queue_durations.total_seconds
    assert value(found, "workqueue_work_duration_seconds_bucket", le="+Inf") == 1
    assert value(found, "workqueue_work_duration_seconds_bucket", le="1000.0") == 1
    assert 0 < value(found, "workqueue_longest_running_processor_seconds") <= stats.longest_running_seconds
    assert 0 < value(found, "workqueue_unfinished_work_seconds") <= stats.unfinished_seconds
    queue.shutdown()


async def test_each_metric_of_a_queue_has_a_sample():
    queue = WorkQueue[str]()
    found = {name for name, _ in samples(kinform.prometheus.Collector(queue))}
    for row in QUEUE_ROWS:
        assert row.name in found or f"{row.name}_count" in found


def test_queues_of_one_name_have_different_labels():
    queues = [WorkQueue[str](name="widgets") for _ in range(2)]
    queues[1].add("a")
    found = samples(kinform.prometheus.Collector(*queues))
    assert value(found, "workqueue_depth") == 0
    assert value(found, "workqueue_depth", "widgets #2") == 1
