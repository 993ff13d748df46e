"""The blocking `watcher` and `reflector`."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import closing

import pytest

import kinform
import kinform.sync
from kinform.testing import Invalid
from tests.net.informers import quick
from tests.support import waiting
from tests.sync.conftest import InThread
from tests.sync.programs import until

PODS = "v1/pods"


async def test_a_watcher_yields_the_events_of_a_collection(cluster):
    await cluster.create("a", data={"k": "1"})
    scope = kinform.Scope(namespaces=[cluster.namespace])
    seen: list[tuple[str, str]] = []

    def program() -> None:
        with kinform.sync.connect(cluster.url, **cluster.connect_options) as api:
            stream = kinform.sync.watcher(api, cluster.resource, scope=scope)
            assert stream.name == f"v1/configmaps in {cluster.namespace}"
            for event in stream:
                match event:
                    case kinform.InitApply(found) | kinform.Apply(found) | kinform.Delete(found):
                        seen.append((type(event).__name__, found.key))
                    case kinform.Init() | kinform.InitDone():
                        seen.append((type(event).__name__, ""))
                if isinstance(event, kinform.Delete):
                    assert stream.state == "live"
                    assert stream.stats().seconds_since_sync is not None
                    break

    running = InThread(program)
    await waiting.until(lambda: ("InitDone", "") in seen or not running.runs)
    await cluster.replace("a", data={"k": "2"})
    await cluster.delete("a")
    await asyncio.to_thread(running.result)
    key = f"{cluster.namespace}/a"
    assert [each for each in seen if each[1] in ("", key)] == [
        ("Init", ""),
        ("InitApply", key),
        ("InitDone", ""),
        ("Apply", key),
        ("Delete", key),
    ]


async def test_a_reflector_fills_a_store_before_each_event(server):
    keys = server.generate(PODS, 30)

    def program() -> None:
        writer, store = kinform.sync.store(indexes={"node": "spec.nodeName"})
        with kinform.sync.connect(server.url) as api:
            with closing(kinform.sync.reflector(writer, kinform.sync.watcher(api, PODS))) as events:
                for event in events:
                    if isinstance(event, kinform.InitDone):
                        break
                assert sorted(store) == sorted(keys)
            assert store.index_values("node")

    await asyncio.to_thread(program)


async def test_a_stream_that_waits_ends_by_close(server):
    server.generate(PODS, 3)
    synced = threading.Event()
    events = []

    def follow(stream: kinform.sync.Stream) -> None:
        for event in stream:
            events.append(event)
            if isinstance(event, kinform.InitDone):
                synced.set()

    def program() -> None:
        with kinform.sync.connect(server.url) as api:
            stream = kinform.sync.watcher(api, PODS)
            stream.close()
            stream.relist()
            reader = InThread(lambda: follow(stream))
            assert synced.wait(10)
            synced.clear()
            stream.relist()
            assert synced.wait(10)
            time.sleep(0.05)
            stream.close()
            reader.result()
            assert stream.state == "stopped"

    await asyncio.to_thread(program)
    assert sum(isinstance(event, kinform.Init) for event in events) == 2


async def test_a_stream_ends_within_its_own_loop(server):
    server.generate(PODS, 3)

    def program() -> int:
        with kinform.sync.connect(server.url) as api:
            stream = kinform.sync.watcher(api, PODS)
            count = 0
            for _ in stream:
                count += 1
                stream.close()
            return count

    assert await asyncio.to_thread(program) == 1


async def test_a_stream_raises_what_it_cannot_recover_from(server):
    server.fault(Invalid(), on="watch", times=10)
    server.fault(Invalid(), on="list", times=10)

    def program() -> None:
        with kinform.sync.connect(server.url) as api, pytest.raises(kinform.BadRequestError):
            list(kinform.sync.watcher(api, PODS, options=quick()))

    await asyncio.to_thread(program)


async def test_a_stream_that_is_left_closes_its_connection(server):
    server.generate(PODS, 3)

    def program() -> None:
        with kinform.sync.connect(server.url) as api:
            for event in kinform.sync.watcher(api, PODS):
                if isinstance(event, kinform.InitDone):
                    break
            until(lambda: server.requests and all(request.ended for request in server.requests))

    await asyncio.to_thread(program)
