"""Tests relists and drops of a stream of a table."""

from __future__ import annotations

import pytest

from kinform_ext._table import Table
from tests.core.wire import batch, obj
from tests.ext.writing import filled, put, relist, summary


@pytest.fixture
def table():
    return filled()


def test_unchanged_objects_keep_their_records(table):
    before, ids = table.stats(), list(table.ids())
    assert relist(table, obj("a", changed="only on the wire"), obj("b"), obj("c")) == []
    assert (list(table.ids()), table.stats()) == (ids, before)


def test_objects_without_uid_or_version_are_compared_by_bytes():
    for missing in ({"uid": ""}, {"rv": ""}, {"uid": "", "rv": ""}):
        table = Table()
        relist(table, obj("a", **missing, cpu=1), obj("b", **missing, cpu=1))
        ids = list(table.ids())
        assert [change[:2] for change in relist(table, obj("a", **missing, cpu=1), obj("b", **missing, cpu=2))] == [
            ("updated", "shop/b")
        ]
        assert ids[0] in list(table.ids())
        (change,) = table.apply(0, batch(obj("b", **missing), verb="DELETED"), False, True)
        assert change.key == "shop/b"


def test_readers_see_the_old_state_until_commit(table):
    table.begin(0)
    table.apply(0, batch(obj("a", rv=2), obj("d")), True, True)
    assert sorted(table.ids().keys()) == ["shop/a", "shop/b", "shop/c"]
    assert (len(table), table.meta("shop/a")[3]) == (3, "1")
    table.commit(0)
    assert sorted(table.ids().keys()) == ["shop/a", "shop/d"]
    assert (len(table), table.meta("shop/a")[3]) == (2, "2")


def test_a_sweep_returns_its_changes_in_slices(table):
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


def test_live_events_in_a_sweep_come_after_the_commits_changes(table):
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


def test_an_abort_leaves_no_trace(table):
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


def test_a_skipped_object_stays_and_is_stale(table):
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


def test_missing_objects_stay_stale_without_sweep_missing(table):
    assert relist(table, obj("a", rv=2), sweep_missing=False) == [("updated", "shop/a", "2", "1", False)]
    assert (len(table), table.stale) == (3, 2)
    assert len(relist(table, obj("a", rv=2))) == 2


def test_a_drop_is_visible_at_once_and_returned_in_slices(table):
    put(table, "other", stream=1)
    changes, more = table.drop(0, 2, True)
    assert (len(changes), more, list(table.ids().keys())) == (2, True, ["shop/other"])
    with pytest.raises(ValueError, match="drop is in progress"):
        put(table, "late")
    changes, more = table.drop(0, 2, True)
    assert (len(changes), more) == (1, False)
    put(table, "again")


def test_writes_in_the_wrong_phase_are_refused(table):
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
    with pytest.raises(ValueError, match="a name that is not empty"):
        put(table, "")
