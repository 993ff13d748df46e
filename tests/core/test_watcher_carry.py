"""What the state machine carries from one connection to the next, and what it must not."""

from __future__ import annotations

import pytest

from kinform._errors import ExpiredError, StalledError, TransportError
from kinform._events import Init, InitDone
from kinform._listwatch.frames import Bookmark, Cause, Details, ListEnd, Status
from kinform._listwatch.machine import STREAM_TRIES, Capabilities, ListWatchMachine
from kinform._spec import CollectionSpec
from tests.core.test_watcher import EXPIRED, batch, listed, machine, params

CUT = TransportError("cut")


class TestStart:
    @pytest.mark.parametrize("page_size", [500, 0])
    def test_a_first_page_that_was_cut_begins_anew(self, page_size):
        watcher = machine(page_size=page_size)
        watcher.request()
        assert watcher.accepted() == Init()
        watcher.take(batch("ghost"))
        watcher.ended(CUT, 1.0)
        assert "continue" not in params(watcher)
        assert watcher.accepted() == Init()

    def test_a_list_without_pages_that_was_cut_begins_anew_without_pages(self):
        watcher = machine()
        watcher.request()
        watcher.accepted()
        watcher.take(ListEnd("7", "token"))
        watcher.request()
        watcher.refused(EXPIRED)
        for _ in range(2):
            assert params(watcher) == {}
            assert watcher.accepted() == Init()
            watcher.ended(CUT, 1.0)

    def test_a_later_page_that_was_cut_is_asked_for_again_and_belongs_to_the_same_state(self):
        watcher = machine()
        watcher.request()
        assert watcher.accepted() == Init()
        watcher.take(ListEnd("7", "token"))
        for _ in range(2):
            assert params(watcher)["continue"] == "token"
            assert watcher.accepted() is None
            watcher.ended(CUT, 1.0)

    def test_a_refused_page_keeps_its_token(self):
        watcher = machine()
        watcher.request()
        watcher.accepted()
        watcher.take(ListEnd("7", "token"))
        for status in (Status(429), Status(503), Status(403)):
            watcher.request()
            watcher.refused(status)
            assert params(watcher)["continue"] == "token"

    def test_no_resource_version_counts_before_the_end_bookmark(self):
        watcher = machine("stream")
        watcher.request()
        watcher.accepted()
        watcher.take(batch("web", resource_version=99))
        watcher.take(batch("web", verb="MODIFIED", resource_version=100))
        assert watcher.resource_version == ""
        assert watcher.take(Bookmark("9", True)) == InitDone("9")
        assert watcher.resource_version == "9"

    def test_during_a_relist_the_old_resource_version_stands(self):
        watcher = listed(machine("list"), "5")
        watcher.refused(EXPIRED)
        watcher.request()
        watcher.accepted()
        watcher.take(batch("web", resource_version=99))
        assert (watcher.resource_version, watcher.state) == ("5", "relisting")


class TestCapabilities:
    def other(self, capabilities: Capabilities) -> ListWatchMachine:
        return ListWatchMachine(CollectionSpec.of("v1/secrets"), "", capabilities=capabilities, random=lambda: 0.0)

    def test_what_one_resource_refused_is_asked_of_another(self):
        capabilities = Capabilities()
        watcher = machine("auto", capabilities=capabilities)
        watcher.request()
        watcher.refused(Status(422, "Invalid"))
        assert "sendInitialEvents" not in params(machine("auto", capabilities=capabilities))
        assert "sendInitialEvents" in params(self.other(capabilities))

    @pytest.mark.parametrize("code", [400, 404, 429, 500, 503])
    def test_other_refusals_are_not_remembered(self, code):
        capabilities = Capabilities()
        watcher = machine("auto", capabilities=capabilities)
        watcher.request()
        watcher.refused(Status(code))
        assert "sendInitialEvents" in params(machine("auto", capabilities=capabilities))

    @pytest.mark.parametrize("error", [None, StalledError("silence")])
    def test_a_stream_is_tried_a_bounded_number_of_times_however_it_fails_to_end(self, error):
        capabilities = Capabilities()
        watcher = machine("auto", capabilities=capabilities)
        for _ in range(STREAM_TRIES):
            assert "sendInitialEvents" in params(watcher)
            watcher.accepted()
            watcher.ended(error, 60.0)
        assert params(watcher) == {"limit": "500"}
        assert "sendInitialEvents" not in params(machine("auto", capabilities=capabilities))

    def test_an_http_500_is_a_bad_day_and_not_a_missing_feature(self):
        watcher = machine("auto")
        watcher.request()
        watcher.refused(Status(500))
        assert "sendInitialEvents" in params(watcher)
        assert watcher.delay == pytest.approx(0.8)


@pytest.mark.parametrize("status", [Status(410), Status(410, "Gone"), Status(410, "Expired"), Status(0, "Expired")])
@pytest.mark.parametrize("event", [False, True])
def test_a_410_is_known_by_its_code_alone_as_proxies_send_it_and_by_its_reason(status, event):
    watcher = listed(machine())
    if event:
        watcher.take(status)
    else:
        watcher.refused(status)
    assert isinstance(watcher.error, ExpiredError)
    assert params(watcher) == {"limit": "500"}


class TestTooLarge:
    CAUSE = Status(504, "Timeout", details=Details(causes=[Cause(reason="ResourceVersionTooLarge")]))
    MESSAGE = Status(504, "Timeout", "Too large resource version: 9, current: 5")

    @pytest.mark.parametrize("status", [CAUSE, MESSAGE])
    @pytest.mark.parametrize("event", [False, True])
    def test_in_each_form_leads_to_a_list_of_the_most_recent(self, status, event):
        watcher = listed(machine())
        if event:
            watcher.take(status)
        else:
            watcher.refused(status)
        assert watcher.close_requested
        assert (params(watcher), watcher.delay) == ({"limit": "500"}, 0.0)

    def test_another_504_is_no_reason_to_relist(self):
        watcher = listed(machine())
        watcher.refused(Status(504, "Timeout"))
        assert params(watcher)["resourceVersion"] == "5"
        assert watcher.delay == pytest.approx(0.8)
