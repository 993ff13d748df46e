"""Reading one object in random order: as a dict and as a small struct."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from benchmarks.micro.conftest import Timed
from benchmarks.micro.json_modules import MODULES
from benchmarks.micro.pods import Pods, Small, read_each
from benchmarks.micro.stores import DictOfBytes, DictOfDicts, Kinform, through

Read = Callable[[str], object]

GET = ("kinform", *(f"dict of bytes, {name}" for name in MODULES), "dict of dicts")
STRUCT = ("kinform", "dict of bytes, msgspec", "dict of dicts, msgspec.convert")


@pytest.mark.benchmark(group="get, to a dict")
@pytest.mark.parametrize("name", GET)
def test_get(
    timed: Timed, pods: Pods, recoded: Kinform, dict_of_bytes: DictOfBytes, dict_of_dicts: DictOfDicts, name: str
) -> None:
    reads: dict[str, Read] = {
        "kinform": recoded.store.__getitem__,
        "dict of dicts": dict_of_dicts.items.__getitem__,
        **{f"dict of bytes, {name}": through(module.loads, dict_of_bytes.items) for name, module in MODULES.items()},
    }
    read = reads[name]
    assert {key: read(key) for key in pods.keys} == pods.before.objects
    timed(lambda: read_each(pods.keys, read), objects=len(pods.keys), size=pods.before.raw_bytes)


@pytest.mark.benchmark(group="get, to a small struct")
@pytest.mark.parametrize("name", STRUCT)
def test_struct(
    timed: Timed, pods: Pods, recoded: Kinform, dict_of_bytes: DictOfBytes, dict_of_dicts: DictOfDicts, name: str
) -> None:
    reads: dict[str, Read] = {
        "kinform": recoded.small.__getitem__,
        "dict of bytes, msgspec": through(msgspec.json.Decoder(Small).decode, dict_of_bytes.items),
        "dict of dicts, msgspec.convert": through(lambda found: msgspec.convert(found, Small), dict_of_dicts.items),
    }
    read = reads[name]
    assert all(read(key) == msgspec.convert(found, Small) for key, found in pods.before.objects.items())
    timed(lambda: read_each(pods.keys, read), objects=len(pods.keys), size=pods.before.raw_bytes)
