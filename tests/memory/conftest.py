"""Fixtures: servers, and processes that follow them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from benchmarks.harness.process import Process, python
from benchmarks.harness.waiting import wait_until_idle
from tests.memory.follower import TRIMMED_SECONDS, Follower, Source

SERVER, SUBJECT = python("benchmarks/harness/server.py"), python("benchmarks/peers/kinform_peer.py")
HERE = Path(__file__).parent

Follow = Callable[[Source], AbstractContextManager[Follower]]


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker."""
    config.addinivalue_line("markers", "memory: measures a process of its own, from outside")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of this folder: `-m "not memory"` deselects them."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.memory)


@contextmanager
def serving(resource: str, objects: int) -> Iterator[Source]:
    with Process(SERVER, resource=resource, objects=objects, seed=0, corpus=None) as process:
        yield Source(process)


@pytest.fixture(scope="session")
def namespaces() -> Iterator[Source]:
    """A server of many small objects."""
    with serving("namespaces", 30_000) as source:
        yield source


@pytest.fixture(scope="session")
def pods() -> Iterator[Source]:
    """A server of fewer, larger objects."""
    with serving("pods", 5_000) as source:
        yield source


@pytest.fixture(scope="session")
def few_namespaces() -> Iterator[Source]:
    """A server of few small objects."""
    with serving("namespaces", 1_000) as source:
        yield source


@pytest.fixture
def source(request: pytest.FixtureRequest) -> Source:
    """Returns the server that the parameter names, in its initial state."""
    source: Source = request.getfixturevalue(request.param)
    source.process.do("reset")
    return source


@pytest.fixture(scope="session")
def idle(few_namespaces: Source) -> int:
    """Measures the resident bytes of a process that follows an empty collection."""
    with Process(SUBJECT, url=few_namespaces.url, resource="v1/nothings", handler=False) as process:
        process.do("connect")
        process.do("sync")
        wait_until_idle(process.gauge, 20.0, idle_seconds=TRIMMED_SECONDS)
        return process.gauge.rss()


@pytest.fixture
def follow(idle: int) -> Follow:
    """Starts a process that follows a server; yields it once it is synced and idle."""

    @contextmanager
    def follow(source: Source) -> Iterator[Follower]:
        with Process(SUBJECT, url=source.url, resource=source.resource, handler=False) as process:
            process.do("connect")
            process.do("sync")
            wait_until_idle(process.gauge, 20.0, idle_seconds=TRIMMED_SECONDS)
            yield Follower(source, process, idle)

    return follow
