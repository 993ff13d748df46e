"""Indexes: they agree with what readers see, also during a relist, sweep or drop."""

from __future__ import annotations

import json
import sys

import pytest

from kinform._paths.grammar import parse
from kinform._paths.index_program import NOWHERE, compile_index
from kinform._store import writer
from kinform._store.contents import StoreContents
from kinform._store.reader import Store
from kinform._store.writer import Writer
from kinform_ext._table import Dump
from tests.core.kept_store import Kept
from tests.core.pods import pod
from tests.core.wire import batch
from tests.ext.tables import load

INDEXES = {"node": "spec.nodeName", "image": "spec.containers[*].image", "app": 'metadata.labels["example.com/app"]'}


@pytest.fixture
def kept():
    kept = Kept(indexes=INDEXES)
    kept.relist(pod("a", "n1", "nginx", "redis"), pod("b", "n1", "nginx"), pod("c", "n2"))
    return kept


def test_the_paths_of_all_indexes_compile_to_one_program():
    paths = [parse(text, field="indexes") for text in ("a.b", "a[*].c", "[*].b")]
    assert compile_index(dict(enumerate(paths))) == (
        (((b"a", 1),), 2, (), NOWHERE),
        (((b"b", 3),), 4, (), NOWHERE),
        (((b"b", 5),), NOWHERE, (), NOWHERE),
        (((b"c", 6),), NOWHERE, (0, 2), NOWHERE),
        (((b"c", 6),), NOWHERE, (), NOWHERE),
        ((), NOWHERE, (2,), NOWHERE),
        ((), NOWHERE, (1,), NOWHERE),
    )


def test_an_update_keeps_the_object_in_its_indexes(kept):
    kept.live("MODIFIED", pod("a", "n1", "nginx", "redis", rv=2))
    assert kept.store.index_keys("node", "n1") == ["shop/a", "shop/b"]
    assert [found["metadata"]["resourceVersion"] for found in kept.store.index("node", "n1")] == ["2", "1"]


def test_indexes_switch_to_a_new_state_together_with_readers(kept, monkeypatch):
    monkeypatch.setattr(writer, "SWEEP_OBJECTS", 1)
    kept.writer.begin("")
    changed = [pod("a", "n2", "redis", rv=2), pod("c", "n2"), pod("d", "n3", "nginx")]
    kept.writer.apply("", batch(*changed), initial=True)
    assert kept.store.index_keys("node", "n1") == ["shop/a", "shop/b"]
    assert kept.store.index_keys("node", "n2") == ["shop/c"]
    assert kept.store.index_values("node") == ["n1", "n2"]
    kept.writer.commit("")
    more = True
    while more:
        assert kept.store.index_keys("node", "n1") == []
        assert kept.store.index_keys("node", "n2") == ["shop/a", "shop/c"]
        assert kept.store.index_keys("image", "nginx") == ["shop/d"]
        assert [found["metadata"]["resourceVersion"] for found in kept.store.index("node", "n2")] == ["2", "1"]
        assert kept.store.index_values("node") == ["n2", "n3"]
        assert kept.store.index_values("image") == ["nginx", "redis"]
        more = kept.writer.sweep("")


def test_an_abort_leaves_no_index_values(kept):
    kept.writer.begin("")
    kept.writer.apply("", batch(pod("a", "n9", rv=2), pod("z", "n9")), initial=True)
    kept.writer.abort("")
    assert kept.store.index_values("node") == ["n1", "n2"]
    assert kept.writer._table.postings.values(0) == ["n1", "n2"]


def test_a_drop_removes_all_index_values_at_its_first_call(kept, monkeypatch):
    monkeypatch.setattr(writer, "SWEEP_OBJECTS", 1)
    more = True
    while more:
        more = kept.writer.drop("")
        assert kept.store.index_keys("node", "n1") == []
        assert kept.store.index_values("node") == []
    assert kept.writer._table.postings.values(0) == []


def test_an_index_iterator_keeps_its_state(kept):
    items = kept.store.items(label_selector="example.com/app=web")
    assert list(items) == []
    kept.relist(pod("a", "n1", app="web", rv=2), pod("b", "n1", app="web", rv=2), pod("c", "n2", app="db", rv=2))
    items = kept.store.items(label_selector="example.com/app=web")
    kept.live("MODIFIED", pod("a", "n1", app="db", rv=3))
    kept.live("DELETED", pod("b", "n1", rv=3))
    assert [(key, found["metadata"]["resourceVersion"]) for key, found in items] == [("shop/a", "2"), ("shop/b", "2")]
    assert list(kept.store.items(label_selector="example.com/app=web")) == []


@pytest.mark.parametrize(
    ("selector", "read"),
    [
        ("example.com/app=web", 2),
        ("tier=front,example.com/app==web", 2),
        ("example.com/app in (web), tier!=back", 2),
        ("example.com/app in (web,db)", 4),
        ("example.com/app!=db,example.com/app", 4),
        ("tier=front", 4),
    ],
)
def test_a_label_selector_reads_only_objects_found_by_the_index(selector, read):
    kept = Kept(indexes=INDEXES)
    kept.relist(pod("a", "n1", app="web"), pod("b", "n1", app="web"), pod("c", "n2", app="db"), pod("d", "n3"))
    plain = Kept()
    plain.relist(*(json.loads(kept.store.raw(key)) for key in kept.store))
    table, asked = kept.store._contents.table, []

    class Counting:
        def __getattr__(self, name):
            return getattr(table, name)

        def raw_of(self, id):
            asked.append(id)
            return table.raw_of(id)

    kept.store._contents.table = Counting()
    assert list(kept.store.items(label_selector=selector)) == list(plain.store.items(label_selector=selector))
    assert len(asked) == read


def test_a_label_selector_in_a_namespace_uses_the_index():
    kept = Kept(indexes=INDEXES)
    found = [pod("a", "n1", app="web"), pod("b", "n1", app="web")]
    found[1]["metadata"]["namespace"] = "till"
    kept.relist(*found)
    assert [key for key, _ in kept.store.items("till", label_selector="example.com/app=web")] == ["till/b"]
    assert list(kept.store.items("none", label_selector="example.com/app=web")) == []


def test_indexes_hold_transformed_values():
    kept = Kept(indexes={"node": "spec.nodeName"})
    kept.writer.transform = lambda raw: raw.replace(b'"n1"', b'"n7"')
    kept.relist(pod("a", "n1"), pod("b", "n2"))
    kept.live("MODIFIED", pod("b", "n1", rv=2))
    assert kept.store.index_keys("node", "n7") == ["shop/a", "shop/b"]
    kept.live("DELETED", pod("a", "n3", rv=2))
    assert kept.store.index_values("node") == ["n7"]


def test_an_object_is_indexed_as_it_came_if_transform_fails():
    kept = Kept(indexes={"node": "spec.nodeName"})
    kept.writer.transform = lambda raw: raw[: len(raw) // 2]
    kept.relist(pod("a", "n1"))
    assert kept.store.index_values("node") == ["n1"]
    assert "shop/a" in kept.store


def test_loaded_objects_are_in_the_indexes(kept):
    kept.live("MODIFIED", pod("b", "n5", "nginx", rv=2))
    contents = StoreContents("again", INDEXES)
    load(Dump(kept.writer._table), contents.table)
    store, writer = Store(contents, dict, INDEXES), Writer(contents)
    for change in (None, pod("c", "n6", rv=2)):
        if change is not None:
            kept.live("MODIFIED", change)
            writer.apply("", batch(change, verb="MODIFIED"), initial=False)
        for name in INDEXES:
            assert store.index_values(name) == kept.store.index_values(name)
            for value in store.index_values(name):
                assert store.index_keys(name, value) == kept.store.index_keys(name, value)


def test_memory_of_indexes_is_reported():
    plain, kept = Kept(), Kept(indexes=INDEXES)
    for one in (plain, kept):
        one.relist(*(pod(f"p{i}", f"n{i}", "nginx") for i in range(300)))
    assert plain.writer.memory_usage().index_bytes == 0
    held = kept.writer.memory_usage()
    assert held.index_bytes == sys.getsizeof(kept.writer._table.postings) > 300 * 50
    assert held.held_bytes == held.mapped_bytes + held.map_bytes + held.coder_bytes + held.index_bytes
