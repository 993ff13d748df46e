"""Reading an object's bytes in random order, by how kinform has coded it.

An object is not recoded before the background pass. Then it is coded against a base (a dictionary or a prefix), or as a
delta against an exemplar. An exemplar is cached if it was used recently; otherwise it is read first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import msgspec
import pytest

from benchmarks.micro.conftest import Timed
from benchmarks.micro.json_modules import MODULES
from benchmarks.micro.pods import Pods, read_each
from benchmarks.micro.stores import DictOfBytes, DictOfDicts, Kinform, through
from kinform._codec import zstd

DICTS = ("dict of bytes", *(f"dict of dicts, {name}" for name in MODULES))
UNCACHED = "kinform, uncached exemplar"
MIN_PODS_WITH_EXEMPLARS = 2_000
"""With fewer pods there may be no exemplars."""


@pytest.mark.benchmark(group="raw")
@pytest.mark.parametrize("name", ["kinform"])
def test_raw(timed: Timed, pods: Pods, recoded: Kinform, name: str) -> None:
    assert all(recoded.store.raw(key) == raw for key, raw in pods.before.raw.items())
    timed(lambda: read_each(pods.keys, recoded.store.raw), objects=len(pods.keys), size=pods.before.raw_bytes)


@pytest.mark.benchmark(group="raw")
@pytest.mark.parametrize("name", ["kinform, not recoded"])
def test_raw_not_recoded(timed: Timed, pods: Pods, writable: Kinform, name: str) -> None:
    writable.put(pods.after.batches)
    writable.put(pods.before.batches)
    assert all(writable.store.raw(key) == raw for key, raw in pods.before.raw.items())
    timed(lambda: read_each(pods.keys, writable.store.raw), objects=len(pods.keys), size=pods.before.raw_bytes)


def _coded_against_base(pods: Pods, recoded: Kinform) -> list[str]:
    codecs, bases = recoded.codecs(), recoded.bases()
    return [key for key in pods.keys if codecs[key] in bases]


def _of_cached_exemplars(pods: Pods, recoded: Kinform) -> list[str]:
    """The keys of the exemplars with the most deltas, of as many as the cache holds."""
    chosen, room = set[str](), zstd.READY_BYTES * 3 // 4
    for members in sorted(_deltas(pods, recoded), key=len, reverse=True):
        room -= max(len(pods.before.raw[key]) for key in members)
        if room < 0:
            break
        chosen.update(members)
    return [key for key in pods.keys if key in chosen]


def _of_uncached_exemplars(pods: Pods, recoded: Kinform) -> list[str]:
    """Returns a key of each exemplar, so that each read misses the cache."""
    return [members[0] for members in _deltas(pods, recoded)]


def _deltas(pods: Pods, recoded: Kinform) -> list[list[str]]:
    """The keys of each exemplar's deltas."""
    members, codecs, others = defaultdict(list), recoded.codecs(), recoded.bases() | recoded.PLAIN
    for key in pods.keys:
        if codecs[key] not in others:
            members[codecs[key]].append(key)
    return list(members.values())


CODINGS: dict[str, Callable[[Pods, Kinform], list[str]]] = {
    "kinform, base": _coded_against_base,
    "kinform, cached exemplar": _of_cached_exemplars,
    UNCACHED: _of_uncached_exemplars,
}


@pytest.mark.benchmark(group="raw")
@pytest.mark.parametrize("name", CODINGS)
def test_raw_by_coding(timed: Timed, pods: Pods, recoded: Kinform, name: str) -> None:
    keys, clear_cache = CODINGS[name](pods, recoded), zstd._ready.clear
    if not keys and len(pods.keys) < MIN_PODS_WITH_EXEMPLARS:
        pytest.skip("too few pods for this coding")
    assert keys, "no pod has this coding"
    clear_cache()
    assert all(recoded.store.raw(key) == pods.before.raw[key] for key in keys)
    size = sum(len(pods.before.raw[key]) for key in keys)
    before = clear_cache if name == UNCACHED else None
    timed(lambda: read_each(keys, recoded.store.raw), objects=len(keys), size=size, before=before)


@pytest.mark.benchmark(group="raw")
@pytest.mark.parametrize("name", DICTS)
def test_raw_dicts(timed: Timed, pods: Pods, dict_of_bytes: DictOfBytes, dict_of_dicts: DictOfDicts, name: str) -> None:
    reads: dict[str, Callable[[str], bytes]] = {
        "dict of bytes": dict_of_bytes.items.__getitem__,
        **{f"dict of dicts, {name}": through(module.dumps, dict_of_dicts.items) for name, module in MODULES.items()},
    }
    read = reads[name]
    assert all(msgspec.json.decode(read(key)) == found for key, found in pods.before.objects.items())
    timed(lambda: read_each(pods.keys, read), objects=len(pods.keys), size=pods.before.raw_bytes)
