"""What reading an object's bytes takes, in random order; and by how kinform keeps it.

As it came, or, once the background was through with it, coded against a base (a dictionary or a prefix), or as a delta
against an exemplar: one that is open, as the last few are, or one that is not and has to be read itself first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import msgspec
import pytest

from benchmarks.micro.conftest import Timed
from benchmarks.micro.json_modules import MODULES
from benchmarks.micro.pods import Pods, each
from benchmarks.micro.stores import DictOfBytes, DictOfDicts, Kinform, through
from kinform._codec import zstd

DICTS = ("dict of bytes", *(f"dict of dicts, {name}" for name in MODULES))
CLOSED = "kinform, a closed exemplar"
FEW = 2_000
"""Pods below which there may be no exemplars."""


@pytest.mark.benchmark(group="raw")
@pytest.mark.parametrize("name", ["kinform"])
def test_raw(timed: Timed, pods: Pods, ours: Kinform, name: str) -> None:
    assert all(ours.store.raw(key) == raw for key, raw in pods.before.raw.items())
    timed(lambda: each(pods.keys, ours.store.raw), objects=len(pods.keys), size=pods.before.raw_bytes)


@pytest.mark.benchmark(group="raw")
@pytest.mark.parametrize("name", ["kinform, as it came"])
def test_raw_as_it_came(timed: Timed, pods: Pods, written: Kinform, name: str) -> None:
    written.put(pods.after.batches)
    written.put(pods.before.batches)
    assert all(written.store.raw(key) == raw for key, raw in pods.before.raw.items())
    timed(lambda: each(pods.keys, written.store.raw), objects=len(pods.keys), size=pods.before.raw_bytes)


def _of_base(pods: Pods, ours: Kinform) -> list[str]:
    codecs, bases = ours.codecs(), ours.bases()
    return [key for key in pods.keys if codecs[key] in bases]


def _of_open(pods: Pods, ours: Kinform) -> list[str]:
    """Of as many exemplars as may be open at a time, those with the most deltas."""
    chosen, room = set[str](), zstd.READY_BYTES * 3 // 4
    for members in sorted(_deltas(pods, ours), key=len, reverse=True):
        room -= max(len(pods.before.raw[key]) for key in members)
        if room < 0:
            break
        chosen.update(members)
    return [key for key in pods.keys if key in chosen]


def _of_closed(pods: Pods, ours: Kinform) -> list[str]:
    """One of each exemplar: the first reading of it."""
    return [members[0] for members in _deltas(pods, ours)]


def _deltas(pods: Pods, ours: Kinform) -> list[list[str]]:
    """The keys that are coded against each exemplar."""
    members, codecs, others = defaultdict(list), ours.codecs(), ours.bases() | ours.PLAIN
    for key in pods.keys:
        if codecs[key] not in others:
            members[codecs[key]].append(key)
    return list(members.values())


KEPT: dict[str, Callable[[Pods, Kinform], list[str]]] = {
    "kinform, against a base": _of_base,
    "kinform, an open exemplar": _of_open,
    CLOSED: _of_closed,
}


@pytest.mark.benchmark(group="raw")
@pytest.mark.parametrize("name", KEPT)
def test_raw_by_how_it_is_kept(timed: Timed, pods: Pods, ours: Kinform, name: str) -> None:
    keys, close = KEPT[name](pods, ours), zstd._ready.clear
    if not keys and len(pods.keys) < FEW:
        pytest.skip("none of so few pods is kept so")
    assert keys, "none of the pods is kept so"
    close()
    assert all(ours.store.raw(key) == pods.before.raw[key] for key in keys)
    size = sum(len(pods.before.raw[key]) for key in keys)
    before = close if name == CLOSED else None
    timed(lambda: each(keys, ours.store.raw), objects=len(keys), size=size, before=before)


@pytest.mark.benchmark(group="raw")
@pytest.mark.parametrize("name", DICTS)
def test_raw_of_dicts(timed: Timed, pods: Pods, of_bytes: DictOfBytes, of_dicts: DictOfDicts, name: str) -> None:
    reads: dict[str, Callable[[str], bytes]] = {
        "dict of bytes": of_bytes.held.__getitem__,
        **{f"dict of dicts, {name}": through(module.dumps, of_dicts.held) for name, module in MODULES.items()},
    }
    read = reads[name]
    assert all(msgspec.json.decode(read(key)) == found for key, found in pods.before.objects.items())
    timed(lambda: each(pods.keys, read), objects=len(pods.keys), size=pods.before.raw_bytes)
