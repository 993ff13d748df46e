"""Sets of shards: their selectors, and the argument `Scope.shard`."""

from __future__ import annotations

from typing import Any

import pytest

import kinform
from kinform._sharding import MAX_RANGES, ShardSet
from kinform._spec import CollectionSpec
from kinform.testing._shards import ShardRange, parse_shards
from kinform_ext._scan import shard_of

TOP = 1 << 64


def ranges(*indices: int, count: int) -> list[tuple[int, int]]:
    parsed = parse_shards(ShardSet(count, frozenset(indices)).selector())
    assert all(isinstance(each, ShardRange) and each.field == "uid" for each in parsed)
    return [(each.start, each.end) for each in parsed]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 100, 1000, 1024])
def test_shards_divide_all_hashes(count: int) -> None:
    starts, ends = zip(*(ranges(index, count=count)[0] for index in range(count)), strict=True)
    assert starts[0] == 0
    assert ends[-1] == TOP
    assert starts[1:] == ends[:-1]
    for index in range(count):  # the first and the last hash of each range, by the formula of the scanner
        assert starts[index] * count >> 64 == index == (ends[index] - 1) * count >> 64


def test_neighbours_become_one_range() -> None:
    assert ranges(0, 1, 2, 3, 4, 5, 6, 7, count=8) == [(0, TOP)]
    assert ranges(1, 2, 5, count=8) == [(TOP // 8, 3 * TOP // 8), (5 * TOP // 8, 6 * TOP // 8)]


def test_the_selector_has_the_form_of_the_server() -> None:
    selector = ShardSet(2, frozenset((1,))).selector()
    assert selector == "shardRange(object.metadata.uid, '0x8000000000000000', '0x10000000000000000')"


def test_an_empty_set_selects_the_smallest_range() -> None:
    assert ranges(count=8) == [(0, 1)]


def test_many_ranges_are_joined_at_the_smallest_gaps() -> None:
    indices = [index for index in range(0, 1024, 2) if index != 512]
    found = ranges(*indices, count=1024)
    assert len(found) == MAX_RANGES
    for index in indices:
        start, end = ranges(index, count=1024)[0]
        assert any(low <= start and end <= high for low, high in found)
    gap = ranges(512, count=1024)[0]
    assert not any(low <= gap[0] < high for low, high in found)
    assert len(ShardSet(1024, frozenset(indices)).selector()) < 4096


def test_a_set_has_the_objects_of_its_shards() -> None:
    shards = ShardSet(8, frozenset((2, 5)))
    assert shards.mask() == bytes((0, 0, 1, 0, 0, 1, 0, 0))
    for number in range(100):
        assert shards.has(f"uid-{number}") is (shard_of(f"uid-{number}", 8) in (2, 5))


def test_a_scope_without_a_shard_has_all_objects() -> None:
    assert CollectionSpec.of("v1/pods").shards is None
    assert CollectionSpec.of("v1/pods", kinform.Scope(shard=(3, 8))).shards == ShardSet(8, frozenset((3,)))


@pytest.mark.parametrize(
    "shard", [(8, 8), (-1, 8), (0, 0), (0, 1025), (0.0, 8), (True, 8), (1,), (1, 2, 3), [1, 8], 3, "3/8"]
)
def test_a_shard_that_cannot_be_raises(shard: Any) -> None:
    with pytest.raises(kinform.OptionError) as caught:
        kinform.Scope(shard=shard)
    assert caught.value.field == "Scope.shard"
    assert "0 <= index < number <= 1024" in str(caught.value)


def test_the_name_of_a_collection_has_its_shard() -> None:
    spec = CollectionSpec.of("v1/pods", kinform.Scope(shard=(3, 8), label_selector="app=web"))
    assert spec.name() == "v1/pods (labels app=web, shard 3 of 8)"


def test_collections_of_different_shards_differ() -> None:
    one, other, same = (CollectionSpec.of("v1/pods", kinform.Scope(shard=(i, 8))) for i in (3, 4, 3))
    assert one != other
    assert hash(one) == hash(same)
    assert one == same
