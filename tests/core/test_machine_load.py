"""The list-watch state machine and the load on the server: no path lacks a wait."""

from __future__ import annotations

import pytest

from kinform._errors import ProtocolError, StalledError, TransportError
from kinform._events import Init, InitDone
from kinform._listwatch import verdicts
from kinform._listwatch.frames import Bookmark, ListEnd, Skip
from kinform._listwatch.machine import ListWatchMachine
from kinform._listwatch.phases import Phase
from kinform._listwatch.transitions import MAX_PAGES, TRANSITIONS, Next, Verdict, Wait
from kinform._status import Status
from kinform_ext._scan import Scanner
from tests.core.machines import EXPIRED, batch, close, listed, make_machine, params, refuse, watching

UNREACHABLE = TransportError("no route", reached=False)
START = [Phase.LIST, Phase.STREAM, Phase.STREAM_ONLY]
LEADS_TO = {
    Next.START: START,
    Next.LIST: [Phase.LIST],
    Next.LIST_ALWAYS: [Phase.LIST],
    Next.WHOLE_LIST: [Phase.LIST],
    Next.PAGE: [Phase.PAGE],
    Next.WATCH: [Phase.WATCH],
    Next.NOTHING: [],
}
# Transitions of a phase to itself that are bounded: the pages of a LIST, a second 401 in a row, and a refusal of
# `shardSelector`, which the next request does not have.
BOUNDED = {Verdict.NEXT_PAGE, Verdict.RELOAD, Verdict.UNSHARDED}


def relisted(machine: ListWatchMachine, resource_version: str) -> None:
    """Lists, and opens a watch."""
    machine.request()
    machine.accepted()
    machine.take(ListEnd(resource_version))
    machine.request()
    machine.accepted()


def refuse_until_relist(machine: ListWatchMachine, status: Status) -> None:
    """Sends ERROR events until the machine wants a complete state."""
    while True:
        machine.take(status)
        if machine.request().watch:
            machine.accepted()
        else:
            machine.abandoned()
            return


def test_no_circle_of_transitions_is_without_a_wait():
    arrows: dict[Phase, set[Phase]] = {phase: set() for phase in Phase}
    for (phase, verdict), transition in TRANSITIONS.items():
        if transition.wait is Wait.NONE:
            arrows[phase].update(
                to for to in LEADS_TO.get(transition.next, [phase]) if to != phase or verdict not in BOUNDED
            )
    while free := [phase for phase, reached in arrows.items() if not reached & arrows.keys()]:
        for phase in free:
            del arrows[phase]
    assert not arrows


class TestInterval:
    def test_a_watch_resumes_an_interval_after_the_last_request(self):
        machine = watching(make_machine())
        machine.take(batch("web", resource_version=6))
        machine.ended(None, 0.1)
        assert (machine.delay, machine.interval) == (0, 0.8)

    def test_a_watch_after_a_complete_state_does_not_wait(self):
        machine = listed(make_machine())
        assert (machine.delay, machine.interval) == (0, 0)

    @pytest.mark.parametrize("initial", ["list", "stream"])
    def test_401_as_an_error_event_is_not_repeated_at_once(self, initial):
        machine = make_machine(initial)
        if initial == "list":
            listed(machine)
        else:
            machine.request()
        refuse(machine, Status(401), event=True)
        delay = 30.0 if initial == "list" else 0.8  # an informer without objects asks soon after the first refusal
        assert (machine.state, machine.delay, machine.reload_credentials) == ("unauthorized", delay, True)


class TestProgress:
    def test_410s_are_counted_across_progress(self):
        machine = watching(make_machine())
        delays = []
        for number in range(6, 11):
            machine.take(Bookmark(str(number)))
            machine.take(EXPIRED)
            delays.append(machine.delay)
            relisted(machine, str(number))
        assert delays == [0.0, 0.8, 1.6, 3.2, 6.4]

    def test_410s_after_each_streaming_list_are_counted(self):
        machine = make_machine("stream")
        delays = []
        for number in range(6, 11):
            machine.request()
            machine.accepted()
            machine.take(Bookmark(str(number), True))
            machine.take(EXPIRED)
            delays.append(machine.delay)
        assert delays == [0.0, 0.8, 1.6, 3.2, 6.4]

    def test_a_410_after_a_watch_that_lasted_is_the_first_again(self):
        machine = watching(make_machine())
        for _ in range(3):
            machine.take(EXPIRED)
            relisted(machine, "6")
        machine.take(EXPIRED, 31.0)
        assert (machine.delay, machine.interval) == (0.0, 0.8)

    @pytest.mark.parametrize("refusal", [Status(500), Status(400)])
    def test_relists_get_rarer_until_a_watch_lasts(self, refusal):
        machine = watching(make_machine())
        delays = []
        for number in range(6, 26):
            machine.take(Bookmark(str(number)))
            refuse_until_relist(machine, refusal)
            delays.append(machine.delay)
            relisted(machine, str(number))
        assert delays[-1] == 30.0

    @pytest.mark.parametrize("version", ["4", "1", "5"])
    def test_a_lower_resource_version_is_no_progress(self, version):
        machine = watching(make_machine(), "5")
        delays = []
        for _ in range(2):
            machine.take(Bookmark(version))
            delays += close(machine)
        assert delays == pytest.approx([0.8, 1.6])

    def test_a_resource_version_that_swings_is_no_progress(self):
        machine = watching(make_machine(), "10")
        delays = []
        for version in ("9", "10"):
            machine.take(Bookmark(version))
            delays += close(machine)
        assert delays == pytest.approx([0.8, 1.6])

    def test_a_watch_resumes_at_a_lower_resource_version(self):
        machine = watching(make_machine(), "10")
        machine.take(Bookmark("9"))
        machine.ended(None, 0.0)
        assert params(machine)["resourceVersion"] == "9"

    @pytest.mark.parametrize("version", ["10", "abc", "9" * 5000])
    def test_a_higher_or_another_kind_of_version_is_progress(self, version):
        machine = watching(make_machine(), "9")
        machine.take(Bookmark(version))
        machine.ended(None, 0.0)
        assert machine.delay == 0

    def test_a_bookmark_without_a_resource_version_is_no_progress(self):
        machine = watching(make_machine())
        delays = []
        for _ in range(2):
            machine.take(Bookmark(""))
            delays += close(machine)
        assert delays == pytest.approx([0.8, 1.6])
        assert machine.resource_version == "5"

    @pytest.mark.parametrize("error", [UNREACHABLE, StalledError("no headers"), TransportError("cut")])
    def test_a_connection_that_took_long_to_fail_is_no_progress(self, error):
        machine = listed(make_machine())
        delays = []
        for _ in range(2):
            machine.ended(error, 31.0)
            delays.append(machine.delay)
            machine.request()
        assert delays == pytest.approx([0.8, 1.6])


class TestPages:
    def page(self, machine: ListWatchMachine, token: str, first: str) -> dict[str, str]:
        """Receives a page; returns the parameters of the next request."""
        machine.accepted()
        machine.take(batch(first, f"{first}-2"))
        assert machine.take(ListEnd("7", token)) is None
        return params(machine)

    @pytest.mark.parametrize(
        ("tokens", "firsts"),
        [(["a", "a"], ["p1", "p2"]), (["a", "b", "a"], ["p1", "p2", "p3"]), (["a", "b"], ["p1", "p1"])],
    )
    def test_a_repeated_token_or_page_leads_to_a_list_in_one_page(self, tokens, firsts):
        machine = make_machine()
        machine.request()
        for token, first in zip(tokens, firsts, strict=True):
            asked = self.page(machine, token, first)
        assert asked == {}
        assert (machine.state, machine.delay) == ("retrying", 0.8)
        assert isinstance(machine.error, ProtocolError)

    def test_tokens_without_an_end_lead_to_a_list_in_one_page(self):
        machine = make_machine()
        asked, number = params(machine), 0
        while asked:
            number += 1
            asked = self.page(machine, str(number), f"p{number}")
        assert number == MAX_PAGES

    def test_empty_pages_without_an_end_lead_to_a_list_in_one_page(self):
        machine = make_machine()
        asked, number = params(machine), 0
        while asked:
            number += 1
            machine.accepted()
            machine.take(ListEnd("7", str(number)))
            asked = params(machine)
        assert number == MAX_PAGES

    @pytest.fixture
    def small(self, monkeypatch):
        """A page may have two objects more than requested, and a state five."""
        monkeypatch.setattr(verdicts, "MAX_UNASKED_OBJECTS", 2)
        monkeypatch.setattr(verdicts, "MAX_STATE_OBJECTS", 5)

    @pytest.mark.parametrize("frame", [batch("p3"), Skip("", "shop/p3", "1", "malformed", 0, 9)])
    def test_a_page_above_its_limit_leads_to_a_list_in_one_page(self, small, frame):
        machine = make_machine(page_size=1)
        machine.request()
        machine.accepted()
        assert machine.take(batch("p0", "p1", "p2")) is not None
        assert machine.take(frame) is None
        assert machine.close_requested
        assert str(machine.error) == (
            "list v1/pods: a page of at most 1 objects was requested, and has more than 2 others"
        )
        assert (machine.state, machine.delay) == ("retrying", 0.8)
        assert params(machine) == {}
        assert machine.accepted() == Init()
        assert machine.take(batch(*"abcde")) is not None
        assert machine.take(ListEnd("7")) == InitDone("7")

    @pytest.mark.parametrize("initial", ["list", "auto", "stream"])
    def test_a_state_without_an_end_is_requested_slowly(self, small, initial):
        machine = make_machine(initial, page_size=0)
        for wait in (0.8, 1.6, 3.2):
            machine.request()
            assert machine.accepted() == Init()
            assert machine.take(batch(*"abcde")) is not None
            assert machine.take(batch("f")) is None
            assert "the state has more than 5 objects" in str(machine.error)
            assert (machine.state, machine.delay) == ("retrying", wait)
        assert machine.request().watch == (initial == "stream")

    def test_the_objects_of_all_pages_count(self, small):
        machine = make_machine(page_size=3)
        machine.request()
        for first in ("a", "b"):
            self.page(machine, first, first)
        machine.accepted()
        assert machine.take(batch("c", "c-2")) is None

    def test_a_page_that_is_requested_again_starts_over(self, small):
        machine = make_machine(page_size=1)
        for _ in range(2):
            machine.request()
            machine.accepted()
            assert machine.take(batch("a", "b", "c")) is not None
            machine.ended(TransportError("cut"), 1.0)

    def test_pages_after_an_endless_list_are_requested_slowly(self):
        machine = make_machine()
        machine.request()
        for number in range(2):
            self.page(machine, "a", f"p{number}")
        assert self.page(machine, "b", "p1") == {"continue": "b"}
        assert (machine.delay, machine.interval) == (0, 0.8)
        machine.accepted()
        assert machine.take(ListEnd("7")) == InitDone("7")

    def test_a_page_that_was_cut_is_no_repetition(self):
        machine = make_machine()
        machine.request()
        assert self.page(machine, "a", "p1") == {"limit": "500", "continue": "a"}
        machine.accepted()
        machine.take(batch("p2"))
        machine.ended(TransportError("cut"), 1.0)
        machine.request()
        assert self.page(machine, "b", "p2") == {"limit": "500", "continue": "b"}

    def test_a_relist_may_have_the_tokens_of_the_last_list(self):
        machine = make_machine()
        for _ in range(2):
            machine.request()
            assert self.page(machine, "a", "p1")["continue"] == "a"
            machine.accepted()
            machine.take(ListEnd("7"))
            machine.request()
            machine.refused(EXPIRED)


class TestWithoutResourceVersions:
    """A server without resourceVersions: the time between two watches is unknown."""

    @pytest.mark.parametrize("error", [None, TransportError("cut"), StalledError("silence"), ProtocolError("x")])
    @pytest.mark.parametrize("elapsed", [0.0, 300.0])
    def test_each_end_of_a_watch_leads_to_a_relist(self, error, elapsed):
        machine = make_machine()
        relisted(machine, "")
        machine.ended(error, elapsed)
        assert params(machine) == {"limit": "500"}
        machine.accepted()
        assert machine.state == "relisting"

    @pytest.mark.parametrize("status", [Status(500), Status(403), Status(404), EXPIRED])
    @pytest.mark.parametrize("event", [False, True])
    def test_each_refusal_of_a_watch_leads_to_a_relist(self, status, event):
        machine = make_machine()
        machine.request()
        machine.accepted()
        machine.take(ListEnd(""))
        machine.request()
        refuse(machine, status, event=event)
        assert params(machine) == {"limit": "500"}

    def test_401_repeats_a_watch_once_and_then_leads_to_a_relist(self):
        machine = make_machine()
        machine.request()
        machine.accepted()
        machine.take(ListEnd(""))
        machine.request()
        machine.refused(Status(401))
        assert machine.request().watch
        machine.refused(Status(401))
        assert params(machine) == {"limit": "500"}
        assert machine.delay == 30.0

    def test_short_watches_lead_to_rarer_lists_even_with_changes(self):
        (change,) = Scanner("watch").feed(b'{"type":"MODIFIED","object":{"metadata":{"name":"web"}}}')
        machine = make_machine()
        delays = []
        for _ in range(4):
            relisted(machine, "")
            machine.take(change)
            machine.ended(None, 1.0)
            delays.append(machine.delay)
        assert delays == pytest.approx([0.8, 1.6, 3.2, 6.4])

    def test_a_watch_that_lasted_is_progress(self):
        machine = make_machine()
        for _ in range(4):
            relisted(machine, "")
            machine.ended(None, 300.0)
            assert (machine.delay, machine.interval) == (0, 0.8)

    def test_a_resource_version_of_an_event_is_used(self):
        machine = make_machine()
        relisted(machine, "")
        machine.take(batch("web", resource_version=6))
        machine.ended(None, 0.0)
        assert params(machine)["resourceVersion"] == "6"
