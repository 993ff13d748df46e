"""Finalizers are added and removed without a loss of others, on both servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

import kinform
from kinform.controllers import ensure_finalizer, remove_finalizer
from kinform.testing import Conflict, Server
from tests.support.clusters import Cluster
from tests.support.waiting import until

MAPS = "v1/configmaps"
OURS, OTHER = "example.com/ours", "example.com/other"
LONGEST_PREFIX = f"{'a.' * 126}b"


class Meta(msgspec.Struct):
    name: str
    finalizers: list[str] = []
    deletionTimestamp: str = ""


class ConfigMap(msgspec.Struct):
    metadata: Meta


@pytest.fixture
async def api(cluster: Cluster) -> AsyncIterator[kinform.Connection]:
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        yield api


@pytest.fixture
async def found(cluster: Cluster, api: kinform.Connection) -> dict[str, Any]:
    await cluster.create("a", data={"k": "v"})
    return await api.get(MAPS, f"{cluster.namespace}/a")


def finalizers(obj: dict[str, Any]) -> list[str]:
    return list(obj["metadata"].get("finalizers", []))


async def test_a_finalizer_keeps_an_object_until_it_is_removed(cluster: Cluster, api, found):
    key = f"{cluster.namespace}/a"
    made = await ensure_finalizer(api, MAPS, found, OURS)
    assert finalizers(made) == [OURS]
    assert await ensure_finalizer(api, MAPS, key, OURS) == made
    await api.delete(MAPS, key)
    deleting = await api.get(MAPS, key)
    assert deleting["metadata"]["deletionTimestamp"]
    left = await remove_finalizer(api, MAPS, deleting, OURS)
    assert left is not None
    assert finalizers(left) == []
    with pytest.raises(kinform.NotFoundError):
        await api.get(MAPS, key)
    assert await remove_finalizer(api, MAPS, deleting, OURS) is None
    assert await remove_finalizer(api, MAPS, key, OURS) is None
    with pytest.raises(kinform.NotFoundError):
        await ensure_finalizer(api, MAPS, key, OURS)


async def test_the_longest_name_of_a_finalizer_is_accepted(api, found):
    longest = f"{LONGEST_PREFIX}/{'o' * 63}"
    assert finalizers(await ensure_finalizer(api, MAPS, found, longest)) == [longest]
    await remove_finalizer(api, MAPS, found, longest)


async def test_finalizers_of_others_are_kept_from_a_stale_object(cluster: Cluster, api, found):
    await ensure_finalizer(api, MAPS, found, OTHER)
    made = await ensure_finalizer(api, MAPS, found, OURS)  # `found` has no finalizer
    assert finalizers(made) == [OTHER, OURS]
    left = await remove_finalizer(api, MAPS, made, OURS, type=ConfigMap)
    assert left is not None
    assert left.metadata.finalizers == [OTHER]
    assert finalizers(await api.get(MAPS, f"{cluster.namespace}/a")) == [OTHER]
    await remove_finalizer(api, MAPS, f"{cluster.namespace}/a", OTHER)


async def test_a_recreated_object_keeps_its_finalizer(cluster: Cluster, api, found):
    key = f"{cluster.namespace}/a"
    old = await ensure_finalizer(api, MAPS, found, OURS)
    await api.delete(MAPS, key)
    await remove_finalizer(api, MAPS, key, OURS)
    await cluster.create("a")
    await ensure_finalizer(api, MAPS, key, OURS)
    assert await remove_finalizer(api, MAPS, old, OURS) is None
    assert finalizers(await api.get(MAPS, key)) == [OURS]
    with pytest.raises(kinform.ConflictError):
        await ensure_finalizer(api, MAPS, old, OTHER)
    await remove_finalizer(api, MAPS, key, OURS)


async def test_an_object_that_is_being_deleted_takes_no_new_finalizer(cluster: Cluster, api, found):
    key = f"{cluster.namespace}/a"
    await ensure_finalizer(api, MAPS, found, OURS)
    await api.delete(MAPS, key)
    with pytest.raises((kinform.InvalidError, kinform.ForbiddenError)):
        await ensure_finalizer(api, MAPS, key, OTHER)
    await remove_finalizer(api, MAPS, key, OURS)


# --- requests, on the simulator


@pytest.fixture
async def sim(server: Server) -> AsyncIterator[kinform.Connection]:
    server.put(MAPS, {"metadata": {"namespace": "shop", "name": "a", "finalizers": [OTHER]}})
    async with kinform.connect(server.url) as api:
        yield api


async def test_nothing_to_change_sends_no_request(server: Server, sim):
    async with kinform.Informer(sim, MAPS) as maps:
        await maps.synced()
        asked = len(server.requests)
        found = await ensure_finalizer(sim, maps, "shop/a", OTHER, type=ConfigMap)
        assert found.metadata.finalizers == [OTHER]
        assert await ensure_finalizer(sim, maps, maps.store["shop/a"], OTHER) == maps.store["shop/a"]
        assert await remove_finalizer(sim, MAPS, maps.store.raw("shop/a"), OURS) == maps.store["shop/a"]
        assert len(server.requests) == asked
        maps.expect(await ensure_finalizer(sim, maps, "shop/a", OURS))
        assert len(server.requests) == asked + 1
        assert finalizers(maps.store["shop/a"]) == [OTHER, OURS]
        await remove_finalizer(sim, maps, "shop/a", OURS)
        assert len(server.requests) == asked + 2


class KeyMeta(msgspec.Struct):
    name: str
    namespace: str
    resourceVersion: str
    finalizers: list[str] = []


class KeyOnly(msgspec.Struct):
    metadata: KeyMeta


def without_finalizers(raw: bytes) -> bytes:
    obj = msgspec.json.decode(raw)
    del obj["metadata"]["finalizers"]
    return msgspec.json.encode(obj)


def with_the_last_finalizer(raw: bytes) -> bytes:
    obj = msgspec.json.decode(raw)
    del obj["metadata"]["finalizers"][:-1]
    return msgspec.json.encode(obj)


@pytest.mark.parametrize(
    "options",
    [
        {"prune": kinform.Prune(drop=["metadata.finalizers"])},
        {"prune": kinform.Prune(drop=["metadata.finalizers"]), "type": KeyOnly},
        {"prune": kinform.Prune(keep_last={"metadata.finalizers": 1})},
        {"transform": without_finalizers},
        {"transform": with_the_last_finalizer},
    ],
)
async def test_finalizers_that_the_store_lacks_are_kept(server: Server, sim, options):
    async with kinform.Informer(sim, MAPS, **options) as maps:
        await maps.synced()
        maps.expect(await ensure_finalizer(sim, MAPS, maps.store["shop/a"], OURS))
        await ensure_finalizer(sim, maps, "shop/a", "example.com/third")
        assert finalizers(await sim.get(MAPS, "shop/a")) == [OTHER, OURS, "example.com/third"]
        left = await remove_finalizer(sim, maps, "shop/a", OURS)
        assert left is not None
        assert finalizers(left) == [OTHER, "example.com/third"]


async def test_a_recreated_object_without_finalizers_is_a_conflict(server: Server, sim):
    server.put(MAPS, {"metadata": {"namespace": "shop", "name": "b"}})
    old = await sim.get(MAPS, "shop/b")
    server.delete(MAPS, "shop/b")
    server.put(MAPS, {"metadata": {"namespace": "shop", "name": "b"}})
    with pytest.raises(kinform.ConflictError, match="the uid is another one"):
        await ensure_finalizer(sim, MAPS, old, OURS)
    assert await remove_finalizer(sim, MAPS, old, OURS) is None
    assert finalizers(await sim.get(MAPS, "shop/b")) == []


async def test_a_new_object_in_the_store_takes_one_request(server: Server, sim):
    async with kinform.Informer(sim, MAPS) as maps:
        server.put(MAPS, {"metadata": {"namespace": "shop", "name": "b"}})
        await until(lambda: "shop/b" in maps.store)
        asked = len(server.requests)
        assert finalizers(await ensure_finalizer(sim, maps, "shop/b", OURS)) == [OURS]
        assert [request.verb for request in server.requests[asked:]] == ["patch"]


async def test_conflicts_are_retried_five_times(server: Server, sim):
    server.fault(Conflict(), on="patch", times=4)
    assert finalizers(await ensure_finalizer(sim, MAPS, "shop/a", OURS)) == [OTHER, OURS]
    for function in (ensure_finalizer, remove_finalizer):
        server.fault(Conflict(), on="patch", times=5)
        name = "example.com/new" if function is ensure_finalizer else OURS
        with pytest.raises(kinform.ConflictError):
            await function(sim, MAPS, "shop/a", name)


async def test_a_missing_object_in_the_store_is_asked_for(server: Server, sim):
    async with kinform.Informer(sim, MAPS) as maps:
        await maps.synced()
        server.delete(MAPS, "shop/a")
        server.put(MAPS, {"metadata": {"namespace": "shop", "name": "b"}})
        await until(lambda: "shop/b" in maps.store)
        assert finalizers(await ensure_finalizer(sim, maps, "shop/b", OURS)) == [OURS]
        assert await remove_finalizer(sim, maps, "shop/none", OURS) is None


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("api", (None, MAPS, "shop/a", OURS)),
        ("name", (..., MAPS, "shop/a", "Not a name")),
        ("name", (..., MAPS, "shop/a", f"{LONGEST_PREFIX}c/ours")),
        ("name", (..., MAPS, "shop/a", f"example.com/{'o' * 64}")),
        ("name", (..., MAPS, "shop/a", "example..com/ours")),
        ("obj", (..., MAPS, 7, OURS)),
        ("obj.metadata.name", (..., MAPS, {"metadata": {}}, OURS)),
        ("resource", (..., "pods", "shop/a", OURS)),
    ],
)
async def test_wrong_arguments_are_named(sim, field, arguments):
    arguments = [sim if each is ... else each for each in arguments]
    for function in (ensure_finalizer, remove_finalizer):
        with pytest.raises(kinform.OptionError) as caught:
            await function(*arguments)
        assert caught.value.field == field


async def test_a_type_that_objects_cannot_have_is_refused(sim):
    for function in (ensure_finalizer, remove_finalizer):
        with pytest.raises(kinform.OptionError, match=r"^type: "):
            await function(sim, MAPS, "shop/a", OURS, type=int)
