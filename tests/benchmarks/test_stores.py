"""That what asking for less gives, and how the store starts warm, is measured on the right objects."""

from __future__ import annotations

import argparse
from collections import Counter
from types import ModuleType
from typing import Any

import pytest

from benchmarks import scope, store
from benchmarks.corpus import MADE, make
from benchmarks.harness.digest import Digest
from benchmarks.harness.gauge import Gauge
from benchmarks.harness.process import Process, python
from benchmarks.harness.results import Record
from benchmarks.store import blobs, warm
from kinform._codec.codec import Codec

PODS = 300
NAMESPACES = 200


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No size is judged here, so nobody waits until it is what it will be."""
    _hurry(monkeypatch)


def _hurry(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Gauge, "until_quiet", lambda self, limit, quiet=0.0: 0.0)


def options(command: ModuleType, *arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    return parser.parse_args(arguments, argparse.Namespace(benchmark="some", seed=0))


# Asking for less


@pytest.fixture(scope="module")
def ways() -> dict[str, Record]:
    """What was found of each way to ask; each checked its digest."""
    with pytest.MonkeyPatch.context() as patch:
        _hurry(patch)
        return {each["way"]: each for each in scope.measure(options(scope, "--objects", str(PODS)))}


def test_each_way_to_ask_is_told_with_the_objects_that_it_brings(ways: dict[str, Record]) -> None:
    pods = make("pods", PODS, 0)[1]
    namespaces = Counter(found["metadata"]["namespace"] for found in pods).most_common()
    apps = Counter(found["metadata"].get("labels", {}).get("app") for found in pods)
    del apps[None]
    assert {way: found["objects"] for way, found in ways.items()} == {
        "everything, nothing pruned": PODS,
        "without managedFields (the default)": PODS,
        "three fields kept": PODS,
        "metadata only, from the server": PODS,
        "one namespace": namespaces[1][1],  # not the largest, which is half of all
        "one app, by label selector": max(apps.values()),
    }


def test_who_asks_the_server_for_less_is_sent_less_and_who_prunes_keeps_less(ways: dict[str, Record]) -> None:
    wire, kept = (
        {way: found["figures"][name]["median"] for way, found in ways.items()}
        for name in ("wire_bytes", "pruned_bytes")
    )
    everything, default, three, metadata, namespace, app = ways
    assert wire[everything] == wire[default] == wire[three]
    assert max(wire[way] for way in (metadata, namespace, app)) < wire[everything]
    assert kept[three] < kept[default] < kept[everything]
    assert kept[metadata] < kept[default]
    assert all(name in scope.table(list(ways.values())) for name in ways)


def test_who_holds_other_objects_than_were_asked_for_is_told_no_figure() -> None:
    made: dict[str, Any] = {"resource": "pods", "objects": 9, "seed": 0, "corpus": None}
    with Process(python(scope.SERVER), **made) as server, pytest.raises(SystemExit, match="9 objects, 0 expected"):
        scope._follow(server.do("open"), {}, Digest(), 0)


# Warm starts


def started(rounds: int) -> Record:
    (record,) = warm.measure(options(store, "--objects", str(NAMESPACES), "--rounds", str(rounds)))
    return record


def test_a_warm_start_never_asks_for_the_state() -> None:
    record = started(1)
    assert (record["objects"], record["lists"]) == (NAMESPACES, 0)
    assert {name for _, name, _ in warm.COLUMNS} <= set(record["figures"])
    assert "the state was asked for 0 times" in warm.table([record])


def test_a_start_that_does_ask_for_the_state_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    start = warm._start
    monkeypatch.setattr(warm, "_start", lambda asked: start(asked | {"snapshot": None}))
    assert started(2)["lists"] == 2


def test_a_warm_start_that_reads_something_else_is_told_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(asked: dict[str, Any]) -> dict[str, Any]:
        return {"found": {"warm": asked["snapshot"] is not None}, "from_open": 0.0, "from_process_start": 0.0}

    monkeypatch.setattr(warm, "_start", start)
    with pytest.raises(SystemExit, match="reads another object"):
        started(1)


# Blobs


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "MADE", {"namespaces": MADE["namespaces"]})


@pytest.mark.parametrize("half", [(), ("--half",)])
def test_blobs_are_told_of_what_is_counted_alone(few: None, half: tuple[str, ...]) -> None:
    (record,) = blobs.measure(options(store, "--objects", "120", *half))
    assert (record["collection"], record["figures"]["objects"]) == ("namespaces", 60 if half else 120)
    assert record["learnt_from"] == ("one half" if half else "what is counted")
    assert record["figures"]["after"] < record["figures"]["plain"] < record["figures"]["pruned"]


def test_an_object_that_does_not_read_as_it_was_written_is_told_no_figure(
    few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Losing(Codec):
        async def drain(self) -> None:
            await super().drain()
            self._table.delete(0, self._table.key_of(next(self._table.ids())), False)

    monkeypatch.setattr(blobs, "Codec", Losing)
    with pytest.raises(SystemExit, match="does not read as it was written"):
        list(blobs.measure(options(store, "--objects", "20")))
