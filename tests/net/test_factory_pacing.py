"""Factories: the pace of first requests and of syncs, on the simulator."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

import kinform
from kinform._listwatch import pacing, stream
from kinform.testing import Forbidden, Gone, Stall, Trickle
from tests.net.informers import quick, requested_states
from tests.net.sleepless import Sleepless
from tests.support.waiting import until

PODS = "v1/pods"
MAPS = "v1/configmaps"


class TestPacing:
    @pytest.mark.parametrize("initial", ["list", "stream"])
    async def test_only_so_many_streams_sync_at_the_same_time(self, server, api, initial):
        resources = [PODS, MAPS, "v1/secrets", "v1/services"]
        for resource in resources:
            server.generate(resource, 20)
        options = quick(initial=initial, page_size=5)
        most, queued = [], []

        async def watch(factory: kinform.Factory) -> None:
            while True:
                most.append(sum(not informer._collection.writer.idle for informer in factory.informers))
                queued.append([informer.state for informer in factory.informers].count("queued"))
                assert factory.stats().queued == queued[-1]
                await asyncio.sleep(0)

        async with kinform.Factory(api, max_concurrent_syncs=2) as factory:
            watching = asyncio.create_task(watch(factory))
            server.fault(Trickle(bytes=5_000, pause=0.001), times=8)
            for resource in resources:
                factory.informer(resource, options=options)
            await factory.synced(timeout=20)
            await server.wait_for_watchers(4)
            assert (max(most), max(queued)) == (2, 2)
            most.clear()
            server.heal()
            for resource in resources:
                server.fault(Gone(), resource=resource, on="watch")
                server.fault(Trickle(bytes=5_000, pause=0.001), resource=resource, times=2)
            server.disconnect()
            await until(lambda: requested_states(server, "v1/services") == (8 if initial == "list" else 2))
            await until(lambda: factory.health().ok)
            assert max(most) == 2
            watching.cancel()

    async def test_a_stream_that_is_refused_passes_its_turn_on(self, server, api):
        server.generate(PODS, 2)
        server.fault(Forbidden(), resource=MAPS, times=None)
        options = quick(backoff=kinform.Backoff(initial=0.05, maximum=0.1, refused=60))
        async with kinform.Factory(api, max_concurrent_syncs=1) as factory:
            maps, pods = (factory.informer(resource, options=options) for resource in (MAPS, PODS))
            await pods.synced(timeout=10)
            assert maps.state == "forbidden"

    async def test_a_waiting_stream_can_be_stopped(self, server, api):
        server.fault(Stall(headers=False), resource=PODS)
        async with kinform.Factory(api, max_concurrent_syncs=1) as factory:
            pods = factory.informer(PODS, options=quick())
            await until(lambda: server.requests)
            async with factory.informer(MAPS, options=quick()) as maps:
                await until(lambda: maps.state == "queued")
                with pytest.raises(TimeoutError, match="v1/configmaps: queued"):
                    await maps.synced(timeout=0.1)
            async with pods:
                pass
            async with maps:
                await maps.synced(timeout=10)

    async def test_first_requests_are_spread_only_at_the_start(self, server, api, monkeypatch):
        sleepless, clock = Sleepless(), SimpleNamespace(monotonic=lambda: clock.now, now=100.0)
        monkeypatch.setattr(stream, "asyncio", sleepless)
        monkeypatch.setattr(pacing, "time", clock)
        resources = [PODS, MAPS, "v1/secrets", "v1/services"]
        factory = kinform.Factory(api, start_jitter=60)
        for resource in resources:
            factory.informer(resource, options=quick())
        async with factory:
            await factory.synced(timeout=10)
            assert len(sleepless.waited) == len(resources)
            assert all(0 < seconds < 60 for seconds in sleepless.waited)
            sleepless.waited.clear()
            clock.now += 60
            await factory.informer("v1/nodes", options=quick()).synced(timeout=10)
            assert sleepless.waited == []

    @pytest.mark.parametrize(
        ("field", "value"), [("start_jitter", -1), ("start_jitter", "5"), ("max_concurrent_syncs", 0)]
    )
    def test_a_wrong_option_raises(self, api, field, value):
        with pytest.raises(kinform.OptionError) as caught:
            kinform.Factory(api, **{field: value})
        assert caught.value.field == field
