"""The digest of a collection: equal for equal content in any order."""

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


def digest(objects: dict[str, Found]) -> Found:
    result = Digest()
    for key, found in objects.items():
        result.add_whole(key, json.loads(dump(found)))
    return result.result()


def test_order_and_managed_fields_do_not_matter(some: dict[str, Found]) -> None:
    before = digest(some)
    for found in some.values():
        assert found["metadata"].pop("managedFields")
    assert digest(dict(reversed(some.items()))) == before


def test_the_order_of_labels_and_members_does_not_matter(some: dict[str, Found]) -> None:
    def reversed_(value: Any) -> Any:
        return {name: reversed_(each) for name, each in reversed(value.items())} if isinstance(value, dict) else value

    assert digest({key: reversed_(found) for key, found in some.items()}) == digest(some)


def test_a_digest_of_identities_agrees_with_a_whole_one(some: dict[str, Found]) -> None:
    identities = Digest()
    for key, found in some.items():
        metadata = found["metadata"]
        identities.add(key, metadata["uid"], metadata["resourceVersion"], metadata.get("labels"))
    assert agree(digest(some), identities.result())
    identities.add("one/more", "", "", None)
    assert not agree(digest(some), identities.result())


def test_pruned_objects_are_the_same_objects(some: dict[str, Found]) -> None:
    whole, pruned = digest(some), digest({key: {"metadata": found["metadata"]} for key, found in some.items()})
    assert not agree(whole, pruned)
    assert same_objects(whole, pruned)
    del pruned["content"]
    assert same_objects(whole, pruned)
    some.pop(next(iter(some)))
    assert not same_objects(whole, digest(some))


def test_the_hashed_text_is_that_of_the_other_languages() -> None:
    result = Digest()
    result.add("default/a", "u", "7", {"b": "2", "a": "1"})
    assert result.result() == {"objects": 1, "identity": hashlib.sha256(b"default/a\nu\n7\na=1\nb=2\n").hexdigest()}


@pytest.mark.parametrize("what", ["an object", "a key", "a version", "a label", "an uid", "a value"])
def test_any_difference_changes_it(some: dict[str, Found], what: str) -> None:
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
