"""Leader election in virtual time: who leads when, and what candidates send.

Each behaviour of client-go's `leaderelection` that matters to a Lease is a test, and so is each fault that other
implementations in Python have. Over 500 lines: one file shows which of them have a test.
"""

from __future__ import annotations

import asyncio
import datetime
import itertools
import re
import time
from typing import Any
from unittest.mock import patch

import pytest

import kinform
from kinform.controllers import LeaderElection, LeadershipLost
from kinform.controllers._election import election
from kinform.controllers._leases import lease_requests
from kinform.controllers._leases.lease import MAX_TRANSITIONS
from tests.controllers.lease_server import KEY, Candidate, LeaseServer, Link, overlap, tokens
from tests.support.virtual_time import in_virtual_time, now, run

MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
HELD = {"holderIdentity": "x", "leaseDurationSeconds": 15, "leaseTransitions": 4}


async def started(server: LeaseServer, *names: str, **options: Any) -> list[Candidate]:
    """Starts candidates, one after the other. The first one leads if it can."""
    candidates = [Candidate(server, name, **options) for name in names]
    for each in candidates:
        each.start()
        await asyncio.sleep(0.5)
    return candidates


async def stopped(candidates: list[Candidate]) -> None:
    for each in candidates:
        await each.stop()


# What a candidate sends


@in_virtual_time
async def test_a_leader_at_rest_sends_one_write_a_period_and_no_read():
    server = LeaseServer()
    [a] = await started(server, "a")
    server.requests.clear()
    await asyncio.sleep(100)
    assert [(round(at), method) for at, _, method in server.requests] == [(at, "PUT") for at in range(10, 101, 10)]
    await a.stop()


@in_virtual_time
async def test_a_standby_at_rest_sends_one_read_a_period_with_jitter():
    server = LeaseServer()
    both = await started(server, "a", "b")
    await asyncio.sleep(600)
    sent = [(at, method) for at, candidate, method in server.requests if candidate == "b"]
    assert {method for _, method in sent} == {"GET"}
    waits = [then - first for (first, _), (then, _) in itertools.pairwise(sent)]
    assert all(10 <= wait <= 12.01 for wait in waits)
    assert max(waits) - min(waits) > 0.1
    await stopped(both)


@in_virtual_time
async def test_a_missing_lease_is_created():
    server = LeaseServer()
    [a] = await started(server, "a")
    assert [method for _, _, method in server.requests] == ["GET", "POST", "PUT"]
    assert server.lease is not None
    assert server.lease["spec"]["holderIdentity"] == "a"
    await a.stop()


@in_virtual_time
async def test_the_record_has_micro_times_of_six_digits():
    server = LeaseServer()
    exact = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)
    with patch.object(lease_requests, "datetime", wraps=datetime) as module:
        module.datetime.now = lambda _: exact
        [a] = await started(server, "a")
        spec = server.writes[-1][2]
        await a.stop()
    assert spec["renewTime"] == spec["acquireTime"] == "2026-05-01T12:00:00.000000Z"
    for _, _, spec in server.writes[1:]:
        assert MICRO_TIME.fullmatch(spec["renewTime"])
        assert MICRO_TIME.fullmatch(spec["acquireTime"])


def test_the_record_is_utc_in_every_time_zone(monkeypatch: pytest.MonkeyPatch):
    async def main() -> str:
        server = LeaseServer()
        [a] = await started(server, "a")
        renewed: str = server.writes[-1][2]["renewTime"]
        await a.stop()
        return renewed

    begin = datetime.datetime.now(datetime.UTC)
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")  # 14 hours ahead
    time.tzset()
    try:
        renewed = run(main())
    finally:
        monkeypatch.undo()
        time.tzset()
    assert abs(datetime.datetime.fromisoformat(renewed) - begin) < datetime.timedelta(hours=1)


@in_virtual_time
async def test_a_renewal_keeps_acquire_time_and_transitions():
    server = LeaseServer()
    [a] = await started(server, "a")
    first = server.writes[-1][2]
    await asyncio.sleep(10)
    then = server.writes[-1][2]
    assert then["renewTime"] > first["renewTime"]
    assert {**then, "renewTime": ""} == {**first, "renewTime": ""}
    await a.stop()


@in_virtual_time
async def test_a_take_over_adds_one_transition_and_sets_acquire_time():
    server = LeaseServer()
    server.put({**HELD, "acquireTime": "2020-01-01T00:00:00.000000Z"})
    [a] = await started(server, "a")
    await asyncio.sleep(16)
    assert server.lease is not None
    spec = server.lease["spec"]
    assert (spec["leaseTransitions"], spec["holderIdentity"], a.terms[0][0]) == (5, "a", 5)
    assert spec["acquireTime"] == spec["renewTime"] > "2020"
    await a.stop()


@in_virtual_time
async def test_labels_and_fields_of_others_stay_in_the_lease():
    server = LeaseServer()
    theirs = {"preferredHolder": "z", "strategy": "OldestEmulationVersion", "later": {"field": 1}}
    server.put({**HELD, **theirs}, labels={"team": "shop"}, annotations={"a": "b"})
    [a] = await started(server, "a")
    await asyncio.sleep(40)
    await a.stop()
    assert len(server.writes) > 3
    for _, _, spec in server.writes[1:]:
        assert theirs.items() <= spec.items()
    assert server.lease is not None
    assert server.lease["metadata"]["labels"] == {"team": "shop"}
    assert server.lease["metadata"]["annotations"] == {"a": "b"}


@in_virtual_time
async def test_labels_that_are_null_are_no_error():
    server = LeaseServer()
    server.put(HELD, labels=None)
    [a] = await started(server, "a")
    await asyncio.sleep(16)
    assert a.leads
    await a.stop()


@in_virtual_time
async def test_a_conflict_of_a_renewal_leads_to_a_read_not_a_loss():
    server = LeaseServer()
    [a] = await started(server, "a")
    assert server.lease is not None
    server.put(server.lease["spec"], labels={"new": "label"})
    server.requests.clear()
    await asyncio.sleep(10)
    assert [method for _, _, method in server.requests] == ["PUT", "GET", "PUT"]
    assert a.leads
    assert a.election.stats().slow_paths == 1
    assert server.lease["metadata"]["labels"] == {"new": "label"}
    await a.stop()


@in_virtual_time
async def test_candidates_that_race_for_a_free_lease_elect_one():
    server = LeaseServer()
    candidates = [Candidate(server, name) for name in "abcdef"]
    for each in candidates:
        each.link.delay = 0.2
        each.start()
    await asyncio.sleep(30)
    assert sum(each.leads for each in candidates) == 1
    assert sum(len(each.terms) for each in candidates) == 1
    assert not any(each.losses for each in candidates)
    await stopped(candidates)


# Who leads when


@in_virtual_time
async def test_a_silent_leader_is_replaced_within_lease_and_retry():
    server = LeaseServer()
    a, b = await started(server, "a", "b")
    await asyncio.sleep(60)
    last = server.writes[-1][0]
    a.link.hang()
    await asyncio.sleep(60)
    assert b.leads
    assert 40 <= b.terms[0][1] - last <= 40 + 12.1
    assert overlap([a, b]) == 0
    await stopped([b])


@in_virtual_time
async def test_the_duration_in_the_record_counts_not_the_own_one():
    server = LeaseServer()
    server.put({**HELD, "leaseDurationSeconds": 100})
    [a] = await started(server, "a")
    await asyncio.sleep(98)
    assert not a.terms
    await asyncio.sleep(4)
    assert a.leads
    await a.stop()


@pytest.mark.parametrize("stamp", ["1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z", "yesterday"])
@in_virtual_time
async def test_the_times_in_the_record_are_not_compared(stamp: str):
    server = LeaseServer()
    server.put({**HELD, "renewTime": stamp, "acquireTime": stamp})
    [a] = await started(server, "a")
    await asyncio.sleep(14)
    assert not a.terms
    await asyncio.sleep(2)
    assert a.leads
    await a.stop()


@in_virtual_time
async def test_a_wall_clock_that_jumps_by_hours_changes_nothing():
    async def history() -> list[tuple[int, float, float]]:
        server = LeaseServer()
        a, b = await started(server, "a", "b")
        begin = now()
        await asyncio.sleep(100)
        a.link.hang()
        await asyncio.sleep(100)
        a.link.heal()
        await stopped([a, b])
        return [(token, round(first - begin, 3), round(last - begin, 3)) for token, first, last in a.terms + b.terms]

    hours = iter([3600 * (-1) ** number * number for number in range(10_000)])
    real = datetime.datetime.now(datetime.UTC)

    def jump(*_: object) -> Any:
        return real + datetime.timedelta(seconds=next(hours))

    with patch.object(election, "random_fraction", lambda: 0.5):
        calm = await history()
        with (
            patch.object(lease_requests, "datetime", wraps=datetime) as module,
            patch("time.time", lambda: jump().timestamp()),
        ):
            module.datetime.now = jump
            jumping = await history()
    assert next(hours) != 0  # the clock was asked, for the record
    assert [times for _, *times in jumping] == [times for _, *times in calm]


@in_virtual_time
async def test_a_lease_without_a_holder_is_free_at_once():
    server = LeaseServer()
    server.put({"holderIdentity": "", "leaseDurationSeconds": 15, "leaseTransitions": 3})
    [a] = await started(server, "a")
    assert a.leads
    assert a.terms[0][0] == 4
    await a.stop()


@in_virtual_time
async def test_a_lease_of_the_own_identity_is_taken_at_once():
    server = LeaseServer()
    server.put({**HELD, "holderIdentity": "a"})
    [a] = await started(server, "a")
    assert a.leads
    assert a.terms[0][0] == 5
    await a.stop()


@in_virtual_time
async def test_a_leader_stops_at_once_when_it_sees_another_holder():
    server = LeaseServer()
    a, b = await started(server, "a", "b")
    server.edit(holderIdentity="third", leaseTransitions=10**9)
    await asyncio.sleep(11)
    [(_, _, end)] = a.terms
    assert end == pytest.approx(10, abs=0.1)
    assert "third holds the Lease" in str(a.losses[0])
    assert not b.terms
    await asyncio.sleep(45)
    assert a.leads != b.leads
    assert tokens([a, b])[-1] == 10**9 + 1
    await stopped([a, b])


@in_virtual_time
async def test_a_leader_creates_a_deleted_lease_anew_and_goes_on():
    server = LeaseServer()
    a, b = await started(server, "a", "b")
    server.lease = None
    await asyncio.sleep(100)
    assert a.leads
    assert not b.terms
    assert server.lease is not None
    assert server.lease["spec"]["leaseTransitions"] == a.terms[0][0]
    await stopped([a, b])


@in_virtual_time
async def test_a_deletion_does_not_let_a_standby_act_early():
    server = LeaseServer()
    a, b = await started(server, "a", "b")
    await asyncio.sleep(12)
    a.link.hang()
    server.lease = None
    await asyncio.sleep(60)
    assert b.leads
    assert overlap([a, b]) == 0
    assert tokens([a, b]) == sorted(set(tokens([a, b])))
    await stopped([b])


GARBLED: dict[str, dict[str, Any]] = {
    "empty": {},
    "null holder": {**HELD, "holderIdentity": None},
    "a number as holder": {**HELD, "holderIdentity": 7},
    "float duration": {**HELD, "leaseDurationSeconds": 6.0},
    "text duration": {**HELD, "leaseDurationSeconds": "6.0"},
    "negative duration": {**HELD, "leaseDurationSeconds": -1},
    "no duration": {"holderIdentity": "x"},
    "endless duration": {**HELD, "leaseDurationSeconds": float("inf")},
    "text transitions": {**HELD, "leaseTransitions": "many"},
    "negative transitions": {**HELD, "leaseTransitions": -4},
    "most transitions": {**HELD, "leaseTransitions": MAX_TRANSITIONS},
    "boolean transitions": {**HELD, "leaseTransitions": True},
}


@pytest.mark.parametrize("garbled", GARBLED)
@in_virtual_time
async def test_a_garbled_lease_is_taken_after_its_time(garbled: str):
    server = LeaseServer()
    server.put(GARBLED[garbled])
    [a] = await started(server, "a")
    await asyncio.sleep(53)
    assert a.leads
    assert server.lease is not None
    spec = server.lease["spec"]
    assert spec["holderIdentity"] == "a"
    assert spec["leaseDurationSeconds"] == 40
    assert 0 < spec["leaseTransitions"] <= MAX_TRANSITIONS
    await a.stop()


@pytest.mark.parametrize("garbled", GARBLED)
@in_virtual_time
async def test_a_lease_garbled_under_its_leader_lets_no_two_act(garbled: str):
    server = LeaseServer()
    candidates = await started(server, "a", "b", "c")
    await asyncio.sleep(25)
    server.put(GARBLED[garbled])
    await asyncio.sleep(100)
    assert sum(each.leads for each in candidates) == 1
    assert overlap(candidates) == 0
    assert tokens(candidates) == sorted(tokens(candidates))
    await stopped(candidates)


@in_virtual_time
async def test_a_shortened_duration_does_not_let_a_standby_act_early():
    server = LeaseServer()
    a, b = await started(server, "a", "b")
    await asyncio.sleep(5)
    a.link.hang()
    server.edit(leaseDurationSeconds=1)
    await asyncio.sleep(60)
    assert b.leads
    assert overlap([a, b]) == 0
    await stopped([b])


@in_virtual_time
async def test_a_long_duration_that_is_corrected_ends_within_a_lease():
    server = LeaseServer()
    server.put({**HELD, "leaseDurationSeconds": 10**8})
    [a] = await started(server, "a")
    await asyncio.sleep(100)
    assert not a.terms
    server.edit(leaseDurationSeconds=15)
    await asyncio.sleep(53)
    assert a.leads
    await a.stop()


@in_virtual_time
async def test_the_token_never_goes_back_after_a_deletion():
    server = LeaseServer()
    seen = []
    for name in "abcde":  # none of them has seen the Lease before
        [candidate] = await started(server, name)
        seen += [token for token, *_ in candidate.terms]
        await candidate.stop()
        server.lease = None
        del candidate
    assert seen == sorted(set(seen))
    assert len(seen) == 5


# Faults of the server and of the link to it


@in_virtual_time
async def test_a_leader_whose_calls_hang_stops_at_its_deadline():
    server = LeaseServer()
    a, b = await started(server, "a", "b")
    await asyncio.sleep(24.5)
    last = server.writes[-1][0]
    a.link.hang()
    await asyncio.sleep(60)
    assert a.terms[0][2] - last == pytest.approx(30)
    assert isinstance(a.losses[0].__cause__, kinform.StalledError)
    assert overlap([a, b]) == 0
    await stopped([b])


@in_virtual_time
async def test_the_deadline_counts_from_the_sending_of_a_renewal():
    server = LeaseServer()
    [a] = await started(server, "a")
    a.link.delay = 4.5
    await asyncio.sleep(19)  # sent at 10, answered at 19
    a.link.hang()
    await asyncio.sleep(30)
    assert a.terms[0][2] == pytest.approx(40)
    a.link.heal()
    await a.stop()


@in_virtual_time
async def test_a_slow_link_lets_no_two_act():
    server = LeaseServer()
    a, b = await started(server, "a", "b")
    for delay in (3, 4.9, 7, 12, 19):
        a.link.delay = delay
        await asyncio.sleep(150)
    assert overlap([a, b]) == 0
    assert b.terms
    await stopped([a, b])


@in_virtual_time
async def test_a_leader_goes_on_if_only_answers_are_lost_for_a_while():
    server = LeaseServer()
    a, b = await started(server, "a", "b")
    a.link.drops_answers = True
    await asyncio.sleep(25)
    a.link.heal()
    await asyncio.sleep(100)
    assert a.leads
    assert not a.losses
    assert not b.terms
    await stopped([a, b])


@in_virtual_time
async def test_a_leader_whose_answers_are_lost_stops_at_its_deadline():
    server = LeaseServer()
    a, b = await started(server, "a", "b")
    a.link.drops_answers = True
    await asyncio.sleep(120)
    assert a.terms[0][2] == pytest.approx(30, abs=0.1)
    assert overlap([a, b]) == 0
    await stopped([a, b])


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
@in_virtual_time
async def test_a_short_outage_of_the_server_is_survived(status: int):
    server = LeaseServer()
    [a] = await started(server, "a")
    a.link.refuses = status
    await asyncio.sleep(25)
    assert a.election.stats().error is not None
    a.link.heal()
    await asyncio.sleep(50)
    assert a.leads
    assert not a.losses
    assert a.election.stats().error is None
    await a.stop()


@in_virtual_time
async def test_a_candidate_without_rights_waits_for_them(caplog: pytest.LogCaptureFixture):
    server = LeaseServer()
    a = Candidate(server, "a")
    a.link.refuses = 403
    a.start()
    await asyncio.sleep(300)
    assert not a.terms
    assert len(caplog.records) == 1
    assert "answered 403" in caplog.text
    a.link.heal()
    await asyncio.sleep(13)
    assert a.leads
    await a.stop()


# The end of a block


@in_virtual_time
async def test_a_stop_releases_the_lease_for_the_next_one():
    server = LeaseServer()
    a, b = await started(server, "a", "b")
    server.requests.clear()
    await asyncio.sleep(3)
    token = a.terms[0][0]
    await a.stop()
    assert [method for _, candidate, method in server.requests if candidate == "a"] == ["GET", "PUT"]
    spec = server.writes[-1][2]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("", 1, token)
    assert spec["acquireTime"] == spec["renewTime"]
    await asyncio.sleep(12.1)
    assert b.leads
    assert b.terms[0][0] == token + 1
    await b.stop()


@in_virtual_time
async def test_a_stop_without_release_leaves_the_lease():
    server = LeaseServer()
    [a] = await started(server, "a", release_on_stop=False)
    await a.stop()
    assert server.writes[-1][2]["holderIdentity"] == "a"


@in_virtual_time
async def test_a_lease_is_released_only_after_the_work_is_over():
    server = LeaseServer()
    election = LeaderElection(Link(server, "a"), KEY, identity="a")
    ended = []

    async def work() -> None:
        async with election.leading():
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await asyncio.sleep(55)
                ended.append(now())

    task = asyncio.create_task(work())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert ended == [pytest.approx(56)]
    assert [at for at, _, spec in server.writes if not spec.get("holderIdentity")][1:] == ended
    assert [round(at) for at, _, spec in server.writes if spec.get("holderIdentity")] == [0, 10, 20, 30, 40, 50]
    assert task.cancelled()


@in_virtual_time
async def test_a_release_is_retried_on_conflict():
    server = LeaseServer()
    [a] = await started(server, "a")
    answer, edits = server.answer, iter(["1", "2", "3"])

    def edited_before_each_write(candidate: str, request: kinform.Request) -> Any:
        if request.method == "PUT" and (label := next(edits, None)):
            assert server.lease is not None
            server.put(server.lease["spec"], labels={"edit": label})
        return answer(candidate, request)

    server.answer = edited_before_each_write  # type: ignore[method-assign]
    await a.stop()
    assert server.writes[-1][2]["holderIdentity"] == ""


@in_virtual_time
async def test_a_lease_of_another_holder_is_not_released():
    server = LeaseServer()
    [a] = await started(server, "a")
    server.edit(holderIdentity="third")
    writes = len(server.writes)
    await a.stop()
    assert len(server.writes) == writes


@in_virtual_time
async def test_a_lease_that_is_gone_is_not_released():
    server = LeaseServer()
    [a] = await started(server, "a")
    server.lease = None
    await a.stop()
    assert server.lease is None


@in_virtual_time
async def test_a_lost_lease_that_is_still_held_is_released():
    server = LeaseServer()
    link = Link(server, "a")

    async def work() -> None:
        async with LeaderElection(link, KEY, identity="a").leading():
            link.refuses = 500
            try:
                await asyncio.sleep(1000)
            finally:
                link.heal()

    with pytest.raises(LeadershipLost):
        await work()
    assert now() == pytest.approx(30)
    assert server.writes[-1][2]["holderIdentity"] == ""


@in_virtual_time
async def test_a_stop_with_a_hanging_server_ends_within_the_lease():
    server = LeaseServer()
    [a] = await started(server, "a")
    a.link.hang()
    before = now()
    await a.stop()
    assert now() - before <= 30


@in_virtual_time
async def test_a_candidate_cancelled_while_it_takes_releases():
    server = LeaseServer()
    server.put({"holderIdentity": ""})
    a = Candidate(server, "a")
    a.link.delay = 1
    a.start()
    await asyncio.sleep(3.5)  # the write has arrived, its answer has not
    assert server.writes[-1][2]["holderIdentity"] == "a"
    await a.stop()
    assert server.writes[-1][2]["holderIdentity"] == ""
    assert not a.terms


@in_virtual_time
async def test_a_candidate_stopped_after_an_unanswered_write_releases():
    server = LeaseServer()
    server.put({"holderIdentity": ""})
    a = Candidate(server, "a")
    a.link.delay = 1
    a.start()
    await asyncio.sleep(2.5)  # it has read the Lease
    a.link.drops_answers = True
    await asyncio.sleep(2.5)  # now it waits for its next attempt
    assert server.writes[-1][2]["holderIdentity"] == "a"
    a.link.heal()
    await a.stop()
    assert server.writes[-1][2]["holderIdentity"] == ""
    assert not a.terms


@in_virtual_time
async def test_a_body_that_raises_ends_the_renewals_and_releases():
    server = LeaseServer()
    election = LeaderElection(Link(server, "a"), KEY)
    with pytest.raises(ZeroDivisionError):
        async with election.leading():
            raise ZeroDivisionError
    writes = len(server.writes)
    assert server.writes[-1][2]["holderIdentity"] == ""
    await asyncio.sleep(100)
    assert len(server.writes) == writes


@in_virtual_time
async def test_a_failing_task_of_the_body_ends_the_term():
    async def fails() -> None:
        await asyncio.sleep(15)
        raise ZeroDivisionError

    async def lead() -> None:
        async with LeaderElection(Link(server, "a"), KEY).leading(), asyncio.TaskGroup() as tasks:
            tasks.create_task(fails())
            tasks.create_task(asyncio.sleep(1000))

    server = LeaseServer()
    with pytest.raises(ExceptionGroup):
        await lead()
    assert now() == pytest.approx(15, abs=1)
    assert server.writes[-1][2]["holderIdentity"] == ""


# Observation


@in_virtual_time
async def test_new_leaders_are_reported_once_a_change():
    server = LeaseServer()
    a, b = Candidate(server, "a"), Candidate(server, "b")
    seen: dict[str, list[str]] = {"a": [], "b": []}
    a.election.on_new_leader(seen["a"].append)

    @b.election.on_new_leader
    def note(leader: str) -> None:
        seen["b"].append(leader)
        raise ZeroDivisionError  # has no effect

    a.start()
    await asyncio.sleep(1)
    b.start()
    await asyncio.sleep(100)
    assert (a.election.leader, b.election.leader) == ("a", "a")
    await a.stop()
    await asyncio.sleep(30)
    assert seen["a"] == ["a", ""]
    assert seen["b"] in (["a", "b"], ["a", "", "b"])
    assert b.election.leader == "b"
    await b.stop()


@in_virtual_time
async def test_events_say_who_leads():
    server = LeaseServer()
    [a] = await started(server, "a")
    await a.stop()
    assert [event["note"] for event in server.events] == ["a became leader", "a stopped leading"]
    for event in server.events:
        assert event["regarding"]["name"] == "widget-operator"
        assert MICRO_TIME.fullmatch(event["eventTime"])


@in_virtual_time
async def test_missing_rights_for_events_have_no_effect():
    server = LeaseServer()
    server.may_write_events = False
    [a] = await started(server, "a")
    await asyncio.sleep(100)
    assert a.leads
    await a.stop()
    assert server.writes[-1][2]["holderIdentity"] == ""


@in_virtual_time
async def test_statistics_follow_the_term():
    server = LeaseServer()
    a, b = await started(server, "a", "b")
    await asyncio.sleep(14.5)
    leading, waiting = a.election.stats(), b.election.stats()
    assert (leading.leading, leading.leader, leading.transitions) == (True, "a", a.terms[0][0])
    assert leading.seconds_since_renewal == pytest.approx(5.5)
    assert (waiting.leading, waiting.leader, waiting.transitions) == (False, "a", None)
    assert waiting.seconds_since_renewal is None
    a.link.hang()
    await asyncio.sleep(60)
    assert (a.election.stats().leading, a.election.stats().lost) == (False, 1)
    await stopped([b])


@in_virtual_time
async def test_health_fails_if_the_work_outlives_its_lease():
    server = LeaseServer()
    link = Link(server, "a")
    election = LeaderElection(link, KEY)
    assert election.health().ok

    async def stubborn() -> None:
        async with election.leading() as term:
            link.hang()
            while now() < 60:
                try:
                    await asyncio.sleep(60 - now())
                except asyncio.CancelledError:
                    assert term.lost.is_set()

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(39)
    assert election.health().ok
    await asyncio.sleep(2)
    assert not election.health().ok
    assert KEY in election.health().reason
    assert election.health(tolerance=5).ok
    await asyncio.sleep(5)
    assert not election.health(tolerance=5).ok
    with pytest.raises(LeadershipLost):
        await task
    assert election.health().ok


# Arguments


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"lease_seconds": 30}, "lease_seconds"),
        ({"lease_seconds": float("inf")}, "lease_seconds"),
        ({"renew_deadline": 12}, "renew_deadline"),
        ({"renew_deadline": 40}, "lease_seconds"),
        ({"retry_seconds": 0}, "retry_seconds"),
        ({"retry_seconds": -1}, "retry_seconds"),
        ({"retry_seconds": 25}, "renew_deadline"),
        ({"retry_seconds": "10"}, "retry_seconds"),
        ({"retry_seconds": float("nan")}, "retry_seconds"),
        ({"identity": ""}, "identity"),
        ({"identity": 7}, "identity"),
        ({"release_on_stop": 1}, "release_on_stop"),
        ({"warm": None}, "warm"),
    ],
)
@in_virtual_time
async def test_options_that_cannot_work_are_refused(options: dict[str, Any], field: str):
    with pytest.raises(kinform.OptionError) as raised:
        LeaderElection(Link(LeaseServer(), "a"), KEY, **options)
    assert raised.value.field == field


@pytest.mark.parametrize("name", ["widget-operator", "", "a/b/c", "shop/", "/x", "Shop/x", "shop/x y", 7, None])
@in_virtual_time
async def test_names_that_are_no_keys_are_refused(name: Any):
    with pytest.raises(kinform.OptionError, match="name"):
        LeaderElection(Link(LeaseServer(), "a"), name)


@in_virtual_time
async def test_each_election_has_an_identity_of_its_own():
    link = Link(LeaseServer(), "a")
    identities = {LeaderElection(link, KEY).identity for _ in range(100)}
    assert len(identities) == 100


@pytest.mark.parametrize("api", [object(), None])
def test_an_api_without_the_verbs_is_refused(api: Any):
    with pytest.raises(kinform.OptionError, match="api"):
        LeaderElection(api, KEY)


@in_virtual_time
async def test_a_handler_that_is_async_is_refused():
    async def handler(leader: str) -> None: ...

    with pytest.raises(kinform.OptionError, match="handler"):
        LeaderElection(Link(LeaseServer(), "a"), KEY).on_new_leader(handler)


@in_virtual_time
async def test_float_seconds_are_rounded_up_in_the_lease():
    server = LeaseServer()
    [a] = await started(server, "a", lease_seconds=6.2, renew_deadline=4.5, retry_seconds=1.5)
    assert server.writes[-1][2]["leaseDurationSeconds"] == 7
    await a.stop()
