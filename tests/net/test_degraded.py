"""A degraded informer: its waits, events, health and snapshots."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

import kinform
from kinform._stats import UNKNOWN_KEYS
from kinform.testing import Forbidden, MalformedObject, Oversized
from tests.net.informers import SLOW, fetches, in_sync, quick
from tests.support.waiting import until

PODS = "v1/pods"


async def until_synced(changes: kinform.Changes) -> AsyncIterator[Any]:
    """Yields the changes before `Synced`."""
    async with asyncio.timeout(10):
        async for change in changes:
            if isinstance(change, kinform.Synced):
                return
            yield change


async def keys_until_synced(changes: kinform.Changes) -> set[str]:
    return {change.key async for change in until_synced(changes)}


@pytest.mark.parametrize("initial", ["list", "stream"])
@pytest.mark.parametrize("readable", [True, False])
async def test_synced_waits_for_a_skipped_object(server, api, initial, readable):
    server.generate(PODS, 50)
    server.fault(MalformedObject(after=4, readable_key=readable))
    async with kinform.Informer(api, PODS, options=quick(initial=initial)) as pods:
        await pods.synced(timeout=10)
        assert in_sync(pods.store, server, PODS)
        assert pods.stats().degraded == []
        assert pods.health().ok
    assert len(fetches(server)) == (1 if readable else 0)


@pytest.mark.parametrize("fault", [MalformedObject(), Oversized(bytes=1_000_000), MalformedObject(readable_key=False)])
async def test_wait_for_waits_for_a_skipped_event(server, api, fault):
    keys = server.generate(PODS, 5)
    async with kinform.Informer(api, PODS, options=quick(max_object_bytes=100_000)) as pods:
        await pods.synced(timeout=10)
        server.interrupt(fault)
        server.touch(PODS, keys[0])
        server.touch(PODS, keys[1])
        await pods.wait_for(server.resource_version, timeout=10)
        await until(lambda: in_sync(pods.store, server, PODS))
        assert pods.stats().stale == 0
        assert pods.health().ok


async def test_timeouts_name_the_skipped_keys(server, api):
    keys = server.generate(PODS, 5)
    server.fault(MalformedObject(after=2))
    async with kinform.Informer(api, PODS, options=quick(backoff=SLOW)) as pods:
        await pods.synced(timeout=10, allow_skipped=True)
        (missing,) = set(keys) - set(pods.store)
        for wait in (pods.synced(timeout=0.05), pods.wait_for("1", timeout=0.05)):
            with pytest.raises(kinform.SkippedError, match=f"skipped {missing}: not received again") as caught:
                await wait
            assert caught.value.key == missing
            assert caught.value.keys == (missing,)
        await pods.wait_for("1", timeout=10, allow_skipped=True)
        assert pods.stats().degraded == [missing]
        health = pods.health(max_age=1000)
        assert (health.ok, health.degraded, health.state) == (False, [missing], "live")
        assert missing in health.reason


async def test_an_unknown_key_is_said_to_be_unknown(server, api):
    server.generate(PODS, 5)
    server.fault(MalformedObject(after=2, readable_key=False))
    async with kinform.Informer(api, PODS, options=quick(backoff=SLOW)) as pods:
        with pytest.raises(kinform.SkippedError, match="unreadable key") as caught:
            await pods.synced(timeout=0.3)
        assert caught.value.key is None
        assert caught.value.keys == ("(unknown keys)",)
        assert pods.stats().degraded == ["(unknown keys)"]


@pytest.mark.parametrize("readable", [True, False])
async def test_a_start_from_a_snapshot_requests_skipped_objects(server, api, tmp_path, readable):
    keys = server.generate(PODS, 3)
    path = tmp_path / "pods.kinform"
    async with kinform.Informer(api, PODS, options=quick(backoff=SLOW), snapshot=path) as pods:
        await pods.synced(timeout=10)
        server.interrupt(MalformedObject(readable_key=readable))
        server.touch(PODS, keys[0])
        await until(lambda: pods.stats().degraded)
        degraded = pods.stats().degraded
    assert degraded == [keys[0] if readable else UNKNOWN_KEYS]
    server.requests.clear()
    async with kinform.Informer(api, PODS, options=quick(), snapshot=path) as pods:
        assert pods.stats().snapshot.loaded
        assert pods.stats().degraded == degraded
        assert pods.stats().stale == readable
        changes = pods.changes()
        received = [change async for change in until_synced(changes)]
        assert [change.key for change in received if isinstance(change, kinform.Updated)] == [keys[0]]
        await pods.synced(timeout=10)
        assert in_sync(pods.store, server, PODS)
        assert pods.stats().stale == 0
        assert pods.health().ok
    lists = [request for request in server.requests if request.path.endswith("/pods") and request.verb == "list"]
    assert len(lists) == readable  # without a key, a streaming list
    async with kinform.Informer(api, PODS, options=quick(), snapshot=path) as pods:
        assert pods.stats().snapshot.loaded
        assert pods.stats().degraded == []


async def test_an_object_that_stays_oversized_stops_no_snapshot(server, api, tmp_path):
    server.generate(PODS, 3)
    server.put(PODS, {"metadata": {"name": "big", "namespace": "shop", "annotations": {"a": "x" * 200_000}}})
    path = tmp_path / "pods.kinform"
    for _ in range(2):
        async with kinform.Informer(api, PODS, options=quick(max_object_bytes=100_000), snapshot=path) as pods:
            await pods.synced(timeout=10, allow_skipped=True)
            server.generate(PODS, 1)
            await pods.wait_for(server.resource_version, timeout=10, allow_skipped=True)
            assert pods.stats().degraded == ["shop/big"]
        stats = pods.stats().snapshot
        assert (stats.writes, stats.failures) == (1, 0)
    assert stats.loaded
    async with kinform.Informer(api, PODS, options=quick(), snapshot=path) as pods:
        assert pods.stats().snapshot.loaded
        await pods.synced(timeout=10)
        assert in_sync(pods.store, server, PODS)


@pytest.mark.parametrize("readable", [True, False])
async def test_synced_of_changes_comes_after_the_skipped_object(server, api, readable):
    keys = server.generate(PODS, 5)
    server.fault(MalformedObject(after=2, readable_key=readable))
    async with kinform.Informer(api, PODS, options=quick()) as pods:
        changes, lax = pods.changes(), pods.changes(allow_skipped=True)
        await pods.synced(timeout=10)
        assert await keys_until_synced(changes) == set(keys)
        assert len(await keys_until_synced(lax)) == 4
        server.interrupt(MalformedObject(readable_key=readable))
        server.touch(PODS, keys[0])
        await until(lambda: pods.stats().degraded)
        late = pods.changes()
        received = [change async for change in until_synced(late)]
        assert [type(change).__name__ for change in received] == ["Added"] * 5 + ["Updated"]
        assert received[-1].object["metadata"]["resourceVersion"] == server.resource_version
        server.touch(PODS, keys[1])
        assert [(await anext(each)).key for each in (changes, late)] == [keys[0], keys[1]]


async def test_a_reader_of_a_late_handle_waits_for_skipped_objects(server, api):
    keys = server.generate(PODS, 5)
    server.fault(MalformedObject(after=2))
    options = quick(backoff=kinform.Backoff(initial=0.3))
    async with kinform.Factory(api) as factory:
        await factory.informer(PODS, options=options).synced(timeout=10, allow_skipped=True)
        late = factory.informer(PODS, options=options)
        changes = late.changes()
        assert late.stats().degraded
        assert await keys_until_synced(changes) == set(keys)
        assert not late.stats().degraded


async def test_add_namespace_waits_for_a_skipped_object(server, api):
    server.put(PODS, {"metadata": {"name": "a", "namespace": "till"}})
    server.put(PODS, {"metadata": {"name": "b", "namespace": "till"}})
    scope = kinform.Scope(namespaces=["shop"])
    async with kinform.Informer(api, PODS, scope=scope, options=quick()) as pods:
        await pods.synced(timeout=10)
        server.fault(MalformedObject(after=1))
        await pods.add_namespace("till", timeout=10)
        assert sorted(pods.store) == ["till/a", "till/b"]


async def test_add_namespace_waits_only_for_its_own_objects(server, api):
    keys = server.generate(PODS, 1, namespace="shop")
    server.put(PODS, {"metadata": {"name": "a", "namespace": "till"}})
    scope = kinform.Scope(namespaces=["shop"])
    async with kinform.Informer(api, PODS, scope=scope, options=quick(backoff=SLOW)) as pods:
        await pods.synced(timeout=10)
        server.interrupt(MalformedObject())
        server.touch(PODS, keys[0])
        await until(lambda: pods.stats().degraded == keys)
        await pods.add_namespace("till", timeout=10)
        server.fault(MalformedObject())
        server.put(PODS, {"metadata": {"name": "a", "namespace": "hall"}})
        with pytest.raises(kinform.SkippedError, match=r"skipped hall/a: not received again after 0\.5 s") as caught:
            await pods.add_namespace("hall", timeout=0.5)
        assert caught.value.keys == ("hall/a",)
        await pods.add_namespace("hall", timeout=10, allow_skipped=True)
        assert sorted(pods.stats().streams) == ["hall", "shop", "till"]


async def test_add_namespace_raises_a_refusal_and_follows_on(server, api):
    server.put(PODS, {"metadata": {"name": "a", "namespace": "till"}})
    scope = kinform.Scope(namespaces=["shop"])
    async with kinform.Informer(api, PODS, scope=scope, options=quick()) as pods:
        await pods.synced(timeout=10)
        server.fault(Forbidden(), times=4)
        with pytest.raises(kinform.ForbiddenError, match="v1/pods in till"):
            await pods.add_namespace("till")
        await pods.add_namespace("till", timeout=10, wait=True)
        assert sorted(pods.store) == ["till/a"]


async def test_health_can_allow_skipped_objects(server, api):
    keys = server.generate(PODS, 3)
    async with kinform.Informer(api, PODS, options=quick(backoff=SLOW)) as pods:
        assert not pods.health(allow_skipped=True).ok
        await pods.synced(timeout=10)
        server.interrupt(MalformedObject())
        server.touch(PODS, keys[0])
        await until(lambda: pods.stats().degraded == [keys[0]])
        assert not pods.health(max_age=1000).ok
        health = pods.health(max_age=1000, allow_skipped=True)
        assert (health.ok, health.reason, health.degraded) == (True, "", [keys[0]])


@pytest.mark.parametrize("max_age", [-1, 0, float("nan"), float("inf"), True, "x"])
async def test_a_max_age_that_is_not_positive_is_refused(api, max_age):
    factory = kinform.Factory(api)
    pods = kinform.Informer(api, PODS)
    for health in (pods.health, factory.health):
        with pytest.raises(kinform.OptionError, match="a positive number of seconds, or None") as caught:
            health(max_age=max_age)
        assert caught.value.field == "max_age"


async def test_health_says_how_old_the_copy_is(server, api):
    server.generate(PODS, 3)
    pods = kinform.Informer(api, PODS, options=quick())
    assert pods.health() == kinform.Health(
        ok=False,
        state="starting",
        reason="v1/pods: the informer is not running",
        age_seconds=None,
        degraded=[],
        consecutive_failures=0,
        last_error=None,
    )
    async with pods:
        await pods.synced(timeout=10)
        assert pods.health().ok
        await server.stop()
        await until(lambda: pods.health().consecutive_failures >= 2)
        health = pods.health()
        assert (health.ok, health.reason) == (False, "v1/pods: retrying")
        assert health.last_error is not None
        assert health.age_seconds is not None
        assert pods.health(max_age=1000).ok
        await until(lambda: pods.health().age_seconds > 0.1)
        old = pods.health(max_age=0.1)
        assert not old.ok
        assert re.fullmatch(r"v1/pods: no event or bookmark for \d+\.\d s, more than max_age 0\.1 s: \w+", old.reason)
        await server.start()
