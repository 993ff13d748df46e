"""Shards: the scanner drops the objects of other shards, and reports how many."""

from __future__ import annotations

import json
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from kinform.testing._shards import fnv_1a
from kinform_ext._scan import Scanner, shard_of
from tests.ext import filtered_scan

UIDS = [str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)) for number in range(1, 41)]
COUNT = 4
SHARDS = bytes([0, 1, 0, 0])
OURS = [uid for uid in UIDS if shard_of(uid, COUNT) == 1]
OTHERS = [uid for uid in UIDS if shard_of(uid, COUNT) != 1]


def item(uid: str | None, version: int, **fields: Any) -> bytes:
    metadata = {"name": f"n{version}", "namespace": "shop", "uid": uid, "resourceVersion": str(version)}
    return json.dumps({"metadata": metadata, **fields}).encode()


def frame(uid: str | None, version: int, verb: str = "ADDED", **fields: Any) -> bytes:
    return filtered_scan.frame(item(uid, version, **fields), verb)


scan = partial(filtered_scan.filtered, shards=SHARDS)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 1000, 1024])
def test_the_shard_of_a_uid_is_its_fnv_1a_hash_in_equal_ranges(count: int) -> None:
    for uid in [*UIDS, "", "é", "x" * 1000]:
        assert shard_of(uid, count) == fnv_1a(uid) * count >> 64


@pytest.mark.parametrize("count", [0, -1, 1 << 32])
def test_a_count_of_shards_that_is_not_possible_raises(count: int) -> None:
    with pytest.raises(ValueError, match="count"):
        shard_of("a", count)


def test_a_list_has_only_the_objects_of_the_shards() -> None:
    items = b",".join(item(uid, number) for number, uid in enumerate(UIDS))
    body = b'{"metadata":{"resourceVersion":"99"},"items":[%s]}' % items
    ours = [str(number) for number, uid in enumerate(UIDS) if uid in OURS]
    for size in (1, 7, 64, 1000, 1 << 20):
        found = scan("list", body, size)
        assert [each for each in found if isinstance(each, str)] == ours
        assert sum(each[1] for each in found if each[0] == "FOREIGN") == len(OTHERS)
        assert found[-1][0] == "LIST_END"


@pytest.mark.parametrize("verb", ["ADDED", "MODIFIED", "DELETED"])
def test_events_of_other_shards_are_dropped(verb: str) -> None:
    body = frame(OTHERS[0], 1, verb) + frame(OURS[0], 2, verb) + frame(OTHERS[1], 3, verb)
    assert scan("watch", body) == ["2", ("FOREIGN", 2, "3", 0)]


def test_dropped_events_have_a_version_only_if_they_come_last() -> None:
    assert scan("watch", frame(OTHERS[0], 1) + frame(OURS[0], 2)) == ["2", ("FOREIGN", 1, "", 0)]
    assert scan("watch", frame(OTHERS[0], 1) + frame(OTHERS[1], 2)) == [("FOREIGN", 2, "2", 0)]


def test_dropped_events_come_before_a_later_bookmark() -> None:
    bookmark = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}\n'
    found = scan("watch", frame(OTHERS[0], 1) + bookmark + frame(OTHERS[1], 10))
    assert [each[0] for each in found] == ["FOREIGN", "BOOKMARK", "FOREIGN"]
    assert (found[0][2], found[2][2]) == ("1", "10")


@pytest.mark.parametrize("size", [1, 5, 33, 1 << 20])
def test_chunks_of_any_size_give_the_same_objects(size: int) -> None:
    body = b"".join(frame(uid, number, data="x" * number) for number, uid in enumerate(UIDS))
    found = scan("watch", body, size)
    assert [each for each in found if isinstance(each, str)] == [str(i) for i, uid in enumerate(UIDS) if uid in OURS]
    assert sum(each[1] for each in found if isinstance(each, tuple)) == len(OTHERS)


@pytest.mark.parametrize("uid", [None, ""])
def test_an_object_without_a_uid_is_in_the_shard_of_no_text(uid: str | None) -> None:
    shards = bytes(index == shard_of("", COUNT) for index in range(COUNT))
    assert len(Scanner("watch", shards=shards).feed(frame(uid, 1))[0]) == 1
    assert Scanner("watch", shards=bytes(not shard for shard in shards)).feed(frame(uid, 1)) == [("FOREIGN", 1, "1", 0)]


def test_an_escaped_uid_has_the_shard_of_its_value() -> None:
    for uid in UIDS:
        escaped = frame(uid, 1).replace(uid.encode(), b"\\u00%02x" % ord(uid[0]) + uid[1:].encode())
        assert (scan("watch", escaped) == ["1"]) is (uid in OURS)


@pytest.mark.parametrize("size", [50, 1 << 20])
def test_an_oversized_object_of_another_shard_is_not_skipped(size: int) -> None:
    body = frame(OTHERS[0], 1, data="x" * 5000) + frame(OURS[0], 2, data="x" * 5000) + frame(OURS[1], 3)
    found = scan("watch", body, size, max_object_bytes=1000)
    assert [each[0] for each in found if isinstance(each, tuple)] == ["FOREIGN", "SKIP"]
    assert [each for each in found if isinstance(each, str)] == ["3"]


def test_a_malformed_object_whose_uid_is_unknown_is_skipped() -> None:
    body = b'{"type":"ADDED","object":{"metadata":{"name":"a","uid":1}}}\n'
    assert scan("watch", body)[0][0] == "SKIP"


def test_no_shards_are_refused() -> None:
    with pytest.raises(ValueError, match="0 shards"):
        Scanner("watch", shards=b"")
