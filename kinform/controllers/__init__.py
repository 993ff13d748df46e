"""The parts of a controller: the work queue, reconciles, leader election, shards.

All of it is asynchronous. `kinform.controllers` is imported at its first use.
Source: client-go's `util/workqueue`, controller-runtime.
"""

from kinform._errors import QueueShutDown
from kinform.controllers._durations import Durations
from kinform.controllers._events import EventRecorder, EventStats
from kinform.controllers._finalizers import ensure_finalizer, remove_finalizer
from kinform.controllers._work_queue import QueueStats, WorkQueue

__all__ = [
    "Durations",
    "EventRecorder",
    "EventStats",
    "QueueShutDown",
    "QueueStats",
    "WorkQueue",
    "ensure_finalizer",
    "remove_finalizer",
]
