"""A dump of a table: one state as bytes, and the table loaded from it."""

from __future__ import annotations

import random

import pytest

from kinform_ext._table import Dump, Loader, Table
from tests.core.dumps import TABLE, items, literal, load, pieces, put, raws, record, template, varint


def write(
    table: Table, number: int, *, kind: int = 0, version: int = 1, stream: int = 0, initial: bool = False
) -> None:
    """Writes a pod, which resembles those of the same kind."""
    name, uid = f"web-{kind}-{number}", f"00000000-0000-4000-8000-{number:012}"
    words = " ".join(f"{kind}-{kind * n}" for n in range(40))
    raw = (
        f'{{"metadata":{{"name":"{name}","namespace":"shop","uid":"{uid}","resourceVersion":"{version}",'
        f'"creationTimestamp":"2026-03-21T06:{number % 60:02}:49Z"}},"spec":{{"node":"node-{number % 9}",'
        f'"words":"{words}","extra":"{"x" * (number % 3)}"}},"kind{kind}":{kind}}}'
    )
    table.put(stream, "shop", name, uid, str(version), raw.encode(), initial, False)


def filled(objects: int = 60, kinds: int = 3) -> Table:
    table = Table()
    for kind in range(kinds):
        for number in range(objects):
            write(table, number, kind=kind)
    assert table.stats()["templates"] >= kinds
    return table


def keys_of_templates(table: Table) -> list[str]:
    return [table.key_of(id) for id in table.ids() if table.form_of(id) == "template"]


def delete_templates(table: Table) -> None:
    for key in keys_of_templates(table):
        table.delete(0, key, False)


class TestRoundTrip:
    def test_objects_forms_and_memory_are_restored(self):
        table = filled()
        loaded = load(pieces(Dump(table), 1_000))
        assert raws(loaded) == raws(table)
        same = ("objects", "records", "templates", "name_bytes", "blob_bytes", "pruned_bytes", "hidden_records")
        assert {each: loaded.stats()[each] for each in same} == {each: table.stats()[each] for each in same}

    def test_a_loaded_table_gives_the_same_dump(self):
        table = filled()
        delete_templates(table)
        dumped = items(table)
        assert items(load(dumped)) == dumped

    def test_the_size_of_pieces_and_slices_does_not_matter(self):
        table = filled(20)
        whole = b"".join(items(table))
        assert b"".join(pieces(Dump(table), 700)) == whole
        assert raws(load([whole], step=1)) == raws(table)

    def test_stale_objects_are_restored_as_stale(self):
        table = filled(5, 1)
        table.skip(0, "shop/web-0-3", False)
        table.skip(0, "shop/web-0-0", False)
        assert load(items(table)).stale == 2

    def test_an_empty_table_gives_no_bytes(self):
        assert items(Table()) == []
        assert len(load([])) == 0

    def test_each_template_keeps_its_table_of_literals(self):
        # The first table is full, so that a new template would get another one.
        words = [b"%03d" % n + b"x" * 500 for n in range(521)]
        raw = b'{"a":"word"}'
        dumped = [TABLE, *map(literal, words), TABLE, literal(b"other")]
        dumped += [template(record(b"t%d" % n, raw, number=n), table=n - 1) for n in (1, 2)]
        for codec, entry in ((1, 520), (2, 0)):
            blob = varint(1 << 3) + varint(1 << 2 | 1) + varint(entry << 1 | 1)  # word 1 is the literal
            expected = raw.replace(b"word", words[entry] if codec == 1 else b"other")
            dumped.append(put(record(b"s%d" % codec, expected, codec=codec, blob=blob)))
        loaded = load(dumped)
        assert loaded.raw("shop/s1") == raw.replace(b"word", words[520])
        assert loaded.raw("shop/s2") == b'{"a":"other"}'
        assert items(loaded) == dumped


class TestTemplates:
    def test_hidden_templates_that_are_used_are_restored(self):
        table = filled()
        delete_templates(table)
        assert table.stats()["hidden_records"] >= 3
        loaded = load(items(table))
        assert raws(loaded) == raws(table)
        assert loaded.stats()["hidden_records"] == table.stats()["hidden_records"]
        for key in list(raws(loaded)):
            loaded.delete(0, key, False)
        assert loaded.stats()["limbo_records"] == 0
        assert loaded.stats()["templates"] == 0

    def test_templates_that_only_an_iterator_needs_are_dropped(self):
        table = Table()
        write(table, 0)
        pinned = table.ids()
        table.delete(0, "shop/web-0-0", False)
        assert table.stats()["templates"] == 1
        assert load(items(table)).stats()["templates"] == 0
        pinned.close()

    def test_templates_of_deleted_objects_are_dropped_with_them(self):
        table = filled()
        before = Dump(table)
        versions = [table.version_of(id) for id in table.ids()]
        for key in list(raws(table)):
            table.delete(0, key, False)
        loaded = load(items(table))
        assert len(loaded) == 0
        assert loaded.stats()["templates"] == loaded.stats()["records"] == loaded.stats()["limbo_records"] == 0
        assert len(versions) == len(before)

    def test_a_closed_dump_releases_the_templates(self):
        table = filled()
        dump = Dump(table)
        for key in list(raws(table)):
            table.delete(0, key, False)
        assert table.stats()["limbo_records"] > 0
        dump.close()
        dump.close()
        assert table.stats()["limbo_records"] == 0
        assert dump.read(1_000) == b""


class TestOneState:
    @pytest.mark.parametrize("seed", range(8))
    def test_writes_during_a_dump_do_not_change_it(self, seed):
        draw = random.Random(seed)
        table = filled(40)
        delete_templates(table)
        table.skip(0, "shop/web-0-7", False)
        others = [table.ids() for _ in range(2)]
        for number in range(20):
            write(table, number, kind=1, version=2)
        expected, stale, dump, dumped = raws(table), table.stale, Dump(table), []
        assert len(dump) == len(expected)
        version = 10
        while piece := dump.read(draw.choice((1, 50, 300))):
            dumped.append(piece)
            for _ in range(draw.randrange(8)):
                version += 1
                kind, number = draw.randrange(6), draw.randrange(45)
                match draw.randrange(6):
                    case 0 | 1:
                        write(table, number, kind=kind, version=version)
                    case 2 | 3:
                        table.delete(0, f"shop/web-{kind}-{number}", False)
                    case 4:
                        delete_templates(table)
                    case 5:
                        table.skip(0, f"shop/web-{kind}-{number}", False)
                        table.compact(1 << 20)
            if others and draw.random() < 0.01:
                others.pop().close()
        loaded = load(dumped)
        assert raws(loaded) == expected
        assert loaded.stale == stale

    def test_a_relist_in_progress_is_not_dumped(self):
        table = filled(30)
        expected = raws(table)
        table.begin(0)
        for number in range(50):
            write(table, number, kind=5, version=2, initial=True)
        loaded = load(items(table))
        assert raws(loaded) == expected
        table.commit(0)
        swept = load(items(table))
        assert raws(swept) == raws(table) != expected

    def test_a_relist_during_a_dump_does_not_change_it(self):
        table = filled(30)
        table.skip(0, "shop/web-0-7", False)
        expected, dump = raws(table), Dump(table)
        dumped = [dump.read(100)]
        table.begin(0)
        for number in range(50):
            write(table, number, kind=5, version=2, initial=True)
        table.commit(0)
        dumped.append(dump.read(100))
        while table.sweep(0, 10, False)[1]:
            dumped.append(dump.read(100))
        loaded = load([*dumped, *pieces(dump, 100)])
        assert raws(loaded) == expected
        assert loaded.stale == 1


class TestLoader:
    def test_only_an_empty_table_can_be_loaded_into(self):
        with pytest.raises(ValueError, match="empty"):
            Loader(filled(1, 1), {0: 0}, 1_000)

    def test_streams_are_numbered_anew(self):
        table = Table()
        for stream in (0, 3):
            write(table, stream, stream=stream)
        loaded = load(items(table), streams={0: 1, 3: 0})
        while loaded.drop(0, 10, False)[1]:
            pass
        assert list(raws(loaded)) == ["shop/web-0-0"]

    @pytest.mark.parametrize("objects", [1, 300, 600, 6_000, 1 << 20])
    def test_a_wrong_number_of_expected_objects_costs_only_memory(self, objects):
        table = filled(200)
        loaded = load(items(table), objects=objects)
        assert items(loaded) == items(table)
        assert loaded.stats()["map_bytes"] <= table.stats()["map_bytes"] + 8 * objects + 4_096
        for key in raws(table):
            assert loaded.key_of(loaded.find(key)) == key
            loaded.delete(0, key, False)
        assert len(loaded) == 0
        write(loaded, 1)
        assert list(raws(loaded)) == ["shop/web-0-1"]

    def test_expecting_objects_twice_does_nothing_more(self):
        table = Table()
        loaders = [Loader(table, {0: 0}, 1_000, objects) for objects in (3_000, 300, 1 << 40)]
        whole = b"".join(items(filled(200)))
        assert loaders[-1].load(whole, 0, 1 << 30) == len(whole)
        assert raws(table) == raws(filled(200))

    def test_the_budget_ends_a_call_after_an_item(self):
        table = filled(3, 1)
        whole = b"".join(items(table))
        loader, ends, done = Loader(Table(), {0: 0}, 1 << 20), [], 0
        while done < len(whole):
            done = loader.load(whole, done, 1)
            ends.append(done)
        assert len(ends) == len(items(table))
        for start in (-1, len(whole) + 1):
            with pytest.raises(ValueError, match="start"):
                loader.load(whole, start, 1)
