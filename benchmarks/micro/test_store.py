"""Writes: new objects, changes, and a relist in which nothing has changed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import pytest

from benchmarks.micro.conftest import Timed
from benchmarks.micro.json_modules import MODULES
from benchmarks.micro.pods import Pods, State
from benchmarks.micro.stores import AnyStore, DictOfBytes, DictOfDicts, Kinform

RIVALS: dict[str, Callable[..., AnyStore]] = {
    "dict of bytes": DictOfBytes,
    **{f"dict of dicts, {name}": partial(DictOfDicts, module.loads) for name, module in MODULES.items()},
}
NAMES = ("kinform", *RIVALS)


@pytest.fixture
def store(request: pytest.FixtureRequest, name: str, pods: Pods) -> AnyStore:
    """Returns the store that `name` names, with the first state."""
    if name == "kinform":
        store: AnyStore = request.getfixturevalue("writable")
    else:
        store = RIVALS[name]()
    store.put(pods.before.batches)
    return store


def _time_new(timed: Timed, objects: State, name: str) -> None:
    """Times writes into an empty store without an index."""
    made = partial(Kinform if name == "kinform" else RIVALS[name], indexed=False)
    store = made()
    store.put(objects.batches)
    assert store.content() == objects.objects

    def empty() -> None:
        nonlocal store
        store = made()

    count, size = len(objects.objects), objects.raw_bytes
    timed(lambda: store.put(objects.batches), objects=count, size=size, before=empty)


@pytest.mark.benchmark(group="put, new pods")
@pytest.mark.parametrize("name", NAMES)
def test_put_new_pods(timed: Timed, pods: Pods, name: str) -> None:
    _time_new(timed, pods.before, name)


@pytest.mark.benchmark(group="put, new namespaces")
@pytest.mark.parametrize("name", NAMES)
def test_put_new_namespaces(timed: Timed, namespaces: State, name: str) -> None:
    _time_new(timed, namespaces, name)


@pytest.mark.benchmark(group="put, changed pods")
@pytest.mark.parametrize("name", NAMES)
def test_put(timed: Timed, pods: Pods, name: str, store: AnyStore) -> None:
    store.put(pods.after.batches)
    assert store.content() == pods.after.objects
    store.put(pods.before.batches)
    assert store.content() == pods.before.objects
    state = itertools.cycle((pods.after, pods.before))
    timed(lambda: store.put(next(state).batches), objects=len(pods.keys), size=pods.before.raw_bytes)


@pytest.mark.benchmark(group="relist, nothing changed")
@pytest.mark.parametrize("name", NAMES)
def test_relist(timed: Timed, pods: Pods, name: str, store: AnyStore) -> None:
    store.relist(pods.before.batches)
    assert store.content() == pods.before.objects
    timed(lambda: store.relist(pods.before.batches), objects=len(pods.keys), size=pods.before.raw_bytes)
