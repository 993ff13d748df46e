"""Names: the scanner drops the objects with other names, and reports how many."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from kinform_ext._scan import shard_of
from tests.ext import filtered_scan

NAMES = frozenset((b"a", b"c", "é".encode()))


def item(name: str | None, version: int, **fields: Any) -> bytes:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{version}", "resourceVersion": str(version)}
    return json.dumps({"metadata": metadata, **fields}).encode()


def frame(name: str | None, version: int, verb: str = "ADDED", **fields: Any) -> bytes:
    return filtered_scan.frame(item(name, version, **fields), verb)


scan = partial(filtered_scan.filtered, names=NAMES)


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_a_list_has_only_the_objects_with_the_names(size: int) -> None:
    items = b",".join(item(name, number) for number, name in enumerate(["a", "b", "c", "d", "aa", "é"]))
    found = scan("list", b'{"metadata":{"resourceVersion":"99"},"items":[%s]}' % items, size)
    assert [each for each in found if isinstance(each, str)] == ["0", "2", "5"]
    dropped = [each for each in found if each[0] == "FOREIGN"]
    assert sum(each[3] for each in dropped) == sum(each[1] for each in dropped) == 3


@pytest.mark.parametrize("verb", ["ADDED", "MODIFIED", "DELETED"])
def test_events_of_other_names_are_dropped(verb: str) -> None:
    body = frame("b", 1, verb) + frame("a", 2, verb) + frame("d", 3, verb)
    assert scan("watch", body) == ["2", ("FOREIGN", 2, "3", 2)]


def test_dropped_events_have_a_version_only_if_they_come_last() -> None:
    assert scan("watch", frame("b", 1) + frame("a", 2)) == ["2", ("FOREIGN", 1, "", 1)]


def test_an_escaped_name_is_compared_by_its_value() -> None:
    assert scan("watch", frame("a", 1).replace(b'"a"', b'"\\u0061"')) == ["1"]


def test_a_name_is_compared_before_the_shard() -> None:
    ours = shard_of("uid-1", 4)
    mask = bytes(index == ours for index in range(4))
    other = next(version for version in range(2, 9999) if shard_of(f"uid-{version}", 4) != ours)
    body = frame("a", 1) + frame("a", other) + frame("b", 1) + frame("b", other)
    assert scan("watch", body, shards=mask) == ["1", ("FOREIGN", 3, str(other), 2)]


@pytest.mark.parametrize("size", [50, 1 << 20])
def test_an_oversized_object_with_another_name_is_not_skipped(size: int) -> None:
    body = frame("b", 1, data="x" * 5000) + frame("a", 2, data="x" * 5000) + frame("c", 3)
    found = scan("watch", body, size, max_object_bytes=1000)
    assert [each[0] for each in found if isinstance(each, tuple)] == ["FOREIGN", "SKIP"]
    assert [each for each in found if isinstance(each, str)] == ["3"]


def test_a_malformed_object_whose_name_is_unknown_is_skipped() -> None:
    assert scan("watch", b'{"type":"ADDED","object":{"metadata":{"name":1,"uid":"a"}}}\n')[0][0] == "SKIP"
