"""A memory-efficient Kubernetes informer: a live, correct, pruned copy of objects.

`Informer` keeps a live store and notifies handlers. `reflector` fills a store from a stream. `watcher` streams events
without a store. `kinform.controllers`, `kinform.prometheus`, `kinform.sync`, `kinform.testing` and `kinform.watch` are
imported at their first use.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from kinform._connection.connection import Connection, connect
from kinform._dispatch.changes import Changes
from kinform._errors import (
    AlreadyExistsError,
    BadRequestError,
    ConflictError,
    DecodeError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    KinformError,
    MemoryLimitError,
    NotFoundError,
    OptionError,
    ProtocolError,
    SkippedError,
    SnapshotError,
    StalledError,
    StatusCause,
    StatusError,
    TransportError,
    UnauthorizedError,
)
from kinform._events import Added, Apply, Change, Delete, Deleted, Init, InitApply, InitDone, Synced, Updated
from kinform._informer.factory import Factory
from kinform._informer.informer import Informer
from kinform._informer.on_demand import OnDemand
from kinform._informer.reflector import reflector
from kinform._listwatch.stream import Stream, watcher
from kinform._namespace_selector import NamespaceSelector
from kinform._objects import Meta, Object
from kinform._options import Backoff, Prune, Resource, Scope, Snapshot, WatchOptions
from kinform._selector_builder import Selector
from kinform._stats import (
    DecodedCacheStats,
    FactoryStats,
    Health,
    MemoryUsage,
    NamespacesStats,
    OnDemandStats,
    SnapshotStats,
    Stats,
    StreamStats,
)
from kinform._store.reader import Store, store
from kinform._store.writer import Writer
from kinform._transport.base import Request, Response, Transport

__version__ = "0.2.0"

__all__ = [
    "Added",
    "AlreadyExistsError",
    "Apply",
    "Backoff",
    "BadRequestError",
    "Change",
    "Changes",
    "ConflictError",
    "Connection",
    "DecodeError",
    "DecodedCacheStats",
    "Delete",
    "Deleted",
    "ExpiredError",
    "Factory",
    "FactoryStats",
    "ForbiddenError",
    "Health",
    "Informer",
    "Init",
    "InitApply",
    "InitDone",
    "InvalidError",
    "KinformError",
    "MemoryLimitError",
    "MemoryUsage",
    "Meta",
    "NamespaceSelector",
    "NamespacesStats",
    "NotFoundError",
    "Object",
    "OnDemand",
    "OnDemandStats",
    "OptionError",
    "ProtocolError",
    "Prune",
    "Request",
    "Resource",
    "Response",
    "Scope",
    "Selector",
    "SkippedError",
    "Snapshot",
    "SnapshotError",
    "SnapshotStats",
    "StalledError",
    "Stats",
    "StatusCause",
    "StatusError",
    "Store",
    "Stream",
    "StreamStats",
    "Synced",
    "Transport",
    "TransportError",
    "UnauthorizedError",
    "Updated",
    "WatchOptions",
    "Writer",
    "connect",
    "reflector",
    "store",
    "watcher",
]

if TYPE_CHECKING:  # a type checker that saw `__getattr__` would accept each name
    from kinform import controllers as controllers
    from kinform import prometheus as prometheus
    from kinform import sync as sync
    from kinform import testing as testing
    from kinform import watch as watch
else:

    def __getattr__(name: str) -> ModuleType:
        if name in (
            "controllers",
            "prometheus",
            "sync",
            "testing",
            "watch",
        ):  # `testing` imports a web server, which production code does not need
            return importlib.import_module(f"kinform.{name}")
        raise AttributeError(f"module 'kinform' has no attribute {name!r}")
