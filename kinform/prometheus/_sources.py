"""The sources of a collector, as protocols, so that it imports no class of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from prometheus_client import Metric

from kinform import Health, OnDemandStats, Resource, Stats

if TYPE_CHECKING:
    from kinform.controllers import ElectionStats, EventStats, QueueStats, ShardsStats


@runtime_checkable
class InformerSource(Protocol):
    """An informer: `kinform.Informer` or `kinform.sync.Informer`.

    All methods must work in every thread.
    """

    resource: Resource

    @property
    def name(self) -> str:
        """The name in logs and errors."""
        ...

    def stats(self) -> Stats:
        """Returns the current counts and sizes."""
        ...

    def health(self) -> Health:
        """Returns whether the store is a complete and recent copy."""
        ...


@runtime_checkable
class InformerGroup(Protocol):
    """A group of informers that may change, such as a factory."""

    @property
    def informers(self) -> Iterable[Any]:
        """The informers at the time of the call."""
        ...


@runtime_checkable
class Election(Protocol):
    """A leader election: `kinform.controllers.LeaderElection`.

    `stats` must work in every thread.
    """

    name: str

    @property
    def leader(self) -> str:
        """The identity of the current leader."""
        ...

    def stats(self) -> ElectionStats:
        """Returns the current statistics."""
        ...


@runtime_checkable
class Queue(Protocol):
    """A work queue: `kinform.controllers.WorkQueue`."""

    name: str

    def stats(self) -> QueueStats:
        """Returns the current counts and durations, in any thread."""
        ...

    def num_requeues(self, key: Any) -> int:
        """Returns the number of retries of a key."""
        ...


@runtime_checkable
class Cache(Protocol):
    """A read-through cache: `kinform.OnDemand` or `kinform.sync.OnDemand`.

    All methods must work in every thread.
    """

    resource: Resource

    @property
    def name(self) -> str:
        """The name in logs and errors."""
        ...

    def stats(self) -> OnDemandStats:
        """Returns the current counts and sizes."""
        ...


@runtime_checkable
class Shards(Protocol):
    """The shards of a replica: `kinform.controllers.Shards`."""

    name: str

    def owns(self, uid: str) -> bool:
        """Returns whether this replica has the shard of an object."""
        ...

    def stats(self) -> ShardsStats:
        """Returns the current statistics, in any thread."""
        ...


@runtime_checkable
class Recorder(Protocol):
    """A recorder of Events: `kinform.controllers.EventRecorder`."""

    name: str

    def stats(self) -> EventStats:
        """Returns the current counts, in any thread."""
        ...

    def event(self, regarding: Any, reason: str, note: str) -> None:
        """Records an Event."""
        ...


@runtime_checkable
class Controller(Protocol):
    """A controller: `kinform.controllers.Controller`.

    It stands for its queue and its recorder.
    """

    @property
    def queue(self) -> Queue:
        """The work queue."""
        ...

    @property
    def _events(self) -> Recorder | None:
        """The recorder, or None if the controller cannot record Events."""
        ...


@runtime_checkable
class Metrics(Protocol):
    """An object with metrics of its own, in the form of `prometheus_client`.

    The collector merges metrics of the same name from several sources into one. So their labels must say which source
    they are from.
    """

    def collect(self) -> Iterable[Metric]:
        """Returns the metrics, in any thread."""
        ...


Source: TypeAlias = InformerSource | Cache | InformerGroup | Controller | Queue | Election | Shards | Recorder | Metrics
"""An object whose metrics a collector returns."""
