"""The parts of a controller: the work queue, reconciles, leader election, shards.

All of it is asynchronous. `kinform.controllers` is imported at its first use.
Source: client-go's `util/workqueue`, controller-runtime.
"""

from kinform._errors import LeadershipLost, QueueShutDown
from kinform.controllers._controller import Controller
from kinform.controllers._durations import Durations
from kinform.controllers._election import ElectionHealth, ElectionStats, LeaderElection
from kinform.controllers._events import EventRecorder, EventStats
from kinform.controllers._finalizers import ensure_finalizer, remove_finalizer
from kinform.controllers._predicates import MetadataChanged
from kinform.controllers._term import Term
from kinform.controllers._work_queue import QueueStats, WorkQueue
from kinform.controllers._workers import Requeue

__all__ = [
    "Controller",
    "Durations",
    "ElectionHealth",
    "ElectionStats",
    "EventRecorder",
    "EventStats",
    "LeaderElection",
    "LeadershipLost",
    "MetadataChanged",
    "QueueShutDown",
    "QueueStats",
    "Requeue",
    "Term",
    "WorkQueue",
    "ensure_finalizer",
    "remove_finalizer",
]
