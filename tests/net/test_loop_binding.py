"""Informers and connections in the wrong loop, thread or process: an error."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Callable
from typing import Any

import pytest

import kinform
from kinform._events import Init
from kinform._transport.base import Request
from tests.net.informers import quick
from tests.support.waiting import until

PODS = "v1/pods"

Call = Callable[[kinform.Informer], Any]

# Async methods give a coroutine, which is awaited in the place that is wrong.
CALLS: dict[str, Call] = {
    "on_add": lambda pods: pods.on_add(print),
    "on_update": lambda pods: pods.on_update(print),
    "on_delete": lambda pods: pods.on_delete(print),
    "on_change": lambda pods: pods.on_change(print),
    "changes": lambda pods: pods.changes(),
    "synced": lambda pods: pods.synced(timeout=1),
    "failed": lambda pods: pods.failed(),
    "wait_for": lambda pods: pods.wait_for("1", timeout=1),
    "add_namespace": lambda pods: pods.add_namespace("shop"),
    "remove_namespace": lambda pods: pods.remove_namespace("shop"),
}
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}}
USES: dict[str, Callable[[kinform.Connection], Any]] = {
    "open": lambda api: api.open(Request(path="/version", params=())),
    "refresh_credentials": lambda api: api.refresh_credentials(),
    "api_client": lambda api: api.api_client,
    "namespace": lambda api: api.namespace,
    "get": lambda api: api.get("v1/nodes", "a"),
    "list": lambda api: anext(api.list(PODS)),
    "create": lambda api: api.create("v1/nodes", NODE),
    "apply": lambda api: api.apply("v1/nodes", NODE, field_manager="me"),
    "patch": lambda api: api.patch("v1/nodes", "a", {}, how="merge"),
    "replace": lambda api: api.replace("v1/nodes", NODE),
    "delete": lambda api: api.delete("v1/nodes", "a"),
}
SYNC_CALLS = ("on_add", "on_update", "on_delete", "on_change", "changes")


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_from_another_loop_and_thread_raises(server, pods, call):
    async def run() -> None:
        result = CALLS[call](pods)
        if asyncio.iscoroutine(result):
            await result

    async with pods:
        await pods.synced(timeout=10)
        with pytest.raises(kinform.KinformError, match=r"v1/pods: called from another thread .*call_soon_threadsafe"):
            await asyncio.to_thread(asyncio.run, run())
        await pods.synced(timeout=10)


@pytest.mark.parametrize("call", SYNC_CALLS)
async def test_a_call_from_a_thread_without_a_loop_raises(server, pods, call):
    async with pods:
        with pytest.raises(kinform.KinformError, match="called from another thread"):
            await asyncio.to_thread(CALLS[call], pods)


async def test_reading_changes_in_another_thread_raises(server, pods):
    server.generate(PODS, 1)

    async def read() -> None:
        await anext(changes)

    async with pods:
        await pods.synced(timeout=10)
        changes = pods.changes()
        with pytest.raises(kinform.KinformError, match="called from another thread"):
            await asyncio.to_thread(asyncio.run, read())
        assert isinstance(await anext(changes), kinform.Added)


async def test_leaving_the_block_in_another_thread_raises(server, pods):
    async with pods:
        await pods.synced(timeout=10)
        with pytest.raises(kinform.KinformError, match="called from another thread"):
            await asyncio.to_thread(asyncio.run, pods.__aexit__(None, None, None))
        assert pods.state == "live"


async def test_a_thread_can_read_the_store(server, pods):
    keys = server.generate(PODS, 5)
    async with pods:
        await pods.synced(timeout=10)
        assert sorted(await asyncio.to_thread(lambda: [key for key, _ in pods.store.items()])) == sorted(keys)


def test_a_call_in_another_loop_of_the_thread_raises():
    informers = []

    class Silent:
        """A transport to a server that never answers."""

        @property
        def identity(self) -> object:
            return self

        async def open(self, request: object) -> object:
            return await asyncio.Event().wait()

        async def refresh_credentials(self) -> bool:
            return False

    async def start() -> None:
        informers.append(await kinform.Informer(Silent(), PODS).__aenter__())

    async def use() -> None:
        informers[0].on_add(print)

    with asyncio.Runner() as first:
        first.run(start())
        informers[0].on_update(print)  # outside of any loop, in the same thread
        with asyncio.Runner() as second, pytest.raises(kinform.KinformError, match="another event loop"):
            second.run(use())
        first.run(informers[0].__aexit__(None, None, None))


async def test_handlers_can_be_registered_anywhere_before_the_start(server, pods):
    server.generate(PODS, 1)
    received: list[object] = []
    await asyncio.to_thread(pods.on_add, received.append)
    async with pods:
        await until(lambda: received)


async def test_a_second_thread_that_writes_raises():
    writer, _ = kinform.store()
    await writer.write("", Init())
    with pytest.raises(kinform.KinformError, match="store: this thread is not the one that wrote first"):
        await asyncio.to_thread(asyncio.run, writer.write("", Init()))


async def use_of(api: kinform.Connection, use: str) -> None:
    result = USES[use](api)
    if hasattr(result, "__await__"):
        await result


@pytest.mark.parametrize("use", USES)
async def test_a_connection_in_another_loop_and_thread_raises(server, use):
    server.put("v1/nodes", {"metadata": {"name": "b"}})
    async with kinform.connect(server.url, token="xyzzy") as api:
        with pytest.raises(kinform.KinformError, match=f"^{server.url}: called from another thread") as caught:
            await asyncio.to_thread(asyncio.run, use_of(api, use))
        assert "xyzzy" not in str(caught.value)
        assert (await api.get("v1/nodes", "b"))["metadata"]["name"] == "b"
    assert {request.verb for request in server.requests} == {"get"}


async def test_a_connection_that_is_left_in_another_thread_stays_open(server):
    async with kinform.connect(server.url) as api:
        with pytest.raises(kinform.KinformError, match="called from another thread"):
            await asyncio.to_thread(asyncio.run, api.__aexit__(None, None, None))
        (await api.open(Request(path="/version", params=()))).close()


async def test_an_informer_in_another_loop_than_its_connection_fails(server):
    async def start(api: kinform.Connection) -> None:
        async with kinform.Informer(api, PODS) as pods:
            await pods.synced(timeout=10)

    async with kinform.connect(server.url) as api:
        with pytest.raises(kinform.KinformError, match=f"^{server.url}: called from another thread"):
            await asyncio.to_thread(asyncio.run, start(api))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of a process with threads
async def test_a_connection_in_a_forked_process_raises_and_stays_open(server):
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS, options=quick()) as pods:
        await pods.synced(timeout=10)

        def look() -> None:
            for use in USES:
                with pytest.raises(kinform.KinformError, match=f"^{server.url}: this process was forked"):
                    asyncio.run(use_of(api, use))
            step(api.__aexit__(None, None, None))

        assert in_child(look) == ""
        server.generate(PODS, 1)
        await until(lambda: len(pods.store))
        assert pods.state == "live"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of a process with threads
async def test_a_forked_process_can_read_the_state_at_the_fork(server, tmp_path):
    keys = server.generate(PODS, 50)
    indexes = {"node": "spec.nodeName"}
    snapshot = tmp_path / "pods.kinform"
    async with (
        kinform.connect(server.url) as api,
        kinform.Informer(api, PODS, options=quick(), indexes=indexes, snapshot=snapshot) as pods,
    ):
        await pods.synced(timeout=10)
        expected = dict(pods.store.items())
        nodes = {node: pods.store.index_keys("node", node) for node in pods.store.index_values("node")}

        def look() -> None:
            assert dict(pods.store.items()) == expected
            assert sorted(pods.store) == sorted(keys)
            assert len(pods.store) == 50
            assert {node: pods.store.index_keys("node", node) for node in pods.store.index_values("node")} == nodes
            assert pods.state == pods.stats().state == "stopped"
            for call in CALLS.values():
                with pytest.raises(kinform.KinformError, match="was forked after the start"):
                    step(call(pods))
            assert not pods.health().ok
            assert "was forked after the start" in pods.health().reason
            step(pods.__aexit__(None, None, None))
            assert not snapshot.exists()

        assert in_child(look) == ""
        server.touch(PODS, keys[0])
        await until(lambda: pods.store.get(keys[0]) != expected[keys[0]])
        assert pods.state == "live"
    assert snapshot.exists()


def step(result: Any) -> None:
    """Runs an awaitable that must not wait."""
    if hasattr(result, "__await__"):
        with pytest.raises(StopIteration):
            result.__await__().send(None)


def in_child(run: Callable[[], None]) -> str:
    """Runs a function in a forked process; returns its traceback, or `""`."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            run()
        except BaseException:
            os.write(writer, traceback.format_exc().encode()[-8000:])
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(pid, 0)
    return text
