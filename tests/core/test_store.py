"""The store: complete states, exact changes, and no copies of unchanged objects."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from kinform._errors import DecodeError, MemoryLimitError, OptionError
from kinform._events import Skipped
from kinform._objects import Meta
from kinform._store import writer
from kinform._store.reader import store
from tests.core.kept_store import Kept
from tests.core.pods import Pod
from tests.core.wire import batch, events, obj
from tests.ext.resembling import take
from tests.support.waiting import until


@pytest.fixture
def kept():
    kept = Kept()
    kept.relist(obj("a"), obj("b"), obj("c"))
    kept.notified()
    return kept


def test_readers_see_the_old_state_until_the_new_one_is_complete(kept):
    kept.writer.begin("")
    kept.writer.apply("", batch(obj("a", rv=2), obj("d", rv=2)), initial=True)
    assert sorted(kept.store.keys()) == ["shop/a", "shop/b", "shop/c"]
    assert kept.store.meta("shop/a").resource_version == "1"
    assert kept.notified() == []
    kept.commit("")
    assert sorted(kept.store.keys()) == ["shop/a", "shop/d"]
    assert kept.store.meta("shop/a").resource_version == "2"


def test_a_relist_notifies_of_exactly_what_changed(kept):
    kept.relist(obj("a"), obj("b", rv=2), obj("d"))
    assert sorted(kept.notified()) == [
        ("added", "shop/d", "1", None, False),
        ("deleted", "shop/c", None, "1", True),
        ("updated", "shop/b", "2", "1", False),
    ]


def test_a_listener_reads_the_complete_new_state(kept):
    seen = []
    kept.writer.listener = lambda change: seen.append(sorted(kept.store.keys()))
    kept.relist(obj("a", rv=2), obj("d"))
    kept.live("DELETED", obj("a", rv=3))
    assert seen == [["shop/a", "shop/d"]] * 4 + [["shop/d"]]


def test_a_key_listener_gets_the_keys_of_all_changes(kept):
    keys = []
    kept.writer.listener, kept.writer.key_listener = None, keys.extend
    kept.relist(obj("a", rv=2), obj("b"), obj("d"))
    assert sorted(keys) == ["shop/a", "shop/c", "shop/d"]
    kept.live("MODIFIED", obj("a", rv=3), obj("b"))
    kept.live("DELETED", obj("b", rv=3))
    kept.live("ADDED", obj("d", uid="new", rv=4))
    assert keys[3:] == ["shop/a", "shop/b", "shop/d"]
    kept.writer.drop("")
    assert sorted(keys[6:]) == ["shop/a", "shop/d"]
    assert kept.changes == []


def test_a_change_is_readable_when_its_objects_are_gone(kept):
    kept.live("MODIFIED", obj("a", rv=2, replicas=3))
    kept.live("DELETED", obj("a", rv=3, replicas=0))
    kept.writer.drop("")
    (updated, deleted, *_) = kept.changes
    assert [json.loads(each.raw()).get("replicas") for each in (updated.old, updated.new, deleted.old)] == [None, 3, 0]
    assert kept.writer.memory_usage().limbo_bytes > 0
    kept.changes.clear()
    del updated, deleted, _
    assert kept.writer.memory_usage().limbo_bytes == 0


def test_memory_usage_adds_up_and_is_freed_with_the_objects():
    kept = Kept()
    kept.writer.listener = None
    empty = kept.writer.memory_usage()
    kept.relist(*take("pods", 200))
    full = kept.writer.memory_usage()
    assert full.held_bytes == full.mapped_bytes + full.map_bytes + full.coder_bytes
    assert full.pruned_bytes == sum(len(kept.store.raw(key)) for key in kept.store)
    assert full.mapped_bytes < full.pruned_bytes / 4
    kept.relist()
    kept.writer._table.compact(1 << 20)
    gone = kept.writer.memory_usage()
    assert (gone.pruned_bytes, gone.cached_bytes, gone.limbo_bytes, gone.hidden_bytes) == (0, 0, 0, 0)
    assert gone.held_bytes - gone.coder_bytes < empty.held_bytes + 4096


def test_held_bytes_depend_on_no_read_and_on_no_other_store():
    objects = take("pods", 500)  # their templates do not all fit in the cache of the process
    found = []
    for _ in range(3):
        kept = Kept()
        kept.writer.listener = None
        kept.relist(*objects)
        before = kept.writer.memory_usage()
        for key in random.Random(1).sample(list(kept.store), 200):
            kept.store.raw(key)
        after = kept.writer.memory_usage()
        assert before.held_bytes == after.held_bytes
        found.append((kept, before.held_bytes))  # the store lives on, and keeps its share of the cache
    held = [bytes_ for _, bytes_ in found]
    assert max(held) < 1.01 * min(held)  # each table hashes its keys in another way
    assert len({kept.writer.memory_usage().cached_bytes for kept, _ in found}) > 1


def test_the_peak_of_one_store_is_a_limit_for_the_next():
    objects = take("pods", 500)
    first = Kept()
    first.relist(*objects)
    enough, short = Kept(), Kept()
    enough.writer.memory_limit = first.writer.peak_bytes * 101 // 100
    enough.relist(*objects)
    short.writer.memory_limit = first.writer.peak_bytes * 99 // 100
    with pytest.raises(MemoryLimitError, match="held_bytes") as caught:
        short.relist(*objects)
    assert caught.value.held_bytes == short.writer.memory_usage().held_bytes > caught.value.limit_bytes


def test_a_relist_is_exact_for_cluster_scoped_objects():
    kept = Kept()
    kept.relist(obj("a", namespace=""), obj("b", namespace=""))
    kept.relist(obj("b", namespace="", rv=2), obj("c", namespace=""))
    assert sorted(kept.store.keys()) == ["b", "c"]
    assert kept.notified()[2:] == [
        ("deleted", "a", None, "1", True),
        ("updated", "b", "2", "1", False),
        ("added", "c", "1", None, False),
    ]


def test_an_unchanged_object_is_neither_stored_nor_dispatched(kept):
    table = kept.writer._table
    before, ids = kept.store.raw("shop/a"), list(table.ids())
    kept.relist(obj("a", changed="only on the wire"), obj("b"), obj("c"))
    assert kept.notified() == []
    assert kept.store.raw("shop/a") == before
    assert list(table.ids()) == ids


@pytest.mark.parametrize("missing", [{"uid": ""}, {"rv": ""}])
def test_without_uid_or_resource_version_bytes_are_compared(missing):
    kept = Kept()
    kept.relist(obj("a", **missing, cpu=1), obj("b", **missing, cpu=1))
    kept.notified()
    kept.relist(obj("a", **missing, cpu=1), obj("b", **missing, cpu=2))
    assert [change[:2] for change in kept.notified()] == [("updated", "shop/b")]


def test_a_second_begin_discards_the_staged_objects(kept):
    kept.writer.begin("")
    kept.writer.apply("", batch(obj("ghost")), initial=True)
    kept.relist(obj("a"))
    assert list(kept.store.keys()) == ["shop/a"]


def test_a_delete_before_commit_removes_the_staged_object(kept):
    kept.writer.begin("")
    kept.writer.apply("", events([("ADDED", obj("a")), ("ADDED", obj("b")), ("DELETED", obj("a"))]), initial=True)
    kept.commit("")
    assert list(kept.store.keys()) == ["shop/b"]


def test_an_abort_discards_the_staged_objects(kept):
    kept.writer.begin("")
    kept.writer.apply("", batch(obj("ghost")), initial=True)
    kept.writer.abort("")
    assert sorted(kept.store.keys()) == ["shop/a", "shop/b", "shop/c"]
    assert kept.notified() == []


def test_watch_events_add_update_and_delete(kept):
    kept.live("ADDED", obj("d"))
    kept.live("MODIFIED", obj("a", rv=2))
    kept.live("DELETED", obj("b", rv=3))
    assert kept.notified() == [
        ("added", "shop/d", "1", None, False),
        ("updated", "shop/a", "2", "1", False),
        ("deleted", "shop/b", None, "3", False),
    ]
    assert "shop/b" not in kept.store


def test_an_event_with_the_same_version_is_not_an_update(kept):
    kept.live("MODIFIED", obj("a"))
    assert kept.notified() == []


def test_a_new_uid_is_a_delete_and_an_add(kept):
    expected = [("deleted", "shop/a", None, "1", True), ("added", "shop/a", "5", None, False)]
    kept.live("MODIFIED", obj("a", uid="new", rv=5))
    assert kept.notified() == expected
    kept.relist(obj("a", uid="newer", rv=6), obj("b"), obj("c"))
    assert [change[:2] for change in kept.notified()] == [("deleted", "shop/a"), ("added", "shop/a")]
    kept.relist(obj("a", uid="newest", rv=6), obj("b"), obj("c"))  # another object, even with the same version
    assert [change[:2] for change in kept.notified()] == [("deleted", "shop/a"), ("added", "shop/a")]


def test_delete_with_an_older_uid_is_ignored(kept):
    kept.live("DELETED", obj("a", uid="older"))
    assert "shop/a" in kept.store


def test_a_relist_of_one_stream_does_not_affect_the_others():
    kept = Kept()
    kept.relist(obj("a", namespace="shop"), stream="shop")
    kept.relist(obj("a", namespace="till"), stream="till")
    kept.writer.begin("shop")
    kept.live("ADDED", obj("b", namespace="till"), stream="till")
    kept.commit("shop")
    assert sorted(kept.store.keys()) == ["till/a", "till/b"]
    kept.writer.drop("till")
    assert len(kept.store) == 0
    assert kept.notified()[-1] == ("deleted", "till/b", None, "1", True)


async def test_compaction_goes_on_after_an_error(monkeypatch, caplog):
    monkeypatch.setattr(writer, "COMPACT_SECONDS", 0.0)
    writing, _ = store(name="v1/pods")
    calls = []

    class Table:
        def compact(self, size: int) -> bool:
            calls.append(size)
            writing._writes += 1
            raise MemoryError("hunter2")

    monkeypatch.setattr(writing, "_table", Table())
    writing._writes = 1
    task = asyncio.create_task(writing.run_background())
    await until(lambda: len(calls) > 2)
    task.cancel()
    assert caplog.messages == ["v1/pods: compaction: MemoryError"]


class TestSkipped:
    def skip(self, key, verb="MODIFIED", *, initial=True):
        return Skipped(verb, key, initial)

    def test_in_a_relist_the_old_object_stays_and_is_stale(self, kept):
        kept.relist(obj("a"), skips=[self.skip("shop/b")])
        assert sorted(kept.store.keys()) == ["shop/a", "shop/b"]
        assert kept.store.stale == 1
        assert kept.notified() == [("deleted", "shop/c", None, "1", True)]
        kept.relist(obj("a"), obj("b"))
        assert kept.store.stale == 0

    def test_in_a_relist_without_a_key_nothing_is_deleted(self, kept, caplog):
        kept.relist(obj("a", rv=2), skips=[self.skip(None)])
        assert sorted(kept.store.keys()) == ["shop/a", "shop/b", "shop/c"]
        assert kept.notified() == [("updated", "shop/a", "2", "1", False)]
        assert "objects that are missing from the list stay" in caplog.text
        assert kept.store.stale == 2
        kept.relist(obj("a", rv=2))
        assert list(kept.store.keys()) == ["shop/a"]

    def test_in_a_watch_the_old_object_is_stale_until_an_update(self, kept):
        kept.writer.skip("", self.skip("shop/a", initial=False))
        assert (kept.store.stale, kept.store.meta("shop/a").resource_version) == (1, "1")
        kept.live("MODIFIED", obj("a", rv=10))
        assert kept.store.stale == 0

    def test_the_old_object_is_not_stale_if_it_arrives_again(self, kept):
        kept.writer.skip("", self.skip("shop/a", initial=False))
        kept.live("MODIFIED", obj("a"))
        assert (kept.store.stale, kept.notified()) == (0, [])

    def test_healing_replaces_or_deletes_a_skipped_object(self, kept):
        for key in ("shop/a", "shop/b"):
            kept.writer.skip("", self.skip(key, initial=False))
        kept.writer.heal("", "shop/a", batch(obj("a", rv=10)))
        kept.writer.heal("", "shop/b", None)
        kept.writer.heal("", "shop/missing", None)
        assert kept.notified() == [("updated", "shop/a", "10", "1", False), ("deleted", "shop/b", None, "1", True)]
        assert kept.store.stale == 0

    def test_in_a_stream_the_staged_object_stays_and_is_stale(self, kept):
        kept.writer.begin("")
        kept.writer.apply("", batch(obj("a", rv=5), obj("d", rv=5)), initial=True)
        for key in ("shop/a", "shop/d", "shop/e"):
            kept.writer.skip("", self.skip(key))
        kept.commit("")
        assert kept.store.meta("shop/a").resource_version == "5"
        assert sorted(kept.store.keys()) == ["shop/a", "shop/d"]
        assert kept.store.stale == 2

    @pytest.mark.parametrize("verb", ["MODIFIED", "DELETED"])
    def test_in_a_stream_the_next_version_is_not_stale(self, kept, verb):
        kept.writer.begin("")
        kept.writer.skip("", self.skip("shop/a"))
        kept.writer.apply("", batch(obj("a", rv=10), verb=verb), initial=True)
        kept.commit("")
        assert kept.store.stale == 0
        assert ("shop/a" in kept.store) == (verb == "MODIFIED")

    def test_a_skipped_delete_deletes_the_object(self, kept):
        kept.writer.skip("", self.skip("shop/a", "DELETED", initial=False))
        assert "shop/a" not in kept.store
        assert kept.notified() == [("deleted", "shop/a", None, "1", False)]


class TestReading:
    def test_each_read_decodes_a_new_object(self, kept):
        first = kept.store.get("shop/a")
        first["metadata"]["name"] = "changed"
        assert kept.store["shop/a"]["metadata"]["name"] == "a"

    def test_raw_is_json_and_meta_needs_no_decoding(self, kept):
        assert json.loads(kept.store.raw("shop/a"))["metadata"]["uid"] == "uid-a"
        assert kept.store.meta("shop/a") == Meta("shop", "a", "uid-a", "1")
        assert kept.store.meta("shop/a").key == "shop/a"

    def test_a_missing_key_is_none_or_a_key_error(self, kept):
        assert kept.store.get("shop/x") is None
        assert kept.store.raw("shop/x") is None
        assert kept.store.meta("shop/x") is None
        assert "shop/x" not in kept.store
        assert 7 not in kept.store
        with pytest.raises(KeyError):
            kept.store["shop/x"]

    def test_an_iteration_sees_the_state_of_its_call(self, kept):
        items, keys = kept.store.items(), kept.store.keys()
        kept.live("DELETED", obj("a", rv=2))
        kept.live("ADDED", obj("z"))
        assert [key for key, _ in items] == list(keys) == ["shop/a", "shop/b", "shop/c"]

    def test_keys_and_items_of_one_namespace(self):
        kept = Kept()
        kept.relist(obj("a", namespace="shop"), obj("b", namespace="till"))
        assert list(kept.store.keys(namespace="till")) == ["till/b"]
        assert [key for key, _ in kept.store.items(namespace="shop")] == ["shop/a"]

    def test_items_can_be_filtered_by_labels(self):
        kept = Kept()
        for name, labels in (("a", {"app": "web"}), ("b", {"app": "db"}), ("c", None)):
            found = obj(name)
            found["metadata"]["labels"] = labels
            kept.live("ADDED", found)
        assert [key for key, _ in kept.store.items(label_selector="app=web")] == ["shop/a"]
        assert [key for key, _ in kept.store.items(label_selector="app notin (web)")] == ["shop/b", "shop/c"]
        with pytest.raises(OptionError, match="label_selector"):
            kept.store.items(label_selector="a b")
        with pytest.raises(OptionError, match=r"^label_selector: <dict> .*`Selector\.labels`"):
            kept.store.items(label_selector={"app": "web"})

    @pytest.mark.parametrize("raw", [b"{}", b'{"metadata":null}', b'{"metadata":{"labels":null}}'])
    def test_a_transformed_object_may_have_no_labels(self, raw):
        kept = Kept()
        kept.writer.transform = lambda _: raw
        kept.live("ADDED", obj("a"))
        assert list(kept.store.items(label_selector="app=web")) == []
        assert [key for key, _ in kept.store.items(label_selector="!app")] == ["shop/a"]

    def test_a_user_type_is_decoded_and_errors_show_no_values(self):
        kept = Kept(type=Pod)
        kept.relist(obj("a", replicas=3), obj("b", replicas="hunter2"))
        assert kept.store["shop/a"].replicas == 3
        with pytest.raises(DecodeError, match=r"shop/b: cannot be decoded at \$\.replicas") as caught:
            kept.store.get("shop/b")
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None


class TestTransform:
    def test_replaces_the_bytes_or_removes_the_object(self):
        kept = Kept()
        kept.writer.transform = lambda raw: None if b'"b"' in raw else raw.replace(b"uid-a", b"uid-x")
        kept.relist(obj("a"), obj("b"))
        assert list(kept.store.keys()) == ["shop/a"]
        assert b"uid-x" in kept.store.raw("shop/a")
        assert kept.writer.transform_seconds > 0

    def test_a_deleted_object_is_transformed_too(self):
        kept = Kept()
        kept.writer.transform = lambda raw: raw.replace(b"hunter2", b"")
        kept.relist(obj("a", password="hunter2"))
        kept.live("DELETED", obj("a", rv=2, password="hunter2"))
        (_, deleted) = kept.changes
        assert deleted.old.resource_version == "2"
        assert b"hunter2" not in deleted.old.raw()

    def test_an_object_removed_by_transform_is_deleted_as_stored(self):
        kept = Kept()
        kept.writer.transform = lambda raw: None if b"hunter2" in raw else raw
        kept.relist(obj("a"), obj("b"))
        kept.notified()
        kept.live("MODIFIED", obj("a", rv=2, password="hunter2"))
        kept.live("DELETED", obj("b", rv=2, password="hunter2"))
        assert [change.old.resource_version for change in kept.changes] == ["1", "1"]
        assert len(kept.store) == 0

    def test_an_exception_keeps_the_object_and_is_logged(self, caplog):
        kept = Kept()

        def transform(raw):
            raise ValueError(raw)

        kept.writer.transform = transform
        kept.relist(obj("a", password="hunter2"))
        assert "shop/a" in kept.store
        assert "store: transform " in caplog.text
        place = f"test_store.py:{transform.__code__.co_firstlineno + 1}"
        assert f"transform raised ValueError at {place} for shop/a; the object is stored without it" in caplog.text
        assert "hunter2" not in caplog.text

    @pytest.mark.parametrize(
        ("returned", "why"),
        [
            ("{}", "returned str, not bytes or None,"),
            (bytearray(b"{}"), "returned bytearray, not bytes or None,"),
            (b"", "returned bytes that are no JSON object"),
            (b"hunter2", "returned bytes that are no JSON object"),
            (b"[]", "returned bytes that are no JSON object"),
            (b'{"a":1}}', "returned bytes that are no JSON object"),
            (b'{"a":' * 100_000, "returned bytes that are no JSON object"),
        ],
        ids=["str", "bytearray", "empty", "text", "array", "more", "deep"],
    )
    def test_a_result_that_cannot_be_stored_keeps_the_object(self, caplog, returned, why):
        kept = Kept()
        kept.relist(obj("a"), obj("b"))
        before = kept.store.raw("shop/a")
        kept.writer.transform = lambda raw: returned
        kept.relist(obj("a"), obj("b"), obj("c"))
        kept.live("MODIFIED", obj("c", rv=2))
        assert kept.store.raw("shop/a") == before
        assert kept.store.meta("shop/c").resource_version == "2"
        assert kept.writer.transform_errors == 4
        (record,) = caplog.records  # of four
        assert f"<lambda> {why} for shop/a; the object is stored without it" in record.getMessage()
        assert "hunter2" not in caplog.text
