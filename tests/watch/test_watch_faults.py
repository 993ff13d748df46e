"""Faults that kinform's Watch survives: real clients against a server with faults.

Over 500 lines: one file shows which faults have a test.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

import kinform.sync.watch
from kinform._errors import OptionError, ProtocolError
from kinform._watch import recovery
from kinform.testing import (
    CutMidObject,
    Empty,
    Forbidden,
    Gone,
    Hangup,
    InternalError,
    MalformedFrame,
    Oversized,
    Server,
    Stall,
    TooManyRequests,
)
from kinform.watch import Watch
from tests.support.scripted_server import ReceivedRequest, scripted_server
from tests.support.waiting import until
from tests.watch.clients import Client, FakeApi, collect, error, event, exhaust
from tests.watch.config_maps import names, put


@pytest.fixture
async def api(client: Client, server: Server) -> AsyncIterator[Any]:
    """The core API of a client of `server`."""
    async with client.connect(server.url) as api_client:
        yield client.client.CoreV1Api(api_client)


def versions(server: Server) -> list[str | None]:
    """The resourceVersions that were requested."""
    return [request.params.get("resourceVersion") for request in server.requests]


# Any function of a client


async def test_a_list_function_streams_models(api, server):
    put(server, "a", data={"k": "v"})
    async with Watch() as watch:
        watch.stream(api.list_namespaced_config_map, "shop", label_selector="")
        found = await anext(watch)
        assert type(found["object"]).__name__ == "V1ConfigMap"
        assert found["object"].data == found["raw_object"]["data"] == {"k": "v"}
        assert found.key == "shop/a"
        put(server, "b")
        assert names(await collect(watch, 1)) == [("ADDED", "b")]


async def test_custom_objects_stream_as_dicts(client, server):
    server.register("example.com/v1/widgets", kind="Widget")
    server.put("example.com/v1/widgets", {"metadata": {"name": "w", "namespace": "shop"}, "spec": {"size": 1}})
    async with client.connect(server.url) as api_client, Watch() as watch:
        custom = client.client.CustomObjectsApi(api_client)
        watch.stream(custom.list_namespaced_custom_object, "example.com", "v1", "shop", "widgets")
        found = await anext(watch)
        assert found["object"]["spec"] == {"size": 1}
        assert watch.resource_version == found["object"]["metadata"]["resourceVersion"]


async def test_a_log_is_followed(client):
    async def log(request: ReceivedRequest) -> None:
        await request.start_chunked()
        for part in (b"one\ntw", b"o\n\nlast", b""):
            await request.send_chunk(part)

    async with scripted_server(log) as server, client.connect(server.url) as api_client, Watch() as watch:
        core = client.client.CoreV1Api(api_client)
        lines = await exhaust(watch.stream(core.read_namespaced_pod_log, "web", "shop"))
        assert lines == ["one\n", "two\n", "\n", "last"]
        assert ("follow", "true") in [(name, value.lower()) for name, value in server.requests[0].params]


async def test_any_function_that_returns_a_response_streams(client, server, api):
    put(server, "a")

    async def wrapped(**kwargs: Any) -> Any:
        function = api.list_config_map_for_all_namespaces
        if client.name == "kubernetes.aio":
            kwargs.pop("_preload_content")
            function = api.list_config_map_for_all_namespaces_without_preload_content
        return await function(**kwargs)

    async with Watch() as watch:
        assert names(await collect(watch.stream(wrapped), 1)) == [("ADDED", "a")]


# Refusals


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Forbidden(), 403),
        (InternalError(), 500),
        (TooManyRequests(plain=True), 429),
        (TooManyRequests(plain=False), 429),
    ],
)
@pytest.mark.parametrize("arguments", [{}, {"timeout_seconds": 5}])
async def test_a_refusal_is_the_api_exception_of_the_client(api, server, client, fault, status, arguments):
    server.fault(fault, on="watch")
    async with Watch() as watch:
        with pytest.raises(client.api_exception) as caught:
            await anext(watch.stream(api.list_config_map_for_all_namespaces, **arguments))
    assert caught.value.status == status
    assert isinstance(caught.value.body, str)
    assert caught.value.body
    assert caught.value.headers["Content-Type"]
    assert len(server.requests) == 1


async def test_a_refusal_in_a_later_connection_is_raised(api, server, client):
    put(server, "a")
    async with Watch() as watch:
        await collect(watch.stream(api.list_config_map_for_all_namespaces), 1)
        server.fault(InternalError(), on="watch")
        server.disconnect()
        with pytest.raises(client.api_exception):
            await anext(watch)


async def test_an_http_410_is_retried_as_one_in_the_stream(api, server, client):
    put(server, "a")
    server.fault(Gone(), on="watch", skip=1)
    async with Watch() as watch:
        await collect(watch.stream(api.list_config_map_for_all_namespaces), 1)
        server.disconnect()
        step = asyncio.create_task(watch.next())
        await server.wait_for_request(count=3)
        put(server, "b")
        assert (await step).key == "shop/b"
        server.fault(Gone(), on="watch", times=2)
        server.disconnect()
        with pytest.raises(client.api_exception, match="410"):
            await anext(watch)


# Lost connections, without timeout_seconds


@pytest.mark.parametrize("fault", [Hangup(after=0), CutMidObject(), MalformedFrame(), Empty()])
async def test_a_lost_connection_loses_and_repeats_nothing(api, server, fault):
    put(server, "a")
    version = server.resource_version
    async with Watch() as watch:
        watch.stream(api.list_config_map_for_all_namespaces, resource_version=version)
        put(server, "b")
        assert names(await collect(watch, 1)) == [("ADDED", "b")]
        server.interrupt(fault)
        put(server, "c")
        put(server, "d")
        assert names(await collect(watch, 2)) == [("ADDED", "c"), ("ADDED", "d")]


async def test_a_state_after_which_was_silence_is_complete(api, server, monkeypatch):
    monkeypatch.setattr(recovery, "SETTLED", 0.1)
    put(server, "a")
    async with Watch() as watch:
        await collect(watch.stream(api.list_config_map_for_all_namespaces), 1)
        await asyncio.sleep(0.2)
        server.interrupt(Hangup(after=0))
        step = asyncio.create_task(watch.next())
        await server.wait_for_request(count=2)
        put(server, "b")
        assert (await step).key == "shop/b"


@pytest.mark.parametrize("fault", [Hangup(after=2), CutMidObject(after=2), MalformedFrame(after=2)])
async def test_an_incomplete_initial_state_is_requested_again(api, server, fault):
    for name in ("d", "c", "b", "a"):  # `a`, which comes first, has the largest version
        put(server, name)
    server.fault(fault, on="watch")
    async with Watch() as watch:
        found = await collect(watch.stream(api.list_config_map_for_all_namespaces), 6)
    assert sorted({name for _, name in names(found)}) == ["a", "b", "c", "d"]
    assert versions(server) == [None, None]


async def test_a_server_that_is_away_for_a_while_is_survived(api, server):
    version = put(server, "a")
    put(server, "a")
    async with Watch() as watch:
        await collect(watch.stream(api.list_config_map_for_all_namespaces, resource_version=version), 1)
        await server.stop()
        step = asyncio.create_task(watch.next())
        await asyncio.sleep(0.2)
        put(server, "b")
        await server.start()
        assert (await step).key == "shop/b"


async def test_a_server_that_stays_away_raises_the_error_of_the_client(api, server, monkeypatch):
    monkeypatch.setattr(recovery, "PATIENCE", 0.3)
    put(server, "a")
    async with Watch() as watch:
        await collect(watch.stream(api.list_config_map_for_all_namespaces), 1)
        await server.stop()
        with pytest.raises(OSError, match="Cannot connect"):
            await anext(watch)
        assert watch.resp is None


async def test_a_first_request_that_reaches_no_server_raises(client, server):
    await server.stop()
    async with client.connect(server.url) as api_client, Watch() as watch:
        core = client.client.CoreV1Api(api_client)
        with pytest.raises(OSError, match="Cannot connect"):
            await anext(watch.stream(core.list_config_map_for_all_namespaces))


async def test_a_line_that_stays_malformed_is_raised(api, server, monkeypatch):
    monkeypatch.setattr(recovery, "PATIENCE", 0.2)
    server.fault(MalformedFrame(), on="watch", times=None)
    put(server, "a")
    async with Watch() as watch:
        with pytest.raises(ProtocolError, match="Malformed JSON response"):
            await anext(watch.stream(api.list_config_map_for_all_namespaces))


# With timeout_seconds


@pytest.mark.parametrize("fault", [Hangup(after=1), MalformedFrame(after=1)])
async def test_with_timeout_seconds_a_lost_connection_is_raised(api, server, fault):
    put(server, "a")
    put(server, "b")
    server.fault(fault, on="watch")
    async with Watch() as watch:
        watch.stream(api.list_config_map_for_all_namespaces, timeout_seconds=10)
        await collect(watch, 1)
        with pytest.raises(Exception, match=r"payload|Malformed"):
            await anext(watch)
    assert len(server.requests) == 1


async def test_a_cut_line_without_an_error_is_the_end(client):
    async def cut(request: ReceivedRequest) -> None:
        await request.send(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"type": "ADDED", "obj')
        request.close()

    async with scripted_server(cut) as server, client.connect(server.url) as api_client, Watch() as watch:
        core = client.client.CoreV1Api(api_client)
        assert await exhaust(watch.stream(core.list_namespace, timeout_seconds=5)) == []


async def test_a_last_line_without_an_end_is_an_event(client):
    async def send(request: ReceivedRequest) -> None:
        await request.respond(200, json.dumps(event("ADDED", "a", "1")).encode())

    async with scripted_server(send) as server, client.connect(server.url) as api_client, Watch() as watch:
        core = client.client.CoreV1Api(api_client)
        assert names(await exhaust(watch.stream(core.list_namespace, timeout_seconds=5))) == [("ADDED", "a")]


async def test_empty_lines_are_ignored(client):
    api = FakeApi(client, [b"\n", event("ADDED", "a", "1"), b" \r\n"])
    async with Watch() as watch:
        assert names(await exhaust(watch.stream(api.list_namespace, timeout_seconds=5))) == [("ADDED", "a")]


async def test_objects_may_have_any_size(api, server):
    put(server, "a")
    server.fault(Oversized(bytes=5 << 20), on="watch")
    async with Watch() as watch:
        found = await anext(watch.stream(api.list_config_map_for_all_namespaces))
        assert len(json.dumps(found["raw_object"])) > 5 << 20


# Silence


@pytest.mark.parametrize("headers", [True, False])
async def test_silence_is_ended_by_a_new_connection(api, server, headers):
    put(server, "a")
    version = server.resource_version
    server.fault(Stall(headers=headers), on="watch")
    async with Watch(idle_timeout=0.3) as watch:
        watch.stream(api.list_config_map_for_all_namespaces, resource_version=version)
        step = asyncio.create_task(watch.next())
        await server.wait_for_request(count=1)
        put(server, "b")
        assert (await step).key == "shop/b"
    assert versions(server) == [version, version]


async def test_a_stall_within_a_line_is_ended(api, server):
    put(server, "a")
    put(server, "b")
    server.fault(Stall(after=1, bytes=20), on="watch")
    async with Watch(idle_timeout=0.3) as watch:
        found = await collect(watch.stream(api.list_config_map_for_all_namespaces), 3)
    assert names(found) == [("ADDED", "a"), ("ADDED", "a"), ("ADDED", "b")]


async def test_a_quiet_stream_loses_and_repeats_nothing(api, server):
    put(server, "a")
    async with Watch(idle_timeout=0.2) as watch:
        await collect(watch.stream(api.list_config_map_for_all_namespaces), 1)
        step = asyncio.create_task(watch.next())
        await server.wait_for_request(count=3)
        put(server, "b")
        assert (await step).key == "shop/b"
    assert len(set(versions(server))) == 2


async def test_a_silent_server_ends_a_stream_after_its_time(api, server, monkeypatch):
    monkeypatch.setattr(recovery, "GRACE", 0.2)
    put(server, "a")
    server.fault(Stall(after=1), on="watch")
    async with Watch() as watch:
        watch.stream(api.list_config_map_for_all_namespaces, timeout_seconds=1)
        start = time.monotonic()
        assert names(await exhaust(watch)) == [("ADDED", "a")]
        assert time.monotonic() - start >= 1
    assert len(server.requests) == 1


async def test_bookmarks_are_requested_but_not_yielded(api, server):
    version = put(server, "a")
    async with Watch() as watch:
        watch.stream(api.list_config_map_for_all_namespaces, resource_version=version)
        step = asyncio.create_task(watch.next())
        await server.wait_for_watchers(1)
        server.put("v1/secrets", {"metadata": {"name": "s", "namespace": "shop"}})
        server.bookmark()
        await until(lambda: watch._stream.recovery.resource_version == server.resource_version)
        recent = server.resource_version
        server.disconnect()
        await server.wait_for_request(count=2)
        put(server, "b")
        assert (await step).key == "shop/b"
    assert versions(server) == [version, recent]


async def test_bookmarks_of_the_caller_are_yielded(api, server):
    version = put(server, "a")
    async with Watch() as watch:
        watch.stream(api.list_config_map_for_all_namespaces, resource_version=version, allow_watch_bookmarks=True)
        step = asyncio.create_task(watch.next())
        await server.wait_for_watchers(1)
        server.bookmark()
        assert (await step)["type"] == "BOOKMARK"


@pytest.mark.parametrize("arguments", [{"timeout_seconds": 1}, {"allow_watch_bookmarks": False}])
async def test_bookmarks_are_not_requested_without_need(api, server, arguments):
    put(server, "a")
    async with Watch() as watch:
        await collect(watch.stream(api.list_config_map_for_all_namespaces, **arguments), 1)
    async with Watch(idle_timeout=None) as watch:
        await collect(watch.stream(api.list_config_map_for_all_namespaces), 1)
    assert all(request.params.get("allowWatchBookmarks") in (None, "false", "False") for request in server.requests)


async def test_a_log_may_be_silent(client):
    async def late(request: ReceivedRequest) -> None:
        await asyncio.sleep(0.5)
        await request.respond(200, b"one\n")

    async with (
        scripted_server(late) as server,
        client.connect(server.url) as api_client,
        Watch(idle_timeout=0.1) as watch,
    ):
        core = client.client.CoreV1Api(api_client)
        assert await exhaust(watch.stream(core.read_namespaced_pod_log, "web", "shop")) == ["one\n"]
        assert len(server.requests) == 1


async def test_an_event_is_not_lost_by_a_cancelled_next(api, server):
    put(server, "a")
    async with Watch() as watch:
        await collect(watch.stream(api.list_config_map_for_all_namespaces), 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watch.next(), 0.05)
        put(server, "b")
        assert (await watch.next()).key == "shop/b"
    assert len(server.requests) == 1


# 410


async def test_replay_begins_without_a_version(client):
    api = FakeApi(client, [event("ADDED", "a", "7"), error(410)], [event("ADDED", "a", "7"), event("ADDED", "b", "3")])
    async with Watch(on_expired="replay") as watch:
        found = await collect(watch.stream(api.list_namespace, resource_version="5"), 3)
    assert names(found) == [("ADDED", "a"), ("ADDED", "a"), ("ADDED", "b")]
    assert [call.get("resource_version") for call in api.calls] == ["5", None]


async def test_replay_also_works_with_timeout_seconds(client):
    api = FakeApi(client, [error(410)], [event("ADDED", "a", "7")])
    async with Watch(on_expired="replay") as watch:
        found = await exhaust(watch.stream(api.list_namespace, resource_version="5", timeout_seconds=5))
    assert names(found) == [("ADDED", "a")]


@pytest.fixture
def interrupted(api: Any, server: Server) -> Callable[[Watch], Awaitable[None]]:
    """Lets a Watch read objects, changes them, and loses the history of the changes."""

    async def interrupt(watch: Watch) -> None:
        for name in ("changed", "gone", "kept", "renewed"):
            put(server, name)
        await collect(watch.stream(api.list_config_map_for_all_namespaces), 4)
        put(server, "kept")
        await collect(watch, 1)
        await server.stop()
        put(server, "changed", data={"k": "v"})
        server.delete("v1/configmaps", "shop/gone")
        server.delete("v1/configmaps", "shop/renewed")
        put(server, "renewed")
        put(server, "new")
        server.compact()
        await server.start()

    return interrupt


async def test_raise_reports_a_lost_history(interrupted, client):
    async with Watch() as watch:
        await interrupted(watch)
        with pytest.raises(client.api_exception, match="410"):
            await anext(watch)


async def test_replay_sends_everything_again(interrupted):
    async with Watch(on_expired="replay") as watch:
        await interrupted(watch)
        found = names(await collect(watch, 4))
    assert found == [("ADDED", name) for name in ("changed", "kept", "new", "renewed")]


async def test_diff_reports_what_was_missed(interrupted, server):
    async with Watch(on_expired="diff") as watch:
        await interrupted(watch)
        found = await collect(watch, 5)
        put(server, "later")
        found += await collect(watch, 1)
    assert names(found) == [
        ("DELETED", "gone"),
        ("DELETED", "renewed"),
        ("MODIFIED", "changed"),
        ("ADDED", "new"),
        ("ADDED", "renewed"),
        ("ADDED", "later"),
    ]
    gone, _, changed, new, *_ = found
    assert gone["synthetic"] is True
    assert gone["object"].metadata.name == "gone"
    assert "deletionTimestamp" not in gone["raw_object"]["metadata"]
    assert "synthetic" not in changed
    assert changed["object"].data == {"k": "v"}
    assert new["raw_object"]["kind"] == "ConfigMap"


async def test_diff_reads_all_pages(interrupted, server):
    async with Watch(on_expired="diff") as watch:
        await interrupted(watch)
        watch.func.keywords["limit"] = 2
        assert len(await collect(watch, 5)) == 5
    pages = [request.params for request in server.requests if request.verb == "list"]
    assert len(pages) == 2
    assert all("watch" not in page and "resourceVersion" not in page for page in pages)


@pytest.mark.parametrize("fault", [Hangup(after=1), CutMidObject(after=1), Gone(), Stall(after=1)])
async def test_a_failed_list_of_diff_is_repeated(interrupted, server, fault):
    async with Watch(on_expired="diff", idle_timeout=0.5) as watch:
        await interrupted(watch)
        server.fault(fault, on="list")
        assert len(await collect(watch, 5)) == 5


async def test_diff_also_follows_an_incomplete_initial_state(api, server):
    for name in ("a", "b", "c"):
        put(server, name)
    server.fault(Hangup(after=2), on="watch")
    async with Watch(on_expired="diff") as watch:
        found = await collect(watch.stream(api.list_config_map_for_all_namespaces), 3)
    assert names(found) == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]


# Repetitions


async def test_repetitions_are_dropped_on_demand(client):
    first = [event("ADDED", "a", "1"), event("ADDED", "b", None), b"cut"]
    second = [
        event("ADDED", "a", "1"),
        event("MODIFIED", "a", "2"),
        event("DELETED", "a", "3"),
        event("ADDED", "a", "1"),
    ]
    arguments = ([("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "a")], True)
    without = (
        [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "a")],
        False,
    )
    for wanted, dedup in (arguments, without):
        api = FakeApi(client, first, second)
        async with Watch(dedup=dedup) as watch:
            assert names(await collect(watch.stream(api.list_namespace), len(wanted))) == wanted


async def test_the_largest_version_is_remembered(client):
    events = [event("ADDED", "a", "9"), event("ADDED", "b", "10"), event("ADDED", "c", "7")]
    for newest, wanted in ((True, "10"), (False, "7")):
        api = FakeApi(client, events, [event("MODIFIED", "a", "11")])
        async with Watch(newest=newest) as watch:
            await collect(watch.stream(api.list_namespace), 4)
        assert api.calls[1]["resource_version"] == wanted


async def test_versions_that_are_no_numbers_are_taken_as_they_come(client):
    api = FakeApi(client, [event("ADDED", "a", "zz"), event("ADDED", "b", "aa")])
    async with Watch() as watch:
        await collect(watch.stream(api.list_namespace), 2)
        assert watch.resource_version == "aa"


async def test_a_new_stream_drops_the_response_of_the_last_one(client):
    api = FakeApi(client, [event("ADDED", "a", "1"), event("ADDED", "b", "2")], [event("ADDED", "c", "3")])
    async with Watch() as watch:
        await collect(watch.stream(api.list_namespace), 1)
        assert names(await collect(watch.stream(api.list_namespace), 1)) == [("ADDED", "c")]
        assert api.opened[0].closed == 1


async def test_options_are_checked():
    for arguments in (
        {"on_expired": "retry"},
        {"idle_timeout": 0},
        {"idle_timeout": "1"},
        {"dedup": 1},
        {"newest": None},
        {"return_type": 3},
        {"return_type": list[str]},
    ):
        for make in (Watch, kinform.sync.watch.Watch):
            with pytest.raises(OptionError, match=rf"Watch\.{next(iter(arguments))}"):
                make(**arguments)


# The log


async def test_the_log_names_the_function_and_the_status(client, caplog):
    said = 'old\nSecret {"a": "eA=="} ' + "x" * 200
    api = FakeApi(client, [error(410, "Gone", said)], [event("ADDED", "a", "7")])
    async with Watch(on_expired="replay") as watch:
        await collect(watch.stream(api.list_namespace), 1)
    (line,) = caplog.messages
    assert line.startswith("FakeApi.list_namespace: ApiException 410 Gone: old\\nSecret {...} xx")
    assert line.endswith("x...: the watch connects again")
    assert len(line) < 200


async def test_the_log_of_a_lost_connection_has_the_class(client, caplog):
    api = FakeApi(client, [event("ADDED", "a", "7"), ConnectionResetError("a text")], [event("ADDED", "b", "8")])
    async with Watch() as watch:
        await collect(watch.stream(api.list_namespace), 2)
    assert caplog.messages == ["FakeApi.list_namespace: ConnectionResetError: the watch connects again"]
