"""Reading one object as a dict and as a struct, and all objects as at each poll."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
import pytest

from benchmarks.micro.conftest import Timed
from benchmarks.micro.json_modules import MODULES
from benchmarks.micro.pods import Decoded, Pods, Small, read_each
from benchmarks.micro.stores import DictOfBytes, DictOfDicts, Kinform, through

Read = Callable[[str], object]

GET = ("kinform", *(f"dict of bytes, {name}" for name in MODULES), "dict of dicts")
POLL = ("kinform", "kinform with decoded_cache", "dict of dicts")
STRUCT = ("kinform", "dict of bytes, msgspec", "dict of dicts, msgspec.convert")


@pytest.fixture
def as_dict(name: str, stored: Kinform, dict_of_bytes: DictOfBytes, dict_of_dicts: DictOfDicts) -> Read:
    """Returns the read of one object as a dict from the store that `name` names."""
    reads: dict[str, Read] = {
        "kinform": stored.store.__getitem__,
        "dict of dicts": dict_of_dicts.items.__getitem__,
        **{f"dict of bytes, {each}": through(module.loads, dict_of_bytes.items) for each, module in MODULES.items()},
    }
    return reads[name]


@pytest.fixture
def as_struct(name: str, stored: Kinform, dict_of_bytes: DictOfBytes, dict_of_dicts: DictOfDicts) -> Read:
    """Returns the read of one object as a small struct from a store."""
    reads: dict[str, Read] = {
        "kinform": stored.small.__getitem__,
        "dict of bytes, msgspec": through(msgspec.json.Decoder(Small).decode, dict_of_bytes.items),
        "dict of dicts, msgspec.convert": through(lambda found: msgspec.convert(found, Small), dict_of_dicts.items),
    }
    return reads[name]


def _time_dicts(timed: Timed, pods: Pods, read: Read, keys: list[str]) -> None:
    assert all(read(key) == found for key, found in pods.before.objects.items())
    timed(lambda: read_each(keys, read), objects=len(keys), size=pods.before.raw_bytes)


def _time_structs(timed: Timed, pods: Pods, read: Read, keys: list[str]) -> None:
    assert all(read(key) == msgspec.convert(found, Small) for key, found in pods.before.objects.items())
    timed(lambda: read_each(keys, read), objects=len(keys), size=pods.before.raw_bytes)


@pytest.mark.benchmark(group="get, to a dict, key order")
@pytest.mark.parametrize("name", GET)
def test_get_in_key_order(timed: Timed, pods: Pods, as_dict: Read, name: str) -> None:
    _time_dicts(timed, pods, as_dict, pods.ordered)


@pytest.mark.benchmark(group="get, to a dict, random order")
@pytest.mark.parametrize("name", GET)
def test_get_in_random_order(timed: Timed, pods: Pods, as_dict: Read, name: str) -> None:
    _time_dicts(timed, pods, as_dict, pods.keys)


@pytest.mark.benchmark(group="get, to a small struct, key order")
@pytest.mark.parametrize("name", STRUCT)
def test_struct_in_key_order(timed: Timed, pods: Pods, as_struct: Read, name: str) -> None:
    _time_structs(timed, pods, as_struct, pods.ordered)


@pytest.mark.benchmark(group="get, to a small struct, random order")
@pytest.mark.parametrize("name", STRUCT)
def test_struct_in_random_order(timed: Timed, pods: Pods, as_struct: Read, name: str) -> None:
    _time_structs(timed, pods, as_struct, pods.keys)


@pytest.mark.benchmark(group="sort all objects")
@pytest.mark.parametrize("name", POLL)
def test_sort_all(timed: Timed, pods: Pods, stored: Kinform, dict_of_dicts: DictOfDicts, name: str) -> None:
    values: dict[str, Callable[[], Iterable[Decoded]]] = {
        "kinform": stored.store.values,
        "kinform with decoded_cache": stored.cached.values,
        "dict of dicts": dict_of_dicts.items.values,
    }
    read = values[name]
    expected = sorted(pods.before.objects.values(), key=_created)
    assert sorted(read(), key=_created) == expected  # and fills the cache
    timed(lambda: sorted(read(), key=_created), objects=len(expected))


def _created(found: Decoded) -> tuple[str, str]:
    return found["metadata"]["creationTimestamp"], found["metadata"]["uid"]
