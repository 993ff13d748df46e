"""What writing takes: changes one after another, and a relist in which nothing has changed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import pytest

from benchmarks.micro.conftest import Timed
from benchmarks.micro.json_modules import MODULES
from benchmarks.micro.pods import Pods
from benchmarks.micro.stores import DictOfBytes, DictOfDicts, Held

RIVALS: dict[str, Callable[[], Held]] = {
    "dict of bytes": DictOfBytes,
    **{f"dict of dicts, {name}": partial(DictOfDicts, module.loads) for name, module in MODULES.items()},
}
NAMES = ("kinform", *RIVALS)


@pytest.fixture
def held(request: pytest.FixtureRequest, name: str, pods: Pods) -> Held:
    """The one that is asked for, with the first state."""
    if name == "kinform":
        made: Held = request.getfixturevalue("written")
    else:
        made = RIVALS[name]()
    made.put(pods.before.batches)
    return made


@pytest.mark.benchmark(group="put")
@pytest.mark.parametrize("name", NAMES)
def test_put(timed: Timed, pods: Pods, name: str, held: Held) -> None:
    held.put(pods.after.batches)
    assert held.content() == pods.after.objects
    held.put(pods.before.batches)
    assert held.content() == pods.before.objects
    state = itertools.cycle((pods.after, pods.before))
    timed(lambda: held.put(next(state).batches), objects=len(pods.keys), size=pods.before.raw_bytes)


@pytest.mark.benchmark(group="relist, nothing changed")
@pytest.mark.parametrize("name", NAMES)
def test_relist(timed: Timed, pods: Pods, name: str, held: Held) -> None:
    held.relist(pods.before.batches)
    assert held.content() == pods.before.objects
    timed(lambda: held.relist(pods.before.batches), objects=len(pods.keys), size=pods.before.raw_bytes)
