"""The list-watch state machine: the order of calls, and invariants of legal calls."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinform._errors import ProtocolError, StalledError, StatusError, TransportError
from kinform._events import Applied, Init, InitDone, Skipped
from kinform._listwatch.call_order import CALLS, CallOrderError
from kinform._listwatch.frames import Bookmark, ListEnd, Skip
from kinform._listwatch.machine import MAX_RETRY_AFTER, ListWatchMachine
from kinform._sharding import ShardSet
from kinform._stats import State
from kinform._status import Status
from kinform._transport.base import Request
from tests.core.machines import batch, make_machine

ARGUMENTS = {
    "refused": (Status(503),),
    "take": (Skip("ADDED", "shop/web", "5", "oversized", 0, 100),),
    "ended": (None, 0.0),
}
LIST_END = "take the end of the list"

# After these calls, only these are legal.
LEGAL = {
    (): {"request"},
    ("request",): {"accepted", "refused", "ended"},
    ("request", "accepted"): {"take", "ended"},
    ("request", "accepted", "take"): {"take", "ended"},
    ("request", "accepted", "ended"): {"request"},
    ("request", "accepted", LIST_END): {"request"},
    ("request", "refused"): {"request"},
    ("request", "ended"): {"request"},
}


def call(machine: ListWatchMachine, name: str) -> object:
    if name == LIST_END:
        return machine.take(ListEnd("5"))
    return getattr(machine, name)(*ARGUMENTS.get(name, ()))


def after(calls: tuple[str, ...]) -> ListWatchMachine:
    machine = make_machine()
    for name in calls:
        call(machine, name)
    return machine


class TestCallOrder:
    @pytest.mark.parametrize(("calls", "legal"), LEGAL.items(), ids=["-".join(calls) or "new" for calls in LEGAL])
    def test_a_call_in_order_is_accepted(self, calls, legal):
        for name in legal:
            call(after(calls), name)

    @pytest.mark.parametrize(
        ("calls", "wrong"),
        [(calls, name) for calls, legal in LEGAL.items() for name in CALLS if name not in legal],
        ids=lambda value: value if isinstance(value, str) else "-".join(value) or "new",
    )
    def test_a_call_out_of_order_raises(self, calls, wrong):
        machine = after(calls)
        with pytest.raises(CallOrderError) as caught:
            call(machine, wrong)
        message = str(caught.value)
        assert message.startswith(f"v1/pods: {wrong}() was called, expected ")
        _, _, expected = message.partition("expected ")
        assert {name for name in CALLS if f"{name}()" in expected} == LEGAL[calls]

    def test_a_call_out_of_order_changes_nothing(self):
        machine = after(("request", "accepted"))
        for name in ("request", "accepted", "refused"):
            with pytest.raises(CallOrderError):
                call(machine, name)
        assert (machine.state, machine.error, machine.close_requested) == ("syncing", None, False)
        assert machine.take(ListEnd("5")) == InitDone("5")

    @pytest.mark.parametrize("calls", LEGAL, ids=lambda calls: "-".join(calls) or "new")
    def test_request_is_legal_after_abandoned(self, calls):
        machine = after(calls)
        machine.abandoned()
        machine.request()

    def test_an_abandoned_first_page_starts_over_with_a_new_init(self):
        machine = after(("request", "accepted", "take"))
        machine.abandoned()
        machine.request()
        assert machine.accepted() == Init()


CODES = (0, 400, 401, 403, 404, 405, 410, 422, 429, 500, 503)
STATUSES = st.builds(Status, st.sampled_from(CODES), st.sampled_from(["", "", "Expired"]))
ERRORS = st.sampled_from(
    [
        None,
        TransportError("cut"),
        TransportError("no route", reached=False),
        StalledError("silence"),
        ProtocolError("x"),
    ]
)
VERSIONS = st.sampled_from(["", "5", "6", "7"])
SKIPS = st.builds(Skip, *map(st.just, ("ADDED", None)), VERSIONS, *map(st.just, ("malformed", 0, 9)))
BATCHES = st.sampled_from([batch("web"), batch("web", "db", verb="MODIFIED", resource_version=7)])
LIST_FRAMES = BATCHES | SKIPS | st.builds(ListEnd, VERSIONS, st.sampled_from(["", "token"]))
WATCH_FRAMES = BATCHES | SKIPS | st.builds(Bookmark, VERSIONS, st.booleans()) | STATUSES


# Without a wait: a streaming list, a LIST after it, a watch after that, and each again after a 401.
MAX_HASTY = 6


def check_request(request: Request) -> None:
    params = dict(request.params)
    assert len(params) == len(request.params)
    if request.watch:
        assert not params.keys() & {"limit", "continue"}
        assert int(params["timeoutSeconds"]) > 0
        assert not {"sendInitialEvents", "resourceVersion"} <= params.keys()
    else:
        assert params.keys() <= {"limit", "continue"}


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_legal_sequence_leads_to_a_legal_request(data):
    draw = data.draw
    machine = make_machine(draw(st.sampled_from(["list", "stream", "auto"])), page_size=draw(st.sampled_from([0, 500])))
    initial = False  # between Init and InitDone
    hasty = 0  # requests in a row without a wait, without later pages
    try:
        for _ in range(draw(st.integers(1, 30))):
            request = machine.request()
            check_request(request)
            if machine.delay or machine.interval:
                hasty = 0
            hasty += "continue" not in dict(request.params)
            assert hasty <= MAX_HASTY
            match draw(st.sampled_from(["accepted", "accepted", "refused", "ended"])):
                case "refused":
                    machine.refused(draw(STATUSES), retry_after=draw(st.sampled_from([None, 7.0, 1e9])))
                case "ended":
                    machine.ended(draw(ERRORS), draw(st.sampled_from([0.0, 400.0])))
                case _:
                    initial |= machine.accepted() == Init()
                    for frame in draw(st.lists(WATCH_FRAMES if request.watch else LIST_FRAMES, max_size=8)):
                        step = machine.take(frame)
                        assert not isinstance(step, Applied | Skipped) or step.initial == initial
                        assert initial or not isinstance(step, InitDone)
                        initial &= not isinstance(step, InitDone)
                        if machine.close_requested:
                            break
                    else:
                        machine.ended(draw(ERRORS), draw(st.sampled_from([0.0, 400.0])))
            assert 0 <= machine.delay <= MAX_RETRY_AFTER
            assert machine.state in get_args(State)
    except StatusError:
        assert machine.state == "failed"
    else:
        check_request(machine.request())


class TestReshard:
    SHARDS = ShardSet(8, frozenset((1,)))

    @pytest.mark.parametrize("initial", ["list", "stream"])
    def test_a_new_shard_starts_a_new_state(self, initial):
        machine = make_machine(initial)
        machine.request()
        machine.accepted()
        machine.reshard(self.SHARDS, complete=False)
        assert machine.close_requested
        assert (machine.delay, machine.interval > 0) == (0, True)
        assert dict(machine.request().params)["shardSelector"] == self.SHARDS.selector()
        assert isinstance(machine.accepted(), Init)

    def test_a_page_is_not_continued_with_other_shards(self):
        machine = make_machine()
        machine.request()
        machine.accepted()
        machine.take(ListEnd("5", "token"))
        machine.reshard(self.SHARDS, complete=False)
        assert "continue" not in dict(machine.request().params)

    @pytest.mark.parametrize("complete", [True, False])
    def test_a_watch_resumes_only_with_fewer_shards(self, complete):
        machine = after(("request", "accepted", LIST_END, "request", "accepted"))
        machine.reshard(self.SHARDS, complete=complete)
        assert (machine.delay, machine.interval > 0) == (0, True)
        assert machine.watching is complete
        assert machine.state == ("live" if complete else "relisting")
        assert ("watch" in dict(machine.request().params)) is complete

    def test_fewer_shards_are_no_state_before_it_is_complete(self):
        machine = make_machine()
        machine.reshard(self.SHARDS, complete=True)
        assert not machine.watching

    def test_it_is_out_of_order_between_request_and_answer(self):
        machine = after(("request",))
        with pytest.raises(CallOrderError, match="reshard"):
            machine.reshard(self.SHARDS, complete=True)
