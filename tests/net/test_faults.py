"""Informers under faults of the network and the server.

After each fault the store is complete and current, and the error is reported. Over 500 lines: one file shows which
faults have a test.
"""

from __future__ import annotations

import asyncio
import logging

import pytest

import kinform
from kinform._listwatch import stream
from kinform.testing import (
    BookmarkWithoutEnd,
    CutMidObject,
    Empty,
    Forbidden,
    Gone,
    Hangup,
    InternalError,
    Invalid,
    LateBookmark,
    MalformedFrame,
    MalformedObject,
    NoBookmark,
    NotFound,
    Oversized,
    ResourceVersionTooLarge,
    Server,
    ShortPage,
    Stall,
    TooManyRequests,
    Trickle,
    Unauthorized,
    Unavailable,
)
from tests.net.informers import expected_object, fails, in_sync, quick
from tests.net.sleepless import Sleepless
from tests.support.waiting import until

PODS = "v1/pods"


def params_of(server: Server, verb: str) -> list[dict[str, str]]:
    """Returns the query parameters of the lists or watches that were received."""
    return [dict(request.params) for request in server.requests if request.verb == verb]


async def caught_up(informer: kinform.Informer, server: Server, *, within: float = 10) -> None:
    """Waits until the store has the server's objects."""
    try:
        await until(lambda: in_sync(informer.store, server, PODS), within=within)
    except TimeoutError:
        raise AssertionError(f"the store is not in sync: {informer.stats()}") from None


class TestInitialSync:
    async def test_a_watch_list_needs_no_list(self, server, api):
        server.generate(PODS, 30)
        async with kinform.Informer(api, PODS, options=quick()) as pods:
            await pods.synced(timeout=10)
            assert in_sync(pods.store, server, PODS)
            server.storm(PODS, 30)
            await caught_up(pods, server)
        assert params_of(server, "list") == []
        assert len(params_of(server, "watch")) == 1

    async def test_all_pages_arrive_and_the_watch_starts_at_their_version(self, server, api):
        server.generate(PODS, 3)
        listed = server.resource_version
        async with kinform.Informer(api, PODS, options=quick(initial="list", page_size=1)) as pods:
            await pods.synced(timeout=10)
            assert in_sync(pods.store, server, PODS)
            await server.wait_for_request(on="watch", timeout=10)
        lists = params_of(server, "list")
        assert [params.get("limit") for params in lists] == ["1", "1", "1"]
        assert ["continue" in params for params in lists] == [False, True, True]
        assert not any("resourceVersion" in params for params in lists)
        assert params_of(server, "watch")[0]["resourceVersion"] == listed

    @pytest.mark.parametrize("initial", ["list", "stream"])
    async def test_an_empty_collection_is_synced(self, server, api, initial):
        events = []
        async for event in kinform.watcher(api, PODS, options=quick(initial=initial)):
            events.append(event)
            if isinstance(event, kinform.InitDone):
                break
        assert [type(event) for event in events] == [kinform.Init, kinform.InitDone]

    async def test_an_empty_page_with_a_continue_token_is_followed(self, server, api):
        server.generate(PODS, 5)
        server.fault(ShortPage(), on="list")
        async with kinform.Informer(api, PODS, options=quick(initial="list", page_size=2)) as pods:
            await pods.synced(timeout=10)
            assert len(pods.store) == 5

    async def test_page_size_0_lists_without_pages(self, server, api):
        server.generate(PODS, 5)
        async with kinform.Informer(api, PODS, options=quick(initial="list", page_size=0)) as pods:
            await pods.synced(timeout=10)
            assert len(pods.store) == 5
        assert params_of(server, "list") == [{}]

    async def test_events_before_the_end_bookmark_are_applied(self, server, api):
        keys = server.generate(PODS, 5)
        server.fault(LateBookmark(events=2), on="watch")
        async with kinform.Informer(api, PODS, options=quick(initial="stream")) as pods:
            await server.wait_for_watchers(1)
            server.delete(PODS, keys[0])
            server.touch(PODS, keys[1])
            await pods.synced(timeout=10)
            assert in_sync(pods.store, server, PODS)
            assert keys[0] not in pods.store

    async def test_compression_gzip_applies_to_lists_only(self, server, api):
        server.generate(PODS, 50)
        async with kinform.Informer(api, PODS, options=quick(initial="list", compression="gzip")) as pods:
            await pods.synced(timeout=10)
            assert in_sync(pods.store, server, PODS)
            await server.wait_for_request(on="watch", timeout=10)
        encodings = {request.verb: request.headers["Accept-Encoding"] for request in server.requests}
        assert encodings == {"list": "gzip", "watch": "identity"}


class TestWatchListRefused:
    @pytest.mark.parametrize("fault", [Invalid(), InternalError(event=True)])
    async def test_falls_back_to_a_list_and_remembers_the_resource(self, server, api, fault):
        server.generate(PODS, 5)
        server.fault(fault, on="watch")
        for _ in range(2):
            async with kinform.Informer(api, PODS, options=quick()) as pods:
                await pods.synced(timeout=10)
                assert in_sync(pods.store, server, PODS)
        assert len(params_of(server, "list")) == 2
        assert len([params for params in params_of(server, "watch") if "sendInitialEvents" in params]) == 1

    async def test_forbidden_falls_back_to_a_list_and_is_not_remembered(self, server, api):
        server.generate(PODS, 5)
        server.fault(Forbidden(), on="watch")
        for _ in range(2):
            async with kinform.Informer(api, PODS, options=quick()) as pods:
                await pods.synced(timeout=10)
        assert len([params for params in params_of(server, "watch") if "sendInitialEvents" in params]) == 2

    @pytest.mark.parametrize("fault", [NoBookmark(), BookmarkWithoutEnd(), BookmarkWithoutEnd(value="false")])
    async def test_an_unfinished_stream_falls_back_after_two_attempts(self, server, api, fault):
        server.generate(PODS, 5)
        server.fault(fault, on="watch", times=None, when=lambda request: "sendInitialEvents" in request.params)
        async with kinform.Informer(api, PODS, options=quick(headers_timeout=0.2)) as pods:
            await pods.synced(timeout=10)
            assert in_sync(pods.store, server, PODS)
        assert len([params for params in params_of(server, "watch") if "sendInitialEvents" in params]) == 2

    async def test_a_stream_cut_before_its_end_starts_over(self, server, api):
        keys = server.generate(PODS, 10)
        server.fault(CutMidObject(after=5), on="watch")
        events = []
        async for event in kinform.watcher(api, PODS, options=quick(initial="stream")):
            events.append(event)
            if isinstance(event, kinform.InitApply) and len(events) == 4:
                server.delete(PODS, keys[0])
            if isinstance(event, kinform.InitDone):
                break
        inits = [at for at, event in enumerate(events) if isinstance(event, kinform.Init)]
        assert len(inits) == 2
        listed = {event.object.key for event in events[inits[1] + 1 : -1]}
        assert listed == set(server.keys(PODS))


class TestExpired:
    @pytest.mark.parametrize("fault", [Gone(), Gone(event=True), ResourceVersionTooLarge(event=True)])
    async def test_readers_see_the_old_state_until_a_relist_is_complete(self, server, api, fault):
        keys = server.generate(PODS, 100)
        async with kinform.Informer(api, PODS, options=quick(initial="list", page_size=10)) as pods:
            await pods.synced(timeout=10)
            await server.wait_for_watchers(1)
            changes = pods.changes()
            server.fault(fault, on="watch")
            server.disconnect()
            server.delete(PODS, keys[0])
            server.put(PODS, {"metadata": {"name": "new", "namespace": "shop"}})
            sizes = set()
            while "shop/new" not in pods.store:
                sizes.add(len(pods.store))
                await asyncio.sleep(0)
            await caught_up(pods, server)
            assert sizes <= {100}
            received = [await anext(changes) for _ in range(103)]
        assert isinstance(received[100], kinform.Synced)
        assert {(type(change), change.key) for change in received[101:]} == {
            (kinform.Deleted, keys[0]),
            (kinform.Added, "shop/new"),
        }

    async def test_a_relist_after_compaction_reports_missed_changes(self, server, api):
        keys = server.generate(PODS, 20)
        async with kinform.Informer(api, PODS, options=quick()) as pods:
            deleted = []
            pods.on_delete(deleted.append)
            updated = []
            pods.on_update(lambda old, new: updated.append(new["metadata"]["name"]))
            await pods.synced(timeout=10)
            last = pods.store[keys[0]]
            await server.stop()
            server.delete(PODS, keys[0])
            server.touch(PODS, keys[1])
            server.compact()
            await server.start()
            await caught_up(pods, server)
            await until(lambda: deleted and updated)
            assert deleted == [last]
            assert updated == [keys[1].split("/")[1]]

    async def test_an_expired_continue_token_leads_to_a_list_without_pages(self, server, api):
        server.generate(PODS, 30)
        server.fault(Gone(), on="list", times=None, when=lambda request: "continue" in request.params)
        async with kinform.Informer(api, PODS, options=quick(initial="list", page_size=10)) as pods:
            await pods.synced(timeout=10)
            assert in_sync(pods.store, server, PODS)
        assert ["limit" in params for params in params_of(server, "list")] == [True, True, False]

    async def test_a_list_that_gets_410_is_retried(self, server, api):
        server.generate(PODS, 3)
        server.fault(Gone(), on="list")
        server.fault(ResourceVersionTooLarge(), on="list")
        async with kinform.Informer(api, PODS, options=quick(initial="list")) as pods:
            await pods.synced(timeout=10)
        assert all("resourceVersion" not in params for params in params_of(server, "list"))


class TestBackoff:
    @pytest.mark.parametrize("fault", [TooManyRequests(retry_after=1), Unavailable(retry_after=1, plain=True)])
    async def test_retry_after_is_honoured(self, server, api, fault):
        server.fault(fault, on="list")
        start = asyncio.get_running_loop().time()
        async with kinform.Informer(api, PODS, options=quick(initial="list")) as pods:
            await pods.synced(timeout=10)
        assert asyncio.get_running_loop().time() - start > 0.9

    @pytest.mark.parametrize("fault", [Empty(), Hangup(), Gone(event=True)])
    async def test_watches_that_end_at_once_are_retried_with_backoff(self, server, api, fault, monkeypatch):
        sleepless = Sleepless()
        monkeypatch.setattr(stream, "asyncio", sleepless)
        server.generate(PODS, 3)
        server.fault(fault, on="watch", times=8)
        options = quick(initial="list", backoff=kinform.Backoff(initial=1, maximum=20, jitter=0))
        async with kinform.Informer(api, PODS, options=options) as pods:
            await pods.synced(timeout=10)
            await until(lambda: server.faults_left == 0)
            await server.wait_for_watchers(1)
            assert len(pods.store) == 3
        assert len(params_of(server, "watch")) == 9
        assert sleepless.waited == sorted(sleepless.waited)
        assert {round(seconds) for seconds in sleepless.waited} >= {1, 2, 4, 8, 16}  # the HTTP client retries some

    async def test_several_empty_watches_lead_to_a_relist(self, server, api):
        server.generate(PODS, 3)
        async with kinform.Informer(api, PODS, options=quick(initial="list")) as pods:
            await pods.synced(timeout=10)
            await server.wait_for_watchers(1)
            server.fault(Empty(), on="watch", times=3)
            server.disconnect()
            await server.wait_for_request(on="list", count=2, timeout=10)
            server.put(PODS, {"metadata": {"name": "new", "namespace": "shop"}})
            await caught_up(pods, server)


class TestWatch:
    async def test_an_ended_watch_resumes_at_the_last_bookmark(self, server, api):
        server.generate(PODS, 3)
        async with kinform.Informer(api, PODS, options=quick(initial="list")) as pods:
            await pods.synced(timeout=10)
            await server.wait_for_watchers(1)
            server.put("v1/configmaps", {"metadata": {"name": "elsewhere", "namespace": "shop"}})
            server.bookmark()
            await pods.wait_for(server.resource_version, timeout=10)
            server.disconnect()
            await server.wait_for_request(on="watch", count=2, timeout=10)
            assert params_of(server, "watch")[1]["resourceVersion"] == server.resource_version
        assert len(params_of(server, "list")) == 1

    async def test_a_watch_that_reaches_its_timeout_is_resumed(self, server, api):
        server.generate(PODS, 3)
        async with kinform.Informer(api, PODS, options=quick(watch_timeout=1)) as pods:
            await pods.synced(timeout=10)
            await server.wait_for_request(on="watch", count=2, timeout=10)
            server.storm(PODS, 3)
            await caught_up(pods, server)
        assert params_of(server, "list") == []

    async def test_a_stalled_watch_is_detected_and_resumed(self, server, api):
        server.generate(PODS, 3)
        async with kinform.Informer(api, PODS, options=quick(silence_timeout=0.3)) as pods:
            await pods.synced(timeout=10)
            server.interrupt(Stall())
            server.storm(PODS, 3)
            await caught_up(pods, server)
            assert pods.stats().streams[""].errors >= 1
        assert params_of(server, "list") == []

    async def test_a_request_without_response_headers_times_out(self, server, api):
        server.generate(PODS, 3)
        server.fault(Stall(headers=False), on="any")
        async with kinform.Informer(api, PODS, options=quick(headers_timeout=0.3)) as pods:
            await pods.synced(timeout=10)

    async def test_a_watch_resumes_after_a_frozen_server_thaws(self, server, api):
        server.generate(PODS, 3)
        async with kinform.Informer(api, PODS, options=quick(silence_timeout=0.2, headers_timeout=0.5)) as pods:
            await pods.synced(timeout=10)
            server.freeze()
            server.storm(PODS, 3)
            await until(lambda: pods.state == "retrying")
            server.thaw()
            await caught_up(pods, server)

    async def test_a_trickle_of_bytes_loses_nothing(self, server, api):
        server.generate(PODS, 2)
        server.fault(Trickle(bytes=7), on="watch")
        async with kinform.Informer(api, PODS, options=quick()) as pods:
            await pods.synced(timeout=30)
            assert in_sync(pods.store, server, PODS)


class TestDamagedObjects:
    @pytest.mark.parametrize("initial", ["list", "stream"])
    @pytest.mark.parametrize("readable", [True, False])
    async def test_a_malformed_object_is_skipped_and_reported(self, server, api, unhealed, initial, readable):
        server.generate(PODS, 10)
        server.fault(MalformedObject(after=4, readable_key=readable))
        errors = []
        async with kinform.Informer(api, PODS, options=quick(initial=initial, on_error=errors.append)) as pods:
            await pods.synced(timeout=10, allow_skipped=True)
            assert len(pods.store) == 9
            assert pods.stats().streams[""].skipped == 1
        (error,) = errors
        assert isinstance(error, kinform.SkippedError)
        assert error.key in server.keys(PODS) if readable else error.key is None
        assert error.why == "malformed"
        assert error.offset > 0

    @pytest.mark.parametrize("readable", [True, False])
    async def test_a_malformed_object_in_a_relist_keeps_its_record(self, server, api, unhealed, readable):
        keys = server.generate(PODS, 10)
        async with kinform.Informer(api, PODS, options=quick(initial="list")) as pods:
            await pods.synced(timeout=10)
            await server.wait_for_watchers(1)
            server.fault(Gone(), on="watch")
            server.fault(MalformedObject(after=4, readable_key=readable), on="list")
            server.delete(PODS, keys[-1])
            await until(lambda: len(pods.store) == 9)
            server.disconnect()
            await until(lambda: pods.stats().streams[""].skipped == 1)
            await until(lambda: pods.state == "live")
            assert set(pods.store.keys()) == set(keys[:-1])
            assert pods.stats().stale == 1

    async def test_an_oversized_object_is_skipped_and_reported(self, server, api, unhealed):
        keys = server.generate(PODS, 10)
        errors = []
        options = quick(max_object_bytes=100_000, on_error=errors.append)
        async with kinform.Informer(api, PODS, options=options) as pods:
            await pods.synced(timeout=10)
            server.interrupt(Oversized(bytes=1_000_000))
            server.touch(PODS, keys[0])
            server.touch(PODS, keys[1])
            await until(lambda: object_in_sync(pods, server, keys[1]))
            assert [(error.key, error.why) for error in errors] == [(keys[0], "oversized")]
            assert pods.stats().stale == 1
            server.touch(PODS, keys[0])
            await caught_up(pods, server)
            assert pods.stats().stale == 0

    async def test_a_watch_resumes_after_a_malformed_frame(self, server, api):
        keys = server.generate(PODS, 5)
        errors = []
        async with kinform.Informer(api, PODS, options=quick(on_error=errors.append)) as pods:
            await pods.synced(timeout=10)
            server.interrupt(MalformedFrame())
            for key in keys:
                server.touch(PODS, key)
            await caught_up(pods, server)
        assert any(isinstance(error, kinform.ProtocolError) for error in errors)

    @pytest.mark.parametrize("initial", ["list", "stream"])
    @pytest.mark.parametrize("fault", [MalformedFrame(after=2), CutMidObject(after=2), Hangup(after=2)])
    async def test_a_broken_initial_sync_is_retried(self, server, api, initial, fault):
        server.generate(PODS, 5)
        server.fault(fault)
        async with kinform.Informer(api, PODS, options=quick(initial=initial)) as pods:
            await pods.synced(timeout=10)
            assert in_sync(pods.store, server, PODS)

    async def test_no_contents_of_an_object_are_logged(self, server, api, caplog):
        server.put("v1/secrets", {"metadata": {"name": "a", "namespace": "shop"}, "data": {"password": "hunter2"}})
        server.fault(MalformedObject())
        caplog.set_level(logging.DEBUG)
        async with kinform.Informer(api, "v1/secrets", options=quick()) as secrets:
            await secrets.synced(timeout=10)
            server.interrupt(MalformedFrame())
            server.touch("v1/secrets", "shop/a")
            await until(lambda: "shop/a" in secrets.store)
        assert "skipped shop/a: malformed" in caplog.text
        assert "hunter2" not in caplog.text


def object_in_sync(pods: kinform.Informer, server: Server, key: str) -> bool:
    """Returns whether the store has one object in the server's version."""
    meta = pods.store.meta(key)
    return meta is not None and (meta.uid, meta.resource_version) == server.versions(PODS)[key]


REFUSALS = {
    "forbidden": kinform.ForbiddenError,
    "unauthorized": kinform.UnauthorizedError,
    "not_found": kinform.NotFoundError,
}


class TestRefused:
    @pytest.mark.parametrize(
        ("fault", "state"),
        [
            (Forbidden(), "forbidden"),
            (Unauthorized(), "unauthorized"),
            (NotFound(), "not_found"),
            (NotFound(plain=True), "not_found"),
        ],
    )
    async def test_a_refusal_is_a_visible_state_and_ends_with_its_cause(self, server, api, fault, state, caplog):
        server.generate(PODS, 3)
        server.fault(fault, times=None)
        async with kinform.Informer(api, PODS, options=quick()) as pods:
            await until(lambda: pods.state == state)
            with pytest.raises(REFUSALS[state], match=r"v1/pods"):
                await pods.synced(timeout=10)
            await pods.synced(timeout=5, allow_partial=True)
            lines = len(caplog.records)
            sent = len(server.requests)
            await server.wait_for_request(count=sent + 4, timeout=10)
            assert len(caplog.records) <= lines + 1
            waiting = asyncio.create_task(pods.synced(timeout=10, wait=True))
            server.heal()
            await waiting
            assert in_sync(pods.store, server, PODS)

    async def test_a_refusal_raises_at_the_second_answer(self, server, api):
        server.fault(NotFound(), times=None)
        options = quick(initial="list", backoff=kinform.Backoff(initial=0.05))
        async with kinform.Informer(api, PODS, options=options) as pods:
            with pytest.raises(kinform.NotFoundError, match="could not find the requested resource"):
                await pods.synced(timeout=10)
            assert len(server.requests) == 2

    async def test_wait_is_not_ended_by_a_refusal(self, server, api):
        server.fault(Forbidden(), times=None)
        async with kinform.Informer(api, PODS, options=quick()) as pods:
            waiting = asyncio.create_task(pods.synced(timeout=10, wait=True))
            await server.wait_for_request(count=5, timeout=10)
            assert not waiting.done()
            server.heal()
            await waiting

    async def test_a_timeout_names_the_present_cause(self, server, api):
        server.generate(PODS, 3)
        server.fault(Forbidden(), times=3)
        server.fault(Stall(after=1), times=None)
        async with kinform.Informer(api, PODS, options=quick(initial="list")) as pods:
            await until(lambda: pods.state == "syncing")
            with pytest.raises(TimeoutError, match=r"v1/pods: syncing, last error: .*403"):
                await pods.synced(timeout=0.1)

    @pytest.mark.parametrize("event", [False, True])
    async def test_a_hostile_status_is_bounded_and_escaped(self, server, api, caplog, event):
        server.generate(PODS, 3)
        words = "\n\x1b[2J" + "x" * 20_000
        server.fault(InternalError(message=words, event=event), on="watch")
        seen = []
        async with kinform.Informer(api, PODS, options=quick(initial="list", on_error=seen.append)):
            await until(lambda: seen)
            assert (seen[0].status, seen[0].reason) == (500, "InternalError")
            shown = [seen[0].message, str(seen[0]), *(record.getMessage() for record in caplog.records)]
        for text in shown:
            assert text.isprintable()
            assert len(text) < 1_300
            assert r"\n\x1b[2Jxxx" in text

    async def test_a_forbidden_watch_leaves_the_list_readable(self, server, api):
        server.generate(PODS, 3)
        server.fault(Forbidden(), on="watch", times=None)
        async with kinform.Informer(api, PODS, options=quick()) as pods:
            await pods.synced(timeout=10)
            await until(lambda: pods.state == "forbidden")
            assert len(pods.store) == 3
            assert "403" in str(pods.stats().streams[""].error)

    async def test_a_forbidden_namespace_is_named_and_others_are_synced(self, server, api):
        server.generate(PODS, 4, namespace=["shop", "till"])
        server.fault(Forbidden(), times=None, namespace="till")
        async with kinform.Informer(
            api, PODS, scope=kinform.Scope(namespaces=["shop", "till"]), options=quick()
        ) as pods:
            await pods.synced(timeout=5, allow_partial=True)
            assert set(pods.store.keys()) == set(server.keys(PODS, namespace="shop"))
            with pytest.raises(kinform.ForbiddenError, match="v1/pods in till"):
                await pods.synced(timeout=0.2)

    async def test_a_bad_request_is_raised_and_not_retried(self, server, api):
        scope = kinform.Scope(field_selector="spec.nonsense=1")
        informer = kinform.Informer(api, PODS, scope=scope, options=quick())
        async with fails(informer, kinform.BadRequestError) as pods:
            with pytest.raises(kinform.BadRequestError):
                await pods.synced(timeout=10)
            assert pods.state == "failed"
            with pytest.raises(kinform.BadRequestError):
                async for _ in pods.changes():
                    pass
        sent = len(server.requests)
        with pytest.raises(kinform.BadRequestError):
            async for _ in kinform.watcher(api, PODS, scope=scope, options=quick()):
                pass
        assert len(server.requests) <= sent + 2

    async def test_a_deleted_crd_is_the_state_not_found_until_it_is_back(self, server, api):
        widgets = "example.com/v1/widgets"
        server.register(widgets, kind="Widget")
        server.put(widgets, {"metadata": {"name": "a", "namespace": "shop"}})
        async with kinform.Informer(api, widgets, options=quick()) as informer:
            await informer.synced(timeout=10)
            server.unregister(widgets)
            await until(lambda: informer.state == "not_found")
            server.register(widgets, kind="Widget")
            server.put(widgets, {"metadata": {"name": "b", "namespace": "shop"}})
            await until(lambda: list(informer.store.keys()) == ["shop/b"])

    async def test_a_timeout_names_the_state(self, server, api):
        server.fault(InternalError(), times=None)
        async with kinform.Informer(api, PODS, options=quick()) as pods:
            with pytest.raises(TimeoutError, match=r"not synced after 0\.3 s; v1/pods: retrying .*500"):
                await pods.synced(timeout=0.3)


class TestObjects:
    async def test_a_new_object_of_the_same_name_is_a_delete_and_an_add(self, server, api):
        (key,) = server.generate(PODS, 1)
        async with kinform.Informer(api, PODS, options=quick()) as pods:
            await pods.synced(timeout=10)
            changes = pods.changes()
            await server.stop()
            old = server.get(PODS, key)
            server.delete(PODS, key)
            server.put(PODS, {"metadata": {"name": old["metadata"]["name"], "namespace": old["metadata"]["namespace"]}})
            server.compact()
            await server.start()
            received = [await anext(changes) for _ in range(4)]
        assert [type(change) for change in received] == [
            kinform.Added,
            kinform.Synced,
            kinform.Deleted,
            kinform.Added,
        ]
        assert received[2].synthetic
        assert received[2].object["metadata"]["uid"] == old["metadata"]["uid"]

    @pytest.mark.parametrize("resource", [PODS, "v1/namespaces", "example.com/v1/widgets"])
    async def test_an_object_is_the_same_by_list_and_by_watch(self, server, api, resource):
        server.register("example.com/v1/widgets", kind="Widget")
        keys = server.generate(resource, 3)
        reads = []
        for initial in ("list", "stream"):
            async with kinform.Informer(api, resource, options=quick(initial=initial)) as informer:
                await informer.synced(timeout=10)
                reads.append([informer.store.get(key) for key in keys])
        assert reads[0] == reads[1] == [expected_object(server, resource, key) for key in keys]
        assert all(list(found)[:2] == ["apiVersion", "kind"] for found in reads[0])

    async def test_metadata_only_gives_only_metadata(self, server, api):
        keys = server.generate(PODS, 3)
        for initial in ("list", "stream"):
            scope = kinform.Scope(metadata_only=True)
            async with kinform.Informer(api, PODS, scope=scope, options=quick(initial=initial)) as pods:
                await pods.synced(timeout=10)
                for key in keys:
                    found = pods.store[key]
                    assert set(found) == {"apiVersion", "kind", "metadata"}
                    assert "managedFields" not in found["metadata"]
