"""A Watch in the wrong loop, with the wrong client, or without a stream."""

from __future__ import annotations

from typing import Any

import pytest

import kinform.sync.watch
import kinform.watch
from tests.watch.clients import SYNC_CLIENT, Client, FakeApi, FakeSyncApi, SyncResponse, event

USE_SYNC = r"use `for` with the Watch of kinform\.sync\.watch"
USE_ASYNC = r"use `async for` with the Watch of kinform\.watch"


def core_api(client: Client) -> Any:
    return client.client.CoreV1Api(object.__new__(client.client.ApiClient))


def test_the_async_watch_in_a_for_loop_names_the_sync_one(client):
    watch = kinform.watch.Watch()
    with pytest.raises(TypeError, match=USE_SYNC):
        for _ in watch.stream(FakeApi(client).list_namespace):  # type: ignore[attr-defined]
            pass


def test_the_async_watch_refuses_a_function_of_kubernetes():
    pytest.importorskip("kubernetes")
    with pytest.raises(
        TypeError, match=rf"^CoreV1Api\.list_namespace is a function of kubernetes\.client: .*{USE_SYNC}"
    ):
        kinform.watch.Watch().stream(core_api(SYNC_CLIENT).list_namespace)


async def test_the_async_watch_names_a_function_that_blocks():
    api = FakeSyncApi(SyncResponse([event("ADDED", "a", "1")]))
    with pytest.raises(TypeError, match=rf"FakeSyncApi\.list_namespace did not return an awaitable: .*{USE_SYNC}"):
        await anext(kinform.watch.Watch().stream(api.list_namespace))


def test_the_sync_watch_refuses_a_function_of_asyncio(client):
    with pytest.raises(TypeError, match=rf"^CoreV1Api\.list_namespace is a function of {client.name}.*{USE_ASYNC}"):
        kinform.sync.watch.Watch().stream(core_api(client).list_namespace)


@pytest.mark.filterwarnings("error")
def test_the_sync_watch_names_a_function_that_is_awaitable():
    async def list_things(**_: Any) -> None: ...

    with pytest.raises(TypeError, match=rf"list_things returned an awaitable: .*{USE_ASYNC}"):
        next(kinform.sync.watch.Watch().stream(list_things))


async def test_the_sync_watch_in_async_code_names_the_async_one():
    with pytest.raises(TypeError, match=USE_ASYNC):
        async with kinform.sync.watch.Watch():  # type: ignore[func-returns-value]
            pass
    with pytest.raises(TypeError, match=USE_ASYNC):
        async for _ in kinform.sync.watch.Watch():
            pass


async def test_a_watch_without_a_stream_names_the_missing_call():
    watch = kinform.watch.Watch()
    with pytest.raises(kinform.KinformError, match=r"call its `stream\(function, \.\.\.\)` first"):
        await watch.next()
    with pytest.raises(kinform.KinformError, match="has no stream yet"):
        async for _ in watch:
            pass
    with pytest.raises(AttributeError, match="has no stream yet"):
        _ = watch.func
    assert not hasattr(watch, "return_type")
    await watch.close()


async def test_the_result_of_a_call_is_refused():
    async def list_things() -> None: ...

    for watch in (kinform.watch.Watch(), kinform.sync.watch.Watch()):
        for called in (list_things(), object()):
            with pytest.raises(TypeError, match=r"^stream: .*pass the function, do not call it"):
                watch.stream(called)  # type: ignore[arg-type]
