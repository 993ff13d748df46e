"""Registration: one collector for each registry."""

from __future__ import annotations

import threading
import weakref

from prometheus_client import REGISTRY, CollectorRegistry

from kinform._checks import require_instance
from kinform.prometheus._collector import Collector
from kinform.prometheus._sources import Source

_lock = threading.Lock()
_collectors: weakref.WeakKeyDictionary[CollectorRegistry, Collector] = weakref.WeakKeyDictionary()


def register(*sources: Source, registry: CollectorRegistry = REGISTRY) -> None:
    """Adds the metrics of sources to a registry of `prometheus_client`.

    Any part of a program may call it. All calls for a registry share one `Collector`.

    Args:
        sources: As for `Collector`.
        registry: The registry. Default: that of `prometheus_client.start_http_server` and `generate_latest`.

    Raises:
        OptionError: An argument is not a source, or `registry` is not a registry. None is added then.
        ValueError: The registry has a `Collector` that `register` has not made.
    """
    require_instance("registry", registry, CollectorRegistry, "a CollectorRegistry of prometheus_client")
    with _lock:
        collector = _collectors.get(registry)
        if collector is not None:
            collector.add(*sources)
            return
        collector = Collector(*sources)
        registry.register(collector)
        _collectors[registry] = collector
