"""The drop-in Watch against the simulator and a real kube-apiserver."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

import kinform.sync.watch
import kinform.watch
from tests.support.clusters import Cluster
from tests.watch.clients import SYNC_CLIENT, Client, collect


@pytest.fixture
async def api_client(client: Client, cluster: Cluster) -> AsyncIterator[Any]:
    async with client.connect(cluster.url, **cluster.connect_options) as api_client:
        yield api_client


def names(events: list[Any]) -> list[tuple[str, str]]:
    return [(each["type"], each["object"].metadata.name) for each in events]


async def test_a_loop_sees_all_changes(client, cluster, api_client):
    v1 = client.client.CoreV1Api(api_client)
    await cluster.create("a", labels={"app": "web"}, data={"k": "1"})
    async with kinform.watch.Watch() as w:
        w.stream(v1.list_namespaced_config_map, cluster.namespace, label_selector="app=web")
        found = await collect(w, 1)
        await cluster.replace("a", labels={"app": "web"}, data={"k": "2"})
        await cluster.create("b")
        await cluster.create("c", labels={"app": "web"})
        await cluster.delete("a")
        found += await collect(w, 3)
    assert names(found) == [("ADDED", "a"), ("MODIFIED", "a"), ("ADDED", "c"), ("DELETED", "a")]
    assert found[1]["object"].data == found[1]["raw_object"]["data"] == {"k": "2"}
    assert found[1].key == f"{cluster.namespace}/a"
    assert int(w.resource_version) > int(found[2].resource_version)


async def test_custom_objects_are_dicts(client, cluster, api_client):
    resource = await cluster.create_custom_resource()
    group, version, plural = resource.split("/")
    await cluster.create("w", resource, size=3)
    custom = client.client.CustomObjectsApi(api_client)
    async with kinform.watch.Watch() as w:
        w.stream(custom.list_namespaced_custom_object, group, version, cluster.namespace, plural)
        (found,) = await collect(w, 1)
    assert found["object"]["size"] == 3
    assert found["object"]["kind"] == "Widget"


async def test_bookmarks_come_on_demand(client, cluster, api_client):
    v1 = client.client.CoreV1Api(api_client)
    await cluster.create("a")
    async with kinform.watch.Watch() as w:
        w.stream(
            v1.list_namespaced_config_map,
            cluster.namespace,
            allow_watch_bookmarks=True,
            send_initial_events=True,
            resource_version_match="NotOlderThan",
            resource_version="",
        )
        found = []
        async for event in w:
            found.append(event["type"])
            if event["type"] == "BOOKMARK":
                break
    assert set(found) == {"ADDED", "BOOKMARK"}
    assert w.resource_version


async def test_the_time_of_the_server_ends_a_stream(client, cluster, api_client):
    v1 = client.client.CoreV1Api(api_client)
    await cluster.create("a")
    async with kinform.watch.Watch() as w:
        stream = w.stream(
            v1.list_namespaced_config_map, cluster.namespace, field_selector="metadata.name=a", timeout_seconds=1
        )
        assert names([event async for event in stream]) == [("ADDED", "a")]


async def test_a_lost_history_is_compared_with_a_list(client, cluster, api_client):
    v1 = client.client.CoreV1Api(api_client)
    for name in ("changed", "gone", "kept"):
        await cluster.create(name, labels={"app": "web"})
    async with kinform.watch.Watch(on_expired="diff") as w:
        w.stream(v1.list_namespaced_config_map, cluster.namespace, label_selector="app=web")
        await collect(w, 3)
        await cluster.replace("kept", labels={"app": "web"}, data={"k": "1"})
        await collect(w, 1)
        await cluster.replace("changed", labels={"app": "web"}, data={"k": "2"})
        await cluster.delete("gone")
        await cluster.create("new", labels={"app": "web"})
        await cluster.expire_history()
        found = await collect(w, 3)
    # The Watch may have received the events before the history was lost.
    assert sorted(names(found)) == [("ADDED", "new"), ("DELETED", "gone"), ("MODIFIED", "changed")]


async def test_the_blocking_loop_sees_all_changes(cluster):
    pytest.importorskip(SYNC_CLIENT.name)
    api_client = SYNC_CLIENT.connect(cluster.url, **cluster.connect_options)
    v1 = SYNC_CLIENT.client.CoreV1Api(api_client)
    await cluster.create("a", labels={"app": "web"})
    watch = kinform.sync.watch.Watch()
    stream = watch.stream(v1.list_namespaced_config_map, cluster.namespace, label_selector="app=web")

    async def take(count: int) -> list[Any]:
        return await asyncio.to_thread(lambda: list(itertools.islice(stream, count)))

    found = await take(1)
    await cluster.delete("a")
    found += await take(1)
    assert names(found) == [("ADDED", "a"), ("DELETED", "a")]
    waiting = asyncio.create_task(take(1))
    await asyncio.sleep(0.2)
    watch.stop()
    assert await asyncio.wait_for(waiting, 5) == []
    api_client.rest_client.pool_manager.clear()
