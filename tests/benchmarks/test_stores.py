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
from benchmarks.harness.process import Process, python
from benchmarks.harness.results import Record
from benchmarks.store import blobs, warm
from kinform._codec.codec import Codec

PODS = 300
NAMESPACES = 200


def options(command: ModuleType, *arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    return parser.parse_args(arguments, argparse.Namespace(benchmark="some", seed=0))


# Scopes


@pytest.fixture(scope="module")
def scopes() -> dict[str, Record]:
    """Measures each scope, without waiting for memory to settle.

    Each run checks its digest.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scope, "wait_until_idle", lambda gauge, timeout, idle_seconds=0.0: 0.0)
        return {each["scope"]: each for each in scope.measure(options(scope, "--objects", str(PODS)))}


def test_each_scope_has_the_expected_number_of_objects(scopes: dict[str, Record]) -> None:
    pods = make("pods", PODS, 0)[1]
    namespaces = Counter(found["metadata"]["namespace"] for found in pods).most_common()
    apps = Counter(found["metadata"].get("labels", {}).get("app") for found in pods)
    del apps[None]
    assert {name: found["objects"] for name, found in scopes.items()} == {
        "everything, nothing pruned": PODS,
        "without managedFields (the default)": PODS,
        "three fields kept": PODS,
        "metadata only, from the server": PODS,
        "one namespace": namespaces[1][1],  # not the largest, which has half of the pods
        "one app, by label selector": max(apps.values()),
    }


def test_scopes_reduce_the_wire_and_pruning_the_store(scopes: dict[str, Record]) -> None:
    wire, kept = (
        {name: found["figures"][figure]["median"] for name, found in scopes.items()}
        for figure in ("wire_bytes", "pruned_bytes")
    )
    everything, default, three, metadata, namespace, app = scopes
    assert wire[everything] == wire[default] == wire[three]
    assert max(wire[name] for name in (metadata, namespace, app)) < wire[everything]
    assert kept[three] < kept[default] < kept[everything]
    assert kept[metadata] < kept[default]
    assert all(name in scope.table(list(scopes.values())) for name in scopes)


def test_a_scope_with_other_objects_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope, "wait_until_idle", lambda gauge, timeout: 0.0)
    served: dict[str, Any] = {"resource": "pods", "objects": 9, "seed": 0, "corpus": None}
    with Process(python(scope.SERVER), **served) as server, pytest.raises(SystemExit, match="9 objects, 0 expected"):
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


# Blobs


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "MADE", {"namespaces": MADE["namespaces"]})


@pytest.mark.parametrize("half", [(), ("--half",)])
def test_blobs_are_those_of_the_measured_objects(few: None, half: tuple[str, ...]) -> None:
    (record,) = blobs.measure(options(store, "--objects", "120", *half))
    assert (record["collection"], record["figures"]["objects"]) == ("namespaces", 60 if half else 120)
    assert record["learnt_from"] == (blobs.HALF if half else blobs.SAME)
    assert record["figures"]["after"] < record["figures"]["plain"] < record["figures"]["pruned"]


def test_an_object_that_reads_back_differently_is_an_error(few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Losing(Codec):
        async def drain(self) -> None:
            await super().drain()
            self._table.delete(0, self._table.key_of(next(self._table.ids())), False)

    monkeypatch.setattr(blobs, "Codec", Losing)
    with pytest.raises(SystemExit, match="differs when it is read back"):
        list(blobs.measure(options(store, "--objects", "20")))
