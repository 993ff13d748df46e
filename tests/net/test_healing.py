"""Skipped objects: they are requested again, and never replace a newer version."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import kinform
from kinform._informer import healer
from kinform._listwatch.fetch import Fetched, request_of
from kinform._spec import CollectionSpec
from kinform.testing import Forbidden, Gone, MalformedObject
from tests.net.informers import SLOW, fails, fetches, in_sync, quick
from tests.support.waiting import until

PODS = "v1/pods"


async def test_an_oversized_object_is_fetched_with_growing_waits(server, api):
    server.generate(PODS, 3)
    big = {"metadata": {"name": "big", "namespace": "shop", "annotations": {"a": "x" * 200_000}}}
    server.put(PODS, big)
    async with kinform.Informer(api, PODS, options=quick(max_object_bytes=100_000)) as pods:
        with pytest.raises(kinform.SkippedError, match="shop/big"):
            await pods.synced(timeout=1.0)
        assert 2 <= len(fetches(server)) <= 7
        assert pods.state == "live"
        server.put(PODS, {"metadata": {"name": "big", "namespace": "shop"}})
        await pods.synced(timeout=10)
        assert in_sync(pods.store, server, PODS)


async def test_a_refused_fetch_is_reported_and_repeated(server, api):
    keys = server.generate(PODS, 3)
    errors: list[kinform.KinformError] = []
    async with kinform.Informer(api, PODS, options=quick(on_error=errors.append)) as pods:
        await pods.synced(timeout=10)
        server.fault(Forbidden(), on="list")
        server.interrupt(MalformedObject())
        server.touch(PODS, keys[0])
        await pods.wait_for(server.resource_version, timeout=10)
        assert in_sync(pods.store, server, PODS)
    assert [type(error) for error in errors] == [kinform.SkippedError, kinform.ForbiddenError]


async def test_a_skipped_object_that_is_deleted_ends_the_degradation(server, api):
    keys = server.generate(PODS, 3)
    async with kinform.Informer(api, PODS, options=quick(backoff=SLOW)) as pods:
        await pods.synced(timeout=10)
        server.interrupt(MalformedObject())
        server.touch(PODS, keys[0])
        await until(lambda: pods.stats().degraded == [keys[0]])
        server.delete(PODS, keys[0])
        await pods.wait_for(server.resource_version, timeout=10)
        assert set(pods.store) == set(keys[1:])
        assert pods.health().ok


async def test_a_fetch_applies_the_selectors_of_the_scope(server, api):
    server.put(PODS, {"metadata": {"name": "a", "namespace": "shop", "labels": {"app": "web"}}})
    scope = kinform.Scope(namespaces=["shop"], label_selector="app=web", metadata_only=True)
    async with kinform.Informer(api, PODS, scope=scope, options=quick()) as pods:
        await pods.synced(timeout=10)
        server.interrupt(MalformedObject())
        server.touch(PODS, "shop/a")
        await pods.wait_for(server.resource_version, timeout=10)
        assert in_sync(pods.store, server, PODS)
    (request,) = [request for request in server.requests if "metadata.name" in str(request.params)]
    assert request.path == "/api/v1/namespaces/shop/pods"
    assert dict(request.params) == {"fieldSelector": "metadata.name=a", "labelSelector": "app=web"}
    assert "PartialObjectMetadataList" in request.headers["Accept"]


async def test_handlers_get_each_version_in_order(server, api):
    keys = server.generate(PODS, 3)
    seen: list[int] = []
    async with kinform.Informer(api, PODS, options=quick()) as pods:
        await pods.synced(timeout=10)
        pods.on_update(lambda old, new: seen.append(int(new["metadata"]["resourceVersion"])))
        for _ in range(20):
            server.interrupt(MalformedObject())
            for _ in range(3):
                server.touch(PODS, keys[0])
                await asyncio.sleep(0)
        await pods.wait_for(server.resource_version, timeout=10)
        await until(lambda: pods.stats().queue_depth == 0)
        assert in_sync(pods.store, server, PODS)
    assert seen == sorted(set(seen))
    assert str(seen[-1]) == server.resource_version


async def test_a_relist_that_receives_the_object_ends_the_degradation(server, api):
    keys = server.generate(PODS, 3)
    async with kinform.Informer(
        api, PODS, options=quick(backoff=kinform.Backoff(initial=3.0, maximum=30.0), initial="list")
    ) as pods:
        await pods.synced(timeout=10)
        await server.wait_for_watchers(1)
        server.interrupt(MalformedObject())
        server.touch(PODS, keys[0])
        await until(lambda: pods.stats().degraded == [keys[0]])
        server.fault(Gone(), on="watch")
        server.disconnect()
        await until(lambda: in_sync(pods.store, server, PODS), within=10)
        assert pods.stats().degraded == []


async def test_nothing_is_left_of_a_fetch_after_the_block(server, api):
    keys = server.generate(PODS, 3)
    before = asyncio.all_tasks()
    async with kinform.Informer(api, PODS, options=quick()) as pods:
        await pods.synced(timeout=10)
        server.fault(kinform.testing.Stall(headers=False), on="list")
        server.interrupt(MalformedObject())
        server.touch(PODS, keys[0])
        await server.wait_for_request(on="list", timeout=10)
        assert not pods.health().ok
    assert {task for task in asyncio.all_tasks() if "kinform" in task.get_name()} <= before
    assert pods.health().state == "stopped"
    assert not pods.health().ok


@pytest.mark.parametrize(("ahead", "healed"), [(-1, True), (0, True), (1, False)])
async def test_an_answer_that_the_watch_has_not_reached_is_not_written(server, api, ahead, healed, monkeypatch):
    keys = server.generate(PODS, 3)
    answered = asyncio.Event()
    fetch = healer.fetch

    async def early(*args: Any, **names: Any) -> Fetched:
        found = await fetch(*args, **names)
        answered.set()
        # As if the watch were behind the answer by one resourceVersion.
        number = int(server.resource_version) + ahead
        return Fetched(found.batch, str(number), found.state)

    monkeypatch.setattr(healer, "fetch", early)
    async with kinform.Informer(api, PODS, options=quick()) as pods:
        await pods.synced(timeout=10)
        server.interrupt(MalformedObject())
        server.touch(PODS, keys[0])
        await answered.wait()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (pods.stats().degraded == []) is healed


async def test_an_answer_from_before_a_newer_event_is_not_written(server, api, monkeypatch):
    keys = server.generate(PODS, 3)
    fetch = healer.fetch
    applied = asyncio.Event()

    async def late(*args: Any, **names: Any) -> Fetched:
        found = await fetch(*args, **names)
        server.touch(PODS, keys[0])
        await until(lambda: not pods.stats().degraded)
        applied.set()
        return found

    monkeypatch.setattr(healer, "fetch", late)
    async with kinform.Informer(api, PODS, options=quick()) as pods:
        await pods.synced(timeout=10)
        server.interrupt(MalformedObject())
        server.touch(PODS, keys[0])
        await applied.wait()
        await pods.wait_for(server.resource_version, timeout=10)
        assert in_sync(pods.store, server, PODS)


async def test_an_object_that_is_gone_when_it_is_fetched_is_deleted(server, api, monkeypatch):
    keys = server.generate(PODS, 3)
    fetch = healer.fetch

    async def gone(*args: Any, **names: Any) -> Fetched:
        found = await fetch(*args, **names)
        return Fetched(None, found.resource_version, found.state)

    monkeypatch.setattr(healer, "fetch", gone)
    async with kinform.Informer(api, PODS, options=quick()) as pods:
        await pods.synced(timeout=10)
        changes = pods.changes()
        server.interrupt(MalformedObject())
        server.touch(PODS, keys[0])
        async for change in changes:
            if isinstance(change, kinform.Deleted):
                break
        assert (change.key, change.synthetic) == (keys[0], True)
        assert keys[0] not in pods.store
        assert pods.health().ok


async def test_a_fetch_above_the_memory_limit_fails_the_informer(server, api, monkeypatch):
    def full(*args: object) -> None:
        raise kinform.MemoryLimitError(PODS, 3, 2, 1, 1)

    monkeypatch.setattr(kinform.Writer, "heal", full)
    keys = server.generate(PODS, 3)
    async with fails(kinform.Informer(api, PODS, options=quick()), kinform.MemoryLimitError) as pods:
        await pods.synced(timeout=10)
        server.interrupt(MalformedObject())
        server.touch(PODS, keys[0])
        async with asyncio.timeout(10):
            assert isinstance(await pods.failed(), kinform.MemoryLimitError)
        assert pods.state == "failed"
        assert not pods.health().ok


async def test_one_object_is_fetched_within_the_scope(cluster):
    """A LIST of one name says what a GET says, and applies the selectors."""
    await cluster.create("here", labels={"app": "web"})
    await cluster.create("other", labels={"app": "db"})
    spec = CollectionSpec.of(cluster.resource, kinform.Scope(label_selector="app=web"))
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        here = await healer.fetch(api, spec, f"{cluster.namespace}/here", name="maps")
        assert here.batch is not None
        assert here.batch.key(0) == f"{cluster.namespace}/here"
        assert here.resource_version == here.batch.resource_version(0)
        for name in ("other", "missing"):
            absent = await healer.fetch(api, spec, f"{cluster.namespace}/{name}", name="maps")
            assert absent.batch is None
            assert int(absent.resource_version) >= int(here.resource_version)


async def test_a_name_with_special_characters_is_fetched(real):
    """The name of a Role may have the characters that separate field selectors."""
    roles, name = "rbac.authorization.k8s.io/v1/roles", "a,b=c!=d\\e"
    await real.create(name, resource=roles)
    async with kinform.connect(real.url, **real.connect_options) as api:
        key = f"{real.namespace}/{name}"
        found = await healer.fetch(api, CollectionSpec.of(roles), key, name="roles")
        assert found.batch is not None
        assert found.batch.key(0) == key


def test_special_characters_of_a_name_are_escaped():
    request = request_of(CollectionSpec.of(PODS, kinform.Scope(field_selector="a=b")), "shop/a,b=c\\d")
    assert request.path == "/api/v1/namespaces/shop/pods"
    assert request.params == (("fieldSelector", r"metadata.name=a\,b\=c\\d,a=b"),)


async def test_an_oversized_object_is_healed_when_it_shrinks(cluster):
    await cluster.create("big", data={"a": "x" * 100_000})
    options = quick(max_object_bytes=50_000)
    scope = kinform.Scope(namespaces=[cluster.namespace])
    key = f"{cluster.namespace}/big"
    async with (
        kinform.connect(cluster.url, **cluster.connect_options) as api,
        kinform.Informer(api, cluster.resource, scope=scope, options=options) as maps,
    ):
        with pytest.raises(kinform.SkippedError, match=key):
            await maps.synced(timeout=1)
        assert maps.health().degraded == [key]
        await cluster.replace("big", data={"a": "x"})
        await maps.synced(timeout=20)
        assert key in maps.store
        assert maps.health().ok
