"""A state that takes over the objects of some shards: `Table.retain`."""

from __future__ import annotations

import random

import pytest

from kinform_ext._scan import shard_of
from kinform_ext._table import Table
from tests.core.wire import batch, obj
from tests.ext.writing import relist, summary

UIDS = {"u-1": "not a UUID", "u-2": "6f1d9c1e-8a37-4c2f-9a3b-1d2e3f405162", "u-3": "", "u-4": "é"}
COUNT = 4


def retain(table: Table, *indices: int, stream: int = 0) -> list[tuple[object, ...]]:
    """Keeps these shards, and returns the changes."""
    table.begin(stream)
    table.retain(stream, bytes(index in indices for index in range(COUNT)))
    table.commit(stream)
    changes, more = [], True
    while more:
        some, more = table.sweep(stream, 2, True)
        changes += some
    return sorted(summary(changes))


def keys(*indices: int) -> list[str]:
    return sorted(f"shop/{name}" for name, uid in UIDS.items() if shard_of(uid, COUNT) in indices)


@pytest.fixture
def table() -> Table:
    table = Table()
    relist(table, *(obj(name, uid=uid) for name, uid in UIDS.items()))
    return table


@pytest.mark.parametrize("kept", [(), (0,), (1, 2), (0, 1, 2, 3)])
def test_objects_of_other_shards_are_deleted(table: Table, kept: tuple[int, ...]) -> None:
    others = keys(*{0, 1, 2, 3}.difference(kept))
    assert retain(table, *kept) == [("deleted", key, None, "1", True) for key in others]
    assert sorted(table.ids().keys()) == keys(*kept)


def test_readers_lose_them_with_the_commit(table: Table) -> None:
    table.begin(0)
    table.retain(0, bytes(COUNT))
    assert len(table) == len(UIDS)
    table.commit(0)
    assert len(table) == 0
    assert list(table.ids()) == []


def test_the_others_keep_their_records_and_stay_stale(table: Table) -> None:
    table.skip(0, "shop/u-1", False)
    ids = list(table.ids())
    retain(table, *range(COUNT))
    assert (list(table.ids()), table.stale) == (ids, 1)
    retain(table)
    assert (list(table.ids()), table.stale) == ([], 0)


def test_a_state_that_comes_in_is_discarded(table: Table) -> None:
    table.begin(0)
    table.apply(0, batch(obj("new")), True, True)
    assert retain(table, *range(COUNT)) == []
    assert sorted(table.ids().keys()) == keys(*range(COUNT))


def test_other_streams_keep_their_objects(table: Table) -> None:
    table.begin(1)
    table.apply(1, batch(obj("x", namespace="bank", uid="u")), True, True)
    table.commit(1)
    while table.sweep(1, 64, True)[1]:
        pass
    retain(table)
    assert list(table.ids().keys()) == ["bank/x"]


def test_a_retained_state_takes_events_and_relists() -> None:
    rng, table = random.Random(1), Table()
    objects = [obj(f"n{number}", uid=str(number)) for number in range(200)]
    relist(table, *objects)
    for _ in range(20):
        kept = rng.sample(range(COUNT), 2)
        retain(table, *kept)
        expected = {f"shop/n{number}" for number in range(200) if shard_of(str(number), COUNT) in kept}
        assert set(table.ids().keys()) == expected
        relist(table, *objects)
        assert len(table) == 200


def test_it_needs_a_relist_and_shards(table: Table) -> None:
    with pytest.raises(ValueError, match="no relist"):
        table.retain(0, b"\1")
    table.begin(0)
    with pytest.raises(ValueError, match="0 shards"):
        table.retain(0, b"")
