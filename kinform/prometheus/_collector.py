"""The collector: merges the metrics of all sources.

Reads and counts; never changes a source.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.registry import Collector as PrometheusCollector

from kinform import OptionError
from kinform.prometheus._election_metrics import election_families
from kinform.prometheus._informer_metrics import families
from kinform.prometheus._labels import UniqueNames
from kinform.prometheus._queue_metrics import queue_families
from kinform.prometheus._sources import Election, InformerGroup, InformerSource, Metrics, Queue, Source


class Collector(PrometheusCollector):
    """Collects the metrics of informers and other sources, for one registry.

    Give it to `CollectorRegistry.register`. One registry takes one `Collector`, because the names of the metrics are
    the same: add all sources to it.

    Each scrape reads the sources as they are then, in the thread of the scrape. It does not wait for the event loop.
    It works for an informer that has not started, has stopped or failed.

    The collector does not keep a source alive. The metrics of a source end when the program releases it.

    Args:
        sources: Informers, objects with informers, work queues, elections, and objects with metrics of their own, such
            as collectors of `prometheus_client`.

    Raises:
        OptionError: An argument is something else.
    """

    def __init__(self, *sources: Source) -> None:
        self._lock = threading.Lock()
        self._sources: list[weakref.ref[Source]] = []
        self._informer_names, self._queue_names, self._election_names = UniqueNames(), UniqueNames(), UniqueNames()
        self.add(*sources)

    def add(self, *sources: Source) -> None:
        """Adds sources. One that was added before is ignored.

        Raises:
            OptionError: An argument is not a source. None is added then.
        """
        added = [_reference(source) for source in sources]
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
        informers: dict[int, InformerSource] = {}  # by identity: a factory and a program may both have one
        queues: list[Queue] = []
        elections: list[Election] = []
        own: list[Metrics] = []
        for source in sources:
            if isinstance(source, Metrics):
                own.append(source)
            elif isinstance(source, Queue):
                queues.append(source)
            elif isinstance(source, Election):
                elections.append(source)
            else:
                found = source.informers if isinstance(source, InformerGroup) else [source]
                informers |= {id(informer): informer for informer in found}
        with self._lock:
            labels = [(str(each.resource), self._informer_names.of(each)) for each in informers.values()]
            queue_names = [self._queue_names.of(queue) for queue in queues]
            election_names = [self._election_names.of(election) for election in elections]
        measured = [
            *families(zip(labels, informers.values(), strict=True)),
            *queue_families(zip(queue_names, queues, strict=True)),
            *election_families(zip(election_names, elections, strict=True)),
        ]
        yield from _merged([*measured, *(metric for source in own for metric in source.collect())])


def _reference(source: Source) -> weakref.ref[Source]:
    known = InformerSource | InformerGroup | Queue | Election | Metrics
    if isinstance(source, type) or not isinstance(source, known):
        allowed = "informers, objects with `informers`, work queues, elections, or objects with a method `collect`"
        raise OptionError("sources", type(source).__name__, allowed)
    try:
        return weakref.ref(source)
    except TypeError:  # a class with `__slots__`
        raise OptionError("sources", type(source).__name__, "objects that have a `__weakref__`") from None


def _merged(metrics: Iterable[Metric]) -> Iterable[Metric]:
    """Puts the samples of metrics with the same name into one, as Prometheus requires."""
    merged: dict[str, Metric] = {}
    for metric in metrics:
        into = merged.get(metric.name)
        if into is None:
            into = merged[metric.name] = Metric(metric.name, metric.documentation, metric.type, metric.unit)
        into.samples += metric.samples
    return merged.values()
