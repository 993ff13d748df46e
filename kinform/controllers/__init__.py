"""The parts of a controller: the work queue, reconciles, leader election, shards.

All of it is asynchronous. `kinform.controllers` is imported at its first use.
Source: client-go's `util/workqueue`, controller-runtime.
"""

from kinform._errors import LeadershipLost
from kinform.controllers._election import ElectionHealth, ElectionStats, LeaderElection
from kinform.controllers._shards import Shards, ShardsStats
from kinform.controllers._term import Term

__all__ = [
    "ElectionHealth",
    "ElectionStats",
    "LeaderElection",
    "LeadershipLost",
    "Shards",
    "ShardsStats",
    "Term",
]
