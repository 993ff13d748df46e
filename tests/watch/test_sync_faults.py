"""Faults that kinform's synchronous Watch survives: the real client in a thread."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from kinform._errors import ProtocolError
from kinform._watch import recovery
from kinform.sync.watch import Watch
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
from tests.support.scripted_server import ReceivedRequest, scripted_server
from tests.watch.clients import SYNC_CLIENT, FakeSyncApi, event
from tests.watch.config_maps import names, put

pytest.importorskip("kubernetes")

T = TypeVar("T")


@pytest.fixture
def api(server: Server) -> Iterator[Any]:
    api_client = SYNC_CLIENT.connect(server.url)
    yield SYNC_CLIENT.client.CoreV1Api(api_client)
    api_client.close()
    api_client.rest_client.pool_manager.clear()


async def take(stream: Iterator[T], count: int | None = None) -> list[T]:
    """Returns the next events, read in a thread."""
    return await asyncio.to_thread(lambda: list(itertools.islice(stream, count)))


async def close(stream: Any) -> None:
    await asyncio.to_thread(stream.close)


async def test_a_list_function_streams_models(api, server):
    put(server, "a", data={"k": "v"})
    stream = Watch().stream(api.list_namespaced_config_map, "shop")
    (found,) = await take(stream, 1)
    assert type(found["object"]).__name__ == "V1ConfigMap"
    assert found["object"].data == found["raw_object"]["data"] == {"k": "v"}
    put(server, "b")
    assert names(await take(stream, 1)) == [("ADDED", "b")]
    await close(stream)
    assert len(server.requests) == 1


async def test_logs_and_custom_objects_stream(server):
    async def log(request: ReceivedRequest) -> None:
        await request.respond(200, b"one\n\nlast")

    async with scripted_server(log) as scripted:
        core = SYNC_CLIENT.client.CoreV1Api(SYNC_CLIENT.connect(scripted.url))
        assert await take(Watch().stream(core.read_namespaced_pod_log, "web", "shop")) == ["one", "", "last"]
        core.api_client.rest_client.pool_manager.clear()
    server.register("example.com/v1/widgets", kind="Widget")
    server.put("example.com/v1/widgets", {"metadata": {"name": "w", "namespace": "shop"}})
    custom = SYNC_CLIENT.client.CustomObjectsApi(SYNC_CLIENT.connect(server.url))
    stream = Watch().stream(custom.list_namespaced_custom_object, "example.com", "v1", "shop", "widgets")
    assert names(await take(stream, 1)) == [("ADDED", "w")]
    await close(stream)
    custom.api_client.rest_client.pool_manager.clear()


@pytest.mark.parametrize(("fault", "status"), [(Forbidden(), 403), (InternalError(), 500), (TooManyRequests(), 429)])
@pytest.mark.parametrize("arguments", [{}, {"timeout_seconds": 5}])
async def test_a_refusal_is_the_api_exception_of_the_client(api, server, fault, status, arguments):
    server.fault(fault, on="watch", times=None)
    with pytest.raises(SYNC_CLIENT.api_exception) as caught:
        await take(Watch().stream(api.list_config_map_for_all_namespaces, **arguments))
    assert caught.value.status == status
    assert caught.value.body


@pytest.mark.parametrize("fault", [Hangup(after=0), CutMidObject(), MalformedFrame(), Empty()])
async def test_a_lost_connection_loses_and_repeats_nothing(api, server, fault):
    version = put(server, "a")
    stream = Watch().stream(api.list_config_map_for_all_namespaces, resource_version=version)
    put(server, "b")
    assert names(await take(stream, 1)) == [("ADDED", "b")]
    server.interrupt(fault)
    put(server, "c")
    put(server, "d")
    assert names(await take(stream, 2)) == [("ADDED", "c"), ("ADDED", "d")]
    await close(stream)


@pytest.mark.parametrize("fault", [Hangup(after=1), CutMidObject(after=1)])
async def test_with_timeout_seconds_errors_of_urllib3_are_raised(api, server, fault):
    from urllib3.exceptions import ProtocolError as BrokenConnection

    put(server, "a")
    put(server, "b")
    server.fault(fault, on="watch")
    stream = Watch().stream(api.list_config_map_for_all_namespaces, timeout_seconds=10)
    await take(stream, 1)
    with pytest.raises(BrokenConnection):
        await take(stream, 1)


async def test_a_line_that_is_no_json_is_an_error_with_timeout_seconds(api, server):
    put(server, "a")
    server.fault(MalformedFrame(), on="watch")
    with pytest.raises(ProtocolError, match="Malformed"):
        await take(Watch().stream(api.list_config_map_for_all_namespaces, timeout_seconds=10))


async def test_empty_lines_are_ignored():
    api = FakeSyncApi([b"\n\r\n", event("ADDED", "a", "1"), b"\n"])
    assert names(await take(Watch().stream(api.list_namespace, timeout_seconds=5))) == [("ADDED", "a")]


async def test_objects_may_have_any_size(api, server):
    put(server, "a")
    server.fault(Oversized(bytes=5 << 20), on="watch")
    stream = Watch().stream(api.list_config_map_for_all_namespaces)
    (found,) = await take(stream, 1)
    assert len(json.dumps(found["raw_object"])) > 5 << 20
    await close(stream)


async def test_silence_is_ended_by_a_new_connection(api, server):
    version = put(server, "a")
    server.fault(Stall(), on="watch")
    stream = Watch(idle_timeout=0.4).stream(api.list_config_map_for_all_namespaces, resource_version=version)
    step = asyncio.create_task(take(stream, 1))
    await server.wait_for_request(count=1)
    put(server, "b")
    assert names(await step) == [("ADDED", "b")]
    await close(stream)
    assert [request.params["resourceVersion"] for request in server.requests] == [version, version]


async def test_a_stall_before_the_headers_is_ended(api, server):
    put(server, "a")
    server.fault(Stall(headers=False), on="watch")
    stream = Watch(idle_timeout=0.4).stream(api.list_config_map_for_all_namespaces)
    assert names(await take(stream, 1)) == [("ADDED", "a")]
    await close(stream)


async def test_a_silent_server_ends_a_stream_after_its_time(api, server, monkeypatch):
    monkeypatch.setattr(recovery, "GRACE", 0.2)
    put(server, "a")
    server.fault(Stall(after=1), on="watch")
    start = time.monotonic()
    found = await take(Watch().stream(api.list_config_map_for_all_namespaces, timeout_seconds=1))
    assert names(found) == [("ADDED", "a")]
    assert time.monotonic() - start >= 1


async def test_a_timeout_of_the_caller_is_raised_as_it_is(api, server):
    from urllib3.exceptions import ReadTimeoutError

    put(server, "a")
    server.fault(Stall(after=1), on="watch")
    stream = Watch().stream(api.list_config_map_for_all_namespaces, _request_timeout=(1, 0.3), timeout_seconds=60)
    await take(stream, 1)
    with pytest.raises(ReadTimeoutError):
        await take(stream, 1)


@pytest.mark.parametrize("chunked", [True, False])
async def test_stop_wakes_a_thread_that_waits_for_data(chunked, caplog):
    async def hold(request: ReceivedRequest) -> None:
        line = json.dumps(event("ADDED", "a", "1")).encode() + b"\n"
        if chunked:
            await request.start_chunked()
            await request.send_chunk(line)
        else:
            await request.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + line)
        await request.disconnected.wait()

    async with scripted_server(hold) as server:
        core = SYNC_CLIENT.client.CoreV1Api(SYNC_CLIENT.connect(server.url))
        watch = Watch()
        stream = watch.stream(core.list_namespace)
        await take(stream, 1)
        waiting = asyncio.create_task(take(stream))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        watch.stop()
        assert await asyncio.wait_for(waiting, 5) == []
        assert len(server.requests) == 1
        assert caplog.messages == []
        core.api_client.rest_client.pool_manager.clear()


async def test_stop_ends_a_wait_between_requests(api, server, monkeypatch):
    monkeypatch.setattr(recovery, "MIN_INTERVAL", 60.0)
    monkeypatch.setattr(recovery, "MAX_INTERVAL", 60.0)
    version = put(server, "a")
    server.fault(Empty(), on="watch", times=None)
    watch = Watch()
    waiting = asyncio.create_task(take(watch.stream(api.list_config_map_for_all_namespaces, resource_version=version)))
    await server.wait_for_request(count=1)
    watch.stop()
    assert await asyncio.wait_for(waiting, 5) == []


async def test_a_server_that_is_away_for_a_while_is_survived(api, server):
    version = put(server, "a")
    put(server, "b")
    stream = Watch().stream(api.list_config_map_for_all_namespaces, resource_version=version)
    await take(stream, 1)
    await server.stop()
    step = asyncio.create_task(take(stream, 1))
    await asyncio.sleep(0.3)
    put(server, "c")
    await server.start()
    assert names(await step) == [("ADDED", "c")]
    await close(stream)


async def test_a_first_request_that_reaches_no_server_raises(api, server):
    from urllib3.exceptions import MaxRetryError

    await server.stop()
    with pytest.raises(MaxRetryError):
        await take(Watch().stream(api.list_config_map_for_all_namespaces))


@pytest.fixture
def lose_history(api: Any, server: Server) -> Callable[[Watch], Any]:
    """Lets a Watch read objects, changes them, and loses the history of the changes."""

    async def lose(watch: Watch) -> Iterator[Any]:
        for name in ("changed", "gone", "kept"):
            put(server, name)
        stream = watch.stream(api.list_config_map_for_all_namespaces)
        await take(stream, 3)
        put(server, "kept")
        await take(stream, 1)
        await server.stop()
        put(server, "changed", data={"k": "v"})
        server.delete("v1/configmaps", "shop/gone")
        put(server, "new")
        server.compact()
        await server.start()
        return stream

    return lose


async def test_raise_reports_a_lost_history(lose_history):
    stream = await lose_history(Watch())
    with pytest.raises(SYNC_CLIENT.api_exception, match="410"):
        await take(stream, 1)


async def test_replay_sends_everything_again(lose_history):
    stream = await lose_history(Watch(on_expired="replay"))
    assert names(await take(stream, 3)) == [("ADDED", "changed"), ("ADDED", "kept"), ("ADDED", "new")]
    await close(stream)


@pytest.mark.parametrize("fault", [None, Hangup(after=1), Gone()])
async def test_diff_reports_what_was_missed(lose_history, server, fault):
    stream = await lose_history(Watch(on_expired="diff"))
    if fault is not None:
        server.fault(fault, on="list")
    found = await take(stream, 3)
    assert names(found) == [("DELETED", "gone"), ("MODIFIED", "changed"), ("ADDED", "new")]
    assert found[0]["synthetic"] is True
    put(server, "later")
    assert names(await take(stream, 1)) == [("ADDED", "later")]
    await close(stream)


async def test_repetitions_are_dropped_on_demand(api, server):
    version = put(server, "a")
    watch = Watch(dedup=True)
    stream = watch.stream(api.list_config_map_for_all_namespaces)
    assert names(await take(stream, 1)) == [("ADDED", "a")]
    assert watch.resource_version == version
    await close(stream)
