"""Owners that controller references name, of versions that changes add or remove."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinform._paths.index_program import CONTROLLER, compile_index, parse_indexes
from kinform_ext._table import CHANGES, KEYS, NOTHING, OWNERS, Postings, Table
from tests.core.wire import batch, events, obj

SEED = int(os.environ.get("KINFORM_SEED", "20261128"))
STEPS = int(os.environ.get("KINFORM_OPERATIONS", "3000"))
TEXTS = ("Widget", "v1", "example.com/v1", "a", "", "/", "x/y", 'quote"', "ä\U0001f600", "y" * 600)
REFERENCES = st.dictionaries(
    st.sampled_from(["apiVersion", "kind", "name", "controller", "uid"]),
    st.sampled_from(TEXTS) | st.booleans() | st.none() | st.integers() | st.lists(st.integers(), max_size=2),
)


def postings() -> Postings:
    paths = parse_indexes({"node": "spec.nodeName", "owner": CONTROLLER, "uid": "metadata.ownerReferences[*].uid"})
    return Postings(compile_index(dict(enumerate(paths.values()))))


def reference(name: str, *, version: str = "example.com/v1", kind: str = "Widget", **more: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "name": name, "uid": "u", "controller": True} | more


def owned(*references: Any) -> bytes:
    return json.dumps({"metadata": {"ownerReferences": references}}).encode()


def named(reference: dict[str, Any]) -> set[str]:
    """Returns the owner that a reference names."""
    version, kind, name = (reference.get(field) for field in ("apiVersion", "kind", "name"))
    if reference.get("controller") is not True or not all(isinstance(each, str) for each in (version, kind, name)):
        return set()
    if not version or not kind or not name or "/" in kind + name:
        return set()
    group, slash, _ = version.partition("/")
    return {f"{kind}.{group}/{name}" if slash and group else f"{kind}/{name}"}


@pytest.mark.parametrize(
    ("references", "owners"),
    [
        ([reference("a")], {"Widget.example.com/a"}),
        ([reference("a", version="v1", kind="Node")], {"Node/a"}),
        ([reference("a", controller=False), reference("b")], {"Widget.example.com/b"}),
        ([reference("a", controller=False)], set()),
        ([reference("a", controller="true")], set()),
        ([reference("a") | {"name": 1}], set()),
        ([reference("a", kind="")], set()),
        ([reference("a/b")], set()),
        (["a", [reference("a")], None], set()),
        ([reference("a"), reference("b")], {"Widget.example.com/a", "Widget.example.com/b"}),
        ([reference("z" * 1000)], {"Widget.example.com/" + "z" * 1000}),
    ],
)
def test_a_controller_reference_gives_kind_group_and_name(references, owners):
    ours = postings()
    ours.put(1, owned(*references))
    assert set(ours.values(1)) == owners


def test_escaped_and_reordered_references_name_the_same_owner():
    ours = postings()
    ours.put(
        1,
        rb'{"metadata":{"ownerReferences":[ { "name" : "\u0061", "controller":true , "uid":"u", '
        b'"kind":"W",'
        rb'"apiVersion":"apps\/v1"} ]}}',
    )
    assert ours.values(1) == ["W.apps/a"]
    assert ours.values(2) == ["u"]


@given(st.lists(REFERENCES, max_size=3), st.booleans())
def test_random_references_name_the_owners_of_a_plain_parser(references, escaped):
    ours = postings()
    ours.put(1, json.dumps({"metadata": {"ownerReferences": references}}, ensure_ascii=escaped).encode())
    assert set(ours.values(1)) == set().union(*map(named, references))
    ours.remove(1)
    assert ours.values(1) == []


@given(st.binary(max_size=40), st.integers(0, 120))
def test_random_bytes_in_a_reference_do_not_crash(noise, at):
    whole = owned(reference("a"), reference("b", controller=False))
    ours = postings()
    ours.put(1, whole[:at] + noise + whole[at:])
    ours.remove(1)
    assert ours.values(1) == []


def test_only_the_namespace_of_the_object_is_in_the_owner():
    table = Table(postings())
    table.apply(0, batch(child("p", 1, ["a"]), child("q", 1, ["a"], namespace="")), False, NOTHING)
    assert table.owners_of(table.find("shop/p")) == ["Widget.example.com/shop/a"]
    assert table.owners_of(table.find("q")) == ["Widget.example.com/a"]
    assert sorted(table.ids().owners()) == ["Widget.example.com/a", "Widget.example.com/shop/a"]
    with pytest.raises(KeyError):
        table.owners_of(99)


def test_calls_without_owners_note_none():
    table = Table(postings())
    for listen in (NOTHING, KEYS, CHANGES):
        table.apply(0, batch(child("p", listen + 1, ["a"])), False, listen)
    assert table.take_owners() == []
    table.delete(0, "shop/p", OWNERS)
    assert table.take_owners() == ["Widget.example.com/shop/a"]
    assert table.take_owners() == []


def test_a_table_without_the_index_has_no_owners():
    table = Table()
    table.apply(0, batch(child("p", 1, ["a"])), False, OWNERS)
    assert table.take_owners() == table.owners_of(0) == list(table.ids().owners()) == []


def test_an_iterator_skips_the_owners_of_removed_objects():
    table = Table(postings())
    table.apply(0, batch(child("p", 1, ["a"]), child("q", 1, ["b"])), False, NOTHING)
    ids = table.ids()
    table.delete(0, "shop/p", NOTHING)
    assert list(ids.owners()) == ["Widget.example.com/shop/b"]


def child(name: str, rv: int, owners: list[str], **more: Any) -> dict[str, Any]:
    made = obj(name, rv=rv, **more)
    made["metadata"]["ownerReferences"] = [reference(owner) for owner in owners]
    return made


class Walk:
    """A table, and the owners that it must note, by plain dicts."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.table = Table(postings())
        self.seen: list[dict[str, tuple[str, int, set[str]]]] = [{}, {}]  # uid, version and owners by key
        self.staged: list[dict[str, tuple[str, int, set[str]]] | None] = [None, None]
        self.sweeping = [False, False]
        self.noted: set[str] = set()
        self.expected: set[str] = set()
        self.version = 0

    def call(self, method: Any, *arguments: Any) -> Any:
        returned = method(*arguments, self.rng.choice([NOTHING, KEYS, CHANGES]) | OWNERS)
        self.noted.update(self.table.take_owners())
        return returned

    def change(self, seen: dict[str, Any], key: str, new: tuple[str, int, set[str]] | None) -> None:
        old = seen.pop(key, None)
        if new is not None:
            seen[key] = new
        if (old and old[:2]) != (new and new[:2]):
            for each in (old, new):
                self.expected |= each[2] if each else set()

    def pair(self, stream: int) -> tuple[str, dict[str, Any], str, tuple[str, int, set[str]]]:
        rng = self.rng
        self.version += 1
        space = f"space-{stream}"
        key = f"{space}/p{rng.randrange(12)}"
        old = self.seen[stream].get(key)
        if old is not None and rng.random() < 0.3:
            uid, version, owners = old
        else:
            uid, version = rng.choice(["u", "u", "v"]), self.version
            owners = {f"Widget.example.com/{space}/o{at}" for at in rng.sample(range(6), rng.choice([0, 1, 1, 3]))}
        names = [owner.rpartition("/")[2] for owner in sorted(owners)]
        made = child(key.partition("/")[2], version, names, namespace=space, uid=uid)
        return rng.choice(["MODIFIED", "MODIFIED", "DELETED"]), made, key, (uid, version, owners)

    def write(self, stream: int) -> None:
        pairs = [self.pair(stream) for _ in range(self.rng.choice([1, 5]))]
        staged = self.staged[stream]
        found = events((verb, made) for verb, made, _, _ in pairs)
        self.call(lambda listen: self.table.apply(stream, found, staged is not None, listen))
        for verb, _, key, new in pairs:
            if staged is not None:
                staged.pop(key, None)
                if verb != "DELETED":
                    staged[key] = new
            elif verb != "DELETED":
                self.change(self.seen[stream], key, new)
            elif key in self.seen[stream] and self.seen[stream][key][0] == new[0]:
                self.change(self.seen[stream], key, None)

    def settle(self, stream: int) -> None:
        while self.sweeping[stream]:
            _, self.sweeping[stream] = self.call(lambda listen: self.table.sweep(stream, 3, listen))

    def step(self) -> None:
        rng, stream = self.rng, self.rng.randrange(2)
        dice = rng.random()
        if dice < 0.6:
            self.write(stream)
        elif dice < 0.65:
            key = rng.choice([*self.seen[stream], "space-0/none"])
            if self.staged[stream] is None:
                self.call(lambda listen: self.table.delete(stream, key, listen))
                self.change(self.seen[stream], key, None)
        elif dice < 0.75 and self.staged[stream] is None:
            self.settle(stream)
            self.table.begin(stream)
            self.staged[stream] = {}
        elif dice < 0.80 and self.staged[stream] is not None:
            self.table.abort(stream)
            self.staged[stream] = None
        elif dice < 0.95 and (staged := self.staged[stream]) is not None:
            self.table.commit(stream)
            self.sweeping[stream], self.staged[stream] = True, None
            for key in {**self.seen[stream], **staged}:
                self.change(self.seen[stream], key, staged.get(key))
        elif dice > 0.99:
            self.settle(stream)
            self.staged[stream] = None
            while self.call(lambda listen: self.table.drop(stream, 5, listen))[1]:
                pass
            for key in list(self.seen[stream]):
                self.change(self.seen[stream], key, None)
        if dice > 0.9:
            self.check()

    def check(self) -> None:
        for stream in range(2):
            self.settle(stream)
        assert self.noted == self.expected
        self.noted, self.expected = set(), set()
        present = set().union(*(owners for seen in self.seen for _, _, owners in seen.values()))
        assert set(self.table.ids().owners()) == present
        for owner in present:
            kind, space, name = owner.split("/")
            keys = {key for seen in self.seen for key, (_, _, owners) in seen.items() if owner in owners}
            ids = self.table.index_ids(1, f"{kind}/{name}", space)
            assert {self.table.key_of(id) for id in ids} == keys


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_random_operations_note_the_owners_of_each_change(seed):
    walk = Walk(seed)
    try:
        for _ in range(STEPS):
            walk.step()
        walk.check()
    except BaseException:
        print(f"KINFORM_SEED={seed}")
        raise
