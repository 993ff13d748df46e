"""Frames come back as they went in, from several threads at once, and hold nothing that is not needed."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from random import Random

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kinform import _coding
from kinform._coding import OPEN_DICTIONARIES, Dictionary, Exemplar, Prefix, decode, encode, plain_encoder


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
    return [Prefix(one + other), over, Exemplar(encode(one), None, 9, ()), Exemplar(over.encoder()(one), over, 9, ())]


@given(st.binary(max_size=4_000))
def test_plain_frames_come_back(data: bytes):
    assert decode(encode(data)) == data
    assert decode(plain_encoder()(memoryview(data))) == data


@pytest.mark.parametrize("size", [0, 1, 100, 70_000, 131_072, 131_073, 700_000])
@pytest.mark.parametrize("place", range(4))
def test_frames_of_every_base_come_back(place: int, size: int):
    base = bases()[place]
    data = (b"".join(objects(3)) + Random(size).randbytes(50_000) * 20)[:size]
    assert base.decode(base.encoder()(data)) == data


def test_what_the_fast_encoder_writes_is_read_as_all_else():
    base = dictionary()
    data = objects(1)[0]
    assert base.decode(base.fast_encoder()(data)) == data
    writing = base.held_bytes
    base.stop_writing()
    assert base.held_bytes < writing - base.writing_bytes // 2
    assert base.decode(dictionary().encoder()(data)) == data


def test_frames_carry_nothing_but_the_size():
    assert len(encode(b"")) <= 5
    assert not encode(b"x" * 300).startswith(_coding.MAGIC)


def test_a_prefix_of_several_blocks_comes_back():
    content = Random(1).randbytes(300_000)
    assert Prefix(content).content() == content
    assert Exemplar(encode(content), None, 9, ()).decode(Prefix(content).encoder()(content)) == content


def test_a_large_prefix_is_reached_whole():
    content = Random(2).randbytes(300_000)
    assert len(Prefix(content).encoder()(content)) < 1_000


def test_an_exemplar_moves_to_another_base_and_its_deltas_stay():
    over, data = dictionary(), objects(3)
    exemplar = Exemplar(encode(data[0]), None, 9, ())
    delta = exemplar.encoder()(data[1])
    exemplar.move(over, over.encoder())
    assert exemplar.over is over
    assert exemplar.decode(delta) == data[1]


def test_exemplars_kept_ready_stay_within_bounds():
    for seed in range(200):
        content = Random(seed).randbytes(20_000)
        exemplar = Exemplar(encode(content), None, 9, ())
        assert exemplar.decode(exemplar.encoder()(content)) == content
        assert sum(map(len, _coding._ready.values())) <= _coding.OPEN_BYTES
    _coding.forget(exemplar)
    assert exemplar not in _coding._ready


def test_dictionaries_kept_open_stay_within_bounds():
    content = dictionary().content()
    opened = [Dictionary(content) for _ in range(_coding.OPEN_DICTIONARIES + 10)]
    blob = opened[0].encoder()(b"data")
    for base in opened:
        assert base.decode(blob) == b"data"
    assert sum(len(base._idle) for base in opened) <= _coding.OPEN_DICTIONARIES
    assert opened[0].decode(blob) == b"data"


def test_threads_read_with_the_same_bases_at_once():
    data = objects(50)
    pairs = [(base, [base.encoder()(each) for each in data]) for base in bases()]
    wrong: list[int] = []

    def read() -> None:
        for _ in range(20):
            for base, blobs in pairs:
                wrong.extend(n for n, blob in enumerate(blobs) if base.decode(blob) != data[n])

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("place", range(4))
def test_a_blob_of_something_else_is_an_error(place: int):
    with pytest.raises((zstandard.ZstdError, ValueError)):
        bases()[place].decode(b"\xff\xff\xff\xff")
    with pytest.raises((zstandard.ZstdError, ValueError)):
        decode(b"")


def test_dictionaries_that_were_tried_and_not_taken_are_let_go():
    samples = [b'{"name":"%d","kind":"Pod","phase":"%d"}' % (n, n % 7) * 9 for n in range(400)]
    content = zstandard.train_dictionary(4096, samples).as_bytes()
    tried = []
    for _ in range(OPEN_DICTIONARIES // 2):
        found = Dictionary(content)
        assert found.decode(found.encoder()(samples[0])) == samples[0]
        tried.append(weakref.ref(found))
        del found
    gc.collect()
    assert [found() for found in tried] == [None] * len(tried)
