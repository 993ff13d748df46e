"""The list-watch state machine from one connection to the next."""

from __future__ import annotations

import pytest

from kinform._errors import ExpiredError, StalledError, StatusError, TransportError
from kinform._events import Init, InitDone
from kinform._listwatch.capabilities import Capabilities
from kinform._listwatch.frames import Bookmark, ListEnd
from kinform._listwatch.machine import ListWatchMachine
from kinform._listwatch.transitions import MAX_STREAM_TRIES
from kinform._options import Scope
from kinform._spec import CollectionSpec
from kinform._status import Cause, Details, Status
from tests.core.machines import EXPIRED, batch, listed, make_machine, params, refuse

CUT = TransportError("cut")


class TestStart:
    @pytest.mark.parametrize("page_size", [500, 0])
    def test_a_first_page_that_was_cut_starts_over(self, page_size):
        machine = make_machine(page_size=page_size)
        machine.request()
        assert machine.accepted() == Init()
        machine.take(batch("ghost"))
        machine.ended(CUT, 1.0)
        assert "continue" not in params(machine)
        assert machine.accepted() == Init()

    def test_a_list_without_pages_stays_so_when_it_starts_over(self):
        machine = make_machine()
        machine.request()
        machine.accepted()
        machine.take(ListEnd("7", "token"))
        machine.request()
        machine.refused(EXPIRED)
        for _ in range(2):
            assert params(machine) == {}
            assert machine.accepted() == Init()
            machine.ended(CUT, 1.0)

    def test_a_later_page_that_was_cut_is_requested_again(self):
        machine = make_machine()
        machine.request()
        assert machine.accepted() == Init()
        machine.take(ListEnd("7", "token"))
        for _ in range(2):
            assert params(machine)["continue"] == "token"
            assert machine.accepted() is None
            machine.ended(CUT, 1.0)

    def test_a_refused_page_keeps_its_token(self):
        machine = make_machine()
        machine.request()
        machine.accepted()
        machine.take(ListEnd("7", "token"))
        machine.request()
        for status in (Status(429), Status(503), Status(403)):
            machine.refused(status)
            assert params(machine)["continue"] == "token"

    def test_no_resource_version_counts_before_the_end_bookmark(self):
        machine = make_machine("stream")
        machine.request()
        machine.accepted()
        machine.take(batch("web", resource_version=99))
        machine.take(batch("web", verb="MODIFIED", resource_version=100))
        assert machine.resource_version == ""
        assert machine.take(Bookmark("9", True)) == InitDone("9")
        assert machine.resource_version == "9"

    def test_a_relist_keeps_the_old_resource_version(self):
        machine = listed(make_machine("list"), "5")
        machine.refused(EXPIRED)
        machine.request()
        machine.accepted()
        machine.take(batch("web", resource_version=99))
        assert (machine.resource_version, machine.state) == ("5", "relisting")


class TestCapabilities:
    def other(self, capabilities: Capabilities) -> ListWatchMachine:
        return ListWatchMachine(CollectionSpec.of("v1/secrets"), "", capabilities=capabilities, random=lambda: 0.0)

    def test_a_missing_watchlist_is_remembered_per_resource(self):
        capabilities = Capabilities()
        machine = make_machine("auto", capabilities=capabilities)
        machine.request()
        machine.refused(Status(422, "Invalid"))
        assert "sendInitialEvents" not in params(make_machine("auto", capabilities=capabilities))
        assert "sendInitialEvents" in params(self.other(capabilities))

    @pytest.mark.parametrize("code", [400, 404, 429, 500, 503])
    def test_other_refusals_are_not_remembered(self, code):
        capabilities = Capabilities()
        machine = make_machine("auto", capabilities=capabilities)
        machine.request()
        machine.refused(Status(code))
        assert "sendInitialEvents" in params(make_machine("auto", capabilities=capabilities))

    @pytest.mark.parametrize("error", [None, StalledError("silence")])
    def test_a_stream_that_ends_or_stalls_early_is_tried_twice(self, error):
        capabilities = Capabilities()
        machine = make_machine("auto", capabilities=capabilities)
        for _ in range(MAX_STREAM_TRIES):
            assert "sendInitialEvents" in params(machine)
            machine.accepted()
            machine.ended(error, 60.0)
        assert params(machine) == {"limit": "500"}
        assert "sendInitialEvents" not in params(make_machine("auto", capabilities=capabilities))

    def test_an_http_500_is_retried_with_a_stream(self):
        machine = make_machine("auto")
        machine.request()
        machine.refused(Status(500))
        assert "sendInitialEvents" in params(machine)
        assert machine.delay == pytest.approx(0.8)


@pytest.mark.parametrize("status", [Status(410), Status(410, "Gone"), Status(410, "Expired"), Status(0, "Expired")])
@pytest.mark.parametrize("event", [False, True])
def test_a_410_is_recognized_by_its_code_or_its_reason(status, event):
    machine = listed(make_machine())
    refuse(machine, status, event=event)
    assert isinstance(machine.error, ExpiredError)
    assert params(machine) == {"limit": "500"}


class TestTooLarge:
    CAUSE = Status(504, "Timeout", details=Details(causes=[Cause(reason="ResourceVersionTooLarge")]))
    MESSAGE = Status(504, "Timeout", "Too large resource version: 9, current: 5")

    @pytest.mark.parametrize("status", [CAUSE, MESSAGE])
    @pytest.mark.parametrize("event", [False, True])
    def test_each_form_relists_without_a_resource_version(self, status, event):
        machine = listed(make_machine())
        refuse(machine, status, event=event)
        assert machine.close_requested
        assert (params(machine), machine.delay) == ({"limit": "500"}, 0.0)

    def test_another_504_resumes(self):
        machine = listed(make_machine())
        machine.refused(Status(504, "Timeout"))
        assert params(machine)["resourceVersion"] == "5"
        assert machine.delay == pytest.approx(0.8)


class TestRefusedShards:
    def sharded(self, initial="list", capabilities=None):
        return make_machine(initial, capabilities=capabilities, scope=Scope(shard=(0, 4)))

    @pytest.mark.parametrize("code", [400, 422, 500])
    @pytest.mark.parametrize("initial", ["list", "stream", "auto"])
    def test_a_request_with_a_refused_selector_is_sent_without(self, initial, code):
        capabilities = Capabilities()
        machine = self.sharded(initial, capabilities)
        first = params(machine)
        machine.refused(Status(code, message="invalid shard selector: unexpected expression"))
        assert (machine.delay, machine.interval) == (0.0, 0.0)
        second = params(machine)
        assert first.pop("shardSelector")
        assert second == first
        assert not machine.names_shards
        machine.accepted()
        assert "shardSelector" not in params(self.sharded(capabilities=capabilities))

    @pytest.mark.parametrize("code", [400, 422])
    def test_a_list_that_would_fail_is_tried_without_a_selector(self, code):
        machine = self.sharded()
        machine.request()
        machine.refused(Status(code))
        assert "shardSelector" not in params(machine)
        with pytest.raises(StatusError):
            machine.refused(Status(code))

    def test_a_selector_that_was_not_the_reason_is_not_remembered(self):
        capabilities = Capabilities()
        machine = self.sharded(capabilities=capabilities)
        machine.request()
        machine.refused(Status(400))
        machine.request()
        with pytest.raises(StatusError):
            machine.refused(Status(400))
        assert "shardSelector" in params(self.sharded(capabilities=capabilities))

    @pytest.mark.parametrize("status", [Status(500), Status(503, message="shardSelector"), Status(403)])
    def test_other_refusals_keep_the_selector(self, status):
        machine = self.sharded()
        machine.request()
        machine.refused(status)
        assert "shardSelector" in params(machine)

    def test_a_watch_is_resumed_without_a_refused_selector(self):
        machine = listed(self.sharded(), "5")
        assert machine.names_shards
        machine.refused(Status(500, message="invalid shard selector: unexpected expression"))
        again = params(machine)
        assert (again["resourceVersion"], "shardSelector" in again) == ("5", False)
