"""The decisions about a Lease, as a table, and the numbers in them."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinform.controllers._leases.lease import (
    DECISIONS,
    MAX_TRANSITIONS,
    Found,
    LeaseMachine,
    Record,
    Standing,
    Step,
    micro_time,
)

CLOCK = "2026-01-01T00:00:00.000000Z"


def lease(holder: object = "b", **spec: object) -> dict[str, Any]:
    metadata = {"name": "n", "namespace": "ns", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": metadata, "spec": {"holderIdentity": holder, "leaseDurationSeconds": 40, **spec}}


def test_every_situation_has_one_decision():
    assert set(DECISIONS) == {(found, standing) for found in Found for standing in Standing}


def test_a_candidate_acts_only_if_no_other_one_may():
    for (found, standing), step in DECISIONS.items():
        if standing is Standing.GUARDED:
            assert step is Step.WAIT
        if found is Found.OTHER and standing is Standing.LEADING:
            assert step is Step.LOSE


@pytest.mark.parametrize("zone", [0, 5, -7])
def test_a_micro_time_is_utc_with_six_digits(zone: int):
    when = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=zone)))
    assert micro_time(when) == f"2026-01-01T{12 - zone:02}:00:00.000000Z"


def test_an_unchanged_record_does_not_extend_its_time():
    machine = LeaseMachine("ns/n", "a", 40)
    assert machine.observe(lease(renewTime="1"), 0) is Step.WAIT
    assert machine.observe(lease(renewTime="1"), 39) is Step.WAIT
    assert machine.observe(lease(renewTime="1"), 40) is Step.TAKE
    assert machine.observe(lease(renewTime="2"), 40) is Step.WAIT


def test_a_change_of_metadata_does_not_extend_its_time():
    machine = LeaseMachine("ns/n", "a", 40)
    machine.observe(lease(), 0)
    changed = lease()
    changed["metadata"] = {**changed["metadata"], "labels": {"a": "b"}, "resourceVersion": "7"}
    assert machine.observe(changed, 40) is Step.TAKE


def test_deletions_in_a_row_do_not_extend_the_wait():
    machine = LeaseMachine("ns/n", "a", 40)
    machine.observe(lease(), 0)
    for now in range(1, 40):
        assert machine.observe(None, now) is Step.WAIT
    assert machine.observe(None, 40) is Step.CREATE


def test_a_released_lease_is_free_but_an_erased_one_is_not():
    machine = LeaseMachine("ns/n", "a", 40)
    machine.observe(lease(), 0)
    assert machine.observe(lease(""), 1) is Step.WAIT
    assert machine.observe(lease("", leaseDurationSeconds=1), 2) is Step.TAKE


def test_a_term_of_the_own_identity_elsewhere_ends_this_one():
    machine = LeaseMachine("ns/n", "a", 40)
    assert machine.observe(lease("", leaseTransitions=1), 0) is Step.TAKE
    body = machine.body(Step.TAKE, CLOCK)
    machine.written(body, body)
    assert machine.observe(body, 1) is Step.RENEW
    assert machine.observe(lease("a", leaseTransitions=3), 1) is Step.LOSE
    assert machine.released_body(CLOCK) is None


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just([])
SPECS = st.dictionaries(
    st.sampled_from(["holderIdentity", "leaseDurationSeconds", "leaseTransitions", "renewTime"]),
    VALUES | st.sampled_from(["a", "b", 1, 40, MAX_TRANSITIONS]),
)


@given(st.lists(st.none() | SPECS | VALUES, max_size=8))
def test_no_sequence_of_leases_breaks_the_machine(specs: list[Any]):
    machine, token, now = LeaseMachine("ns/n", "a", 40), 0, 0.0
    for spec in specs:
        now += 10
        found = None if spec is None else {"metadata": {"name": "n"}, "spec": spec}
        step = machine.observe(found, now)
        if step in (Step.TAKE, Step.RENEW) or (step is Step.CREATE and machine.term is not None):
            body = machine.body(step, CLOCK)
            assert body["spec"]["holderIdentity"] == "a"
            assert body["spec"]["leaseDurationSeconds"] == 40
            assert token <= body["spec"]["leaseTransitions"] <= MAX_TRANSITIONS
            token = body["spec"]["leaseTransitions"]
            machine.written(body, body)
        elif step is Step.LOSE:
            machine.end_term()
        assert machine.held_until < float("inf")


def test_a_record_of_another_form_counts_as_missing():
    assert Record.of({"holderIdentity": 1, "leaseDurationSeconds": "1", "leaseTransitions": None}) == Record()
    assert Record.of({"leaseDurationSeconds": 6.0, "leaseTransitions": 2.0}) == Record("", 6.0, 2)


@pytest.mark.parametrize(
    ("version", "first"),
    [("7", 8), (str((1 << 30) - 1), 1 << 30), (str(1 << 30), (1 << 30) + 189_388_801), ("x", (1 << 30) + 189_388_801)],
)
def test_a_new_lease_starts_above_every_deleted_one(version: str, first: int):
    created = {**lease()["metadata"], "resourceVersion": version}
    machine = LeaseMachine("ns/n", "a", 40)
    assert machine.observe({"metadata": created, "spec": {}}, 0) is Step.TAKE
    assert machine.body(Step.TAKE, CLOCK)["spec"]["leaseTransitions"] == first


def test_a_large_version_gives_a_larger_token_than_a_small_one():
    tokens = []
    for version in (1, 10**6, (1 << 30) - 1, 1 << 30, 1 << 40):
        machine = LeaseMachine("ns/n", "a", 40)
        created = {**lease()["metadata"], "resourceVersion": str(version)}
        machine.observe({"metadata": created, "spec": {}}, 0)
        tokens.append(machine.body(Step.TAKE, CLOCK)["spec"]["leaseTransitions"])
    assert tokens == sorted(tokens)
    assert tokens[3] > tokens[2] + 10**8
