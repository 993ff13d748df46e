"""The table, method by method; test_table_oracle tests all of them together.

Over 500 lines: a class for each method shows what has a test.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import random
import threading
import zlib

import pytest

from kinform_ext._table import Table
from kinform_ext._table import Change, Version
from tests.core.wire import batch, events, obj
from tests.ext.tables import pack, pack_better, packing, unpack_better

UID = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"


def put(table, name, *, namespace="shop", uid=UID, rv="1", raw=None, initial=False, listen=True, stream=0):
    raw = raw or json.dumps({"metadata": {"name": name, "uid": uid, "resourceVersion": rv}}).encode()
    return table.put(stream, namespace, name, uid, rv, raw, initial, listen)


def relist(table, *objects, stream=0, sweep_missing=True):
    table.begin(stream)
    if objects:
        table.apply(stream, batch(*objects), True, True)
    table.commit(stream, sweep_missing)
    changes, more = table.sweep(stream, 1 << 20, True)
    assert not more
    return summary(changes)


def contents(table):
    return {table.key_of(id): table.raw_of(id) for id in table.ids()}


def summary(changes):
    return [
        (
            "deleted" if change.new is None else "added" if change.old is None else "updated",
            change.key,
            change.new and change.new.resource_version,
            change.old and change.old.resource_version,
            change.synthetic,
        )
        for change in changes
    ]


@pytest.fixture
def table():
    table = packing()
    relist(table, obj("a"), obj("b"), obj("c"))
    return table


class TestWrites:
    @pytest.mark.parametrize("uid", [UID, UID.upper(), UID.replace("-", "+"), "uid", "", "0" * 36, "x" * 300])
    @pytest.mark.parametrize(
        "rv", ["1", "0", "", "18446744073709551615", "18446744073709551616", "007", "-1", "v" * 200]
    )
    @pytest.mark.parametrize("encoder", [None, pack])
    def test_an_object_reads_back_byte_for_byte(self, uid, rv, encoder):
        table = packing()
        table.encoder = encoder
        for name, namespace in (
            ("p", "shop"),
            ("na\u00efve \u0001\u0004", "sh\u00f6p"),
            ("n" * 253, ""),
            ("p", rv),
            (uid or "u", ""),
        ):
            given = batch(obj(name, namespace=namespace, uid=uid, rv=rv, note="\u0001 p shop p"))
            table.apply(0, given, False, False)
            key = given.key(0)
            assert table.raw(key) == given.raw(0)
            assert table.meta(key) == (namespace, name, uid, rv)
            table.delete(0, key, False)
            table.put(0, namespace, name, uid, rv, given.raw(0), False, False)
            assert table.raw(key) == given.raw(0)
            assert table.version_of(table.find(key)).raw() == given.raw(0)

    def test_bytes_that_are_not_json_read_back_too(self):
        table = packing()
        for raw in (b"\x01\x02\x03\x04", b'"p"' * 5, b"", b'{"p":"\x02"}'):
            put(table, "p", raw=raw, uid="")
            assert table.raw("shop/p") == raw or not raw

    def test_the_encoder_gets_placeholders_for_stored_strings(self, table):
        seen = []
        table.observer = seen.append
        about = {"name": "web-1", "note": "shop web-1", "quoted": '{"in":"shop"}'}
        given = batch(obj("web-1.17a8", uid=UID, rv=77, about=about, labels=["web-1.17a8", "77"]))
        table.apply(0, given, False, False)
        assert seen == [
            b'{"apiVersion":"v1","kind":"Pod","metadata": {"name": "\x02", "namespace": "\x01", "uid": "\x03", '
            b'"resourceVersion": "\x04"}, "about": {"name": "\x05", "note": "shop web-1", "quoted": '
            b'"{\\"in\\":\\"\x01\\"}"}, "labels": ["\x02", "77"]}'
        ]
        assert table.encoder_input(table.find("shop/web-1.17a8")) == seen[0]
        assert table.raw("shop/web-1.17a8") == given.raw(0)

    def test_objects_with_repeated_values_read_back_byte_for_byte(self):
        rng, table = random.Random(int(os.environ.get("KINFORM_SEED", "7"))), packing()
        words = [
            "a",
            "aa",
            "a.a",
            ".",
            "..",
            "a.",
            ".a",
            '"',
            "\\",
            "\x01\x05",
            "\u00e4",
            ",",
            ":",
            "a" * 40,
            "metadata",
            "name",
        ]
        for _ in range(3000):
            name, *rest = (rng.choice(words) for _ in range(4))
            values = [
                rng.choice([name, *rest, rng.choice(words) * rng.randrange(20)]) for _ in range(rng.randrange(60))
            ]
            given = batch(obj(name, namespace=rest[0], uid=rest[1], rv=rest[2], values=values, more=json.dumps(values)))
            table.apply(0, given, False, False)
            put(table, name, namespace="put", uid=rest[1], rv=rest[2], raw=given.raw(0))
            assert table.raw(given.key(0)) == given.raw(0), values
            assert table.raw(f"put/{name}") == given.raw(0), values
            table.drop(0, 10, False)

    def test_a_blob_that_is_not_smaller_is_not_used(self):
        table = packing()
        table.encoder = lambda source: source + b"!"
        put(table, "p", raw=b"tiny")
        assert (table.refcount(0), table.refcount(1)) == (1, 0)
        assert table.raw("shop/p") == b"tiny"

    def test_memory_of_large_objects_is_unmapped_with_them(self, table):
        before = table.stats()["mapped_bytes"]
        table.encoder = None
        raw = json.dumps({"data": "x" * 3_000_000}).encode()
        put(table, "large", raw=raw)
        put(table, "name" * 50_000)
        assert table.raw("shop/large") == raw
        assert table.meta("shop/" + "name" * 50_000)[1] == "name" * 50_000
        table.delete(0, "shop/large", False)
        table.delete(0, "shop/" + "name" * 50_000, False)
        assert table.stats()["mapped_bytes"] < before + 32768

    def test_a_key_with_a_slash_may_have_no_namespace(self):
        table = packing()
        put(table, "b/c", namespace="a", rv="1")
        put(table, "x/y", namespace="", rv="2")
        assert table.meta("a/b/c")[:2] == ("a", "b/c")
        assert table.meta("x/y")[:2] == ("", "x/y")
        assert summary(table.delete(0, "x/y", True)) == [("deleted", "x/y", None, "2", False)]

    def test_namespaces_are_freed_with_their_last_object(self):
        table = packing()
        for at in range(5000):
            put(table, "p", namespace=f"space-{at}", listen=False)
        assert table.stats()["map_bytes"] > 5000 * 60
        for at in range(5000):
            table.delete(0, f"space-{at}/p", False)
        for at in range(20_000):
            put(table, "p", namespace=f"space-{at}", listen=False)
            table.delete(0, f"space-{at}/p", False)
        assert table.stats()["objects"] == 0
        assert table.stats()["map_bytes"] < 5000 * 90


class TestChanges:
    def test_live_events_give_added_updated_and_deleted(self, table):
        assert summary(table.apply(0, batch(obj("d"), obj("a", rv=2)), False, True)) == [
            ("added", "shop/d", "1", None, False),
            ("updated", "shop/a", "2", "1", False),
        ]
        (change,) = table.apply(0, batch(obj("a", rv=3, last=True), verb="DELETED"), False, True)
        assert summary([change]) == [("deleted", "shop/a", None, "3", False)]
        assert b'"last": true' in change.old.raw()
        assert table.raw("shop/a") is None

    def test_a_new_uid_gives_a_deletion_and_an_addition(self, table):
        expected = [("deleted", "shop/a", None, "1", True), ("added", "shop/a", "5", None, False)]
        assert summary(table.apply(0, batch(obj("a", uid="new", rv=5)), False, True)) == expected
        assert relist(table, obj("a", uid="newer", rv=6), obj("b"), obj("c"))[0] == (
            "deleted",
            "shop/a",
            None,
            "5",
            True,
        )
        assert table.apply(0, batch(obj("a", uid="older"), verb="DELETED"), False, True) == []

    def test_without_a_listener_no_changes_are_returned(self, table):
        assert table.apply(0, batch(obj("a", rv=2)), False, False) is None
        assert table.delete(0, "shop/a", False) is None

    def test_a_version_outlives_its_table_and_counts_for_its_codec(self):
        table = packing()
        (change,) = table.apply(0, batch(obj("p" * 100, uid=UID, note="x" * 100)), False, True)
        version = change.new
        assert table.refcount(1) == 2
        with pytest.raises(ValueError, match="codec 1 is in use by 2"):
            table.set_decoder(1, None)
        del change, table
        gc.collect()
        assert json.loads(version.raw())["metadata"]["uid"] == UID
        assert (version.namespace, version.name, version.uid, version.resource_version) == ("shop", "p" * 100, UID, "1")
        assert 150 < version.nbytes < 400

    def test_repr_of_versions_and_changes_shows_no_contents(self):
        change = Change("shop/a", synthetic=True)
        assert (change.new, change.old, change.synthetic) == (None, None, True)
        table = packing()
        (change,) = put(table, "p", raw=b'{"password":"hunter2"}')
        assert "hunter2" not in repr(change)
        with pytest.raises(TypeError, match="created by a table"):
            Version().raw()


class TestRelists:
    def test_unchanged_objects_are_neither_encoded_nor_decoded(self, table):
        table.encoder = table.observer = None
        table.set_decoder(1, lambda blob: pytest.fail("decoded"))
        table.encoder = lambda source: pytest.fail("encoded")
        assert relist(table, obj("a"), obj("b"), obj("c")) == []

    def test_readers_see_the_old_state_until_commit(self, table):
        table.begin(0)
        table.apply(0, batch(obj("a", rv=2), obj("d")), True, True)
        assert sorted(table.ids().keys()) == ["shop/a", "shop/b", "shop/c"]
        assert (len(table), table.meta("shop/a")[3]) == (3, "1")
        table.commit(0)
        assert sorted(table.ids().keys()) == ["shop/a", "shop/d"]
        assert (len(table), table.meta("shop/a")[3]) == (2, "2")

    def test_a_sweep_returns_its_changes_in_slices(self, table):
        table.begin(0)
        table.apply(0, batch(obj("a", rv=2), obj("d")), True, True)
        table.commit(0)
        changes = []
        for _ in range(4):
            some, more = table.sweep(0, 1, True)
            assert len(some) <= 1
            changes += some
        while more:
            some, more = table.sweep(0, 1, True)
            changes += some
        assert sorted(summary(changes)) == [
            ("added", "shop/d", "1", None, False),
            ("deleted", "shop/b", None, "1", True),
            ("deleted", "shop/c", None, "1", True),
            ("updated", "shop/a", "2", "1", False),
        ]

    def test_live_events_in_a_sweep_come_after_the_commits_changes(self, table):
        table.begin(0)
        table.apply(0, batch(obj("a", rv=2)), True, True)
        table.commit(0)
        assert summary(table.apply(0, batch(obj("a", rv=3), obj("b", rv=9)), False, True)) == [
            ("updated", "shop/a", "2", "1", False),
            ("updated", "shop/a", "3", "2", False),
            ("deleted", "shop/b", None, "1", True),
            ("added", "shop/b", "9", None, False),
        ]
        assert summary(table.sweep(0, 100, True)[0]) == [("deleted", "shop/c", None, "1", True)]

    def test_an_abort_leaves_no_trace(self, table):
        before = table.stats()
        table.begin(0)
        table.apply(0, batch(obj("a"), obj("b", rv=2), obj("ghost")), True, True)
        table.skip(0, "shop/c", True)
        table.abort(0)
        table.abort(0)
        after = table.stats()
        assert {name: after[name] for name in ("objects", "records", "stale", "blob_bytes")} == {
            name: before[name] for name in ("objects", "records", "stale", "blob_bytes")
        }
        assert relist(table, obj("a"), obj("b"), obj("c")) == []
        assert table.stale == 0

    def test_a_skipped_object_stays_and_is_stale(self, table):
        table.begin(0)
        assert table.skip(0, "shop/b", True)
        assert not table.skip(0, "shop/x", True)
        assert table.stale == 0
        table.commit(0)
        assert (table.stale, sorted(table.ids().keys())) == (1, ["shop/b"])
        table.sweep(0, 100, False)
        assert relist(table, obj("b")) == []
        assert table.stale == 0
        assert table.skip(0, "shop/b", False)
        assert table.stale == 1
        table.apply(0, batch(obj("b", rv=2)), False, False)
        assert table.stale == 0

    def test_missing_objects_stay_stale_without_sweep_missing(self, table):
        assert relist(table, obj("a", rv=2), sweep_missing=False) == [("updated", "shop/a", "2", "1", False)]
        assert (len(table), table.stale) == (3, 2)
        assert len(relist(table, obj("a", rv=2))) == 2

    def test_a_drop_is_visible_at_once_and_returned_in_slices(self, table):
        put(table, "other", stream=1)
        changes, more = table.drop(0, 2, True)
        assert (len(changes), more, list(table.ids().keys())) == (2, True, ["shop/other"])
        with pytest.raises(ValueError, match="drop is in progress"):
            put(table, "late")
        changes, more = table.drop(0, 2, True)
        assert (len(changes), more) == (1, False)
        put(table, "again")

    def test_writes_in_the_wrong_phase_are_refused(self, table):
        for write in (
            lambda: table.commit(0),
            lambda: put(table, "p", initial=True),
            lambda: table.delete(0, "shop/a", False, True),
            lambda: table.skip(0, "shop/a", True),
            lambda: table.apply(0, batch(obj("a")), True, False),
        ):
            with pytest.raises(ValueError, match="no relist is in progress"):
                write()
        table.begin(0)
        with pytest.raises(ValueError, match="in progress"):
            put(table, "p")
        table.commit(0)
        with pytest.raises(ValueError, match="not finished"):
            table.begin(0)
        for stream in (-1, 65536):
            with pytest.raises(ValueError, match="0 to 65535"):
                table.begin(stream)
        with pytest.raises(ValueError, match="a name"):
            put(table, "")


class TestCallbacks:
    @pytest.mark.parametrize("initial", [False, True])
    def test_an_encoder_that_raises_leaves_out_its_object_only(self, table, initial):
        def refuse(source):
            if b"poison" in source:
                raise OSError("no")
            return pack(source)

        table.encoder = refuse
        if initial:
            table.begin(0)
        with pytest.raises(OSError, match="no"):
            table.apply(0, batch(obj("a", rv=2), obj("b", rv=2, note="poison"), obj("c", rv=2)), initial, True)
        if initial:
            table.commit(0)
            table.sweep(0, 100, False)
        assert table.meta("shop/a")[3] == "2"
        assert table.meta("shop/c" if not initial else "shop/a")[3] == ("1" if not initial else "2")
        assert len(table) == (1 if initial else 3)

    def test_wrong_results_of_callbacks_are_refused(self, table):
        table.encoder = lambda source: "text"
        with pytest.raises(TypeError, match="encoder returned str: expected bytes"):
            put(table, "p")
        table.set_decoder(1, lambda blob: "text")
        with pytest.raises(TypeError, match="decoder returned str: expected bytes"):
            table.raw("shop/a")
        table.set_decoder(1, lambda blob: b"\x02 hunter2")
        with pytest.raises(ValueError, match="codec 1: the decoded bytes are not those that were encoded") as caught:
            table.raw("shop/a")
        assert "hunter2" not in str(caught.value)
        with pytest.raises(ValueError, match="1 to 65535"):
            table.set_decoder(0, pack)
        with pytest.raises(ValueError, match="0 to 65535"):
            table.encoder_codec = 65536

    def test_an_encoder_may_write_to_the_table(self, table):
        def meddle(source):
            table.encoder = pack
            table.apply(0, batch(obj("a", rv=7)), False, False)
            table.delete(0, "shop/b", False)
            table.compact(1 << 20)
            return pack(source)

        table.encoder = meddle
        assert summary(table.apply(0, batch(obj("a", rv=8)), False, True)) == [("updated", "shop/a", "8", "7", False)]
        assert len(table) == 2

    def test_an_object_is_refused_if_its_encoder_aborts_the_relist(self, table):
        def meddle(source):
            table.abort(0)
            return pack(source)

        table.begin(0)
        table.encoder = meddle
        with pytest.raises(ValueError, match="no relist is in progress"):
            table.apply(0, batch(obj("a", rv=8)), True, True)
        assert table.meta("shop/a")[3] == "1"

    def test_a_decoder_may_write_to_the_table(self, table):
        def meddle(blob):
            table.set_decoder(1, zlib.decompress)
            table.delete(0, "shop/a", False)
            put(table, "z" * 200)
            return zlib.decompress(blob)

        before = table.raw("shop/a")
        table.set_decoder(1, meddle)
        assert table.raw("shop/a") == before
        assert "shop/a" not in table

    def test_threads_read_while_one_writes(self):
        table = packing()
        stop, wrong = threading.Event(), []

        def read():
            while not stop.is_set():
                for id in itertools.islice(table.ids(), 50):
                    meta, raw = table.meta_of(id), table.raw_of(id)
                    if json.loads(raw)["metadata"]["resourceVersion"] != meta[3]:
                        wrong.append(meta)
                raw = table.raw("shop/p3")
                if raw and json.loads(raw)["metadata"]["name"] != "p3":
                    wrong.append(raw)

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            rng = random.Random(1)
            for version in range(3000):
                table.apply(0, batch(obj(f"p{rng.randrange(100)}", rv=version, note="x" * 50)), False, False)
                if version % 10 == 0:
                    table.delete(0, f"shop/p{rng.randrange(100)}", False)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert wrong == []


class TestIterators:
    def test_an_iterator_shows_the_state_of_its_start(self, table):
        expected = contents(table)
        ids = table.ids()
        table.apply(0, events([("MODIFIED", obj("a", rv=2)), ("DELETED", obj("b"))]), False, False)
        put(table, "z")
        relist(table, obj("z"))
        assert len(ids) == 3
        assert {table.key_of(id): table.raw_of(id) for id in ids} == expected
        assert table.stats()["limbo_records"] == 0

    @pytest.mark.parametrize("ending", ["exhausted", "closed", "collected"])
    def test_an_iterator_pins_versions_until_it_passes_them_or_ends(self, table, ending):
        ids = table.ids()
        first = next(ids)
        table.drop(0, 100, False)
        assert table.stats()["limbo_records"] == 3
        assert table.refcount(1) == 3
        table.raw_of(first)
        next(ids)
        assert table.stats()["limbo_records"] == 2
        with pytest.raises(KeyError):
            table.raw_of(first)
        if ending == "exhausted":
            assert len(list(ids)) == 1
        elif ending == "closed":
            ids.close()
            ids.close()
        else:
            del ids
        assert (table.stats()["limbo_records"], table.stats()["limbo_bytes"], table.refcount(1)) == (0, 0, 0)

    def test_an_open_iterator_keeps_one_old_version_of_a_key(self, table):
        ids = table.ids()
        for version in range(2, 1000):
            table.apply(0, batch(obj("a", rv=version)), False, False)
        assert table.stats()["limbo_records"] == 1
        assert next(ids) is not None

    def test_an_iterator_of_one_namespace(self, table):
        put(table, "p", namespace="till")
        assert list(table.ids("till").keys()) == ["till/p"]
        assert list(table.ids("nowhere")) == []
        assert len(table.ids("shop")) == 3

    def test_unknown_ids_are_key_errors(self, table):
        for read in (table.raw_of, table.meta_of, table.key_of, table.version_of, table.blob_of, table.encoder_input):
            for id in (-1, 3, 1 << 20, 1 << 40):
                with pytest.raises(KeyError):
                    read(id)
        assert table.find("shop/x") == -1
        assert 7 not in table
        assert table.meta_of(table.find("shop/a"))[:2] == ("shop", "a")


class TestRecode:
    def test_recode_replaces_the_expected_blob_and_keeps_the_id(self, table):
        ids = table.ids_with_codec(1, 0, 10)
        assert (ids, table.ids_with_codec(1, 1, 1), table.ids_with_codec(2, 0, 10)) == ([0, 1, 2], [1], [])
        for id in ids:
            before, blob = table.raw_of(id), pack_better(table.encoder_input(id))
            assert not table.recode(id, 2, 2, blob)
            assert not table.recode(id, 1, 2, blob, expected=b"")
            assert table.recode(id, 1, 2, blob, expected=table.blob_of(id))
            assert (table.raw_of(id), table.blob_of(id)) == (before, blob)
        assert (table.refcount(1), table.refcount(2)) == (0, 3)
        table.set_decoder(1, None)
        assert not table.recode(99, 1, 2, b"")
        with pytest.raises(ValueError, match="0 to 65535"):
            table.recode(0, 2, 1 << 16, b"")

    def test_recode_ignores_staged_versions_and_those_in_limbo(self, table):
        ids = table.ids()
        next(ids)
        table.delete(0, "shop/a", False)
        table.begin(0)
        table.apply(0, batch(obj("b", rv=2)), True, False)
        assert table.ids_with_codec(1, 0, 10) == [1, 2]
        assert not table.recode(0, 1, 2, b"")
        assert not table.recode(3, 1, 2, b"")


class TestDumps:
    def test_a_dump_loads_as_it_was(self, table):
        table.skip(0, "shop/c", False)
        put(table, "p", stream=3, namespace="")
        ids = table.ids()
        parts = [*iter(lambda: ids.dump(1), b"")]
        assert len(parts) == 4
        loaded = packing()
        loaded.encoder = None
        assert sum(loaded.load({0: 5, 3: 6}, data) for data in parts) == 4
        assert contents(loaded) == contents(table)
        assert (loaded.stale, loaded.refcount(1)) == (1, table.refcount(1))
        loaded.drop(5, 100, False)
        assert list(loaded.ids().keys()) == ["p"]

    def test_a_dump_of_an_iterator_is_one_state(self, table):
        ids = table.ids()
        table.drop(0, 100, False)
        loaded = packing()
        while data := ids.dump(1):
            loaded.load(0, data)
        assert sorted(loaded.ids().keys()) == ["shop/a", "shop/b", "shop/c"]

    def test_a_refused_dump_adds_nothing(self, table):
        data = table.ids().dump(1 << 20)
        with pytest.raises(ValueError, match="in the table already"):
            table.load(0, data)
        loaded = packing()
        with pytest.raises(KeyError):
            loaded.load({}, data)
        with pytest.raises(ValueError, match="in the table already"):
            loaded.load(0, data + data)
        loaded.begin(1)
        with pytest.raises(ValueError, match="in progress"):
            loaded.load(1, data)
        assert len(loaded) == 0

    def test_a_truncated_or_corrupted_dump_is_safe(self, table):
        ids = table.ids()
        each = [ids.dump(1) for _ in range(3)]
        whole, loaded = b"".join(each), packing()
        for end in range(1, len(whole)):
            if end not in (len(each[0]), len(each[0] + each[1])):
                with pytest.raises(ValueError, match="whole records"):
                    loaded.load(0, whole[:end])
        assert len(loaded) == 0
        rng = random.Random(3)
        for at in range(len(whole)):
            wrong = bytearray(whole)
            wrong[at] ^= 1 << rng.randrange(8)
            loaded = packing()
            loaded.set_decoder(2, unpack_better)
            try:
                loaded.load(dict.fromkeys(range(1 << 16), 0), bytes(wrong))
            except (ValueError, KeyError):
                assert len(loaded) == 0
                continue
            for id in loaded.ids():
                try:
                    loaded.raw_of(id)
                    loaded.meta_of(id)
                except (ValueError, zlib.error, MemoryError):
                    pass


class TestSizes:
    def test_stats_add_up(self, table):
        stats = table.stats()
        assert stats["objects"] == stats["records"] == 3
        assert stats["name_bytes"] == 3
        assert stats["pruned_bytes"] == sum(len(table.raw_of(id)) for id in table.ids())
        assert stats["blob_bytes"] == sum(len(table.blob_of(id)) for id in table.ids())
        assert stats["overhead_bytes"] == stats["mapped_bytes"] + stats["map_bytes"] - 3 - stats["blob_bytes"]
        assert table.__sizeof__() > stats["mapped_bytes"] + stats["map_bytes"]

    @pytest.mark.parametrize("objects", [20_000, 100_000])
    def test_the_overhead_is_at_most_48_bytes_an_object(self, objects, capsys):
        table, rng = Table(), random.Random(1)
        for at in range(objects):
            digits = f"{rng.getrandbits(128):032x}"
            uid = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
            table.put(
                0, f"team-{at % 97}", f"web-{at:08x}-{at % 31:05d}", uid, str(10**9 + at), b"x" * 250, False, False
            )
        stats = table.stats()
        overhead = stats["overhead_bytes"] / objects
        with capsys.disabled():
            print(f"\n{objects:,} objects: {overhead:.1f} B each beyond name and blob ({table.stats()})")
        slack = 0.05 * (stats["name_bytes"] + stats["blob_bytes"]) / objects
        assert overhead <= 48 + slack

    def test_memory_is_used_again_and_unmapped(self):
        table, rng = Table(), random.Random(2)
        for at in range(20_000):
            put(table, f"p{at}", raw=b"x" * rng.randrange(50, 400), listen=False)
        full = table.stats()
        for version in range(60_000):
            put(table, f"p{rng.randrange(20_000)}", rv=str(version), raw=b"x" * rng.randrange(50, 400), listen=False)
        churned = table.stats()
        assert churned["mapped_bytes"] < 1.12 * churned["record_bytes"]
        while table.compact(1 << 18):
            pass
        assert table.stats()["mapped_bytes"] < 1.03 * churned["record_bytes"]
        for at in range(20_000):
            if at % 10:
                table.delete(0, f"shop/p{at}", False)
        while table.compact(1 << 18):
            pass
        assert table.stats()["mapped_bytes"] < 0.13 * full["mapped_bytes"]
        assert all(table.find(f"shop/p{at}") >= 0 for at in range(0, 20_000, 10))
        assert table.stats()["map_bytes"] < full["map_bytes"] * 0.6
