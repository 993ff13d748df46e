"""The parts of a controller: the work queue, reconciles, leader election, shards.

All of it is asynchronous. `kinform.controllers` is imported at its first use.
Source: client-go's `util/workqueue`, controller-runtime.
"""

__all__: list[str] = []
