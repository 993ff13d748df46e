"""The digest of a collection: one for the same content, whoever goes through it in whatever order, and no other."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from benchmarks.corpus import dump, key_of, make
from benchmarks.harness.digest import Digest, agree, same_objects

Found = dict[str, Any]


@pytest.fixture
def some() -> dict[str, Found]:
    return {key_of(found): json.loads(dump(found)) for found in make("pods", 9, 0)[1]}


def digest(held: dict[str, Found]) -> Found:
    told = Digest()
    for key, found in held.items():
        told.add_whole(key, json.loads(dump(found)))
    return told.result()


def test_it_is_the_same_in_any_order_and_without_managed_fields(some: dict[str, Found]) -> None:
    before = digest(some)
    for found in some.values():
        assert found["metadata"].pop("managedFields")
    assert digest(dict(reversed(some.items()))) == before


def test_it_is_the_same_in_any_order_of_labels_and_members(some: dict[str, Found]) -> None:
    def turned(value: Any) -> Any:
        return {name: turned(each) for name, each in reversed(value.items())} if isinstance(value, dict) else value

    assert digest({key: turned(found) for key, found in some.items()}) == digest(some)


def test_who_knows_only_who_objects_are_agrees_with_who_knows_all(some: dict[str, Found]) -> None:
    told = Digest()
    for key, found in some.items():
        metadata = found["metadata"]
        told.add(key, metadata["uid"], metadata["resourceVersion"], metadata.get("labels"))
    assert agree(digest(some), told.result())
    told.add("one/more", "", "", None)
    assert not agree(digest(some), told.result())


def test_who_keeps_less_of_objects_holds_the_same_ones(some: dict[str, Found]) -> None:
    there, less = digest(some), digest({key: {"metadata": found["metadata"]} for key, found in some.items()})
    assert not agree(there, less)
    assert same_objects(there, less)
    del less["content"]
    assert same_objects(there, less)
    some.pop(next(iter(some)))
    assert not same_objects(there, digest(some))


def test_its_text_is_the_one_that_other_languages_take() -> None:
    told = Digest()
    told.add("default/a", "u", "7", {"b": "2", "a": "1"})
    assert told.result() == {"objects": 1, "identity": hashlib.sha256(b"default/a\nu\n7\na=1\nb=2\n").hexdigest()}


@pytest.mark.parametrize("what", ["an object", "a key", "a version", "a label", "an uid", "a value"])
def test_it_differs_where_anything_does(some: dict[str, Found], what: str) -> None:
    before, key = digest(some), next(iter(some))
    found = some[key]
    match what:
        case "an object":
            del some[key]
        case "a key":
            some[f"{key}-more"] = some.pop(key)
        case "a version":
            found["metadata"]["resourceVersion"] += "0"
        case "an uid":
            found["metadata"]["uid"] += "0"
        case "a label":
            found["metadata"]["labels"] = found["metadata"].get("labels", {}) | {"one": "more"}
        case "a value":
            found["spec"]["priority"] = -1
    after = digest(some)
    assert not agree(before, after)
    assert (after["identity"] == before["identity"]) == (what == "a value")
