"""Shards on a real kube-apiserver, with the gate `ShardedListAndWatch` on and off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import kinform
from kinform_ext._scan import shard_of
from tests.net.informers import quick, versions
from tests.support.clusters import RealCluster, real_cluster
from tests.support.controlplane.pool import ControlPlanePool
from tests.support.waiting import until

COUNT = 4
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
LOWER_HALF = "shardRange(object.metadata.uid, '0x0000000000000000', '0x8000000000000000')"


@pytest.fixture(params=["on", "off"])
def gate(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
async def cluster(control_plane_pool: ControlPlanePool, gate: str) -> AsyncIterator[RealCluster]:
    flags = ("--feature-gates=ShardedListAndWatch=true",) if gate == "on" else ()
    async with real_cluster(await control_plane_pool.get(*flags)) as cluster:
        yield cluster


@pytest.fixture(params=["built-in", "custom"])
async def resource(request: pytest.FixtureRequest, cluster: RealCluster) -> str:
    return cluster.resource if request.param == "built-in" else await cluster.create_custom_resource()


async def in_shard(cluster: RealCluster, resource: str, index: int) -> dict[str, tuple[str, str]]:
    listed = await cluster.api.list_raw(resource, namespace=cluster.namespace)
    metas = [item["metadata"] for item in listed.json()["items"]]
    return {
        f"{meta['namespace']}/{meta['name']}": (meta["uid"], meta["resourceVersion"])
        for meta in metas
        if shard_of(meta["uid"], COUNT) == index
    }


@pytest.mark.parametrize("initial", ["list", "stream"])
async def test_the_objects_are_the_same_with_and_without_the_gate(
    cluster: RealCluster, gate: str, resource: str, initial: Any
) -> None:
    for number in range(16):
        await cluster.create(f"a{number}", resource)
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        for index in range(COUNT):
            scope = kinform.Scope(shard=(index, COUNT), namespaces=[cluster.namespace])
            async with kinform.Informer(api, resource, scope=scope, options=quick(initial=initial, page_size=3)) as one:
                await one.synced(timeout=20)
                assert versions(one.store) == await in_shard(cluster, resource, index)
                await cluster.replace(f"a{index}", resource, data={"k": "v"})
                await cluster.create(f"b{index}", resource)
                await cluster.delete(f"a{index + 8}", resource)
                expected = await in_shard(cluster, resource, index)
                await until(lambda: versions(one.store) == expected)  # noqa: B023
                assert (one.stats().shard_dropped == 0) is (gate == "on")


@pytest.mark.parametrize("gate", ["on"], indirect=True)
async def test_only_full_lists_of_built_in_resources_echo_the_selector(cluster: RealCluster) -> None:
    custom = await cluster.create_custom_resource()
    where: Any = {"namespace": cluster.namespace, "shardSelector": LOWER_HALF}
    built_in = await cluster.api.list_raw(cluster.resource, **where)
    metadata = await cluster.api.list_raw(cluster.resource, headers={"Accept": METADATA}, **where)
    assert built_in.json()["metadata"]["shardInfo"] == {"selector": LOWER_HALF}
    assert "shardInfo" not in metadata.json()["metadata"]
    assert "shardInfo" not in (await cluster.api.list_raw(custom, **where)).json()["metadata"]


@pytest.mark.parametrize("gate", ["on"], indirect=True)
async def test_pages_of_a_shard_count_the_objects_of_all(cluster: RealCluster) -> None:
    for number in range(16):
        await cluster.create(f"a{number}")
    where: Any = {"namespace": cluster.namespace, "shardSelector": LOWER_HALF}
    page = await cluster.api.list_raw(cluster.resource, limit=2, **where)
    assert len(page.json()["items"]) == 2
    assert page.json()["metadata"]["remainingItemCount"] > 8


@pytest.mark.parametrize("gate", ["on"], indirect=True)
async def test_a_bad_selector_is_500_without_a_reason(cluster: RealCluster) -> None:
    answer = await cluster.api.list_raw(cluster.resource, shardSelector="uid in (a)")
    assert (answer.status, answer.json().get("reason", "")) == (500, "")
    assert answer.json()["message"].startswith("invalid shard selector: ")
