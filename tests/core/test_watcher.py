"""The state machine alone: every fault of the protocol, without a loop, a socket or a clock."""

from __future__ import annotations

import json

import pytest

from kinform._errors import (
    BadRequestError,
    ExpiredError,
    ForbiddenError,
    ProtocolError,
    StalledError,
    StatusError,
    TransportError,
)
from kinform._events import Applied, Init, InitDone, Skipped
from kinform._listwatch.frames import Bookmark, Cause, Details, ListEnd, Skip, Status
from kinform._listwatch.machine import MAX_BOOKMARKS_BEFORE_END, Capabilities, ListWatchMachine
from kinform._options import Backoff, Resource, Scope, WatchOptions
from kinform._spec import CollectionSpec
from kinform_ext._scan import Batch, Scanner

PODS = Resource.of("v1/pods")
EXPIRED = Status(410, "Expired")
TOO_LARGE = Status(504, "Timeout", details=Details(causes=[Cause(reason="ResourceVersionTooLarge")]))


def machine(initial="list", *, capabilities=None, scope=None, namespace=None, random=lambda: 0.0, **options):
    return ListWatchMachine(
        CollectionSpec.of(PODS, scope, options=WatchOptions(initial=initial, **options)),
        namespace or "",
        capabilities=capabilities or Capabilities(),
        random=random,
    )


def batch(*names: str, verb: str = "ADDED", resource_version: int = 10) -> Batch:
    frames = b"".join(
        json.dumps(
            {"type": verb, "object": {"metadata": {"name": name, "resourceVersion": str(resource_version + i)}}}
        ).encode()
        for i, name in enumerate(names)
    )
    (found,) = Scanner("watch").feed(frames)
    return found


def params(watcher: ListWatchMachine) -> dict[str, str]:
    return dict(watcher.request().params)


def listed(watcher: ListWatchMachine, resource_version: str = "5") -> ListWatchMachine:
    """A machine that has listed and is watching."""
    watcher.request()
    watcher.accepted()
    watcher.take(ListEnd(resource_version))
    assert params(watcher)["resourceVersion"] == resource_version
    watcher.accepted()
    return watcher


def close(watcher: ListWatchMachine, times: int = 1, error=None, elapsed: float = 0.0) -> list[float]:
    """Watches that are accepted and end at once; the waits after them."""
    delays = []
    for _ in range(times):
        watcher.ended(error, elapsed)
        delays.append(watcher.delay)
        watcher.request()
        watcher.accepted()
    return delays


class TestStart:
    def test_an_empty_list_is_an_init_and_an_init_done(self):
        watcher = machine()
        assert params(watcher) == {"limit": "500"}
        assert watcher.accepted() == Init()
        assert watcher.take(ListEnd("5")) == InitDone("5")
        assert (watcher.state, watcher.close_requested) == ("live", True)

    def test_pages_are_asked_for_by_token_alone_and_then_a_watch_at_the_lists_resource_version(self):
        watcher = machine(page_size=1)
        asked = [params(watcher)]
        assert watcher.accepted() == Init()
        for token in ("a", "b"):
            assert isinstance(watcher.take(batch("web")), Applied)
            assert watcher.take(ListEnd("7", token)) is None
            assert watcher.close_requested
            asked.append(params(watcher))
            assert watcher.accepted() is None
        assert watcher.take(ListEnd("7")) == InitDone("7")
        assert asked == [{"limit": "1"}, {"limit": "1", "continue": "a"}, {"limit": "1", "continue": "b"}]
        watch = params(watcher)
        assert watch.pop("timeoutSeconds")
        assert watch == {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": "7"}

    def test_an_empty_page_with_a_token_goes_on(self):
        watcher = machine()
        watcher.request()
        watcher.accepted()
        assert watcher.take(ListEnd("7", "more")) is None
        assert params(watcher)["continue"] == "more"

    def test_page_size_0_lists_in_one_page(self):
        assert params(machine(page_size=0)) == {}

    def test_a_stream_is_complete_only_at_the_end_bookmark_and_goes_on_without_a_list(self):
        watcher = machine("stream")
        assert params(watcher) == {
            "watch": "true",
            "sendInitialEvents": "true",
            "resourceVersionMatch": "NotOlderThan",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": "300",
        }
        assert watcher.accepted() == Init()
        assert watcher.state == "syncing"
        assert watcher.take(Bookmark("8")) is None
        assert watcher.resource_version == ""
        assert watcher.take(Bookmark("9", True)) == InitDone("9")
        assert not watcher.close_requested
        step = watcher.take(batch("web", resource_version=11))
        assert isinstance(step, Applied)
        assert not step.initial
        assert watcher.resource_version == "11"

    def test_an_empty_stream_is_an_init_and_an_init_done(self):
        watcher = machine("stream")
        watcher.request()
        assert watcher.accepted() == Init()
        assert watcher.take(Bookmark("9", True)) == InitDone("9")

    def test_selectors_and_metadata_only_are_sent(self):
        scope = Scope(label_selector="app=web", field_selector="spec.nodeName=n1", metadata_only=True)
        watcher = machine(scope=scope, namespace="shop")
        request = watcher.request()
        assert request.path == "/api/v1/namespaces/shop/pods"
        assert dict(request.params)["labelSelector"] == "app=web"
        assert dict(request.params)["fieldSelector"] == "spec.nodeName=n1"
        assert request.accept.startswith("application/json;as=PartialObjectMetadataList;")
        watcher.accepted()
        watcher.take(ListEnd("5"))
        watch = watcher.request()
        assert watch.accept.startswith("application/json;as=PartialObjectMetadata;")
        assert dict(watch.params)["labelSelector"] == "app=web"

    def test_gzip_is_asked_for_on_lists_only(self):
        watcher = machine(compression="gzip")
        assert watcher.request().gzip
        watcher.accepted()
        watcher.take(ListEnd("5"))
        assert not watcher.request().gzip


class TestStreamRefused:
    @pytest.mark.parametrize(("status", "event"), [(Status(422, "Invalid"), False), (Status(500), True)])
    def test_by_422_or_an_error_event_500_falls_back_to_a_list_at_once_and_is_remembered(self, status, event):
        capabilities = Capabilities()
        watcher = machine("auto", capabilities=capabilities)
        watcher.request()
        if event:
            watcher.accepted()
            watcher.take(status)
        else:
            watcher.refused(status)
        assert watcher.delay == 0
        assert params(watcher) == {"limit": "500"}
        assert params(machine("auto", capabilities=capabilities)) == {"limit": "500"}

    def test_by_403_falls_back_to_a_list_and_is_not_remembered(self):
        capabilities = Capabilities()
        watcher = machine("auto", capabilities=capabilities)
        watcher.request()
        watcher.refused(Status(403, "Forbidden"))
        assert params(watcher) == {"limit": "500"}
        assert "sendInitialEvents" in params(machine("auto", capabilities=capabilities))

    def test_never_finished_falls_back_to_a_list_after_a_bounded_number_of_tries(self):
        capabilities = Capabilities()
        watcher = machine("auto", capabilities=capabilities)
        tries = 0
        while "sendInitialEvents" in params(watcher):
            tries += 1
            watcher.accepted()
            watcher.ended(StalledError("silence"), 60.0)
        assert 1 < tries < 6
        assert PODS in capabilities.without_stream

    def test_cut_by_the_network_falls_back_for_once_and_is_not_remembered(self):
        capabilities = Capabilities()
        watcher = machine("auto", capabilities=capabilities)
        while "sendInitialEvents" in params(watcher):
            watcher.accepted()
            watcher.ended(TransportError("cut"), 1.0)
        assert PODS not in capabilities.without_stream

    def test_plain_bookmarks_alone_end_the_try(self):
        watcher = machine("auto")
        watcher.request()
        watcher.accepted()
        for _ in range(MAX_BOOKMARKS_BEFORE_END):
            assert watcher.take(Bookmark("9")) is None
        assert watcher.close_requested
        assert watcher.resource_version == ""

    def test_stream_only_raises_where_there_is_none(self):
        watcher = machine("stream")
        watcher.request()
        with pytest.raises(BadRequestError, match=r"v1/pods.*422"):
            watcher.refused(Status(422, "Invalid"))
        assert watcher.state == "failed"

    def test_cut_midway_starts_over_with_a_new_init(self):
        watcher = machine("stream")
        watcher.request()
        assert watcher.accepted() == Init()
        watcher.take(batch("web"))
        watcher.ended(TransportError("cut"), 1.0)
        assert "sendInitialEvents" in params(watcher)
        assert watcher.accepted() == Init()


class TestExpired:
    @pytest.mark.parametrize("status", [EXPIRED, Status(410, "Gone"), TOO_LARGE])
    @pytest.mark.parametrize("event", [False, True])
    def test_a_watch_leads_to_a_relist_at_once(self, status, event):
        watcher = listed(machine())
        watcher.refused(status, event=event)
        assert isinstance(watcher.error, ExpiredError)
        assert watcher.delay == 0
        assert watcher.state == "relisting"
        assert params(watcher) == {"limit": "500"}
        assert watcher.accepted() == Init()

    def test_too_large_is_known_by_its_message_too(self):
        watcher = listed(machine())
        watcher.refused(Status(504, "Timeout", "Too large resource version: 9, current: 5"))
        assert params(watcher) == {"limit": "500"}

    def test_again_and_again_is_backed_off_though_each_relist_succeeds(self):
        watcher = listed(machine())
        delays = []
        for _ in range(5):
            watcher.refused(EXPIRED, event=True)
            delays.append(watcher.delay)
            watcher.request()
            watcher.accepted()
            watcher.take(ListEnd("6"))
            watcher.request()
            watcher.accepted()
        assert delays == [0.0, 0.8, 1.6, 3.2, 6.4]

    def test_on_a_continue_token_lists_anew_without_pages(self):
        watcher = machine()
        watcher.request()
        watcher.accepted()
        watcher.take(batch("web"))
        watcher.take(ListEnd("7", "token"))
        watcher.request()
        watcher.refused(EXPIRED)
        assert params(watcher) == {}
        assert watcher.accepted() == Init()
        assert watcher.take(ListEnd("9")) == InitDone("9")

    def test_on_a_list_is_retried(self):
        watcher = machine()
        watcher.request()
        watcher.refused(EXPIRED)
        assert watcher.delay == pytest.approx(0.8)
        assert params(watcher) == {"limit": "500"}


class TestWaiting:
    def test_backoff_doubles_from_800_ms_to_30_s(self):
        watcher = machine()
        delays = []
        for _ in range(8):
            watcher.request()
            watcher.ended(TransportError("refused", reached=False), 0.0)
            delays.append(watcher.delay)
        assert delays == pytest.approx([0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30])
        assert watcher.state == "retrying"

    def test_jitter_lengthens_a_wait_by_up_to_its_fraction(self):
        watcher = machine(random=lambda: 0.999, backoff=Backoff(jitter=0.5))
        watcher.request()
        watcher.ended(TransportError("cut"), 0.0)
        assert watcher.delay == pytest.approx(1.2, rel=0.01)

    @pytest.mark.parametrize("code", [429, 503])
    def test_retry_after_is_honoured(self, code):
        watcher = machine()
        watcher.request()
        watcher.refused(Status(code), retry_after=7)
        assert watcher.delay == pytest.approx(7)

    def test_retry_after_is_honoured_to_a_bound(self):
        watcher = machine()
        watcher.request()
        watcher.refused(Status(429), retry_after=999_999_999)
        assert watcher.delay == pytest.approx(600)

    def test_retry_after_in_a_status_is_honoured(self):
        watcher = machine()
        watcher.request()
        watcher.refused(Status(429, details=Details(retry_after_seconds=7)))
        assert watcher.delay == pytest.approx(7)

    def test_an_accepted_connection_that_ends_at_once_is_no_progress(self):
        delays = close(listed(machine()), 2)
        assert delays == pytest.approx([0.8, 1.6])

    def test_progress_starts_the_backoff_over(self):
        watcher = listed(machine())
        close(watcher, 2)
        watcher.take(batch("web", resource_version=6))
        watcher.ended(TransportError("cut"), 0.0)
        assert watcher.delay == pytest.approx(0.8)

    def test_a_bookmark_that_repeats_the_resource_version_is_no_progress(self):
        watcher = listed(machine(), "5")
        delays = []
        for _ in range(2):
            watcher.take(Bookmark("5"))
            delays += close(watcher)
        assert delays == pytest.approx([0.8, 1.6])

    def test_several_empty_answers_in_a_row_are_taken_for_a_410(self):
        watcher = listed(machine())
        close(watcher, 2)
        watcher.ended(None, 0.0)
        assert params(watcher) == {"limit": "500"}
        assert watcher.delay == pytest.approx(3.2)

    def test_an_unreachable_server_is_not_taken_for_a_410(self):
        watcher = listed(machine())
        for _ in range(10):
            watcher.ended(TransportError("refused", reached=False), 0.0)
            assert params(watcher)["resourceVersion"] == "5"

    def test_silence_is_not_taken_for_a_410(self):
        watcher = listed(machine())
        for _ in range(10):
            watcher.ended(StalledError("silence"), 200.0)
            assert watcher.delay == pytest.approx(0.8)
            assert params(watcher)["resourceVersion"] == "5"

    def test_a_malformed_frame_resumes_and_one_that_stays_leads_to_a_relist(self):
        watcher = listed(machine())
        watcher.ended(ProtocolError("at byte 7"), 0.0)
        assert params(watcher)["resourceVersion"] == "5"
        for _ in range(2):
            watcher.accepted()
            watcher.ended(ProtocolError("at byte 7"), 0.0)
            asked = params(watcher)
        assert asked == {"limit": "500"}


class TestWatch:
    def test_closed_by_the_server_after_its_time_resumes_at_the_last_resource_version_without_a_wait(self):
        watcher = listed(machine())
        watcher.take(batch("web", resource_version=6))
        watcher.take(Bookmark("9"))
        watcher.ended(None, 400.0)
        assert watcher.delay == 0
        assert params(watcher)["resourceVersion"] == "9"

    def test_a_quiet_one_that_stood_long_resumes_without_a_wait(self):
        assert close(listed(machine()), 5, elapsed=300.0) == [0.0] * 5

    def test_silence_is_judged_by_the_time_asked_for_and_at_most_200_s(self):
        watcher = listed(machine(watch_timeout=60))
        assert watcher.silence == 75
        assert listed(machine(watch_timeout=300)).silence == 200
        assert listed(machine(silence_timeout=5)).silence == 5

    def test_a_state_that_is_coming_in_may_be_silent_as_long_as_headers_may(self):
        watcher = machine("stream", headers_timeout=9)
        watcher.request()
        watcher.accepted()
        assert watcher.silence == 9

    def test_each_watch_asks_for_another_time(self):
        numbers = iter([0.0, 0.5, 0.25])
        watcher = machine(random=lambda: next(numbers))
        watcher.request()
        watcher.accepted()
        watcher.take(ListEnd("5"))
        assert params(watcher)["timeoutSeconds"] == "450"

    def test_an_error_event_resumes_and_one_that_stays_leads_to_a_relist(self):
        watcher = listed(machine())
        watcher.take(Status(500, "InternalError"))
        assert watcher.close_requested
        assert params(watcher)["resourceVersion"] == "5"
        for _ in range(2):
            watcher.accepted()
            watcher.take(Status(500, "InternalError"))
            asked = params(watcher)
        assert asked == {"limit": "500"}

    def test_a_skipped_object_moves_the_resource_version(self):
        watcher = listed(machine())
        step = watcher.take(Skip("MODIFIED", "shop/web", "8", "oversized", 0, 100))
        assert isinstance(step, Skipped)
        assert watcher.resource_version == "8"
        assert not watcher.close_requested

    def test_without_resource_versions_none_is_sent(self):
        watcher = machine()
        watcher.request()
        watcher.accepted()
        watcher.take(ListEnd(""))
        assert "resourceVersion" not in params(watcher)


class TestRefused:
    def test_forbidden_is_a_state_and_retried_slowly(self):
        watcher = machine()
        watcher.request()
        watcher.refused(Status(403, "Forbidden"))
        assert (watcher.state, watcher.delay) == ("forbidden", 30.0)
        assert isinstance(watcher.error, ForbiddenError)
        assert params(watcher) == {"limit": "500"}

    def test_a_forbidden_watch_keeps_its_resource_version(self):
        watcher = listed(machine())
        watcher.refused(Status(403, "Forbidden"))
        assert watcher.state == "forbidden"
        assert params(watcher)["resourceVersion"] == "5"
        watcher.accepted()
        assert watcher.state == "live"

    def test_unauthorized_reloads_credentials_at_once_and_then_is_a_state(self):
        watcher = machine()
        watcher.request()
        watcher.refused(Status(401))
        assert watcher.reload_credentials
        assert watcher.delay == 0
        watcher.request()
        watcher.refused(Status(401))
        assert (watcher.state, watcher.delay) == ("unauthorized", 30.0)

    def test_not_found_is_a_state_that_heals_by_a_new_state(self):
        watcher = listed(machine())
        watcher.refused(Status(404, "NotFound"))
        assert (watcher.state, watcher.delay) == ("not_found", 30.0)
        assert params(watcher) == {"limit": "500"}

    @pytest.mark.parametrize("code", [400, 405, 406, 422])
    def test_a_useless_list_is_raised(self, code):
        watcher = machine()
        watcher.request()
        with pytest.raises(BadRequestError):
            watcher.refused(Status(code))

    def test_a_resource_without_watch_is_raised(self):
        watcher = listed(machine())
        with pytest.raises(BadRequestError, match="watch v1/pods"):
            watcher.refused(Status(405))

    def test_a_bad_request_on_a_watch_relists_before_it_is_raised(self):
        watcher = listed(machine())
        for _ in range(3):
            watcher.refused(Status(400))
            assert params(watcher) == {"limit": "500"}
            watcher.accepted()
            watcher.take(ListEnd("5"))
            watcher.request()
        with pytest.raises(BadRequestError):
            watcher.refused(Status(400))

    def test_errors_name_resource_and_status_and_never_the_servers_message(self):
        watcher = machine(namespace="shop")
        watcher.request()
        watcher.refused(Status(500, "InternalError", "the password is hunter2"))
        assert str(watcher.error) == "list v1/pods in shop: the server answered 500 InternalError"
        assert isinstance(watcher.error, StatusError)
