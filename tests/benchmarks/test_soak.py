"""The soak: its oracles find each mistake, and short runs find none in kinform."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from benchmarks import soak
from benchmarks.harness.results import Record
from benchmarks.soak import control_plane, matrix
from benchmarks.soak.copies import Differences, content_digest
from benchmarks.soak.faults import KINDS
from benchmarks.soak.matrix import NO_FAULT, STARTS
from benchmarks.soak.order import Followed, HandlerCopy, Metadata
from benchmarks.soak.slope import slope


def pod(version: int, uid: str = "u1", name: str = "a") -> Followed:
    return Followed(Metadata(name=name, uid=uid, resourceVersion=str(version), namespace="shop"))


# The order of events


def test_events_in_order_are_no_violation() -> None:
    copy = HandlerCopy()
    copy.add(pod(1))
    copy.update(pod(1), pod(2))
    copy.update(None, pod(3))
    copy.delete(pod(4))
    copy.add(pod(5, "u2"))
    copy.delete(pod(5, "u2"))  # derived from a relist: the last known state
    copy.add(pod(6, "u3"))
    assert not copy.violations
    assert copy.objects == {"shop/a": ("u3", "6")}
    assert copy.calls == {"add": 3, "update": 2, "delete": 2}
    assert copy.without_old == 1


@pytest.mark.parametrize(
    ("call", "violation"),
    [
        (lambda copy: copy.add(pod(3)), "addition of an object that exists"),
        (lambda copy: copy.update(None, pod(3, name="b")), "update of an object that does not exist"),
        (lambda copy: copy.update(pod(2, "u2"), pod(3, "u2")), "update by another object of the same name"),
        (lambda copy: copy.update(pod(1), pod(3)), "update from a version that is not the last one"),
        (lambda copy: copy.update(pod(2), pod(2)), "resourceVersion that is not newer than the last one"),
        (lambda copy: copy.delete(pod(3, name="b")), "deletion of an object that does not exist"),
        (lambda copy: copy.delete(pod(3, "u2")), "deletion of another object of the same name"),
        (lambda copy: copy.delete(pod(1)), "resourceVersion that is not newer than the last one"),
    ],
)
def test_each_violation_of_the_order_is_found(call: Any, violation: str) -> None:
    copy = HandlerCopy()
    copy.add(pod(1))
    copy.update(pod(1), pod(2))
    call(copy)
    assert copy.violations == {violation: 1}
    assert copy.examples[0].startswith(f"{violation}: shop/")


def test_an_older_object_after_a_deletion_is_a_violation() -> None:
    copy = HandlerCopy()
    copy.add(pod(5))
    copy.delete(pod(6))
    copy.add(pod(4, "u2"))
    assert sum(copy.violations.values()) == 1


# The comparison of copies


def test_lost_invented_and_wrong_objects_are_counted() -> None:
    truth = {"a": ("u1", "1", "x"), "b": ("u2", "2", "y"), "c": ("u3", "3", "z")}
    differences = Differences()
    assert differences.compare(truth, {key: list(version) for key, version in truth.items()})
    assert differences.compare(truth, {key: version[:2] for key, version in truth.items()})
    assert str(differences) == "0 lost, 0 invented, 0 wrong"
    assert not differences.compare(truth, {"b": ("u2", "2", "other"), "c": ("u3", "2", "z"), "d": ("u4", "4", "x")})
    assert (differences.lost, differences.invented, differences.wrong) == (1, 1, 2)
    assert differences.examples == ["lost: a", "invented: d", "wrong: b", "wrong: c"]


def test_the_digest_covers_each_value_but_managed_fields() -> None:
    def digest(value: object, **metadata: object) -> str:
        return content_digest({"metadata": {"name": "a", **metadata}, "spec": {"x": value}})

    assert digest(1) == digest(1, managedFields=[{"manager": "x"}])
    assert digest(1) != digest(2)


def test_the_slope_is_that_of_a_line() -> None:
    assert slope([(0, 10), (10, 30), (20, 50)]) == pytest.approx(2.0)
    assert slope([(5, 10)]) == slope([]) == 0.0


# Short runs


def measured(*arguments: str) -> list[Record]:
    parser = argparse.ArgumentParser()
    soak.arguments(parser)
    return list(soak.measure(parser.parse_args(arguments, argparse.Namespace(benchmark="soak", seed=0))))


def test_a_short_soak_finds_no_mistake() -> None:
    only = ("--only", "closed", "--only", "410", "--only", "killed")
    run, *faults = found = measured("--part", "simulator", "--events", "3000", "--objects", "50", *only)
    assert soak.verdict(found) == 0, run
    assert run["events"] >= 3000
    assert run["checkpoints"] > 1
    assert run["calls"]["update"] > 500
    assert sum(each["count"] for each in faults) == run["faults"] > 0
    assert "simulator: " in soak.table(found)


def test_each_start_under_a_fault_is_right_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "OBJECTS", 50)
    found = measured("--part", "matrix", "--only", "closed in the middle", "--only", "connections reset")
    assert soak.verdict(found) == 0
    kinds = (NO_FAULT, "connection closed in the middle of an object", "connections reset")
    assert [(each["fault"], each["start"]) for each in found] == [(kind, start) for kind in kinds for start in STARTS]
    assert all(each["equal"] and each["bounded"] for each in found)
    assert all(each["loaded"] for each in found if each["start"] == "snapshot")


def test_a_wrong_copy_fails_the_command() -> None:
    good: dict[str, Any] = {"record": "run", "stuck": [], "figures": {"lost": 0, "wrong": 0}}
    assert soak.verdict([good]) == 0
    assert soak.verdict([good | {"figures": {"lost": 0, "wrong": 1}}]) == 1
    assert soak.verdict([good | {"stuck": ["410"]}]) == 1
    assert soak.verdict([{"record": "cell", "equal": False, "figures": {}}]) == 1
    assert soak.verdict([{"record": "cell", "equal": True, "bounded": False, "figures": {}}]) == 1


def test_there_are_more_than_twenty_kinds_of_faults() -> None:
    assert len(KINDS) == len(set(KINDS)) > 20


@pytest.mark.real
def test_a_short_soak_on_a_real_control_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_plane, "OBJECTS", 30)
    run, *faults = found = measured("--part", "control-plane", "--seconds", "1", "--only", "etcd compacted, and")
    assert soak.verdict(found) == 0, run
    assert run["tls"] is True
    assert run["servers"]["etcd"]
    assert run["calls"]["add"] >= 30
    assert [each["fault"] for each in faults] == ["etcd compacted, and kube-apiserver killed and started"]
