"""Factories: their waits, failures, health and counts, on the simulator."""

from __future__ import annotations

import asyncio

import pytest

import kinform
from kinform.testing import Forbidden, Invalid, MalformedObject, Stall
from tests.net.informers import fails, quick

PODS = "v1/pods"
MAPS = "v1/configmaps"


class TestAll:
    async def test_a_timeout_names_the_informers_that_are_not_synced(self, server, api):
        server.fault(Stall(headers=False), resource=MAPS, times=None)
        async with kinform.Factory(api) as factory:
            for resource in (PODS, MAPS, "v1/secrets"):
                factory.informer(resource, options=quick())
            with pytest.raises(TimeoutError) as caught:
                await factory.synced(timeout=0.5)
        assert str(caught.value) == "not synced after 0.5 s; v1/configmaps: starting"

    async def test_a_refusal_raises_and_names_the_informer(self, server, api):
        server.fault(Forbidden(), resource=MAPS, times=None)
        async with kinform.Factory(api) as factory:
            for resource in (PODS, MAPS):
                factory.informer(resource, options=quick())
            with pytest.raises(kinform.ForbiddenError, match="v1/configmaps"):
                await factory.synced(timeout=10)
            await factory.synced(timeout=10, allow_partial=True)
            health = factory.health()
            assert (health.ok, health.state) == (False, "forbidden")
            assert health.reason == "v1/configmaps: not synced: forbidden"

    async def test_skipped_objects_are_named_with_their_informer(self, server, api, unhealed):
        server.generate(PODS, 3)
        server.fault(MalformedObject(after=1), resource=PODS, times=None)
        async with kinform.Factory(api) as factory:
            for resource in (PODS, MAPS):
                factory.informer(resource, options=quick())
            with pytest.raises(kinform.SkippedError, match=r"v1/pods: skipped .* not received again"):
                await factory.synced(timeout=0.5)
            await factory.synced(timeout=10, allow_skipped=True)
            assert len(factory.health().degraded) == 1

    async def test_health_and_stats_are_of_all_informers(self, server, api):
        server.generate(PODS, 3)
        server.generate(MAPS, 4)
        factory = kinform.Factory(api)
        assert factory.health().reason == "the factory is not running"
        async with factory:
            for resource in (PODS, PODS, MAPS):
                factory.informer(resource, options=quick())
            await factory.synced(timeout=10)
            await server.wait_for_watchers(2)
            health, stats = factory.health(), factory.stats()
            assert (health.ok, health.state, health.reason) == (True, "live", "")
            assert health.age_seconds is not None
            assert (stats.state, stats.informers, stats.collections, stats.objects) == ("live", 3, 2, 7)
            assert "3 informers: live" in repr(factory)
        assert not factory.health().ok

    async def test_a_failure_ends_the_waits_and_the_block(self, server, api):
        server.fault(Invalid(), resource=MAPS, times=None)
        async with fails(kinform.Factory(api), kinform.BadRequestError) as factory:
            pods, maps = (factory.informer(resource, options=quick()) for resource in (PODS, MAPS))
            failure = await factory.failed()
            assert isinstance(failure, kinform.BadRequestError)
            with pytest.raises(kinform.BadRequestError):
                await factory.synced(timeout=10)
            await pods.synced(timeout=10)
            assert (maps.state, factory.health().state) == ("failed", "failed")
            late = factory.informer(MAPS, options=quick())
            with pytest.raises(kinform.BadRequestError):
                await late.synced(timeout=10)
        assert await factory.failed() is failure

    async def test_failed_ends_with_the_block(self, server, api):
        async with kinform.Factory(api) as factory:
            waiting = asyncio.create_task(factory.failed())
            factory.informer(PODS, options=quick())
            await factory.synced(timeout=10)
        with pytest.raises(kinform.KinformError, match="the factory is not running"):
            await waiting

    async def test_a_call_from_another_thread_raises(self, server, api):
        async with kinform.Factory(api) as factory:
            with pytest.raises(kinform.KinformError, match="the factory: called from another thread"):
                await asyncio.to_thread(factory.informer, PODS)
