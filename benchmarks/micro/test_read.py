"""What reading one object takes, in random order: to a dict and to a small struct."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from benchmarks.micro.conftest import Timed
from benchmarks.micro.json_modules import MODULES
from benchmarks.micro.pods import Pods, Small, each
from benchmarks.micro.stores import DictOfBytes, DictOfDicts, Kinform, through

Read = Callable[[str], object]

GET = ("kinform", *(f"dict of bytes, {name}" for name in MODULES), "dict of dicts")
STRUCT = ("kinform", "dict of bytes, msgspec", "dict of dicts, msgspec.convert")


@pytest.mark.benchmark(group="get, to a dict")
@pytest.mark.parametrize("name", GET)
def test_get(timed: Timed, pods: Pods, ours: Kinform, of_bytes: DictOfBytes, of_dicts: DictOfDicts, name: str) -> None:
    reads: dict[str, Read] = {
        "kinform": ours.store.__getitem__,
        "dict of dicts": of_dicts.held.__getitem__,
        **{f"dict of bytes, {name}": through(module.loads, of_bytes.held) for name, module in MODULES.items()},
    }
    read = reads[name]
    assert {key: read(key) for key in pods.keys} == pods.before.objects
    timed(lambda: each(pods.keys, read), objects=len(pods.keys), size=pods.before.raw_bytes)


@pytest.mark.benchmark(group="get, to a small struct")
@pytest.mark.parametrize("name", STRUCT)
def test_struct(
    timed: Timed, pods: Pods, ours: Kinform, of_bytes: DictOfBytes, of_dicts: DictOfDicts, name: str
) -> None:
    reads: dict[str, Read] = {
        "kinform": ours.small.__getitem__,
        "dict of bytes, msgspec": through(msgspec.json.Decoder(Small).decode, of_bytes.held),
        "dict of dicts, msgspec.convert": through(lambda found: msgspec.convert(found, Small), of_dicts.held),
    }
    read = reads[name]
    assert all(read(key) == msgspec.convert(found, Small) for key, found in pods.before.objects.items())
    timed(lambda: each(pods.keys, read), objects=len(pods.keys), size=pods.before.raw_bytes)
