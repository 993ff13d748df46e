"""Iterating over a collection: keys, objects, and the keys of an index value."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import pytest

from benchmarks.micro.conftest import Timed
from benchmarks.micro.json_modules import MODULES
from benchmarks.micro.pods import Decoded, Pods, read_each
from benchmarks.micro.stores import INDEX, DictOfBytes, DictOfDicts, Kinform

ITEMS = ("kinform", *(f"dict of bytes, {name}" for name in MODULES), "dict of dicts")


@pytest.mark.benchmark(group="keys")
@pytest.mark.parametrize("name", ["kinform", "dict"])
def test_keys(timed: Timed, pods: Pods, stored: Kinform, dict_of_bytes: DictOfBytes, name: str) -> None:
    keys = stored.store.keys if name == "kinform" else dict_of_bytes.items.keys
    assert sorted(keys()) == sorted(pods.keys)
    timed(lambda: list(keys()), objects=len(pods.keys))


@pytest.mark.benchmark(group="index look-up, keys")
@pytest.mark.parametrize("name", ["kinform", "dict of sets"])
def test_index_keys(timed: Timed, pods: Pods, stored: Kinform, dict_of_bytes: DictOfBytes, name: str) -> None:
    index_keys, sets = stored.store.index_keys, dict_of_bytes.by_node
    look_up: Callable[[str], list[str]] = {
        "kinform": lambda node: index_keys(INDEX, node),
        "dict of sets": lambda node: sorted(sets[node]),
    }[name]
    assert {node: look_up(node) for node in pods.nodes} == pods.by_node
    timed(lambda: read_each(pods.nodes, look_up), objects=len(pods.nodes))


def _decoded(loads: Callable[[bytes], Decoded], dict_of_bytes: DictOfBytes) -> Iterator[tuple[str, Decoded]]:
    return ((key, loads(raw)) for key, raw in dict_of_bytes.items.items())


@pytest.mark.benchmark(group="iterate, to dicts")
@pytest.mark.parametrize("name", ITEMS)
def test_items(
    timed: Timed, pods: Pods, stored: Kinform, dict_of_bytes: DictOfBytes, dict_of_dicts: DictOfDicts, name: str
) -> None:
    walks: dict[str, Callable[[], Iterable[tuple[str, Decoded]]]] = {
        "kinform": stored.store.items,
        "dict of dicts": dict_of_dicts.items.items,
        **{
            f"dict of bytes, {name}": partial(_decoded, module.loads, dict_of_bytes) for name, module in MODULES.items()
        },
    }
    walk = walks[name]
    assert dict(walk()) == pods.before.objects
    timed(lambda: deque(walk(), maxlen=0), objects=len(pods.keys), size=pods.before.raw_bytes)
