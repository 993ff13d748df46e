"""Slow readers: their queues are bounded, and stats give the age of the state."""

from __future__ import annotations

import asyncio
import time

import kinform
from kinform.testing import Forbidden, Gone, InternalError, Stall
from tests.net.informers import in_sync, quick
from tests.support.waiting import until

PODS = "v1/pods"


async def test_unread_changes_are_bounded_and_keep_the_newest(server, api):
    server.generate(PODS, 3)
    async with kinform.Informer(api, PODS, options=quick(), queue_bound=4) as pods:
        await pods.synced(timeout=10)
        changes = pods.changes()
        server.storm(PODS, 300)
        for number in range(200):  # added and deleted again: no event remains
            server.put(PODS, {"metadata": {"name": f"brief{number}", "namespace": "shop"}})
            server.delete(PODS, f"shop/brief{number}")
        await until(lambda: in_sync(pods.store, server, PODS))
        (depth,) = pods.stats().changes_depth
        assert depth <= 4 + 3
        received = [await anext(changes) for _ in range(3 + 1 + depth)]
        newest = {change.key: change.object["metadata"]["resourceVersion"] for change in received if change.key}
        assert newest == {key: version for key, (_, version) in server.versions(PODS).items()}


async def test_changes_that_are_closed_yield_nothing(server, api):
    server.generate(PODS, 3)
    async with kinform.Informer(api, PODS) as pods:
        await pods.synced(timeout=10)
        changes = pods.changes()
        await anext(changes)
        await changes.aclose()
        assert [event async for event in changes] == []


async def test_a_slow_reader_delays_neither_the_stream_nor_others(server, api):
    keys = server.generate(PODS, 3)
    gate = asyncio.Event()
    async with kinform.Informer(api, PODS, options=quick()) as pods:

        @pods.on_add
        async def stuck(pod):
            await gate.wait()

        unread, read = pods.changes(), pods.changes()
        await pods.synced(timeout=10)
        server.touch(PODS, keys[0])
        received = [await anext(read) for _ in range(5)]
        assert isinstance(received[-1], kinform.Updated)
        assert in_sync(pods.store, server, PODS)
        assert pods.stats().queue_depth > 0
        gate.set()
        await unread.aclose()


async def test_stats_give_the_state_and_the_ages_of_the_last_events(server, api):
    keys = server.generate(PODS, 2)
    options = quick(initial="list", silence_timeout=0.5)
    async with kinform.Informer(api, PODS, options=options) as pods:
        assert pods.stats().streams[""].seconds_since_byte is None
        assert pods.stats().streams[""].seconds_since_sync is None
        assert pods.stats().streams[""].seconds_since_bookmark is None
        await pods.synced(timeout=10)
        await server.wait_for_watchers(1)

        def ages() -> kinform.StreamStats:
            return pods.stats().streams[""]

        def since(age: float | None, moment: float) -> bool:
            return age is not None and time.monotonic() - age >= moment

        touched = time.monotonic()
        server.touch(PODS, keys[0])
        await until(lambda: since(ages().seconds_since_byte, touched))
        assert not since(ages().seconds_since_sync, touched)
        asked = time.monotonic()
        server.bookmark()
        await until(lambda: since(ages().seconds_since_bookmark, asked))
        assert ages().resource_version == server.resource_version

        server.fault(InternalError(), on="watch", times=None)
        server.interrupt(Stall())
        await until(lambda: "500" in (ages().error or ""))
        assert pods.state == "retrying"
        relisted = time.monotonic()
        server.heal()
        server.fault(Gone(), on="watch")
        await until(lambda: since(ages().seconds_since_sync, relisted))
        await until(lambda: pods.state == "live")


async def test_the_state_is_that_of_the_worst_stream(server, api):
    server.fault(Forbidden(), times=None, namespace="till")
    scope = kinform.Scope(namespaces=["shop", "till"])
    async with kinform.Informer(api, PODS, scope=scope, options=quick()) as pods:
        await pods.synced(timeout=10, allow_partial=True)
        await until(lambda: pods.stats().streams["shop"].state == "live")
        await until(lambda: pods.stats().streams["till"].state == "forbidden")
        assert pods.state == pods.stats().state == "forbidden"
        server.heal()
        await until(lambda: pods.state == "live")
