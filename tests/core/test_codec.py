"""The codec on a real table: objects stay readable whatever the background does."""

from __future__ import annotations

import asyncio
import contextlib
import json
from random import Random
from typing import Any

import pytest

from kinform._codec import codec, training
from kinform._codec.codec import PLAIN, PLAIN_DONE, UNCOMPRESSED, Codec
from kinform._codec.zstd import Dictionary, Prefix
from kinform_ext._table import Table


class Collection:
    """A table, its codec, and the objects that it should hold."""

    def __init__(self, state: bytes | None = None) -> None:
        self.table = Table()
        self.codec = Codec(self.table, rest_ratio=0)
        if state is not None:
            self.codec.restore(state)
        self.written: dict[str, bytes] = {}
        self.version = 0

    def put(self, key: str, found: dict[str, Any] | bytes, *, initial: bool = False) -> None:
        raw = found if isinstance(found, bytes) else json.dumps(found, separators=(",", ":")).encode()
        namespace, _, name = key.rpartition("/")
        self.version += 1
        self.table.put(0, namespace, name, "", str(self.version), raw, initial, False)
        self.written[key] = raw

    def delete(self, key: str) -> None:
        self.table.delete(0, key, False)
        del self.written[key]

    def check(self) -> None:
        assert len(self.table) == len(self.written)
        for key, raw in self.written.items():
            assert self.table.raw(key) == raw, key

    @property
    def blob_bytes(self) -> int:
        return self.table.stats()["blob_bytes"]

    def coded(self, codec: int) -> int:
        return len(self.table.ids_with_codec(codec, 0, 1_000_000))

    def deltas(self) -> int:
        return len(self.table) - sum(map(self.coded, (UNCOMPRESSED, PLAIN, PLAIN_DONE))) - self.against_bases()

    def delta(self, key: str) -> bool:
        bases = {UNCOMPRESSED, PLAIN, PLAIN_DONE}.union(*self.codec.base_codecs())
        return self.table.version_of(self.table.find(key)).codec not in bases

    def against_bases(self) -> int:
        return sum(self.coded(each) for pair in self.codec.base_codecs() for each in pair)


def widget(number: int, rng: Random, *, fields: int = 6, shape: str = "part") -> dict[str, Any]:
    """Makes an object that shares only member names with others of its shape."""
    return {
        "apiVersion": "factory.example/v1",
        "kind": "Widget",
        "metadata": {"name": f"w{number}", "labels": {"line": f"line-{rng.randrange(5)}", "shift": "night"}},
        "spec": {f"{shape}{i}Tolerance": {"value": rng.randrange(10**9), "unit": "micrometre"} for i in range(fields)},
        "status": {"inspectedBy": f"{rng.randrange(16**12):012x}", "phase": rng.choice(("Cut", "Milled", "Packed"))},
    }


def replica(template: int, number: int, rng: Random, size: int = 120) -> dict[str, Any]:
    """Makes a replica of a template. Two templates share no values."""
    own = Random(template)
    return {
        "metadata": {
            "generateName": f"t{template}-",
            "name": f"t{template}-{number}",
            "ownerReferences": [{"kind": "ReplicaSet", "uid": f"{own.randrange(16**32):032x}"}],
        },
        "spec": {f"key{i}": f"{own.randrange(16**40):040x}" for i in range(size)},
        "status": {"address": f"10.0.{rng.randrange(256)}.{rng.randrange(256)}"},
    }


def widgets(collection: Collection, count: int, **shape: Any) -> None:
    rng = Random(count)
    for number in range(count):
        collection.put(f"shop/w{number}", widget(number, rng, **shape))


def manuals(collection: Collection, count: int) -> None:
    """Adds widgets that have most of their bytes in common."""
    rng, manual = Random(count), f"{Random(0).randrange(16**3_000):03000x}"
    for number in range(count):
        collection.put(f"shop/w{number}", widget(number, rng) | {"manual": manual})


def large(monkeypatch: pytest.MonkeyPatch) -> Collection:
    """Makes a collection that counts as large enough for a dictionary."""
    monkeypatch.setattr(training, "MAX_PLAIN_FOR_PREFIX", 1 << 19)
    made = Collection()
    manuals(made, 900)
    return made


async def test_a_handful_of_objects_is_kept_without_a_dictionary():
    small = Collection()
    widgets(small, 10)
    await small.codec.drain()
    small.check()
    assert small.codec.base is None
    assert small.coded(PLAIN_DONE) == 10
    assert small.codec.dictionary_bytes < 16 << 10


async def test_a_small_collection_gets_a_prefix_of_a_few_kilobytes():
    small = Collection()
    widgets(small, 120)
    before = small.blob_bytes
    await small.codec.drain()
    small.check()
    assert isinstance(small.codec.base, Prefix)
    assert small.codec.dictionary_bytes < 64 << 10
    assert small.blob_bytes < before * 0.6


async def test_a_large_collection_gets_a_dictionary_for_new_objects(monkeypatch: pytest.MonkeyPatch):
    found = large(monkeypatch)
    before = found.blob_bytes
    await found.codec.drain()
    found.check()
    assert isinstance(found.codec.base, Dictionary)
    assert found.blob_bytes < before * 0.2
    assert found.coded(PLAIN) == found.coded(PLAIN_DONE) == 0
    ((inline, _),) = found.codec.base_codecs()
    manuals(found, 10)
    assert found.coded(inline) == 10
    found.check()


async def test_a_first_list_is_compressed_with_an_early_dictionary(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(codec, "EARLY_OBJECTS", 200)
    first = Collection()
    rng = Random(1)
    first.codec.paused = True
    first.table.begin(0)
    for number in range(400):
        first.put(f"shop/w{number}", widget(number, rng), initial=True)
        if number == 200:
            assert await first.codec.run_pass()
    assert isinstance(first.codec.base, Dictionary)
    first.table.commit(0)
    while first.table.sweep(0, 100, False)[1]:
        pass
    assert first.coded(PLAIN) == 201
    assert first.against_bases() == 199
    first.codec.paused = False
    await first.codec.drain()
    first.check()
    assert first.coded(PLAIN) == 0
    assert len(first.codec.base_codecs()) == 1, "the first one is released with its last object"


async def test_no_samples_are_kept_after_the_last_early_dictionary(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(codec, "EARLY_OBJECTS", 100)
    monkeypatch.setattr(codec, "MAX_EARLY_DICTIONARIES", 2)
    first = Collection()
    rng = Random(1)
    first.codec.paused = True
    first.table.begin(0)
    for number in range(410):
        assert first.table.observer is not None
        first.put(f"shop/w{number}", widget(number, rng), initial=True)
        if number in (100, 409):
            assert await first.codec.run_pass()
    assert len(first.codec.base_codecs()) == 2
    assert first.table.observer is None


async def test_nothing_is_recompressed_while_paused():
    held = Collection()
    widgets(held, 100)
    held.codec.paused = True
    assert not await held.codec.run_pass()
    assert held.coded(PLAIN) == 100
    waiting = asyncio.create_task(held.codec.drain())
    await asyncio.sleep(0)
    assert not waiting.done()
    held.codec.paused = False
    await waiting
    assert held.coded(PLAIN) == 0


async def test_replicas_become_deltas_against_one_exemplar():
    rng = Random(2)
    found = Collection()
    for template in range(30):
        for number in range(6):
            found.put(f"shop/t{template}-{number}", replica(template, number, rng))
    await found.codec.drain()
    found.check()
    assert 15 <= found.codec.exemplars <= 30
    assert found.deltas() > 5 * found.codec.exemplars
    assert found.blob_bytes / 180 < 200


async def test_copies_in_many_namespaces_are_found_by_name_or_content():
    rng = Random(3)
    bundle = "".join(f"{rng.randrange(16**60):060x}\\n" for _ in range(300))
    found = Collection()
    for number in range(30):
        copied = {"metadata": {"name": "root-ca.crt"}, "data": {"ca.crt": bundle}}
        found.put(f"ns{number}/root-ca.crt", copied)
        renamed = {"metadata": {"name": f"other-{number}"}, "data": {f"k{i}": bundle[i * 61 :][:900] for i in range(9)}}
        found.put(f"ns{number}/other-{number}", renamed)
    await found.codec.drain()
    found.check()
    assert found.codec.exemplars <= 4
    assert found.blob_bytes < 60 * 400


async def test_objects_with_nothing_in_common_make_no_exemplars():
    rng = Random(4)
    found = Collection()
    for number in range(300):
        values = {f"{rng.randrange(16**8):08x}": f"{rng.randrange(16**40):040x}" for _ in range(20)}
        found.put(f"shop/n{number}", {"metadata": {"name": f"n{number}"}, "spec": values})
    await found.codec.drain()
    found.check()
    assert found.codec.exemplars == 0


async def test_incompressible_objects_stay_uncompressed():
    rng = Random(5)
    found = Collection()
    for number in range(40):
        found.put(f"shop/r{number}", rng.randbytes(400))
    await found.codec.drain()
    found.check()
    assert found.coded(UNCOMPRESSED) == 40


async def test_exemplars_are_released_with_their_last_object():
    rng = Random(6)
    found = Collection()
    for number in range(200):
        found.put(f"shop/t{number}", replica(number % 40, number, rng))
    await found.codec.drain()
    before = found.codec.exemplars
    assert before > 20
    for key in [key for key, raw in found.written.items() if b'-39"' not in raw and b'"t3' in raw]:
        found.delete(key)
    await found.codec.run_pass()
    assert 0 < found.codec.exemplars < before
    found.check()
    kept = next(key for key in found.written if found.delta(key))
    held = found.table.version_of(found.table.find(kept))
    was = found.written[kept]
    for key in list(found.written):
        found.delete(key)
    found.put("shop/last", {"metadata": {"name": "last"}})
    await found.codec.run_pass()
    assert found.codec.exemplars == 1, "a copy in the queue of a handler still needs one"
    assert held.raw() == was
    del held
    await found.codec.run_pass()
    assert found.codec.exemplars == 0
    found.check()


async def test_a_rollout_that_changes_every_shape_makes_a_new_base():
    found = Collection()
    widgets(found, 400)
    await found.codec.drain()
    old = found.codec.base
    rng = Random(7)
    for number in range(400):
        found.put(f"shop/w{number}", widget(number, rng, fields=20, shape=f"quiteAnotherGauge{number % 3}"))
    await found.codec.drain()
    assert found.codec.base is not old
    assert len(found.codec.base_codecs()) == 1
    found.check()
    fresh = Collection()
    for key, raw in found.written.items():
        fresh.put(key, raw)
    await fresh.codec.drain()
    assert found.blob_bytes < fresh.blob_bytes * 1.1


async def test_a_collection_that_grew_chooses_a_new_base():
    found = Collection()
    widgets(found, 20)
    await found.codec.drain()
    small = found.codec.base
    widgets(found, 600, shape="gauge", fields=12)
    await found.codec.drain()
    assert found.codec.base is not small
    found.check()


@pytest.mark.parametrize("left", [0, 5, 40])
async def test_a_collection_that_shrank_releases_its_dictionary(left: int, monkeypatch: pytest.MonkeyPatch):
    found = large(monkeypatch)
    await found.codec.drain()
    assert isinstance(found.codec.base, Dictionary)
    for key in list(found.written)[left:]:
        found.delete(key)
    await found.codec.drain()
    assert found.codec.dictionary_bytes < 16 << 10
    assert found.table.encoder_codec == PLAIN
    assert len(found.codec.base_codecs()) <= 1
    found.check()
    widgets(found, 600)
    await found.codec.drain()
    found.check()


async def test_large_objects_may_change_while_a_thread_compresses_them():
    rng = Random(8)
    found = Collection()
    text = " ".join(f"{rng.randrange(10**6)}" for _ in range(20_000))
    for number in range(20):
        found.put(f"ns{number}/big", {"metadata": {"name": "big"}, "data": {"a": text + str(number)}})
    work = asyncio.create_task(found.codec.drain())
    for number in range(200):
        await asyncio.sleep(0)
        found.put(f"ns{number % 20}/big", {"metadata": {"name": "big"}, "data": {"a": text + str(rng.random())}})
    await work
    await found.codec.drain()
    found.check()
    assert found.codec.exemplars >= 1
    assert found.blob_bytes < 20 * 2_000


async def test_cancelled_thread_work_leaves_everything_readable():
    rng = Random(8)
    found = Collection()
    text = " ".join(f"{rng.randrange(10**6)}" for _ in range(20_000))
    for number in range(20):
        found.put(f"ns{number}/big", {"metadata": {"name": "big"}, "data": {"a": text + str(number)}})
    for steps in range(1, 12):
        work = asyncio.create_task(found.codec.drain())
        for _ in range(steps):
            await asyncio.sleep(0)
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        found.check()
    await found.codec.drain()
    found.check()


@pytest.mark.parametrize("seed", range(6))
async def test_objects_stay_intact_under_random_changes(seed: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(codec, "SLICE_SECONDS", 0.0)  # yield as often as possible
    rng = Random(seed)
    found = Collection()
    iterators = []
    work = asyncio.create_task(found.codec.run())
    for _ in range(800):
        key = f"ns{rng.randrange(4)}/n{rng.randrange(120)}"
        match rng.randrange(12):
            case 0 if key in found.written:
                found.delete(key)
            case 1:
                await asyncio.sleep(0)
                found.codec.paused = rng.randrange(3) == 0
            case 2:
                iterators.append((found.table.ids(), dict(found.written)))
            case 3 if iterators:
                ids, state = iterators.pop(rng.randrange(len(iterators)))
                assert {found.table.key_of(id): found.table.raw_of(id) for id in ids} == state
            case 4:
                found.put(key, rng.randbytes(rng.randrange(1, 600)))
            case 5:
                shape = rng.choice(("part", "gauge"))
                found.put(key, widget(1, rng, shape=shape))
            case _:
                found.put(key, replica(rng.randrange(9), 1, rng))
        await asyncio.sleep(0)
        if not rng.randrange(50):
            found.check()
    found.codec.paused = False
    await found.codec.drain()
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work
    found.check()
    for ids, state in iterators:
        assert {found.table.key_of(id): found.table.raw_of(id) for id in ids} == state


async def test_a_restored_state_reads_and_extends_the_collection():
    rng = Random(9)
    found = Collection()
    for number in range(150):
        found.put(f"shop/t{number}", replica(number % 30, number, rng))
    widgets(found, 150)
    await found.codec.drain()
    state = found.codec.state()
    again = Collection(state)
    ids = found.table.ids()
    while data := ids.dump(4_000):
        again.table.load(0, data)
    again.written = dict(found.written)
    again.check()
    assert again.codec.exemplars == found.codec.exemplars > 0
    assert again.codec.state() == state
    await again.codec.drain()
    before = again.deltas()
    for number in range(150, 180):
        again.put(f"shop/t{number}", replica(number % 30, number, rng))
    await again.codec.drain()
    again.check()
    assert again.codec.exemplars == found.codec.exemplars
    assert again.deltas() >= before + 10, "new objects find the restored exemplars"


@pytest.mark.parametrize("state", [b"", b"\x00", b"kinform", b"\x95\x63\x00\x02\x90\x90"])
def test_an_invalid_state_is_refused(state: bytes):
    with pytest.raises(ValueError, match="codec state"):
        Codec(Table()).restore(state)


async def test_a_truncated_state_is_refused():
    found = Collection()
    widgets(found, 200)
    await found.codec.drain()
    state = found.codec.state()
    for length in range(0, len(state), max(len(state) // 40, 1)):
        with pytest.raises(ValueError, match="codec state"):
            Codec(Table()).restore(state[:length])


async def test_a_small_collection_holds_little_more_than_its_prefix():
    codecs = []
    for _ in range(20):
        small = Collection()
        widgets(small, 40)
        await small.codec.drain()
        codecs.append(small.codec)
    assert sum(codec.dictionary_bytes for codec in codecs) < 20 * (20 << 10)
