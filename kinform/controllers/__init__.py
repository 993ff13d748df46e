"""The parts of a controller: the work queue, reconciles, leader election, shards.

All of it is asynchronous. `kinform.controllers` is imported at its first use.
Source: client-go's `util/workqueue`, controller-runtime.
"""

from kinform._errors import LeadershipLost, QueueShutDown
from kinform.controllers._election.election import ElectionHealth, ElectionStats, LeaderElection
from kinform.controllers._events.recorder import EventRecorder, EventStats
from kinform.controllers._finalizers import ensure_finalizer, remove_finalizer
from kinform.controllers._leases.term import Term
from kinform.controllers._queue.durations import Durations
from kinform.controllers._queue.work_queue import QueueStats, WorkQueue
from kinform.controllers._reconcile.controller import Controller
from kinform.controllers._reconcile.predicates import MetadataChanged
from kinform.controllers._reconcile.user_calls import Requeue
from kinform.controllers._shards.shards import Shards, ShardsStats

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
    "Shards",
    "ShardsStats",
    "Term",
    "WorkQueue",
    "ensure_finalizer",
    "remove_finalizer",
]
