"""What the benchmarks share: the pods, the stores that hold them, and one way to be timed.

KINFORM_BENCH_OBJECTS in the environment says how many pods there are, 5,000 if it does not; KINFORM_BENCH_SEED which.
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

from benchmarks.harness.machine import machine
from benchmarks.micro.pods import Pods
from benchmarks.micro.stores import DictOfBytes, DictOfDicts, Kinform

OBJECTS = 5_000
HERE = Path(__file__).parent

Timed = Callable[..., None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """CPU time of the thread for all of them."""
    for item in items:
        marker = item.get_closest_marker("benchmark")
        if marker is not None and HERE in item.path.parents:
            item.add_marker(pytest.mark.benchmark(timer=time.thread_time, **marker.kwargs), append=False)


def pytest_benchmark_generate_machine_info() -> dict[str, Any]:
    """What matters of the machine, and neither its name nor its user's."""
    found = machine()
    return {name: found[name] for name in ("cpu", "cores", "kernel", "python", "versions")}


def pytest_benchmark_generate_commit_info() -> dict[str, Any]:
    """What is checked out, and nothing of who did that or where."""
    return {"id": machine()["commit"], "project": "kinform"}


@pytest.fixture(scope="package", autouse=True)
def no_garbage_collector() -> Iterator[None]:
    """It would go through all pods again and again, while they are timed and while answers are checked."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def timed(benchmark: BenchmarkFixture) -> Timed:
    """`timed(operation, objects=N, size=BYTES)`, once the answer was checked.

    `objects` and `size` are what one call goes through. What `before` does before each call is not timed.
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
            benchmark.pedantic(operation, setup=before, rounds=25, warmup_rounds=1)  # type: ignore[no-untyped-call]

    return timed


@pytest.fixture(scope="session")
def pods() -> Pods:
    """The pods."""
    return Pods(int(os.environ.get("KINFORM_BENCH_OBJECTS", OBJECTS)), int(os.environ.get("KINFORM_BENCH_SEED", 0)))


@pytest.fixture(scope="session")
def ours(pods: Pods) -> Kinform:
    """A store for readers, with the first state, once there is nothing to do in the background."""
    made = Kinform()
    made.relist(pods.before.batches)
    made.settle()
    return made


@pytest.fixture(scope="session")
def written(pods: Pods) -> Kinform:
    """A store for writers, where what was learnt of the pods is used for what comes."""
    made = Kinform()
    made.relist(pods.before.batches)
    made.settle()
    made.put(pods.after.batches)
    made.put(pods.before.batches)
    return made


@pytest.fixture(scope="session")
def of_bytes(pods: Pods) -> DictOfBytes:
    """For readers, with the first state."""
    made = DictOfBytes()
    made.put(pods.before.batches)
    return made


@pytest.fixture(scope="session")
def of_dicts(pods: Pods) -> DictOfDicts:
    """Likewise."""
    made = DictOfDicts(msgspec.json.Decoder(dict).decode)
    made.put(pods.before.batches)
    return made
