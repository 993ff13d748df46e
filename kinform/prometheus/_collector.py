"""The collector: merges the metrics of all sources.

Reads and counts; never changes a source.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

from prometheus_client import Metric
from prometheus_client.registry import Collector as PrometheusCollector

from kinform import OptionError
from kinform._printable import type_of
from kinform.prometheus._election_metrics import ELECTION_ROWS
from kinform.prometheus._informer_metrics import families
from kinform.prometheus._labels import UniqueNames
from kinform.prometheus._on_demand_metrics import on_demand_families
from kinform.prometheus._queue_metrics import QUEUE_ROWS
from kinform.prometheus._recorder_metrics import RECORDER_ROWS
from kinform.prometheus._shards_metrics import SHARDS_ROWS
from kinform.prometheus._sources import (
    Cache,
    Controller,
    Election,
    InformerGroup,
    InformerSource,
    Metrics,
    Queue,
    Recorder,
    Shards,
    Source,
)
from kinform.prometheus._stats_metrics import named_families


class Kind(NamedTuple):
    """A kind of sources.

    Attributes:
        protocol: The form of its sources.
        families: Returns the metrics of sources, each with the values of its labels.
        has_resource: The labels are the resource and the name. Otherwise the name alone.
    """

    protocol: Any
    families: Callable[[Iterable[tuple[Any, Any]]], Iterable[Metric]]
    has_resource: bool


# A source is of the first kind that it fits: an informer also has the form of a cache.
KINDS = (
    Kind(Queue, partial(named_families, QUEUE_ROWS), has_resource=False),
    Kind(Election, partial(named_families, ELECTION_ROWS), has_resource=False),
    Kind(Shards, partial(named_families, SHARDS_ROWS), has_resource=False),
    Kind(Recorder, partial(named_families, RECORDER_ROWS), has_resource=False),
    Kind(InformerSource, families, has_resource=True),
    Kind(Cache, on_demand_families, has_resource=True),
)
ALLOWED = (
    "informers, caches, objects with `informers`, controllers, work queues, elections, shards, recorders of Events, or "
    "objects with a method `collect`"
)


class Collector(PrometheusCollector):
    """Collects the metrics of informers and other sources, for one registry.

    Give it to `CollectorRegistry.register`. One registry takes one `Collector`, because the names of the metrics are
    the same: add all sources to it.

    Each scrape reads the sources as they are then, in the thread of the scrape. It does not wait for the event loop.
    It works for an informer that has not started, has stopped or failed.

    The collector does not keep a source alive. The metrics of a source end when the program releases it.

    Args:
        sources: Informers, caches, objects with informers, work queues, elections, shards, recorders of Events, and
            objects with metrics of their own, such as collectors of `prometheus_client`. A `Controller` stands for its
            `queue` and its `events`, but not for its informers.

    Raises:
        OptionError: An argument is something else.
    """

    def __init__(self, *sources: Source) -> None:
        self._lock = threading.Lock()
        self._sources: list[weakref.ref[Source]] = []
        self._names = [UniqueNames() for _ in KINDS]
        self.add(*sources)

    def add(self, *sources: Source) -> None:
        """Adds sources. One that was added before is ignored.

        Raises:
            OptionError: An argument is not a source. None is added then.
        """
        added = [_reference(part) for source in sources for part in _parts(source)]
        with self._lock:
            alive = [found for found in self._sources if found() is not None]
            # By identity: sources may be equal, or have no hash. All references to one source are the same object.
            self._sources = list({id(found): found for found in [*alive, *added]}.values())

    def describe(self) -> Iterable[Metric]:
        """Returns all metrics of informers, without samples."""
        return families([])

    def collect(self) -> Iterator[Metric]:
        """Returns the metrics of all sources, at the time of the call."""
        sources = [source for found in self._sources if (source := found()) is not None]
        own = [source for source in sources if isinstance(source, Metrics)]
        found: list[dict[int, Any]] = [{} for _ in KINDS]  # by identity: a factory and a program may have one informer
        for source in sources:
            for each in source.informers if isinstance(source, InformerGroup) else [source]:
                if (kind := _kind_of(each)) is not None:
                    found[kind][id(each)] = each
        with self._lock:
            labelled = [
                [(_labels(kind, each, names), each) for each in of_kind.values()]
                for kind, names, of_kind in zip(KINDS, self._names, found, strict=True)
            ]
        measured = [metric for kind, each in zip(KINDS, labelled, strict=True) for metric in kind.families(each)]
        yield from _merged([*measured, *(metric for source in own for metric in source.collect())])


def _kind_of(source: object) -> int | None:
    """The place of its kind; None for other objects, and for sources of `Metrics`."""
    if isinstance(source, Metrics):
        return None
    return next((place for place, kind in enumerate(KINDS) if isinstance(source, kind.protocol)), None)


def _labels(kind: Kind, source: Any, names: UniqueNames) -> str | tuple[str, str]:
    name = names.of(source)
    return (str(source.resource), name) if kind.has_resource else name


def _parts(source: Source) -> Iterable[Source]:
    """The sources that a source stands for."""
    if not isinstance(source, Controller) or isinstance(source, type):
        return (source,)
    return (source.queue,) if source._events is None else (source.queue, source._events)


def _reference(source: Source) -> weakref.ref[Source]:
    is_known = isinstance(source, Metrics | InformerGroup) or _kind_of(source) is not None
    if isinstance(source, type) or not is_known:
        raise OptionError("sources", type_of(source), ALLOWED)
    try:
        return weakref.ref(source)
    except TypeError:  # a class with `__slots__`
        raise OptionError("sources", type_of(source), "objects that have a `__weakref__`") from None


def _merged(metrics: Iterable[Metric]) -> Iterable[Metric]:
    """Puts the samples of metrics with the same name into one, as Prometheus requires."""
    merged: dict[str, Metric] = {}
    for metric in metrics:
        into = merged.get(metric.name)
        if into is None:
            into = merged[metric.name] = Metric(metric.name, metric.documentation, metric.type, metric.unit)
        into.samples += metric.samples
    return merged.values()
