"""Fixtures: the pods, the stores that hold them, and the timer.

The environment variable KINFORM_BENCH_OBJECTS sets the number of pods and of namespaces, 20,000 by default;
KINFORM_BENCH_SEED sets the seed.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.corpus import make
from benchmarks.harness.collection import Collection
from benchmarks.harness.machine import machine
from benchmarks.micro.pods import Pods, State
from benchmarks.micro.stores import DictOfBytes, DictOfDicts, Kinform

OBJECTS = int(os.environ.get("KINFORM_BENCH_OBJECTS", 20_000))
SEED = int(os.environ.get("KINFORM_BENCH_SEED", 0))
HERE = Path(__file__).parent
ROUNDS, ROUNDS_QUICK = 25, 5
"""The rounds of an operation with a preparation that is not timed."""

Timed = Callable[..., None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sets the CPU time of the thread as the timer of all benchmarks."""
    for item in items:
        marker = item.get_closest_marker("benchmark")
        if marker is not None and HERE in item.path.parents:
            item.add_marker(pytest.mark.benchmark(timer=time.thread_time, **marker.kwargs), append=False)


def pytest_benchmark_generate_machine_info() -> dict[str, Any]:
    """Describes the machine without its name or its user's."""
    found = machine()
    return {name: found[name] for name in ("cpu", "cores", "kernel", "python", "versions")}


def pytest_benchmark_generate_commit_info() -> dict[str, Any]:
    """Names the commit without its author or its folder."""
    return {"id": machine()["commit"], "project": "kinform"}


@pytest.fixture(scope="package", autouse=True)
def no_garbage_collector() -> Iterator[None]:
    """Disables the garbage collector, which would go through all pods."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def timed(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Timed:
    """Returns the timer: `timed(operation, objects=N, size=BYTES)`.

    It is called after the answer was checked. `objects` and `size` are what one call processes. `before` runs before
    each call and is not timed.
    """

    def timed(
        operation: Callable[[], object], *, objects: int, size: int = 0, before: Callable[[], None] | None = None
    ) -> None:
        benchmark.extra_info["objects"] = objects
        if size:
            benchmark.extra_info["bytes"] = size
        if before is None:
            benchmark(operation)
        else:
            rounds = ROUNDS_QUICK if request.config.getoption("benchmark_min_rounds") < ROUNDS_QUICK else ROUNDS
            benchmark.pedantic(operation, setup=before, rounds=rounds, warmup_rounds=1)  # type: ignore[no-untyped-call]

    return timed


@pytest.fixture(scope="session")
def pods() -> Pods:
    """Returns the pods."""
    return Pods(OBJECTS, SEED)


@pytest.fixture(scope="session")
def namespaces() -> State:
    """Returns the namespaces."""
    return State(Collection(*make("namespaces", OBJECTS, SEED)), "ADDED")


@pytest.fixture(scope="session")
def stored(pods: Pods) -> Kinform:
    """Returns a store to read from, with the first state."""
    store = Kinform()
    store.relist(pods.before.batches)
    return store


@pytest.fixture(scope="session")
def writable(pods: Pods) -> Kinform:
    """Returns a store to write to, with the first state."""
    store = Kinform()
    store.relist(pods.before.batches)
    return store


@pytest.fixture(scope="session")
def dict_of_bytes(pods: Pods) -> DictOfBytes:
    """Returns a dict of bytes to read from, with the first state."""
    store = DictOfBytes()
    store.put(pods.before.batches)
    return store


@pytest.fixture(scope="session")
def dict_of_dicts(pods: Pods) -> DictOfDicts:
    """Returns a dict of dicts to read from, with the first state."""
    store = DictOfDicts(msgspec.json.Decoder(dict).decode)
    store.put(pods.before.batches)
    return store
