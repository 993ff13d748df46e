"""Lazy informers: started by the first use, idle after the last one."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import kinform
from kinform.testing import Forbidden, Invalid, Server, Stall
from tests.net.informers import fails, in_sync, quick
from tests.support.server_behaviours import BadTransport, healthy
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

PODS = "v1/pods"

Lazy = Callable[..., kinform.Informer]


@pytest.fixture
async def lazy(server: Server) -> AsyncIterator[Lazy]:
    """Makes lazy informers on pods of the simulator."""
    async with kinform.connect(server.url) as api:
        yield functools.partial(kinform.Informer, api, PODS, options=quick(), start="lazy")


def on_healthy_server(**options: Any) -> tuple[BadTransport, kinform.Informer]:
    """Returns a transport to a server with two pods, and a lazy informer on it."""
    transport = BadTransport(healthy)
    return transport, kinform.Informer(
        transport, PODS, start="lazy", options=kinform.WatchOptions(initial="list"), **options
    )


READS: dict[str, Callable[[kinform.Store[Any]], object]] = {
    "len": len,
    "in": lambda store: "shop/p0" in store,
    "iter": list,
    "getitem": lambda store: store["shop/p0"],
    "get": lambda store: store.get("shop/p0"),
    "raw": lambda store: store.raw("shop/p0"),
    "meta": lambda store: store.meta("shop/p0"),
    "keys": lambda store: store.keys(),
    "items": lambda store: list(store.items()),
    "values": lambda store: list(store.values()),
    "snapshot": lambda store: store.snapshot(),
    "index": lambda store: store.index("app", "web"),
    "index_keys": lambda store: store.index_keys("app", "web"),
    "index_values": lambda store: store.index_values("app"),
    "stale": lambda store: store.stale,
}


class TestStart:
    async def test_the_block_starts_no_stream(self, server, lazy):
        pods = lazy()
        assert pods.state == "idle"
        async with pods:
            await asyncio.sleep(0.1)
            assert server.requests == []
            assert pods.state == "idle"
            assert pods.health().ok
            assert "idle, 0 objects" in repr(pods)
        assert pods.state == "stopped"
        assert not pods.health().ok

    @pytest.mark.parametrize("use", ["synced", "wait_for", "changes", "on_add", "on_update", "on_delete", "on_change"])
    async def test_the_first_use_starts_it(self, server, lazy, use):
        keys = server.generate(PODS, 2)
        heard: list[Any] = []
        async with lazy() as pods:
            match use:
                case "synced":
                    await pods.synced(timeout=10)
                case "wait_for":
                    await pods.wait_for(server.resource_version, timeout=10)
                case "changes":
                    assert (await anext(pods.changes())).key in keys
                case "on_update":
                    pods.on_update(lambda _, pod: heard.append(pod))
                case handler:
                    getattr(pods, handler)(heard.append)
            await until(lambda: pods.state == "live" and in_sync(pods.store, server, PODS))
            if use in ("on_add", "on_change"):
                await until(lambda: len(heard) == 2)

    async def test_a_handler_before_the_block_starts_it(self, server, lazy):
        server.generate(PODS, 2)
        heard: list[Any] = []
        pods = lazy()
        pods.on_add(heard.append)
        async with pods:
            await until(lambda: len(heard) == 2)

    async def test_a_handler_can_be_added_outside_of_the_running_loop(self, server, lazy):
        server.generate(PODS, 2)
        heard: list[Any] = []
        async with lazy() as pods:
            asyncio.get_running_loop().call_soon(pods.on_add, heard.append)
            await until(lambda: len(heard) == 2)

    async def test_reports_do_not_start_it(self, server, lazy):
        async with lazy() as pods:
            waiting = asyncio.create_task(pods.failed())
            assert (pods.stats().state, pods.stats().objects, pods.stats().streams) == ("idle", 0, {})
            assert pods.health().state == "idle"
            await asyncio.sleep(0.05)
            assert server.requests == []
        with pytest.raises(kinform.KinformError, match="not running"):
            await waiting

    async def test_concurrent_uses_start_it_once(self, server, lazy):
        server.generate(PODS, 2)
        async with lazy() as pods:
            await asyncio.gather(*(pods.synced(timeout=10) for _ in range(5)))
            await server.wait_for_watchers(1)
        assert len(server.requests) == 1

    async def test_a_cancelled_wait_does_not_break_off_the_start(self, server, lazy, tmp_path):
        server.generate(PODS, 2)
        async with lazy(snapshot=tmp_path / "pods") as pods:
            with pytest.raises(TimeoutError, match="not synced after 0 s; v1/pods: starting"):
                await pods.synced(timeout=0)
            await until(lambda: pods.state == "live")

    async def test_namespaces_can_be_added_and_removed(self, server, lazy):
        server.generate(PODS, 2, namespace="shop")
        server.generate(PODS, 3, namespace="till")
        async with lazy(scope=kinform.Scope(namespaces=["shop"]), idle_timeout=0.05) as pods:
            await pods.add_namespace("till", timeout=10)
            assert len(pods.store) == 5
            await until(lambda: pods.state == "idle")
            await pods.synced(timeout=10)
            assert len(pods.store) == 5
            await pods.remove_namespace("shop")
            assert len(pods.store) == 3

    async def test_a_cancelled_block_leaves_nothing(self, server, lazy):
        server.fault(Stall(headers=False), times=None)

        async def use() -> None:
            async with lazy(idle_timeout=60) as pods:
                await pods.synced()

        using = asyncio.create_task(use())
        await until(lambda: server.requests)
        using.cancel()
        with pytest.raises(asyncio.CancelledError):
            await using
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("kinform ")]


class TestReads:
    @pytest.mark.parametrize("read", READS)
    async def test_an_idle_store_raises_at_each_read(self, lazy, read):
        pods = lazy(indexes={"app": "metadata.labels.app"})

        def check(state: str) -> None:
            with pytest.raises(kinform.KinformError, match=f"v1/pods: the informer {state}"):
                READS[read](pods.store)

        check("is idle: wait for its `synced")
        async with pods:
            check("is idle: wait for its `synced")
        check("has stopped")

    async def test_an_informer_that_is_entered_again_is_idle(self, server, lazy):
        server.generate(PODS, 2)
        pods = lazy()
        for round in range(2):
            async with pods:
                with pytest.raises(kinform.KinformError, match="the informer is idle"):
                    len(pods.store)
                await pods.synced(timeout=10)
                assert len(pods.store) == 2 + round
            assert len(pods.store) == 2 + round
            server.generate(PODS, 1)

    async def test_a_store_without_a_complete_state_raises(self, server, lazy):
        server.fault(Stall(headers=False), times=None)
        async with lazy() as pods:
            pods.on_add(lambda pod: None)
            await until(lambda: server.requests)
            with pytest.raises(kinform.KinformError, match="the informer is not synced"):
                len(pods.store)

    async def test_a_store_can_be_read_as_soon_as_one_namespace_is_there(self, server, lazy):
        server.generate(PODS, 2, namespace="shop")
        server.fault(Forbidden(), namespace="till", times=None)
        async with lazy(scope=kinform.Scope(namespaces=["shop", "till"])) as pods:
            await pods.synced(timeout=10, allow_partial=True)
            assert len(pods.store) == 2
        assert len(pods.store) == 2

    async def test_a_failed_store_raises_the_failure(self, server, lazy):
        server.fault(Invalid(), times=None)
        async with fails(lazy(idle_timeout=0.01), kinform.BadRequestError) as pods:
            with pytest.raises(kinform.BadRequestError):
                await pods.synced(timeout=10)
            assert isinstance(await pods.failed(), kinform.BadRequestError)
            await asyncio.sleep(0.05)
            assert pods.state == "failed"
            with pytest.raises(kinform.BadRequestError):
                len(pods.store)


class TestIdle:
    def test_reads_waits_and_listeners_keep_it_awake(self):
        @in_virtual_time
        async def live() -> None:
            transport, pods = on_healthy_server(idle_timeout=100)
            async with pods:
                await pods.synced()
                for _ in range(10):
                    await asyncio.sleep(99)
                    assert len(pods.store) == 2
                waiting = asyncio.create_task(pods.wait_for("999999"))
                await asyncio.sleep(1000)
                assert pods.state == "live"
                waiting.cancel()
                await asyncio.sleep(99)
                assert pods.state == "live"
                changes = pods.changes()
                assert isinstance(await anext(changes), kinform.Added)
                await asyncio.sleep(1000)
                assert pods.state == "live"
                await changes.aclose()
                await asyncio.sleep(200)
                assert pods.state == "idle"
                assert [kind for _, kind in transport.asked].count("list") == 1
                pods.on_add(lambda pod: None)
                await asyncio.sleep(1000)
                assert pods.state == "live"

        live()

    def test_it_is_idle_after_the_time_and_starts_anew(self):
        @in_virtual_time
        async def live() -> None:
            transport, pods = on_healthy_server(idle_timeout=100)
            async with pods:
                for round in (1, 2, 3):
                    await pods.synced()
                    await asyncio.sleep(99.9)
                    assert (pods.state, pods.stats().objects) == ("live", 2)
                    await asyncio.sleep(1)
                    assert (pods.state, pods.stats().objects) == ("idle", 0)
                    assert pods.health().ok
                    with pytest.raises(kinform.KinformError, match="the informer is idle"):
                        pods.store.get("shop/p0")
                    assert [kind for _, kind in transport.asked].count("list") == round
                asked = len(transport.asked)
                await asyncio.sleep(10_000)
                assert len(transport.asked) == asked

        live()

    def test_the_removal_of_a_namespace_keeps_it_awake(self):
        @in_virtual_time
        async def live() -> None:
            _, pods = on_healthy_server(idle_timeout=100, scope=kinform.Scope(namespaces=["shop", "bank"]))
            async with pods:
                await pods.synced()
                await asyncio.sleep(99)
                await pods.remove_namespace("bank")
                await asyncio.sleep(99)
                assert pods.state == "live"
                await asyncio.sleep(2)
                assert pods.state == "idle"

        live()

    def test_without_a_timeout_it_stays_awake(self):
        @in_virtual_time
        async def live() -> None:
            _, pods = on_healthy_server()
            async with pods:
                await pods.synced()
                await asyncio.sleep(20_000)
                assert len(pods.store) == 2

        live()

    async def test_an_idle_informer_has_no_task_and_no_connection(self, server, lazy):
        server.generate(PODS, 5)
        async with lazy(idle_timeout=0.05) as pods:
            await pods.synced(timeout=10)
            held = pods.stats().memory.held_bytes
            await until(lambda: pods.state == "idle")
            await server.wait_for_watchers(0)
            await until(lambda: pods.stats().memory.held_bytes < held)
            assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("kinform ")]

    async def test_it_releases_decoded_objects(self, server, lazy):
        keys = server.generate(PODS, 5)
        async with lazy(idle_timeout=0.05, decoded_cache=10) as pods:
            for _ in range(2):
                await pods.synced(timeout=10)
                assert pods.store[keys[0]] is pods.store[keys[0]]
                assert pods.stats().decoded_cache.objects == 1
                await until(lambda: pods.state == "idle" and pods.stats().decoded_cache.objects == 0)

    async def test_it_continues_from_the_snapshot(self, server, lazy, tmp_path):
        server.generate(PODS, 5)
        async with lazy(idle_timeout=0.05, snapshot=tmp_path / "pods") as pods:
            await pods.synced(timeout=10)
            await until(lambda: pods.state == "idle")
            server.generate(PODS, 1)
            await pods.synced(timeout=10)
            assert pods.stats().snapshot.loaded
            await until(lambda: in_sync(pods.store, server, PODS))
        assert sum("sendInitialEvents" in request.params for request in server.requests) == 1

    async def test_iterators_outlast_it(self, server, lazy):
        keys = server.generate(PODS, 5)
        async with lazy(idle_timeout=0.05) as pods:
            await pods.synced(timeout=10)
            items = pods.store.items()
            await until(lambda: pods.state == "idle")
            await server.wait_for_watchers(0)
            assert {key for key, _ in items} == set(keys)

    async def test_starting_and_stopping_at_random_ends_right(self, server, lazy):
        server.generate(PODS, 5)
        async with lazy(idle_timeout=0.001) as pods:
            for round in range(30):
                await asyncio.sleep(0.002 * (round % 5))
                await pods.synced(timeout=10)
                pods.store.keys()
        await server.wait_for_watchers(0)
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("kinform ")]


class TestFactory:
    async def test_only_used_informers_have_a_stream(self, server):
        server.generate(PODS, 2)
        async with kinform.connect(server.url) as api, kinform.Factory(api) as factory:
            pods = factory.informer(PODS, options=quick(), start="lazy", idle_timeout=0.05)
            factory.informer("v1/services", options=quick())
            maps = factory.informer("v1/configmaps", options=quick(), start="lazy")
            await factory.synced(timeout=10)
            await server.wait_for_watchers(1)
            assert (pods.state, maps.state, factory.stats().state) == ("idle", "idle", "live")
            assert factory.health().ok
            assert factory.health().age_seconds is not None
            await pods.synced(timeout=10)
            assert factory.stats().streams == 2
            await until(lambda: pods.state == "idle")
            await server.wait_for_watchers(1)

    async def test_an_idle_informer_does_not_stop_the_stream_of_others(self, server):
        server.generate(PODS, 2)
        async with kinform.connect(server.url) as api, kinform.Factory(api) as factory:
            eager = factory.informer(PODS, options=quick())
            pods = factory.informer(PODS, options=quick(), start="lazy", idle_timeout=0.05)
            await eager.synced(timeout=10)
            with pytest.raises(kinform.KinformError, match="the informer is idle"):
                len(pods.store)
            await pods.synced(timeout=10)
            assert len(pods.store) == 2
            await until(lambda: pods.state == "idle")
            assert (eager.state, len(eager.store)) == ("live", 2)
            await server.wait_for_watchers(1)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"start": "later"}, "start"),
        ({"idle_timeout": 60}, "idle_timeout"),
        ({"start": "lazy", "idle_timeout": 0}, "idle_timeout"),
        ({"start": "lazy", "idle_timeout": "60"}, "idle_timeout"),
    ],
)
def test_a_wrong_option_raises(options, field):
    with pytest.raises(kinform.OptionError) as caught:
        kinform.Informer(BadTransport(healthy), PODS, **options)
    assert caught.value.field == field
