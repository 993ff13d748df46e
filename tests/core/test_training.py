"""The choice of a base, measured on held-out objects."""

from __future__ import annotations

import json
from random import Random

from kinform._codec import training
from kinform._codec.training import GAP_BYTES, SAMPLE_BYTES, Reservoir, choose
from kinform._codec.zstd import Dictionary, Prefix, plain_encoder


def alike(count: int, seed: int = 1, size: int = 12) -> list[bytes]:
    rng = Random(seed)
    return [
        json.dumps({f"member{i}": {"value": rng.randrange(10**6), "unit": "second"} for i in range(size)}).encode()
        for _ in range(count)
    ]


def noise(count: int, size: int = 500) -> list[bytes]:
    rng = Random(2)
    return [rng.randbytes(size).hex().encode() for _ in range(count)]


def test_few_samples_choose_plain_compression():
    assert choose(alike(5), 5).base is None


def test_random_samples_choose_plain_compression():
    assert choose(noise(100), 100).base is None


def test_a_chosen_base_makes_unseen_objects_smaller():
    chosen = choose(alike(150), 150)
    assert isinstance(chosen.base, Prefix)
    unseen = alike(50, seed=9)
    plain = sum(map(len, map(plain_encoder(), unseen)))
    compress = chosen.base.encoder()
    assert sum(len(compress(each)) for each in unseen) < plain * 0.75


def test_candidates_are_measured_on_held_out_samples():
    """The held-out samples are random. Measured on the others, a base would win."""
    assert choose(noise(40, 2_000) + alike(120), 160).base is None
    assert choose(alike(120), 160).base is not None


def test_many_objects_get_a_dictionary_with_tables():
    assert isinstance(choose(alike(600), 50_000).base, Dictionary)


def test_a_base_is_at_most_half_as_large_as_its_samples():
    samples = alike(100)
    base = choose(samples, 1_000_000).base
    assert base is not None
    assert len(base.content()) <= sum(map(len, samples)) // 2 + 2_048


def test_the_current_base_stays_unless_another_is_clearly_better():
    samples = alike(200)
    first = choose(samples, 200).base
    assert first is not None
    assert choose(alike(200, seed=5), 200, first).base is first
    other = [each.replace(b"member", b"fieldNumber").replace(b"second", b"hectopascal") for each in alike(200, seed=6)]
    assert choose(other, 200, first).base not in (first, None)


def test_the_same_samples_choose_the_same_base():
    one, other = choose(alike(150), 150).base, choose(alike(150), 150).base
    assert one is not None
    assert other is not None
    assert one.content() == other.content()


def test_a_reservoir_is_bounded_and_samples_evenly():
    reservoir = Reservoir()
    for number in range(20_000):
        reservoir.observe(memoryview(b"%05d" % number + bytes(400)))
        assert reservoir.held_bytes <= SAMPLE_BYTES + GAP_BYTES
    kept = sorted(int(sample[:5]) for sample in reservoir.samples())
    assert reservoir.full
    assert reservoir.seen == 20_000
    assert 2_000 < len(kept) <= SAMPLE_BYTES // 405
    quarters = [sum(start <= each < start + 5_000 for each in kept) for start in range(0, 20_000, 5_000)]
    assert min(quarters) > len(kept) * 0.15


def test_large_objects_do_not_crowd_out_others():
    reservoir = Reservoir()
    for _ in range(8):
        reservoir.observe(bytes(1 << 20))
    assert reservoir.held_bytes == 8 * training.MAX_SAMPLE_BYTES
