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
from kinform.prometheus._labels import InformerLabels
from kinform.prometheus._shards_metrics import shards_families
from kinform.prometheus._sources import Election, Informer, Informers, Metrics, Shards, Source


class Collector(PrometheusCollector):
    """Collects the metrics of informers and other sources, for one registry.

    Give it to `CollectorRegistry.register`. One registry takes one `Collector`, because the names of the metrics are
    the same: add all sources to it.

    Each scrape reads the sources as they are then, in the thread of the scrape. It does not wait for the event loop.
    It works for an informer that has not started, has stopped or failed.

    The collector does not keep a source alive. The metrics of a source end when the program releases it.

    Args:
        sources: Informers, objects with informers, elections, shards, and objects with metrics of their own, such as
            collectors of `prometheus_client`.

    Raises:
        OptionError: An argument is something else.
    """

    def __init__(self, *sources: Source) -> None:
        self._lock = threading.Lock()
        self._sources: list[weakref.ref[Source]] = []
        self._labels = InformerLabels()
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
        """Returns all metrics of informers, elections and shards, without samples."""
        return [*families([]), *election_families([]), *shards_families([])]

    def collect(self) -> Iterator[Metric]:
        """Returns the metrics of all sources, at the time of the call."""
        sources = [source for found in self._sources if (source := found()) is not None]
        informers: dict[int, Informer] = {}  # by identity: a factory and a program may both have one
        elections: list[Election] = []
        shards: list[Shards] = []
        own: list[Metrics] = []
        for source in sources:
            if isinstance(source, Metrics):
                own.append(source)
            elif isinstance(source, Election):
                elections.append(source)
            elif isinstance(source, Shards):
                shards.append(source)
            else:
                found = source.informers if isinstance(source, Informers) else [source]
                informers |= {id(informer): informer for informer in found}
        with self._lock:
            labels = [self._labels.of(informer) for informer in informers.values()]
        measured = families(zip(labels, informers.values(), strict=True))
        measured = [*measured, *(election_families(elections) if elections else [])]
        measured = [*measured, *(shards_families(shards) if shards else [])]
        yield from _merged([*measured, *(metric for source in own for metric in source.collect())])


def _reference(source: Source) -> weakref.ref[Source]:
    if isinstance(source, type) or not isinstance(source, Informer | Informers | Election | Shards | Metrics):
        raise OptionError(
            "sources",
            type(source).__name__,
            "informers, objects with `informers`, elections, shards, or objects with a method `collect`",
        )
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
