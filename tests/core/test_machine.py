"""The list-watch state machine: each fault of the protocol, without I/O."""

from __future__ import annotations

import pytest

from kinform._errors import (
    BadRequestError,
    ExpiredError,
    ForbiddenError,
    ProtocolError,
    StalledError,
    StatusCause,
    StatusError,
    TransportError,
)
from kinform._events import Applied, Init, InitDone, Skipped
from kinform._listwatch.capabilities import Capabilities
from kinform._listwatch.frames import Bookmark, ListEnd, Skip
from kinform._listwatch.machine import MAX_BOOKMARKS_BEFORE_END
from kinform._options import Backoff, Scope
from kinform._status import Cause, Details, Status
from tests.core.machines import EXPIRED, PODS, batch, close, listed, make_machine, params, refuse, watching

TOO_LARGE = Status(504, "Timeout", details=Details(causes=[Cause(reason="ResourceVersionTooLarge")]))


class TestStart:
    def test_an_empty_list_is_an_init_and_an_init_done(self):
        machine = make_machine()
        assert params(machine) == {"limit": "500"}
        assert machine.accepted() == Init()
        assert machine.take(ListEnd("5")) == InitDone("5")
        assert (machine.state, machine.close_requested) == ("live", True)

    def test_pages_are_requested_by_token_and_then_a_watch(self):
        machine = make_machine(page_size=1)
        asked = [params(machine)]
        assert machine.accepted() == Init()
        for token in ("a", "b"):
            assert isinstance(machine.take(batch(f"web-{token}")), Applied)
            assert machine.take(ListEnd("7", token)) is None
            assert machine.close_requested
            asked.append(params(machine))
            assert machine.accepted() is None
        assert machine.take(ListEnd("7")) == InitDone("7")
        assert asked == [{"limit": "1"}, {"limit": "1", "continue": "a"}, {"limit": "1", "continue": "b"}]
        watch = params(machine)
        assert watch.pop("timeoutSeconds")
        assert watch == {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": "7"}

    def test_an_empty_page_with_a_token_continues(self):
        machine = make_machine()
        machine.request()
        machine.accepted()
        assert machine.take(ListEnd("7", "more")) is None
        assert params(machine)["continue"] == "more"

    def test_page_size_0_lists_in_one_page(self):
        assert params(make_machine(page_size=0)) == {}

    def test_a_stream_completes_at_the_end_bookmark_without_a_list(self):
        machine = make_machine("stream")
        assert params(machine) == {
            "watch": "true",
            "sendInitialEvents": "true",
            "resourceVersionMatch": "NotOlderThan",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": "300",
        }
        assert machine.accepted() == Init()
        assert machine.state == "syncing"
        assert machine.take(Bookmark("8")) is None
        assert machine.resource_version == ""
        assert machine.take(Bookmark("9", True)) == InitDone("9")
        assert not machine.close_requested
        step = machine.take(batch("web", resource_version=11))
        assert isinstance(step, Applied)
        assert not step.initial
        assert machine.resource_version == "11"

    def test_an_empty_stream_is_an_init_and_an_init_done(self):
        machine = make_machine("stream")
        machine.request()
        assert machine.accepted() == Init()
        assert machine.take(Bookmark("9", True)) == InitDone("9")

    def test_selectors_and_metadata_only_are_sent(self):
        scope = Scope(label_selector="app=web", field_selector="spec.nodeName=n1", metadata_only=True)
        machine = make_machine(scope=scope, namespace="shop")
        request = machine.request()
        assert request.path == "/api/v1/namespaces/shop/pods"
        assert dict(request.params)["labelSelector"] == "app=web"
        assert dict(request.params)["fieldSelector"] == "spec.nodeName=n1"
        assert request.accept.startswith("application/json;as=PartialObjectMetadataList;")
        machine.accepted()
        machine.take(ListEnd("5"))
        watch = machine.request()
        assert watch.accept.startswith("application/json;as=PartialObjectMetadata;")
        assert dict(watch.params)["labelSelector"] == "app=web"

    def test_gzip_is_requested_for_lists_only(self):
        machine = make_machine(compression="gzip")
        assert machine.request().gzip
        machine.accepted()
        machine.take(ListEnd("5"))
        assert not machine.request().gzip


class TestStreamFallback:
    @pytest.mark.parametrize(("status", "event"), [(Status(422, "Invalid"), False), (Status(500), True)])
    def test_422_or_event_500_falls_back_at_once_and_is_remembered(self, status, event):
        capabilities = Capabilities()
        machine = make_machine("auto", capabilities=capabilities)
        machine.request()
        refuse(machine, status, event=event)
        assert machine.delay == 0
        assert params(machine) == {"limit": "500"}
        assert params(make_machine("auto", capabilities=capabilities)) == {"limit": "500"}

    def test_403_falls_back_to_a_list_and_is_not_remembered(self):
        capabilities = Capabilities()
        machine = make_machine("auto", capabilities=capabilities)
        machine.request()
        machine.refused(Status(403, "Forbidden"))
        assert params(machine) == {"limit": "500"}
        assert "sendInitialEvents" in params(make_machine("auto", capabilities=capabilities))

    def test_a_stream_that_never_completes_falls_back_to_a_list(self):
        capabilities = Capabilities()
        machine = make_machine("auto", capabilities=capabilities)
        tries = 0
        while "sendInitialEvents" in params(machine):
            tries += 1
            machine.accepted()
            machine.ended(StalledError("silence"), 60.0)
        assert 1 < tries < 6
        assert PODS in capabilities.without_stream

    def test_a_stream_cut_by_the_network_is_not_remembered(self):
        capabilities = Capabilities()
        machine = make_machine("auto", capabilities=capabilities)
        while "sendInitialEvents" in params(machine):
            machine.accepted()
            machine.ended(TransportError("cut"), 1.0)
        assert PODS not in capabilities.without_stream

    def test_too_many_bookmarks_before_the_end_close_the_stream(self):
        machine = make_machine("auto")
        machine.request()
        machine.accepted()
        for _ in range(MAX_BOOKMARKS_BEFORE_END):
            assert machine.take(Bookmark("9")) is None
        assert machine.close_requested
        assert machine.resource_version == ""

    def test_stream_only_raises_if_the_server_has_no_watchlist(self):
        machine = make_machine("stream")
        machine.request()
        with pytest.raises(BadRequestError, match=r"v1/pods.*422"):
            machine.refused(Status(422, "Invalid"))
        assert machine.state == "failed"

    def test_a_stream_cut_midway_starts_over_with_a_new_init(self):
        machine = make_machine("stream")
        machine.request()
        assert machine.accepted() == Init()
        machine.take(batch("web"))
        machine.ended(TransportError("cut"), 1.0)
        assert "sendInitialEvents" in params(machine)
        assert machine.accepted() == Init()


class TestExpired:
    @pytest.mark.parametrize("status", [EXPIRED, Status(410, "Gone"), TOO_LARGE])
    @pytest.mark.parametrize("event", [False, True])
    def test_an_expired_watch_relists_at_once(self, status, event):
        machine = listed(make_machine())
        refuse(machine, status, event=event)
        assert isinstance(machine.error, ExpiredError)
        assert (machine.delay, machine.interval) == (0, 0.8)
        assert machine.state == "relisting"
        assert params(machine) == {"limit": "500"}
        assert machine.accepted() == Init()

    def test_too_large_is_recognized_by_its_message(self):
        machine = listed(make_machine())
        machine.refused(Status(504, "Timeout", "Too large resource version: 9, current: 5"))
        assert params(machine) == {"limit": "500"}

    def test_repeated_expiry_backs_off_even_if_each_relist_succeeds(self):
        machine = watching(make_machine())
        delays = []
        for _ in range(5):
            machine.take(EXPIRED)
            delays.append(machine.delay)
            machine.request()
            machine.accepted()
            machine.take(ListEnd("6"))
            machine.request()
            machine.accepted()
        assert delays == [0.0, 0.8, 1.6, 3.2, 6.4]

    def test_an_expired_continue_token_relists_without_pages(self):
        machine = make_machine()
        machine.request()
        machine.accepted()
        machine.take(batch("web"))
        machine.take(ListEnd("7", "token"))
        machine.request()
        machine.refused(EXPIRED)
        assert params(machine) == {}
        assert machine.accepted() == Init()
        assert machine.take(ListEnd("9")) == InitDone("9")

    def test_410_on_a_list_is_retried(self):
        machine = make_machine()
        machine.request()
        machine.refused(EXPIRED)
        assert machine.delay == pytest.approx(0.8)
        assert params(machine) == {"limit": "500"}


class TestWaiting:
    def test_backoff_doubles_from_800_ms_to_30_s(self):
        machine = make_machine()
        delays = []
        for _ in range(8):
            machine.request()
            machine.ended(TransportError("refused", reached=False), 0.0)
            delays.append(machine.delay)
        assert delays == pytest.approx([0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30])
        assert machine.state == "retrying"

    def test_jitter_adds_up_to_its_fraction_of_the_wait(self):
        machine = make_machine(random=lambda: 0.999, backoff=Backoff(jitter=0.5))
        machine.request()
        machine.ended(TransportError("cut"), 0.0)
        assert machine.delay == pytest.approx(1.2, rel=0.01)

    @pytest.mark.parametrize("code", [429, 503])
    def test_retry_after_is_honoured(self, code):
        machine = make_machine()
        machine.request()
        machine.refused(Status(code), retry_after=7)
        assert machine.delay == pytest.approx(7)

    @pytest.mark.parametrize(("code", "delay"), [(429, 7 + 0.25 * 20), (503, 7)])
    def test_an_overload_jitter_is_added_after_429(self, code, delay):
        machine = make_machine(random=lambda: 0.25, overload_jitter=20.0, backoff=Backoff(jitter=0.0))
        machine.request()
        machine.refused(Status(code), retry_after=7)
        assert machine.delay == pytest.approx(delay)

    def test_retry_after_is_bounded(self):
        machine = make_machine()
        machine.request()
        machine.refused(Status(429), retry_after=999_999_999)
        assert machine.delay == pytest.approx(600)

    def test_retry_after_in_a_status_is_honoured(self):
        machine = make_machine()
        machine.request()
        machine.refused(Status(429, details=Details(retry_after_seconds=7)))
        assert machine.delay == pytest.approx(7)

    def test_an_accepted_watch_that_ends_at_once_is_no_progress(self):
        delays = close(watching(make_machine()), 2)
        assert delays == pytest.approx([0.8, 1.6])

    def test_progress_resets_the_backoff(self):
        machine = watching(make_machine())
        close(machine, 2)
        machine.take(batch("web", resource_version=6))
        machine.ended(TransportError("cut"), 0.0)
        assert machine.delay == pytest.approx(0.8)

    def test_a_bookmark_with_the_same_version_is_no_progress(self):
        machine = watching(make_machine(), "5")
        delays = []
        for _ in range(2):
            machine.take(Bookmark("5"))
            delays += close(machine)
        assert delays == pytest.approx([0.8, 1.6])

    def test_three_empty_watches_in_a_row_lead_to_a_relist(self):
        machine = watching(make_machine())
        close(machine, 2)
        machine.ended(None, 0.0)
        assert params(machine) == {"limit": "500"}
        assert machine.delay == pytest.approx(3.2)

    def test_an_unreachable_server_never_leads_to_a_relist(self):
        machine = watching(make_machine())
        for _ in range(10):
            machine.ended(TransportError("refused", reached=False), 0.0)
            assert params(machine)["resourceVersion"] == "5"

    def test_silence_never_leads_to_a_relist(self):
        machine = watching(make_machine())
        for _ in range(10):
            machine.ended(StalledError("silence"), 200.0)
            assert machine.delay == pytest.approx(0.8)
            assert params(machine)["resourceVersion"] == "5"
            machine.accepted()

    def test_a_malformed_frame_resumes_and_a_third_relists(self):
        machine = watching(make_machine())
        machine.ended(ProtocolError("at byte 7"), 0.0)
        assert params(machine)["resourceVersion"] == "5"
        for _ in range(2):
            machine.accepted()
            machine.ended(ProtocolError("at byte 7"), 0.0)
            asked = params(machine)
        assert asked == {"limit": "500"}


class TestWatch:
    def test_a_watch_that_the_server_closes_resumes_without_a_wait(self):
        machine = watching(make_machine())
        machine.take(batch("web", resource_version=6))
        machine.take(Bookmark("9"))
        machine.ended(None, 400.0)
        assert machine.delay == 0
        assert params(machine)["resourceVersion"] == "9"

    def test_a_long_quiet_watch_resumes_without_a_wait(self):
        assert close(watching(make_machine()), 5, elapsed=300.0) == [0.0] * 5

    def test_silence_limit_is_the_watch_timeout_plus_15_at_most_200(self):
        machine = watching(make_machine(watch_timeout=60))
        assert machine.silence == 75
        assert watching(make_machine(watch_timeout=300)).silence == 200
        assert watching(make_machine(silence_timeout=5)).silence == 5

    def test_silence_limit_of_an_initial_state_is_headers_timeout(self):
        machine = make_machine("stream", headers_timeout=9)
        machine.request()
        machine.accepted()
        assert machine.silence == 9

    def test_each_watch_has_its_own_random_timeout(self):
        numbers = iter([0.0, 0.5, 0.25])
        machine = make_machine(random=lambda: next(numbers))
        machine.request()
        machine.accepted()
        machine.take(ListEnd("5"))
        assert params(machine)["timeoutSeconds"] == "450"

    def test_an_error_event_resumes_and_a_third_relists(self):
        machine = watching(make_machine())
        machine.take(Status(500, "InternalError"))
        assert machine.close_requested
        assert params(machine)["resourceVersion"] == "5"
        for _ in range(2):
            machine.accepted()
            machine.take(Status(500, "InternalError"))
            asked = params(machine)
        assert asked == {"limit": "500"}

    def test_a_skipped_object_advances_the_resource_version(self):
        machine = watching(make_machine())
        step = machine.take(Skip("MODIFIED", "shop/web", "8", "oversized", 0, 100))
        assert isinstance(step, Skipped)
        assert machine.resource_version == "8"
        assert not machine.close_requested

    def test_without_resource_versions_the_parameter_is_left_out(self):
        machine = make_machine()
        machine.request()
        machine.accepted()
        machine.take(ListEnd(""))
        assert "resourceVersion" not in params(machine)


class TestRefused:
    def test_forbidden_is_a_state_and_is_retried_slowly(self):
        machine = make_machine()
        machine.request()
        machine.refused(Status(403, "Forbidden"))
        assert (machine.state, machine.delay, machine.refusals) == ("forbidden", 0.8, 1)
        assert isinstance(machine.error, ForbiddenError)
        assert params(machine) == {"limit": "500"}
        machine.refused(Status(403, "Forbidden"))
        assert (machine.state, machine.delay, machine.refusals) == ("forbidden", 30.0, 2)

    def test_refusals_are_counted_while_their_status_is_the_same(self):
        machine = make_machine(initial="stream")
        for status, refusals in ((403, 1), (404, 1), (404, 2), (503, 2), (404, 3), (401, 1), (401, 2)):
            machine.request()
            machine.refused(Status(status))
            assert machine.refusals == refusals
        machine.request()
        machine.accepted()
        assert machine.refusals == 0

    def test_a_forbidden_watch_keeps_its_resource_version(self):
        machine = listed(make_machine())
        machine.refused(Status(403, "Forbidden"))
        assert machine.state == "forbidden"
        assert params(machine)["resourceVersion"] == "5"
        machine.accepted()
        assert machine.state == "live"

    def test_401_reloads_credentials_at_once_and_then_waits(self):
        machine = make_machine()
        machine.request()
        machine.refused(Status(401))
        assert machine.reload_credentials
        assert machine.delay == 0
        machine.request()
        machine.refused(Status(401))
        assert (machine.state, machine.delay) == ("unauthorized", 30.0)

    def test_not_found_is_a_state_and_then_relists(self):
        machine = listed(make_machine())
        machine.refused(Status(404, "NotFound"))
        assert (machine.state, machine.delay) == ("not_found", 30.0)
        assert params(machine) == {"limit": "500"}

    @pytest.mark.parametrize("code", [400, 405, 406, 422])
    def test_a_bad_request_on_a_list_is_raised(self, code):
        machine = make_machine()
        machine.request()
        with pytest.raises(BadRequestError):
            machine.refused(Status(code))

    def test_405_on_a_watch_is_raised(self):
        machine = listed(make_machine())
        with pytest.raises(BadRequestError, match="watch v1/pods"):
            machine.refused(Status(405))

    def test_a_bad_request_on_a_watch_relists_before_it_is_raised(self):
        machine = listed(make_machine())
        for _ in range(3):
            machine.refused(Status(400))
            assert params(machine) == {"limit": "500"}
            machine.accepted()
            machine.take(ListEnd("5"))
            machine.request()
        with pytest.raises(BadRequestError):
            machine.refused(Status(400))

    def test_errors_have_the_message_of_the_server(self):
        machine = make_machine(namespace="shop")
        machine.request()
        causes = [Cause("FieldValueInvalid", "must be set", "spec.a"), Cause()]
        machine.refused(Status(500, "InternalError", "no quorum", Details(kind="pods", group="", causes=causes)))
        error = machine.error
        assert isinstance(error, StatusError)
        assert str(error) == "list v1/pods in shop: the server answered 500 InternalError: no quorum"
        assert (error.reason, error.message, error.details) == ("InternalError", "no quorum", {"kind": "pods"})
        assert error.causes == (StatusCause("FieldValueInvalid", "must be set", "spec.a"), StatusCause())

    def test_a_message_that_repeats_the_reason_is_printed_once(self):
        machine = make_machine()
        machine.request()
        machine.refused(Status(401, "Unauthorized", "Unauthorized"))
        assert str(machine.error) == "list v1/pods: the server answered 401 Unauthorized"
