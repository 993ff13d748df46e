"""The generated collections of the benchmarks, and their default sizes."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator

from kinform.testing._objects.catalogue import CATALOGUE, Maker
from kinform.testing._objects.kinds import Kind, Object

_COUNTS = {
    "pods": 20_000,
    "namespaces": 100_000,
    "events": 50_000,
    "endpointslices": 5_000,
    "services": 5_000,
    "configmaps": 5_000,
    "leases": 5_000,
    "deployments": 2_000,
    "replicasets": 10_000,
    "customs": 20_000,
}
MADE: dict[str, tuple[Kind, Maker, int]] = {name: (*CATALOGUE[name], count) for name, count in _COUNTS.items()}
"""The kind, the function that makes it, and the default number of objects."""


def stream(name: str, count: int, seed: int) -> tuple[Kind, Iterator[Object]]:
    """Returns a kind, and an iterator of `count` distinct objects.

    A larger count begins with the same objects.
    """
    kind, maker, _ = MADE[name]
    return kind, itertools.islice(maker(seed), count)


def make(name: str, count: int, seed: int) -> tuple[Kind, list[Object]]:
    """Returns the objects of `stream` as a list.

    Pods share parts in memory: 300,000 take about 2.6 GB.
    """
    kind, objects = stream(name, count, seed)
    # None of these objects is garbage, and repeated collections would take as long as the generation.
    enabled = gc.isenabled()
    gc.disable()
    try:
        return kind, list(objects)
    finally:
        if enabled:
            gc.enable()
