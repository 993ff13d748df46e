"""The blocking factory, and its informers in threads."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref

import pytest

import kinform
import kinform.sync
from kinform.testing import Forbidden
from tests.net.informers import quick
from tests.sync.conftest import InThread
from tests.sync.programs import until
from tests.sync.test_informer import Config

PODS = "v1/pods"


async def test_informers_of_a_factory_share_one_stream(cluster):
    await cluster.create("a", data={"k": "1"})
    scope = kinform.Scope(namespaces=[cluster.namespace])
    key = f"{cluster.namespace}/a"

    def program() -> None:
        with (
            kinform.sync.connect(cluster.url, **cluster.connect_options) as api,
            kinform.sync.Factory(api) as factory,
        ):
            configs = factory.informer(cluster.resource, scope=scope, type=Config, indexes={"k": "data.k"})
            plain = factory.informer(cluster.resource, scope=scope)
            factory.synced(timeout=20)
            assert configs.store[key].data == {"k": "1"}
            assert plain.store[key]["data"] == {"k": "1"}
            assert configs.store.index_keys("k", "1") == [key]
            assert factory.informers == (configs, plain)
            assert (factory.stats().informers, factory.stats().streams) == (2, 1)
            assert factory.health().ok
            assert repr(factory) == "<kinform.sync.Factory of 2 informers: live>"

    await asyncio.to_thread(program)


async def test_each_informer_has_its_own_listeners_and_thread(server, on_server):
    keys = server.generate(PODS, 3)
    threads: dict[str, set[str]] = {"first": set(), "second": set()}
    counts = {"first": 0, "second": 0}

    def note(name: str) -> None:
        threads[name].add(str(threading.get_ident()))
        counts[name] += 1

    def program() -> None:
        with kinform.sync.connect(server.url) as api:
            factory = kinform.sync.Factory(api)
            first = factory.informer(PODS)
            first.on_add(lambda pod: note("first"))
            with factory:
                second = factory.informer(PODS)
                second.on_change(lambda key: note("second"))
                factory.synced(timeout=10)
                until(lambda: counts == {"first": 3, "second": 3})
                changes = second.changes()
                on_server(server.touch, PODS, keys[0])
                until(lambda: counts["second"] == 4)
                assert [type(changes.next(timeout=10)).__name__ for _ in range(5)].count("Updated") >= 1
            with pytest.raises(kinform.KinformError, match="the factory: its `with` block has ended"):
                first.synced()
            assert list(changes) == []
            assert [len(store) for store in (first.store, second.store)] == [3, 3]

    await asyncio.to_thread(program)
    assert len(threads["first"]) == len(threads["second"]) == 1
    assert threads["first"] != threads["second"]


async def test_an_informer_of_a_factory_can_have_a_block_of_its_own(server):
    server.generate(PODS, 3)
    calls: list[object] = []

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Factory(api) as factory:
            with factory.informer(PODS) as pods:
                pods.synced(timeout=10)
                pods.on_add(calls.append)
                assert factory.informers == (pods,)
                until(lambda: len(calls) == 3)
            assert factory.informers == ()
            assert pods.state == "stopped"
            with pytest.raises(kinform.KinformError, match="not running"):
                pods.synced(timeout=1)
            names = [thread.name for thread in threading.enumerate()]
            assert "kinform handlers of v1/pods" not in names
            with pods:
                pods.synced(timeout=10)
                assert factory.informers == (pods,)
                until(lambda: len(calls) == 6)

    await asyncio.to_thread(program)


async def test_many_blocks_in_a_factory_leave_nothing(server):
    server.generate(PODS, 3)

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Factory(api) as factory:
            found = []
            for _ in range(20):
                with factory.informer(PODS) as pods:
                    pods.on_add(lambda pod: None)
                    pods.synced(timeout=10)
                found.append(weakref.ref(pods))
            del pods
            gc.collect()
            assert [each() for each in found] == [None] * 20

    await asyncio.to_thread(program)


async def test_waits_of_a_factory_have_the_errors_of_the_async_face(server):
    server.fault(Forbidden(), on="list", times=100)
    server.fault(Forbidden(), on="watch", times=100)

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Factory(api) as factory:
            pods = factory.informer(PODS, options=quick())
            with pytest.raises(kinform.ForbiddenError, match="v1/pods"):
                factory.synced(timeout=10)
            with pytest.raises(TimeoutError, match=r"the factory: no failure after 0.05 s"):
                factory.failed(timeout=0.05)
            with pytest.raises(TimeoutError, match=r"^v1/pods: no failure after 0.05 s"):
                pods.failed(timeout=0.05)
            with pytest.raises(TimeoutError, match=r"^no event after 0.05 s; v1/pods: forbidden \(.*403"):
                pods.changes().next(timeout=0.05)
            assert not factory.health().ok
            waiting = InThread(factory.failed)
            time.sleep(0.1)
            assert waiting.runs
        with pytest.raises(kinform.KinformError, match="the factory is not running"):
            waiting.result()

    await asyncio.to_thread(program)


async def test_a_failed_informer_raises_at_the_end_of_the_factory(server):
    server.generate(PODS, 50)

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Factory(api) as factory:
            factory.informer(PODS, memory_limit=1)
            assert isinstance(factory.failed(timeout=10), kinform.MemoryLimitError)

    with pytest.raises(kinform.MemoryLimitError):
        await asyncio.to_thread(program)


async def test_a_handler_cannot_end_the_block_of_its_factory(server):
    server.generate(PODS, 1)
    errors: list[str] = []

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Factory(api) as factory:
            pods = factory.informer(PODS)

            @pods.on_add
            def leave(pod):
                for block in (pods, factory):
                    with pytest.raises(kinform.KinformError) as caught:
                        block.__exit__(None, None, None)
                    errors.append(str(caught.value))

            until(lambda: len(errors) == 2)

    await asyncio.to_thread(program)
    assert errors == ["v1/pods: a handler cannot end the block: the end waits for the handler"] * 2


async def test_a_lazy_informer_starts_at_its_first_use(server):
    server.generate(PODS, 3)

    def program() -> None:
        with kinform.sync.connect(server.url) as api:
            with kinform.sync.Informer(api, PODS, start="lazy") as pods:
                assert pods.state == "idle"
                with pytest.raises(kinform.KinformError, match="wait for its `synced"):
                    pods.store.get("shop/web-0")
                assert server.requests == []
                pods.synced(timeout=10)
                assert len(pods.store) == 3

    await asyncio.to_thread(program)
