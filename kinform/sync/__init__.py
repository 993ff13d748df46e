"""The blocking form of kinform, for programs with threads.

Each coroutine of `kinform` is a method that blocks here. One event loop, in one daemon thread for the process, runs
what is started here. It starts with the first `with` block, and stops after the last one. Reads of a store do not wait
for it.

    with kinform.sync.connect() as api, kinform.sync.Informer(api, "v1/pods") as pods:
        pods.synced(timeout=60)
        for change in pods.changes(): ...

Options, events and errors are those of `kinform`. `kinform.sync.watch` is the drop-in for the Watch of `kubernetes`.
"""

from kinform import Store, Writer, store
from kinform._errors import EndedError
from kinform.sync._changes import Changes
from kinform.sync._connection import Connection, connect
from kinform.sync._factory import Factory
from kinform.sync._informer import Informer
from kinform.sync._on_demand import OnDemand
from kinform.sync._streams import Stream, reflector, watcher

__all__ = [
    "Changes",
    "Connection",
    "EndedError",
    "Factory",
    "Informer",
    "OnDemand",
    "Store",
    "Stream",
    "Writer",
    "connect",
    "reflector",
    "store",
    "watcher",
]
