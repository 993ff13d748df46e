"""WATCH: facts that hold for a real kube-apiserver and for the simulator.

Each test runs against both, without kinform's client. LIST is in test_conformance.py; facts that need the real server
are in tests/real/test_protocol.py.
Source: the Kubernetes API concepts page, KEP-956, KEP-3157, checked on the real server.
"""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.support.admin import WATCH_LIST, Object, names, types_and_names
from tests.support.clusters import Cluster
from tests.support.waiting import until

METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
END = {"k8s.io/initial-events-end": "true"}


# WATCH


async def test_a_watch_from_a_list_sends_later_events_in_order(cluster: Cluster) -> None:
    await cluster.create("a", data={"k": "1"})
    await cluster.create("b")
    before = await cluster.resource_version()
    await cluster.replace("a", data={"k": "2"})
    async with cluster.api.watch(
        cluster.resource, namespace=cluster.namespace, resourceVersion=before, timeoutSeconds=2
    ) as stream:
        assert stream.status == 200
        assert stream.headers["Content-Type"] == "application/json"
        await cluster.delete("b")
        await cluster.create("c")
        events = await stream.rest()
    assert types_and_names(events) == [("MODIFIED", "a"), ("DELETED", "b"), ("ADDED", "c")]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    assert versions[0] > int(before)


async def test_watch_objects_begin_with_kind_and_api_version(cluster: Cluster) -> None:
    resource = await cluster.create_custom_resource()
    await cluster.create("a")
    await cluster.create("a", resource)
    orders = {cluster.resource: ["kind", "apiVersion", "metadata"], resource: ["apiVersion", "kind", "metadata"]}
    for each, order in orders.items():
        async with cluster.api.watch(each, namespace=cluster.namespace, **WATCH_LIST) as stream:
            events = await stream.until("BOOKMARK")
        assert [list(event) for event in events] == [["type", "object"]] * 2
        assert [list(event["object"]) for event in events] == [order, order]


async def test_a_deleted_event_has_the_last_state_at_a_new_version(cluster: Cluster) -> None:
    stored = await cluster.create("a", data={"k": "v"})
    before = await cluster.resource_version()
    await cluster.delete("a")
    async with cluster.api.watch(
        cluster.resource, namespace=cluster.namespace, resourceVersion=before, timeoutSeconds=10
    ) as stream:
        event = await stream.event()
    assert event is not None
    assert event["type"] == "DELETED"
    assert event["object"]["data"] == {"k": "v"}
    assert event["object"]["metadata"]["uid"] == stored["metadata"]["uid"]
    assert int(event["object"]["metadata"]["resourceVersion"]) > int(before)


@pytest.mark.parametrize("params", [{}, {"resourceVersion": 0}], ids=["unset", "zero"])
async def test_a_watch_without_version_sends_the_state_as_added(cluster: Cluster, params: Object) -> None:
    await cluster.create("a")
    async with cluster.api.watch(cluster.resource, namespace=cluster.namespace, timeoutSeconds=10, **params) as stream:
        assert types_and_names([await stream.change()]) == [("ADDED", "a")]
        await cluster.create("b")
        assert types_and_names([await stream.change()]) == [("ADDED", "b")]


async def test_a_watch_ends_cleanly_after_its_timeout(cluster: Cluster) -> None:
    started = asyncio.get_running_loop().time()
    async with cluster.api.watch(
        cluster.resource,
        namespace=cluster.namespace,
        resourceVersion=await cluster.resource_version(),
        timeoutSeconds=1,
    ) as stream:
        assert await stream.line(within=4) == b""
    assert asyncio.get_running_loop().time() - started > 0.8


async def test_a_bookmark_before_the_end_has_a_later_version(cluster: Cluster) -> None:
    before = await cluster.resource_version()
    # It is due two seconds before the end, from a timer that may be late: a stream may miss it.
    for index in range(5):
        async with cluster.api.watch(
            cluster.resource,
            namespace=cluster.namespace,
            resourceVersion=before,
            timeoutSeconds=4,
            allowWatchBookmarks="true",
        ) as stream:
            obj = {"metadata": {"name": f"elsewhere-{index}", "namespace": "default"}}
            elsewhere = await cluster.api.create(cluster.resource, obj)
            await cluster.api.delete(cluster.resource, f"default/elsewhere-{index}")
            if events := await stream.rest():
                break
    assert {event["type"] for event in events} == {"BOOKMARK"}
    bookmark = events[-1]["object"]
    assert list(bookmark) == ["kind", "apiVersion", "metadata"]
    assert bookmark["kind"] == "ConfigMap"
    assert list(bookmark["metadata"]) == ["resourceVersion"]
    assert int(bookmark["metadata"]["resourceVersion"]) >= int(elsewhere["metadata"]["resourceVersion"])


async def test_a_watch_that_does_not_allow_bookmarks_gets_none(cluster: Cluster) -> None:
    before = await cluster.resource_version()
    async with cluster.api.watch(
        cluster.resource, namespace=cluster.namespace, resourceVersion=before, timeoutSeconds=3
    ) as stream:
        assert await stream.rest() == []


async def test_a_metadata_watch_sends_partial_objects(cluster: Cluster) -> None:
    await cluster.create("a", data={"k": "v"})
    async with cluster.api.watch(
        cluster.resource, namespace=cluster.namespace, headers={"Accept": METADATA}, **WATCH_LIST
    ) as stream:
        events = await stream.until("BOOKMARK")
    assert types_and_names(events) == [("ADDED", "a"), ("BOOKMARK", "")]
    for event in events:
        assert list(event["object"]) == ["kind", "apiVersion", "metadata"]
        assert event["object"]["kind"] == "PartialObjectMetadata"
        assert event["object"]["apiVersion"] == "meta.k8s.io/v1"


@pytest.mark.parametrize("custom", [False, True], ids=["built-in", "custom"])
async def test_a_watch_from_an_expired_version_gets_an_error_event_410(cluster: Cluster, custom: bool) -> None:
    resource = await cluster.create_custom_resource() if custom else cluster.resource
    before = await cluster.resource_version(resource)
    await cluster.expire_history()

    async def error() -> Object | None:
        # The watch cache of a custom resource starts with the first request after a restart: 429 until then.
        async with cluster.api.watch(
            resource, namespace=cluster.namespace, resourceVersion=before, timeoutSeconds=5
        ) as stream:
            if stream.status == 429:
                assert cluster.name == "real"
                return None
            assert stream.status == 200
            event = await stream.event()
            assert await stream.event() is None
            return event

    events: list[Object] = []

    async def answered() -> bool:
        events.extend(event for event in [await error()] if event is not None)
        return bool(events)

    await until(answered)
    assert events[0]["type"] == "ERROR"
    status = events[0]["object"]
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
    assert f"too old resource version: {before} (" in status["message"]


async def test_a_watch_from_a_future_version_sends_nothing(cluster: Cluster) -> None:
    async with cluster.api.watch(
        cluster.resource, namespace=cluster.namespace, resourceVersion=99_999_999, timeoutSeconds=1
    ) as stream:
        assert stream.status == 200
        assert await stream.rest() == []


async def test_an_object_that_leaves_a_selection_is_deleted(
    cluster: Cluster,
) -> None:
    await cluster.create("a", labels={"in": "yes"})
    before = await cluster.resource_version()
    changed = await cluster.replace("a", labels={"in": "no"})
    back = await cluster.replace("a", labels={"in": "yes"})
    async with cluster.api.watch(
        cluster.resource,
        namespace=cluster.namespace,
        labelSelector="in=yes",
        resourceVersion=before,
        timeoutSeconds=10,
    ) as stream:
        left = await stream.event()
        entered = await stream.event()
    assert left is not None
    assert entered is not None
    assert (left["type"], entered["type"]) == ("DELETED", "ADDED")
    assert left["object"]["metadata"]["labels"] == {"in": "yes"}
    assert left["object"]["metadata"]["resourceVersion"] == changed["metadata"]["resourceVersion"]
    assert entered["object"]["metadata"]["resourceVersion"] == back["metadata"]["resourceVersion"]


async def test_a_watch_is_not_gzipped(cluster: Cluster) -> None:
    await cluster.create("a", data={"text": "x" * 200_000})
    async with cluster.api.watch(
        cluster.resource, namespace=cluster.namespace, headers={"Accept-Encoding": "gzip"}, **WATCH_LIST
    ) as stream:
        assert "Content-Encoding" not in stream.headers
        assert len(await stream.until("BOOKMARK")) == 2


# WatchList


async def test_a_watch_list_sends_the_state_its_end_and_later_events(cluster: Cluster) -> None:
    for name in "ab":
        await cluster.create(name)
    async with cluster.api.watch(cluster.resource, namespace=cluster.namespace, **WATCH_LIST) as stream:
        events = await stream.until("BOOKMARK")
        assert sorted(types_and_names(events)) == [("ADDED", "a"), ("ADDED", "b"), ("BOOKMARK", "")]
        metadata = events[-1]["object"]["metadata"]
        assert metadata.keys() == {"resourceVersion", "annotations"}
        assert metadata["annotations"] == END
        assert int(metadata["resourceVersion"]) >= int(events[1]["object"]["metadata"]["resourceVersion"])
        await cluster.delete("a")
        assert types_and_names([await stream.change()]) == [("DELETED", "a")]


async def test_an_empty_watch_list_sends_its_end(cluster: Cluster) -> None:
    resource = await cluster.create_custom_resource(namespaced=False)
    async with cluster.api.watch(resource, **WATCH_LIST) as stream:
        events = await stream.until("BOOKMARK")
    assert len(events) == 1
    assert events[0]["object"]["kind"] == "Widget"
    assert events[0]["object"]["metadata"]["annotations"] == END


async def test_a_watch_list_follows_selectors(cluster: Cluster) -> None:
    await cluster.create("a", labels={"in": "yes"})
    await cluster.create("b", labels={"in": "no"})
    async with cluster.api.watch(
        cluster.resource, namespace=cluster.namespace, labelSelector="in=yes", **WATCH_LIST
    ) as stream:
        assert types_and_names(await stream.until("BOOKMARK")) == [("ADDED", "a"), ("BOOKMARK", "")]


async def test_a_watch_list_without_bookmarks_sends_no_end(cluster: Cluster) -> None:
    await cluster.create("a")
    params = {name: value for name, value in WATCH_LIST.items() if name != "allowWatchBookmarks"}
    async with cluster.api.watch(cluster.resource, namespace=cluster.namespace, timeoutSeconds=1, **params) as stream:
        assert types_and_names(await stream.rest()) == [("ADDED", "a")]


async def test_a_watch_list_from_an_old_version_sends_current_state(cluster: Cluster) -> None:
    before = await cluster.resource_version()
    await cluster.expire_history()
    await cluster.create("a")
    async with cluster.api.watch(
        cluster.resource, namespace=cluster.namespace, resourceVersion=before, **WATCH_LIST
    ) as stream:
        assert types_and_names(await stream.until("BOOKMARK")) == [("ADDED", "a"), ("BOOKMARK", "")]


async def test_a_watch_list_from_a_future_version_is_an_error_event(cluster: Cluster) -> None:
    async with cluster.api.watch(
        cluster.resource, namespace=cluster.namespace, resourceVersion=99_999_999, timeoutSeconds=5, **WATCH_LIST
    ) as stream:
        assert stream.status == 200
        (event,) = await stream.rest()
    assert event["type"] == "ERROR"
    assert event["object"]["code"] == 504
    assert event["object"]["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


# Crash and freeze


async def test_a_crashed_server_returns_with_its_objects(cluster: Cluster) -> None:
    await cluster.create("a")
    async with cluster.api.watch(cluster.resource, namespace=cluster.namespace, **WATCH_LIST) as stream:
        await stream.until("BOOKMARK")
        await cluster.crash()
        with pytest.raises(aiohttp.ClientError):
            await stream.line()
    with pytest.raises(aiohttp.ClientConnectorError):
        await cluster.api.list_raw(cluster.resource)
    await cluster.recover()
    assert names(await cluster.api.list_raw(cluster.resource, namespace=cluster.namespace)) == ["a"]


async def test_a_frozen_server_is_silent_and_continues_after_a_thaw(cluster: Cluster) -> None:
    async with cluster.api.watch(cluster.resource, namespace=cluster.namespace, **WATCH_LIST) as stream:
        await stream.until("BOOKMARK")
        await cluster.freeze()
        with pytest.raises(TimeoutError):
            await cluster.api.list_raw(cluster.resource, headers={"Connection": "close"}, within=0.5)
        await cluster.thaw()
        await cluster.create("a")
        assert types_and_names([await stream.change()]) == [("ADDED", "a")]
