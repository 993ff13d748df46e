"""The benchmarks of scopes, warm starts and blobs measure the right objects."""

from __future__ import annotations

import argparse
from collections import Counter
from types import ModuleType
from typing import Any

import pytest

from benchmarks import scope, store
from benchmarks.corpus import MADE, make
from benchmarks.harness.digest import Digest
from benchmarks.harness.process import SERVER, Process, python
from benchmarks.harness.results import Record
from benchmarks.store import adversarial, blobs, filling, idle, warm
from benchmarks.store.rivals import Frames
from kinform_ext._scan import Batch
from kinform_ext._table import Table

PODS = 300
NAMESPACES = 200
Scopes = dict[tuple[str, str], Record]  # by kind and scope


def options(command: ModuleType, *arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    return parser.parse_args(arguments, argparse.Namespace(benchmark="some", seed=0))


# Scopes


@pytest.fixture(scope="module")
def scopes() -> Scopes:
    """Measures each scope of both kinds, without waiting for memory to settle.

    Each run checks its digest.
    """
    given = options(scope, "--pods", str(PODS), "--namespaces", str(NAMESPACES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scope, "wait_until_idle", lambda gauge, timeout: 0.0)
        return {(each["kind"], each["scope"]): each for each in scope.measure(given)}


WHOLE = ("everything, nothing pruned", "without managedFields (the default)", "some fields kept")
PARTS = ("a quarter shard, filtered by kinform", "by label selector", "on demand")


@pytest.mark.parametrize(("kind", "number"), [("pods", PODS), ("namespaces", NAMESPACES)])
def test_each_scope_has_the_expected_number_of_objects(scopes: Scopes, kind: str, number: int) -> None:
    objects = make(kind, number, 0)[1]
    labels = Counter(label for found in objects for label in found["metadata"].get("labels", {}).items())
    of_namespaces = Counter(found["metadata"].get("namespace") for found in objects).most_common()
    found = {name: each["objects"] for (of, name), each in scopes.items() if of == kind}
    assert found.pop("one namespace", None) == (of_namespaces[1][1] if kind == "pods" else None)  # not the largest
    assert found.pop("on demand") == scope.KEYS
    assert abs(found.pop("by label selector") - number / 100) == min(abs(n - number / 100) for n in labels.values())
    assert number / 8 < found.pop("a quarter shard, filtered by kinform") < number / 2
    assert set(found) == {*WHOLE, "the fields of a type", "metadata only, from the server"}
    assert set(found.values()) == {number}


@pytest.mark.parametrize("kind", ["pods", "namespaces"])
def test_scopes_reduce_the_wire_and_pruning_the_store(scopes: Scopes, kind: str) -> None:
    wire, kept = (
        {name: found["figures"][figure]["median"] for (of, name), found in scopes.items() if of == kind}
        for figure in ("wire_bytes", "pruned_bytes")
    )
    everything, default, some = WHOLE
    assert wire[everything] == wire[default] == wire[some] == wire["the fields of a type"]
    assert max(wire[name] for name in (*PARTS, "metadata only, from the server")) < wire[everything]
    assert kept[some] < kept["the fields of a type"] < kept[default] < kept[everything]
    assert kept["metadata only, from the server"] < kept[default]
    assert all(name in scope.table(list(scopes.values())) for _, name in scopes)


def test_a_scope_with_other_objects_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope, "wait_until_idle", lambda gauge, timeout: 0.0)
    served: dict[str, Any] = {"resource": "pods", "objects": 9, "seed": 0, "corpus": None, "tls": True}
    with Process(python(SERVER), **served) as server, pytest.raises(SystemExit, match="9 objects, 0 expected"):
        scope._follow(server.do("open"), {}, Digest(), 0)


# Warm starts


def started(rounds: int) -> Record:
    (record,) = warm.measure(options(store, "--objects", str(NAMESPACES), "--rounds", str(rounds)))
    return record


def test_a_warm_start_never_requests_the_initial_state() -> None:
    record = started(1)
    assert (record["objects"], record["lists"]) == (NAMESPACES, 0)
    assert {name for _, name, _ in warm.COLUMNS} <= set(record["figures"])
    assert "; 0 requests for the initial state" in warm.table([record])


def test_a_request_for_the_initial_state_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    start = warm._start
    monkeypatch.setattr(warm, "_start", lambda given: start(given | {"snapshot": None}))
    assert started(2)["lists"] == 2


def test_a_warm_start_that_reads_another_object_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(given: dict[str, Any]) -> dict[str, Any]:
        return {"found": {"warm": given["snapshot"] is not None}, "from_open": 0.0, "from_process_start": 0.0}

    monkeypatch.setattr(warm, "_start", start)
    with pytest.raises(SystemExit, match="reads another object"):
        started(1)


# An idle process


def test_an_idle_process_connects_in_each_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "wait_until_idle", lambda gauge, timeout: 0.0)
    monkeypatch.setattr(idle, "WATCHES", 3)
    monkeypatch.setattr(idle, "IMPORTS", 1)
    (record,) = idle.measure(options(store))
    assert record["watches"] == 3
    assert set(record["figures"]) == {name for _, name, _ in idle.COLUMNS}
    for name in ("plain", "tls", "kubeconfig", "in_cluster"):
        assert record["figures"][name]["median"] > 10 << 20
    assert record["figures"]["import"]["median"] > 0
    assert "in a pod" in idle.table([record])


def test_a_missing_watch_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "wait_until_idle", lambda gauge, timeout: 0.0)
    monkeypatch.setattr(idle, "_watches", lambda server: 0)
    with Process(python(SERVER), resource="pods", objects=0, seed=0, corpus=None, tls=True) as server:
        about = server.do("open")
        given = {"url": about["url"], "ca": about["ca"], "path": about["path"], "watches": 1}
        with pytest.raises(SystemExit, match="more or fewer than 1 watches"):
            idle._each_watch(server, lambda count: given, idle.OPENSSL_WATCHES)


# Blobs


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "MADE", {"namespaces": MADE["namespaces"]})


def test_sizes_count_all_that_the_coder_keeps(few: None) -> None:
    (record,) = blobs.measure(options(store, "--objects", "300"))
    figures = record["figures"]
    assert (record["collection"], record["before"], figures["objects"]) == ("namespaces", blobs.NOTHING, 300)
    assert set(figures) >= {*blobs.SIZES, *blobs.TIMES}
    assert figures["total"] == pytest.approx(figures["blob"] + figures["kept"], abs=1e-3)
    assert figures["total/xz"] == pytest.approx(figures["total"] / figures["xz"], rel=1e-2)
    assert 0 < figures["blob"] < figures["alone"] < figures["pruned"]
    assert figures["kept"] > 0
    assert figures["cached"] > 0
    assert figures["updated"] > figures["blob"]


def test_an_updated_template_counts_while_others_need_it() -> None:
    table, objects = Table(), make("namespaces", 300, 0)[1]
    filling.load(table, filling.listed(objects))
    hidden = table.stats()["hidden_bytes"]
    filling.update(table, blobs._updates(objects))
    blob, kept = filling.kept_bytes(table)
    assert hidden == 0 < table.stats()["hidden_bytes"] < kept
    assert blob == sum(len(table.blob_of(id)) for id in table.ids())


def test_half_measures_what_later_objects_add(few: None) -> None:
    whole, half = blobs.measure(options(store, "--objects", "300", "--half"))
    assert (whole["before"], half["before"]) == (blobs.NOTHING, blobs.HALF)
    assert half["figures"]["objects"] == 150
    assert half["figures"]["total"] < whole["figures"]["total"]  # the templates are those of the first half
    assert half["figures"]["xz"] < whole["figures"]["xz"]
    assert "the store has one half before" in blobs.table([whole, half])


def test_another_cluster_replaces_no_object_of_the_same_key() -> None:
    objects = make("namespaces", 50, 0)[1]
    assert blobs._added(objects, objects, another=True)["objects"] == 50


def test_cuts_are_what_the_coder_compresses_of_a_lone_object() -> None:
    metadata = {"name": "a.b", "namespace": "some", "uid": "8a1c93f4-0000-4000-8000-0123456789ab"}
    found = {"apiVersion": "v1", "kind": "X", "metadata": metadata | {"resourceVersion": "77"}, "is": ["a", "some"]}
    table, batches = Table(), filling.listed([found])
    filling.load(table, batches)
    (cut,) = filling.cuts(batches)
    assert cut.count(b"\x01") == 2
    assert {bytes([code]) for code in cut if code < 32} == {b"\x01", b"\x02", b"\x03", b"\x04", b"\x05"}
    assert Frames().decode([table.blob_of(next(table.ids()))])[0] == [cut]


def test_an_object_that_reads_back_differently_is_an_error(few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def losing(table: Table, batches: list[Batch]) -> float:
        found = filling.load(table, batches)
        table.delete(0, table.key_of(next(table.ids())), False)
        return found

    monkeypatch.setattr(blobs, "load", losing)
    with pytest.raises(SystemExit, match="differs when it is read back"):
        list(blobs.measure(options(store, "--objects", "20")))


def test_adversarial_collections_are_compared_with_zstandard(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: (contents, 4) for name, (contents, _) in adversarial.COLLECTIONS.items()}
    monkeypatch.setattr(adversarial, "COLLECTIONS", few)
    found = list(adversarial.measure(options(store)))
    assert [each["collection"] for each in found] == list(few)
    for each in found:
        figures = each["figures"]
        assert set(figures) == set(adversarial.COLUMNS)
        assert figures["total/alone"] == pytest.approx(figures["total"] / figures["alone"])
        assert figures["put/alone"] == pytest.approx(figures["put_us"] / figures["alone_us"])
    assert all(name in adversarial.table(found) for name in few)
    sizes = {each["collection"]: each["figures"]["pruned"] for each in found}
    assert sizes["strings"] > 1 << 20
    assert 64 << 10 < sizes["words"] < 66 << 10
