"""Tests the sizes that a table reports, and the memory that it takes."""

from __future__ import annotations

import random

import pytest

from kinform_ext._table import Table
from tests.core.wire import batch
from tests.ext.resembling import take
from tests.ext.writing import filled, put

PARTS = ("mapped_bytes", "map_bytes", "coder_bytes", "cached_bytes")
VERSION_BYTES = 64  # of `nbytes`: what is not the record


@pytest.fixture
def table():
    return filled()


def test_stats_add_up():
    table = Table()
    for found in take("pods", 200):
        table.apply(0, batch(found), False, False)
    stats, ids = table.stats(), list(table.ids())
    versions = [table.version_of(id) for id in ids]
    assert stats["objects"] == stats["records"] == 200
    assert stats["name_bytes"] == sum(len(version.name.encode()) for version in versions)
    assert stats["pruned_bytes"] == sum(len(version.raw()) for version in versions)
    assert stats["blob_bytes"] == sum(len(table.blob_of(id)) for id in ids)
    assert stats["record_bytes"] == sum(version.nbytes - VERSION_BYTES for version in versions)
    assert stats["templates"] == sum(table.form_of(id) == "template" for id in ids) > 0
    parts = sum(stats[part] for part in PARTS)
    assert stats["overhead_bytes"] == parts - stats["name_bytes"] - stats["blob_bytes"]
    assert 0 < stats["cached_bytes"] <= 1 << 20
    assert stats["shared_bytes"] > 0
    del versions
    assert table.__sizeof__() >= sum(table.stats()[part] for part in PARTS)


def test_an_empty_table_takes_little():
    table = Table()
    stats = table.stats()
    assert sum(stats[part] for part in PARTS) < 8192
    assert {stats[part] for part in ("mapped_bytes", "coder_bytes", "cached_bytes", "templates")} == {0}


def test_holds_are_counted_while_they_last(table):
    before = table.stats()["map_bytes"]
    versions = [table.version_of(id) for _ in range(3) for id in table.ids()]
    held = table.stats()["map_bytes"]
    assert held - before == 16 * 8  # entries of the map of holds
    del versions
    assert table.stats()["map_bytes"] == before


@pytest.mark.parametrize("objects", [20_000, 100_000])
def test_the_overhead_is_at_most_48_bytes_an_object(objects, capsys):
    table, rng = Table(), random.Random(1)
    for at in range(objects):
        digits = f"{rng.getrandbits(128):032x}"
        uid = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        table.put(0, f"team-{at % 97}", f"web-{at:08x}-{at % 31:05d}", uid, str(10**9 + at), b"x" * 250, False, False)
    stats = table.stats()
    overhead = stats["overhead_bytes"] / objects
    with capsys.disabled():
        print(f"\n{objects:,} objects: {overhead:.1f} B each beyond name and blob ({table.stats()})")
    slack = 0.05 * (stats["name_bytes"] + stats["blob_bytes"]) / objects
    assert overhead <= 48 + slack


def test_memory_is_used_again_and_unmapped():
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
