"""Tests how a table encodes objects, and how long it keeps templates."""

from __future__ import annotations

import gc
import itertools
import os
import random

import pytest

from kinform_ext._table import Change, Dump, Table, Version
from tests.core.wire import batch, obj
from tests.ext.resembling import replicas, take, uid
from tests.ext.tables import indexed, reload

SEED = int(os.environ.get("KINFORM_SEED", "11"))
REPLICAS = replicas(12)


def put(table, number, *, rv="1", raw=None, initial=False, listen=False, stream=0, owner=None):
    """Writes `web-NUMBER`, by default as a replica of the others."""
    raw = REPLICAS[number % len(REPLICAS)] if raw is None else raw
    which = uid(number if owner is None else owner)
    return table.put(stream, "shop", f"web-{number}", which, rv, raw, initial, listen)


def delete(table, number):
    table.delete(0, f"shop/web-{number}", False)


def form(table, number):
    return table.form_of(table.find(f"shop/web-{number}"))


def size(table, number):
    return len(table.blob_of(table.find(f"shop/web-{number}")))


def hidden(table):
    stats = table.stats()
    return stats["hidden_records"], stats["limbo_records"]


def assert_empty(table):
    table.compact(0)
    stats = table.stats()
    left = ("records", "record_bytes", "dead_bytes", "limbo_records", "limbo_bytes", "hidden_records", "hidden_bytes")
    assert {name: stats[name] for name in (*left, "templates", "cached_bytes")} == dict.fromkeys(
        (*left, "templates", "cached_bytes"), 0
    )
    assert stats["mapped_bytes"] < 4096


@pytest.fixture
def table():
    """A template and two siblings: `web-0` to `web-2`."""
    table = Table()
    for number in range(3):
        put(table, number)
    assert [form(table, number) for number in range(3)] == ["template", "sibling", "sibling"]
    return table


class TestForms:
    def test_a_sibling_takes_a_fraction_of_its_template(self, table):
        assert size(table, 0) < len(REPLICAS[0]) / 2
        assert size(table, 1) < 40
        assert [table.raw(f"shop/web-{number}") for number in range(3)] == REPLICAS[:3]

    def test_a_large_object_is_a_frame_or_plain(self):
        table, rng = Table(), random.Random(1)
        put(table, 0, raw=b"all work and no play " * 50_000)
        put(table, 1, raw=rng.randbytes(1 << 20))
        assert [form(table, number) for number in range(2)] == ["frame", "plain"]
        assert (size(table, 0) < 2000, size(table, 1)) == (True, 1 << 20)
        assert table.stats()["templates"] == 0

    def test_an_object_unlike_all_others_is_a_template(self):
        table, rng = Table(), random.Random(1)
        for number in range(20):
            put(table, number, raw=rng.randbytes(200))
            assert form(table, number) == "template"
        assert table.stats()["templates"] == 20

    def test_objects_unlike_all_others_are_stored_without_end(self):
        """The numbers of templates run out, or the table stops making templates."""
        table, rng = Table(), random.Random(1)
        raws = [rng.randbytes(100) for _ in range(66_000)]
        for number, raw in enumerate(raws):
            put(table, number, raw=raw)
        assert table.stats()["templates"] <= 65_535
        assert form(table, 65_999) == "plain"
        put(table, 66_000, raw=REPLICAS[0])
        loaded = reload(table, Table(), piece=1 << 20)
        for each in (table, loaded):
            assert all(each.raw(f"shop/web-{number}") == raws[number] for number in range(0, 66_000, 97))
            assert each.raw("shop/web-66000") == REPLICAS[0]

    @pytest.mark.parametrize("kind", ["pods", "events", "replicasets", "leases"])
    def test_most_of_a_collection_are_siblings(self, kind):
        table = Table()
        for found in take(kind, 2000):
            table.apply(0, batch(found), False, False)
        forms = [table.form_of(id) for id in table.ids()]
        assert forms.count("template") == table.stats()["templates"]
        assert forms.count("sibling") > forms.count("template")
        assert table.stats()["blob_bytes"] < table.stats()["pruned_bytes"] / 8

    def test_copies_in_many_namespaces_are_siblings(self):
        table, copies = Table(), 500
        raw = b'{"kind":"ConfigMap","metadata":{"name":"root-ca","namespace":"team-%d"},"data":{"ca":"%s"}}'
        given = [raw % (number, b"c2VjcmV0" * 150) for number in range(copies)]
        for number, each in enumerate(given):
            table.put(0, f"team-{number}", "root-ca", uid(number), "1", each, False, False)
        assert sum(table.form_of(id) == "sibling" for id in table.ids()) > 0.99 * copies
        assert table.stats()["blob_bytes"] < 10 * copies
        assert [table.raw(f"team-{number}/root-ca") for number in range(copies)] == given


class TestTemplates:
    def test_an_updated_template_is_hidden_until_its_last_user_goes(self, table):
        put(table, 0, rv="2", raw=REPLICAS[0].replace(b'"1"', b'"2"', 1))
        assert hidden(table) == (1, 1)
        assert table.stats()["hidden_bytes"] > size(table, 0) + size(table, 1)
        assert form(table, 0) == "sibling"
        for number in range(3):
            assert hidden(table) == (1, 1)
            delete(table, number)
        assert_empty(table)

    def test_a_deleted_template_is_hidden_until_its_last_user_goes(self, table):
        delete(table, 0)
        assert (len(table), hidden(table)) == (2, (1, 1))
        assert table.find("shop/web-0") == -1
        assert [table.raw(f"shop/web-{number}") for number in (1, 2)] == REPLICAS[1:3]
        delete(table, 1)
        assert table.raw("shop/web-2") == REPLICAS[2]
        delete(table, 2)
        assert_empty(table)

    def test_a_hidden_template_still_serves_new_objects(self, table):
        delete(table, 0)
        put(table, 3)
        put(table, 0, rv="2", owner=99)
        assert [form(table, number) for number in (0, 1, 2, 3)] == ["sibling"] * 4
        assert hidden(table) == (1, 1)

    def test_objects_go_in_any_order(self):
        names = range(5)
        for order in itertools.permutations(names):
            table = Table()
            for number in names:
                put(table, number)
            left = set(names)
            for number in order:
                delete(table, number)
                left.discard(number)
                assert all(table.raw(f"shop/web-{number}") == REPLICAS[number] for number in left)
                assert {table.key_of(id) for id in table.ids()} == {f"shop/web-{number}" for number in left}
            assert_empty(table)

    def test_chains_of_templates_go_in_any_order(self):
        # Each has a part that the ones before lack, so some templates are coded against another one.
        rng = random.Random(SEED)
        parts = [rng.randbytes(400).hex().encode() for _ in range(8)]
        raws = [b'{"parts":["' + b'","'.join(parts[: 2 + i]) + b'"]}' for i in range(6)]
        hid = 0
        for order in itertools.permutations(range(6), 6):
            table = Table()
            for number, raw in enumerate(raws):
                put(table, number, raw=raw)
            for at, number in enumerate(order):
                delete(table, number)
                hid = max(hid, table.stats()["hidden_records"])
                assert all(table.raw(f"shop/web-{each}") == raws[each] for each in order[at + 1 :])
            assert_empty(table)
        assert hid > 2

    def test_a_recreated_object_replaces_a_template(self, table):
        (deleted, added) = put(table, 0, rv="5", owner=7, listen=True)
        assert (deleted.synthetic, deleted.old.uid, added.new.uid) == (True, uid(0), uid(7))
        assert added.new.raw() == deleted.old.raw() == REPLICAS[0]
        assert hidden(table) == (1, 1)
        assert put(table, 0, rv="6", owner=0, listen=True)[0].new is None

    def test_an_iterator_may_pin_a_template_above_its_user(self):
        """The template is freed with its user, before the iterator reaches it."""
        for ending in ("close", "exhaust", "collect"):
            table = Table()
            for number in range(2):
                put(table, number + 5, raw=os.urandom(20))
            put(table, 0)
            delete(table, 5)
            put(table, 1)
            assert table.find("shop/web-1") < table.find("shop/web-0")
            assert [form(table, number) for number in range(2)] == ["template", "sibling"]
            ids = table.ids()
            table.drop(0, 100, False)
            assert table.stats()["limbo_records"] == 3
            if ending == "close":
                ids.close()
            elif ending == "exhaust":
                assert len(list(ids)) == 3
            else:
                del ids
            assert_empty(table)

    @pytest.mark.parametrize("first", ["iterator", "version", "user"])
    def test_a_template_goes_with_the_last_of_all_that_need_it(self, table, first):
        version, ids = table.version_of(table.find("shop/web-0")), table.ids()
        for number in (0, 2):
            delete(table, number)
        steps = {"iterator": ids.close, "user": lambda: delete(table, 1), "version": lambda: held.clear()}
        held = [version]
        del version
        for step in (first, *(step for step in steps if step != first)):
            assert table.stats()["templates"] == 1
            steps[step]()
        assert_empty(table)

    def test_an_aborted_relist_leaves_no_templates(self, table):
        before = table.stats()
        table.begin(0)
        for number in range(12):
            put(table, number, rv="2", raw=REPLICAS[number] + b" " * (number % 3), initial=True)
        for number in range(20, 30):
            put(table, number, raw=os.urandom(300), initial=True)
        assert table.stats()["templates"] > 10
        table.abort(0)
        same = ("objects", "records", "templates", "hidden_records", "limbo_records", "blob_bytes", "record_bytes")
        assert {name: table.stats()[name] for name in same} == {name: before[name] for name in same}
        assert [table.raw(f"shop/web-{number}") for number in range(3)] == REPLICAS[:3]

    def test_a_relist_may_replace_all_objects_of_a_template(self, table):
        table.begin(0)
        for number in range(3):
            put(table, number, rv="2", raw=REPLICAS[number].replace(b'"1"', b'"2"', 1), initial=True)
        table.commit(0)
        while table.sweep(0, 1, False)[1]:
            assert len(table) == 3
        assert hidden(table)[0] <= 1
        table.drop(0, 100, False)
        assert_empty(table)

    def test_hidden_templates_do_not_pile_up(self):
        rng, table = random.Random(SEED), Table()
        objects = take("pods", 300)
        for found in objects:
            table.apply(0, batch(found), False, False)
        fresh = table.stats()["record_bytes"]
        for rv in range(10):
            for found in rng.sample(objects, len(objects)):
                found["metadata"] |= {"resourceVersion": str(10**6 + rv), "generation": rv}
                found["metadata"].setdefault("annotations", {})["example.com/hash"] = rng.randbytes(8).hex()
                table.apply(0, batch(found), False, False)
        assert table.stats()["record_bytes"] < 1.5 * fresh
        table.drop(0, 1000, False)
        assert_empty(table)

    def test_a_loaded_table_has_the_same_hidden_templates(self, table):
        delete(table, 0)
        loaded = reload(table, Table())
        assert hidden(loaded) == (1, 1)
        assert [loaded.raw(f"shop/web-{number}") for number in (1, 2)] == REPLICAS[1:3]
        for number in (1, 2):
            delete(loaded, number)
        assert_empty(loaded)

    def test_a_table_that_ends_frees_its_cached_templates(self):
        shared = Table()
        for number in range(3):
            put(shared, number)
        cached = shared.stats()["cached_bytes"]
        for seed in range(20):
            other = Table()
            for number, raw in enumerate(replicas(3, seed)):
                put(other, number, raw=raw)
            assert other.stats()["cached_bytes"] > 0
            del other
        assert shared.stats()["cached_bytes"] == cached
        assert shared.raw("shop/web-1") == REPLICAS[1]


class TestVersions:
    def test_a_version_is_the_same_after_replacement_and_deletion(self, table):
        versions = [table.version_of(id) for id in table.ids()]
        before = [(each.key, each.uid, each.resource_version, each.nbytes, each.raw()) for each in versions]
        for number in range(3):
            put(table, number, rv="2", raw=b"{}")
        table.drop(0, 100, False)
        while table.compact(1 << 20):
            pass
        put(table, 50, raw=os.urandom(5000))
        assert [(each.key, each.uid, each.resource_version, each.nbytes, each.raw()) for each in versions] == before

    def test_a_version_of_a_sibling_keeps_its_template(self, table):
        version = table.version_of(table.find("shop/web-2"))
        table.drop(0, 100, False)
        assert hidden(table) == (1, 2)
        assert version.raw() == REPLICAS[2]
        del version
        assert_empty(table)

    def test_the_version_of_a_deleted_event_keeps_its_template(self, table):
        newer = obj("web-1", uid=uid(1), rv=2, spec={"replicas": list(range(100))})
        expected = batch(newer).raw(0)
        (change,) = table.apply(0, batch(newer, verb="DELETED"), False, True)
        table.drop(0, 100, False)
        assert (change.old.raw(), change.old.resource_version) == (expected, "2")
        version = change.old
        del change
        assert version.raw() == expected
        del version
        assert_empty(table)

    def test_each_version_of_a_record_holds_it(self, table):
        id = table.find("shop/web-0")
        versions = [table.version_of(id) for _ in range(1000)]
        table.drop(0, 100, False)
        random.Random(SEED).shuffle(versions)
        while versions:
            assert table.stats()["limbo_records"] == 1
            assert versions.pop().name == "web-0"
        assert_empty(table)

    def test_holds_agree_with_a_model_in_any_order(self):
        rng, table = random.Random(SEED), Table()
        raws = [rng.randbytes(100) for _ in range(400)]
        for number in range(400):
            put(table, number, raw=raws[number])
        ids = {number: table.find(f"shop/web-{number}") for number in range(400)}
        assert "sibling" not in {table.form_of(id) for id in ids.values()}
        held: list[tuple[int, Version]] = []
        for _ in range(20_000):
            for _ in range(rng.randrange(4)):
                number = rng.choice([rng.randrange(400), rng.randrange(8)])
                held.append((number, table.version_of(ids[number])))
            for _ in range(rng.randrange(3)):
                if held:
                    held[rng.randrange(len(held))] = held[-1]
                    number, version = held.pop()
                    assert version.raw() == raws[number], f"KINFORM_SEED={SEED}"
        del version
        for number in range(400):
            delete(table, number)
        assert table.stats()["limbo_records"] == len({number for number, _ in held}) > 50, f"KINFORM_SEED={SEED}"
        assert all(version.raw() == raws[number] for number, version in held)
        held.clear()
        assert_empty(table)
        assert table.stats()["map_bytes"] < 16_384

    def test_versions_in_cycles_are_collected(self, table):
        for number in range(3):
            change = Change("shop/web", table.version_of(table.find(f"shop/web-{number}")))
            cycle = [change]
            cycle.append(cycle)
        del change, cycle
        table.drop(0, 100, False)
        gc.collect()
        assert_empty(table)

    def test_a_dump_is_complete_if_garbage_is_collected_in_it(self):
        """Hidden templates whose last users are garbage stay until the dump has them."""
        workloads = [replicas(2, seed) for seed in range(3)]
        thresholds = gc.get_threshold()
        gc.disable()
        try:
            for threshold in range(1, 50):
                table = Table()
                for number, raw in enumerate(itertools.chain(*workloads)):
                    put(table, number, raw=raw)
                versions = [table.version_of(id) for id in table.ids()]
                table.drop(0, 100, False)
                gc.collect()
                cycle = [versions]
                cycle.append(cycle)
                del versions, cycle
                gc.set_threshold(threshold, 1000, 1000)
                gc.enable()
                dump = Dump(table)
                gc.disable()
                assert len(dump) == 0
                while dump.read(1):
                    pass
                gc.collect()
                assert_empty(table)
        finally:
            gc.set_threshold(*thresholds)
            gc.enable()

    def test_versions_keep_their_table_only(self):
        tables = [Table() for _ in range(10)]
        for table in tables:
            put(table, 0)
            put(table, 1)
        versions = [table.version_of(table.find("shop/web-1")) for table in tables]
        del table
        tables.clear()
        gc.collect()
        assert [version.raw() for version in versions] == [REPLICAS[1]] * 10
        while versions:
            versions.pop()

    def test_a_version_is_readable_while_its_table_has_indexes(self):
        table = indexed()
        put(table, 0)
        (change,) = put(table, 0, rv="2", raw=REPLICAS[1], listen=True)
        table.drop(0, 100, False)
        assert (change.old.raw(), change.new.raw()) == (REPLICAS[0], REPLICAS[1])
        assert [table.index_values(index) for index in range(2)] == [[], []]
