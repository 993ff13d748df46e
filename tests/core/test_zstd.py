"""Frames: round trips, several threads, and bounded memory."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from collections.abc import Callable
from random import Random

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kinform._codec import zstd
from kinform._codec.zstd import MAX_OPEN_BASES, Dictionary, Exemplar, Prefix, compress, decompress, plain_encoder


def objects(count: int, seed: int = 1) -> list[bytes]:
    rng = Random(seed)
    return [
        json.dumps({"kind": "Pod", "spec": {f"k{i}": rng.randrange(10**8) for i in range(30)}, "n": n}).encode()
        for n in range(count)
    ]


def dictionary() -> Dictionary:
    return Dictionary(zstandard.train_dictionary(4 << 10, objects(200)).as_bytes())


def bases() -> list[Prefix | Dictionary | Exemplar]:
    one, other = objects(2)
    over = dictionary()
    return [Prefix(one + other), over, Exemplar(compress(one), None, 9, ()), Exemplar(over.encoder()(one), over, 9, ())]


def run(functions: list[Callable[[], None]]) -> None:
    """Runs the functions in threads of their own, at the same time."""
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@given(st.binary(max_size=4_000))
def test_plain_frames_round_trip(data: bytes):
    assert decompress(compress(data)) == data
    assert decompress(plain_encoder()(memoryview(data))) == data


@pytest.mark.parametrize("size", [0, 1, 100, 70_000, 131_072, 131_073, 700_000])
@pytest.mark.parametrize("place", range(4))
def test_frames_of_every_base_round_trip(place: int, size: int):
    base = bases()[place]
    data = (b"".join(objects(3)) + Random(size).randbytes(50_000) * 20)[:size]
    assert base.decode(base.encoder()(data)) == data


def test_frames_of_the_fast_encoder_round_trip():
    base = dictionary()
    data = objects(1)[0]
    assert base.decode(base.fast_encoder()(data)) == data
    writing = base.held_bytes
    base.stop_writing()
    assert base.held_bytes < writing - base.writing_bytes // 2
    assert base.decode(dictionary().encoder()(data)) == data


def test_frames_have_only_the_content_size_as_a_header():
    assert len(compress(b"")) <= 5
    assert not compress(b"x" * 300).startswith(zstd.FRAME_MAGIC)


def test_a_prefix_of_several_blocks_round_trips():
    content = Random(1).randbytes(300_000)
    assert Prefix(content).content() == content
    assert Exemplar(compress(content), None, 9, ()).decode(Prefix(content).encoder()(content)) == content


def test_matches_are_found_in_all_of_a_large_prefix():
    content = Random(2).randbytes(300_000)
    assert len(Prefix(content).encoder()(content)) < 1_000


def test_rebasing_an_exemplar_keeps_its_deltas_readable():
    base, data = dictionary(), objects(3)
    exemplar = Exemplar(compress(data[0]), None, 9, ())
    delta = exemplar.encoder()(data[1])
    exemplar.rebase(base, base.encoder())
    assert exemplar.base is base
    assert exemplar.decode(delta) == data[1]


def exemplars(count: int, size: int = 20_000) -> list[tuple[Exemplar, bytes, bytes]]:
    """Makes exemplars, each with a delta and the object of the delta."""
    contents = [Random(seed).randbytes(size) for seed in range(count)]
    made = [Exemplar(compress(content), None, 9, ()) for content in contents]
    return [(each, each.encoder()(content), content) for each, content in zip(made, contents, strict=True)]


def ready_bytes(made: list[tuple[Exemplar, bytes, bytes]]) -> int:
    return sum(len(each.framed) for each, _, _ in made if each.framed is not None)


@pytest.fixture(autouse=True)
def nothing_ready():
    zstd._ready.clear()


def test_ready_exemplars_are_bounded():
    made = exemplars(60)
    for exemplar, delta, content in made:
        assert exemplar.decode(delta) == content
        assert ready_bytes(made) == zstd._ready.held_bytes <= zstd.READY_BYTES
    assert exemplar.framed is not None
    zstd._ready.clear()
    assert ready_bytes(made) == 0


def test_an_exemplar_in_use_stays_ready():
    (used, its, _), *others = exemplars(80)
    used.decode(its)
    for exemplar, delta, _ in others:
        used.decode(its)
        assert used.framed is not None
        exemplar.decode(delta)
    assert others[0][0].framed is None


def test_ready_frames_are_released_with_their_exemplar():
    made = exemplars(60)
    for exemplar, delta, _ in made:
        exemplar.decode(delta)
    gone = [weakref.ref(exemplar) for exemplar, _, _ in made]
    del made, exemplar
    assert [found() for found in gone] == [None] * len(gone)
    again = exemplars(60)
    for exemplar, delta, content in again:
        assert exemplar.decode(delta) == content
    assert 0 < ready_bytes(again) <= zstd._ready.held_bytes <= zstd.READY_BYTES


def test_a_large_exemplar_is_readable_but_never_ready():
    ((exemplar, delta, content),) = exemplars(1, zstd.READY_BYTES // 2)
    assert exemplar.decode(delta) == content
    assert exemplar.framed is None


def test_reading_does_not_wait_for_the_lock_of_ready_exemplars():
    ((exemplar, delta, content),) = exemplars(1)
    with zstd._ready._lock:
        assert exemplar.decode(delta) == content
        assert exemplar.framed is None


def test_ready_exemplars_are_bounded_with_several_threads():
    made = exemplars(60)
    wrong: list[int] = []

    def read(seed: int) -> None:
        rng = Random(seed)
        for _ in range(2_000):
            n = rng.randrange(len(made))
            exemplar, delta, content = made[n]
            if exemplar.decode(delta) != content:
                wrong.append(n)

    run([lambda seed=seed: read(seed) for seed in range(6)])
    assert not wrong
    assert ready_bytes(made) == zstd._ready.held_bytes <= zstd.READY_BYTES


def test_open_dictionaries_are_bounded():
    content = dictionary().content()
    opened = [Dictionary(content) for _ in range(MAX_OPEN_BASES + 10)]
    blob = opened[0].encoder()(b"data")
    for base in opened:
        assert base.decode(blob) == b"data"
    assert sum(len(base._idle) for base in opened) <= MAX_OPEN_BASES
    assert opened[0].decode(blob) == b"data"


def test_a_large_prefix_read_often_gets_a_context():
    content = Random(3).randbytes(zstd.LARGE_PREFIX)
    base = Prefix(content)
    delta, held = base.encoder()(content), base.held_bytes
    for _ in range(zstd.READS_BEFORE_CONTEXT):
        assert base.decode(delta) == content
        assert base.held_bytes <= held
    assert base.decode(delta) == content
    assert base.held_bytes == len(content) + zstd.READING_BYTES
    assert base.content() == content


def test_prefixes_with_contexts_are_bounded():
    content = Random(4).randbytes(zstd.LARGE_PREFIX)
    opened = [Prefix(content) for _ in range(MAX_OPEN_BASES + 10)]
    delta = opened[0].encoder()(content)
    for base in opened:
        for _ in range(zstd.READS_BEFORE_CONTEXT + 1):
            base.decode(delta)
    contexts = sum(base.held_bytes - len(content) for base in opened)
    assert contexts == MAX_OPEN_BASES * zstd.READING_BYTES
    assert opened[0].decode(delta) == content


def test_a_small_prefix_never_gets_a_context():
    content = Random(5).randbytes(zstd.LARGE_PREFIX - 1)
    base = Prefix(content)
    delta, held = base.encoder()(content), base.held_bytes
    for _ in range(2 * zstd.READS_BEFORE_CONTEXT):
        base.decode(delta)
    assert base.held_bytes == held


def test_threads_read_a_prefix_while_it_gets_a_context():
    content = Random(6).randbytes(zstd.LARGE_PREFIX)
    delta = Prefix(content).encoder()(content)
    for _ in range(10):
        base = Prefix(content)
        found: list[bool] = []
        run([lambda base=base, found=found: found.extend(base.decode(delta) == content for _ in range(100))] * 6)
        assert len(found) == 600
        assert all(found)


def test_several_threads_read_with_the_same_bases():
    data = objects(50)
    pairs = [(base, [base.encoder()(each) for each in data]) for base in bases()]
    wrong: list[int] = []

    def read() -> None:
        for _ in range(20):
            for base, blobs in pairs:
                wrong.extend(n for n, blob in enumerate(blobs) if base.decode(blob) != data[n])

    run([read] * 6)
    assert not wrong


@pytest.mark.parametrize("place", range(4))
def test_an_invalid_blob_is_an_error(place: int):
    with pytest.raises((zstandard.ZstdError, ValueError)):
        bases()[place].decode(b"\xff\xff\xff\xff")
    with pytest.raises((zstandard.ZstdError, ValueError)):
        decompress(b"")


def test_rejected_dictionaries_are_released():
    samples = [b'{"name":"%d","kind":"Pod","phase":"%d"}' % (n, n % 7) * 9 for n in range(400)]
    content = zstandard.train_dictionary(4096, samples).as_bytes()
    tried = []
    for _ in range(MAX_OPEN_BASES // 2):
        found = Dictionary(content)
        assert found.decode(found.encoder()(samples[0])) == samples[0]
        tried.append(weakref.ref(found))
        del found
    gc.collect()
    assert [found() for found in tried] == [None] * len(tried)
