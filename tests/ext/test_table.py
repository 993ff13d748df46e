"""Tests writes, changes, iterators and indexes of a table, method by method.

test_table_oracle tests all methods together, test_table_forms how objects are encoded.
"""

from __future__ import annotations

import gc
import json
import os
import random

import pytest

from kinform_ext._table import CHANGES, KEYS, NOTHING, Change, Table, Version
from tests.core.wire import batch, events, obj
from tests.ext.resembling import take
from tests.ext.tables import indexed
from tests.ext.writing import UID, filled, put, relist, summary

SEED = int(os.environ.get("KINFORM_SEED", "7"))


def limbo(table):
    """Returns the number of records that iterators and versions keep."""
    return table.stats()["limbo_records"] - table.stats()["hidden_records"]


def contents(table):
    return {table.key_of(id): table.raw_of(id) for id in table.ids()}


@pytest.fixture
def table():
    return filled()


class TestWrites:
    @pytest.mark.parametrize("uid", [UID, UID.upper(), UID.replace("-", "+"), "uid", "", "0" * 36, "x" * 300])
    @pytest.mark.parametrize(
        "rv", ["1", "0", "", "18446744073709551615", "18446744073709551616", "007", "-1", "v" * 200]
    )
    def test_an_object_reads_back_byte_for_byte(self, uid, rv):
        table = Table()
        for name, namespace in (
            ("p", "shop"),
            ("na\u00efve \u0001\u0004", "sh\u00f6p"),
            ("n" * 253, ""),
            ("p", rv),
            (uid or "u", ""),
            ("system:node:a", "kube:system"),
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

    @pytest.mark.parametrize("uid", ["", UID])
    def test_bytes_that_are_not_json_read_back_too(self, uid):
        table = Table()
        given = [b"", b"x", b"\x01\x02\x03\x04", b'"p"' * 5, b'{"p":"\x02"}', bytes(range(256)) * 40, b"\xff" * 5000]
        for number, raw in enumerate([*given, *reversed(given)]):
            put(table, "p", raw=raw, uid=uid, rv=str(number))
            assert table.raw("shop/p") == raw
            put(table, f"p{number}", raw=raw, uid=uid, rv=str(number))
        for number, raw in enumerate([*given, *reversed(given)]):
            assert table.raw(f"shop/p{number}") == raw

    @pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 131_072, 262_144, 1 << 20, 5_000_000])
    @pytest.mark.parametrize("kind", ["text", "random"])
    def test_an_object_of_any_size_reads_back(self, size, kind):
        table, rng = Table(), random.Random(size)
        data = rng.randbytes(size) if kind == "random" else b'{"line":"of a large object"},'
        raw = (data * (size // max(len(data), 1) + 1))[:size]
        for number in range(3):
            put(table, f"large-{number}", raw=raw, rv=str(number))
        changed = raw[: size // 2] + b"!" + raw[size // 2 :]
        put(table, "large-1", raw=changed, rv="9")
        assert [table.raw(f"shop/large-{number}") for number in range(3)] == [raw, changed, raw]

    def test_objects_with_repeated_values_read_back_byte_for_byte(self):
        rng, table = random.Random(SEED), Table()
        words = [*"a.,:", "aa", "a.a", "..", "a.", ".a", '"', "\\", "\x01\x05", "\u00e4", "a" * 40, "metadata", "name"]
        for number in range(3000):
            name, namespace, uid, rv = (rng.choice(words) for _ in range(4))
            rv += str(number)
            values = [
                rng.choice([name, namespace, uid, rv, rng.choice(words) * rng.randrange(20)])
                for _ in range(rng.randrange(60))
            ]
            given = batch(obj(name, namespace=namespace, uid=uid, rv=rv, values=values, more=json.dumps(values)))
            table.apply(0, given, False, False)
            put(table, name, namespace="put", uid=uid, rv=rv, raw=given.raw(0))
            assert table.raw(given.key(0)) == given.raw(0), f"KINFORM_SEED={SEED}"
            assert table.raw(f"put/{name}") == given.raw(0), f"KINFORM_SEED={SEED}"
            if rng.random() < 0.1:
                table.drop(0, 100, False)

    @pytest.mark.parametrize("kind", ["pods", "events", "namespaces", "secrets", "configmaps", "leases", "customs"])
    def test_collections_read_back_byte_for_byte(self, kind):
        table, expected = Table(), {}
        objects = take(kind, 300)
        for found in [*objects, *reversed(objects)]:
            found["metadata"]["resourceVersion"] = str(len(expected) + 1000)
            given = batch(found)
            table.apply(0, given, False, False)
            expected[given.key(0)] = given.raw(0)
            assert table.raw(given.key(0)) == given.raw(0)
        assert contents(table) == expected

    def test_memory_of_large_objects_is_unmapped_with_them(self, table):
        before = table.stats()["mapped_bytes"]
        raw = random.Random(1).randbytes(3_000_000)
        put(table, "large", raw=raw)
        put(table, "name" * 50_000)
        assert table.raw("shop/large") == raw
        assert table.meta("shop/" + "name" * 50_000)[1] == "name" * 50_000
        table.delete(0, "shop/large", False)
        table.delete(0, "shop/" + "name" * 50_000, False)
        assert table.stats()["mapped_bytes"] < before + 32768

    def test_a_key_with_a_slash_may_have_no_namespace(self):
        table = Table()
        put(table, "b/c", namespace="a", rv="1")
        put(table, "x/y", namespace="", rv="2")
        assert table.meta("a/b/c")[:2] == ("a", "b/c")
        assert table.meta("x/y")[:2] == ("", "x/y")
        assert summary(table.delete(0, "x/y", True)) == [("deleted", "x/y", None, "2", False)]

    def test_namespaces_are_freed_with_their_last_object(self):
        table = Table()
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
        assert table.apply(0, batch(obj("a", rv=2)), False, NOTHING) is None
        assert table.delete(0, "shop/a", NOTHING) is None
        assert table.drop(0, 100, NOTHING) == ([], False)

    def test_keys_in_place_of_changes_are_the_same_keys(self):
        found = []
        for listen in (CHANGES, KEYS):
            table, changes = Table(), []
            changes += table.apply(0, batch(obj("a"), obj("b"), obj("c"), obj("a", rv=2), obj("b")), False, listen)
            changes += table.apply(0, batch(obj("c", rv=9), obj("x"), verb="DELETED"), False, listen)
            changes += put(table, "d", listen=listen)
            changes += table.delete(0, "shop/d", listen)
            table.begin(0)
            table.apply(0, batch(obj("a", rv=3), obj("e")), True, listen)
            table.commit(0)
            changes += table.apply(0, batch(obj("b", rv=7)), False, listen)
            changes += table.sweep(0, 100, listen)[0]
            changes += table.drop(0, 2, listen)[0] + table.drop(0, 2, listen)[0]
            found.append([each if isinstance(each, str) else each.key for each in changes])
            if listen == KEYS:
                assert table.stats()["limbo_records"] == 0
        assert sorted(found[0]) == sorted(found[1])
        assert len(found[0]) == 14

    def test_a_recreated_object_gives_its_key_once(self, table):
        assert table.apply(0, batch(obj("a", uid="new", rv=5)), False, KEYS) == ["shop/a"]
        assert table.apply(0, batch(obj("a", uid="new", rv=5)), False, KEYS) == []

    def test_a_version_outlives_its_table(self):
        table = Table()
        (change,) = table.apply(0, batch(obj("p" * 100, uid=UID, note="x" * 100)), False, True)
        version = change.new
        del change, table
        gc.collect()
        assert json.loads(version.raw())["metadata"]["uid"] == UID
        assert (version.namespace, version.name, version.uid, version.resource_version) == ("shop", "p" * 100, UID, "1")
        assert version.key == "shop/" + "p" * 100
        assert 150 < version.nbytes < 500

    def test_a_deleted_event_carries_its_own_state(self, table):
        newer = obj("a", rv=3, note="the last words")
        (change,) = table.apply(0, batch(newer, verb="DELETED"), False, True)
        assert json.loads(change.old.raw()) == newer
        assert (change.old.resource_version, "shop/a" in table) == ("3", False)
        assert limbo(table) == 1
        (same,) = table.apply(0, batch(obj("b", note="only on the wire"), verb="DELETED"), False, True)
        assert json.loads(same.old.raw()) == obj("b")
        del change, same
        assert limbo(table) == 0
        assert table.apply(0, batch(obj("c", rv=9), verb="DELETED"), False, False) is None
        assert (len(table), table.stats()["record_bytes"]) == (0, 0)

    def test_repr_of_versions_and_changes_shows_no_contents(self):
        change = Change("shop/a", synthetic=True)
        assert (change.new, change.old, change.synthetic) == (None, None, True)
        table = Table()
        (change,) = put(table, "p", raw=b'{"password":"hunter2"}')
        assert "hunter2" not in repr(change)
        for read in (Version.raw, lambda version: version.key, lambda version: version.nbytes):
            with pytest.raises(TypeError, match="created by a table"):
                read(Version())


class TestIterators:
    def test_an_iterator_shows_the_state_of_its_start(self, table):
        expected = contents(table)
        ids = table.ids()
        table.apply(0, events([("MODIFIED", obj("a", rv=2)), ("DELETED", obj("b"))]), False, False)
        put(table, "z")
        relist(table, obj("z"))
        assert len(ids) == 3
        assert {table.key_of(id): table.raw_of(id) for id in ids} == expected
        assert limbo(table) == 0

    @pytest.mark.parametrize("ending", ["exhausted", "closed", "collected"])
    def test_an_iterator_pins_versions_until_it_passes_them_or_ends(self, ending):
        table, rng = Table(), random.Random(1)
        for name in "abc":
            put(table, name, raw=rng.randbytes(100))
        ids = table.ids()
        first = next(ids)
        table.drop(0, 100, False)
        assert table.stats()["limbo_records"] == 3
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
        assert (table.stats()["limbo_records"], table.stats()["record_bytes"]) == (0, 0)

    def test_an_open_iterator_keeps_one_old_version_of_a_key(self):
        table, rng = Table(), random.Random(1)
        put(table, "a", raw=rng.randbytes(50))
        ids = table.ids()
        for version in range(2, 1000):
            put(table, "a", rv=str(version), raw=rng.randbytes(50), listen=False)
        assert table.stats()["limbo_records"] == 1
        assert next(ids) is not None

    def test_an_iterator_of_one_namespace(self, table):
        put(table, "p", namespace="till")
        assert list(table.ids("till").keys()) == ["till/p"]
        assert list(table.ids("nowhere")) == []
        assert len(table.ids("shop")) == 3

    def test_a_copy_goes_its_own_way(self, table):
        ids = table.ids()
        first = next(ids)
        copy = ids.copy()
        put(table, "a", rv="2")
        assert (len(ids), len(copy)) == (2, 2)
        assert table.key_of(first) == "shop/a"
        assert list(copy.keys()) == ["shop/b", "shop/c"]
        assert len(list(copy.copy())) == 0
        assert len(list(ids)) == 2
        assert limbo(table) == 0

    def test_an_iterator_finds_the_versions_of_its_state(self, table):
        put(table, "p", namespace="", raw=b'{"cluster":"scoped"}')
        ids = table.ids()
        before = {key: table.find(key) for key in ("shop/a", "shop/b", "p")}
        assert {key: ids.find(key) for key in before} == before
        put(table, "a", rv="2")
        put(table, "z")
        table.apply(0, events([("DELETED", obj("b"))]), False, False)
        assert ids.find("p") == before["p"]
        assert {ids.find(key) for key in ("shop/a", "shop/b", "shop/z", "shop/", "x/y")} == {-1}
        assert ids.removed == 2
        assert {table.key_of(id): id for id in ids.removed_ids()} == {key: before[key] for key in ("shop/a", "shop/b")}
        assert table.ids("shop").find("p") == -1
        ids.close()
        assert (ids.find("p"), ids.removed, ids.removed_ids()) == (-1, 0, [])

    def test_identities_tell_versions_apart(self):
        table = Table()
        uids = ("", "u", "ab", "0a1b2c3d-4e5f-6071-8293-000000000001", "0a1b2c3d-4e5f-6071-8293-000000000002")
        versions = ("", "1", "01", "b", "256", "257", "18446744073709551615", "99999999999999999999")
        found = {}
        for uid in uids:
            for rv in versions:
                put(table, "p", uid=uid, rv=rv, raw=f'{{"{uid}":"{rv}"}}'.encode())
                identity, raw = table.identity_and_raw("shop/p")
                assert raw == table.raw("shop/p")
                assert identity == table.identity("shop/p") == table.identity_of(table.find("shop/p"))
                assert (identity == b"") == (not uid or not rv)
                found[uid, rv] = identity
        assert len(set(found.values())) == 1 + (len(uids) - 1) * (len(versions) - 1)
        assert table.identity("shop/x") is table.identity_and_raw("shop/x") is None

    def test_unknown_ids_are_key_errors(self, table):
        reads = (table.raw_of, table.meta_of, table.key_of, table.version_of, table.blob_of, table.form_of)
        for read in (*reads, table.identity_of):
            for id in (-1, 3, 1 << 20, 1 << 40):
                with pytest.raises(KeyError):
                    read(id)
        assert table.find("shop/x") == -1
        assert 7 not in table
        assert table.meta_of(table.find("shop/a"))[:2] == ("shop", "a")


class TestIndexes:
    def pod(self, name, node, *images, rv=1):
        return obj(name, rv=rv, spec={"nodeName": node, "containers": [{"image": image} for image in images]})

    @pytest.fixture
    def table(self):
        table = indexed()
        relist(table, self.pod("a", "n1", "nginx", "redis"), self.pod("b", "n1", "nginx"), self.pod("c", "n2"))
        return table

    def test_values_follow_live_events(self, table):
        assert sorted(table.index_keys(0, "n1")) == ["shop/a", "shop/b"]
        assert sorted(table.index_values(1)) == ["nginx", "redis"]
        table.apply(0, batch(self.pod("a", "n2", "redis", rv=2)), False, False)
        table.apply(0, batch(self.pod("b", "n1", rv=2), verb="DELETED"), False, False)
        assert table.index_values(0) == ["n2"]
        assert sorted(table.index_keys(0, "n2")) == ["shop/a", "shop/c"]
        with pytest.raises(IndexError):
            table.index_keys(2, "n1")
        with pytest.raises(IndexError):
            Table().index_values(0)

    def test_values_switch_at_the_commit(self, table):
        table.begin(0)
        table.apply(0, batch(self.pod("a", "n9", rv=2), self.pod("c", "n2")), True, False)
        assert sorted(table.index_values(0)) == ["n1", "n2"]
        table.commit(0)
        assert sorted(table.index_values(0)) == ["n2", "n9"]
        table.sweep(0, 100, False)
        assert table.postings.values(0) == ["n2", "n9"]

    def test_an_abort_removes_staged_values(self, table):
        table.begin(0)
        table.apply(0, batch(self.pod("a", "n9", rv=2)), True, False)
        table.abort(0)
        assert table.postings.values(0) == ["n1", "n2"]

    def test_held_versions_have_no_values(self, table):
        (change,) = table.apply(0, batch(self.pod("c", "n8", rv=2), verb="DELETED"), False, True)
        assert sorted(table.index_values(0)) == ["n1"]
        assert b"n8" in change.old.raw()

    def test_an_iterator_over_a_value_keeps_its_state(self, table):
        ids = table.index_ids(0, "n1")
        table.drop(0, 100, False)
        assert sorted(table.key_of(id) for id in ids) == ["shop/a", "shop/b"]
        assert list(table.index_ids(0, "n1")) == []
