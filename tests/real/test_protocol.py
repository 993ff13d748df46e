"""Facts of a real kube-apiserver: rights, feature gates, overload, restarts.

Facts that the simulator must reproduce are in tests/simulator/test_conformance.py. kinform's client is not
used here.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.admin import WATCH_LIST, AdminWatch, HttpResponse
from tests.support.clusters import RealCluster, real_cluster
from tests.support.controlplane.pool import ControlPlanePool
from tests.support.waiting import until

LOWER_HALF = "shardRange(object.metadata.uid, '0x0000000000000000', '0x8000000000000000')"


def fnv_1a(text: str) -> int:
    number = 0xCBF29CE484222325
    for byte in text.encode():
        number = (number ^ byte) * 0x100000001B3 % 2**64
    return number


async def next_event(stream: AdminWatch) -> Any:
    event = await stream.event()
    assert event is not None
    return event


# Rights


async def test_a_request_without_token_is_403_as_anonymous(real: RealCluster) -> None:
    answer = await real.api.list_raw("v1/configmaps", headers={"Authorization": None})
    assert (answer.status, answer.json()["reason"]) == (403, "Forbidden")
    assert 'User "system:anonymous" cannot list resource "configmaps"' in answer.json()["message"]


async def test_a_wrong_token_is_401(real: RealCluster) -> None:
    answer = await real.api.list_raw("v1/configmaps", headers={"Authorization": "Bearer wrong"})
    assert (answer.status, answer.json()["reason"]) == (401, "Unauthorized")


async def test_403_names_user_verb_resource_and_namespace(real: RealCluster) -> None:
    headers = {"Authorization": f"Bearer {real.control_plane.tokens['lister']}"}
    async with real.api.watch("v1/configmaps", namespace=real.namespace, headers=headers) as stream:
        assert stream.status == 403
        message = (await stream.line()).decode()
    assert 'User \\"lister\\" cannot watch resource \\"configmaps\\"' in message
    assert f'in the namespace \\"{real.namespace}\\"' in message


# Feature gates


async def test_initial_events_are_422_without_the_watch_list_gate(control_plane_pool: ControlPlanePool) -> None:
    async with real_cluster(await control_plane_pool.get("--feature-gates=WatchList=false")) as real:
        await real.create("a")
        async with real.api.watch("v1/configmaps", namespace=real.namespace, **WATCH_LIST) as stream:
            assert stream.status == 422
            status = await next_event(stream)
        assert (status["reason"], status["details"]["causes"][0]["field"]) == ("Invalid", "sendInitialEvents")
        async with real.api.watch("v1/configmaps", namespace=real.namespace, timeoutSeconds=10) as stream:
            assert (await next_event(stream))["type"] == "ADDED"


async def test_shard_selectors_filter_with_the_gate_on(control_plane_pool: ControlPlanePool) -> None:
    async with real_cluster(await control_plane_pool.get("--feature-gates=ShardedListAndWatch=true")) as real:
        stored = [await real.create(f"a{index}") for index in range(16)]
        lower = {obj["metadata"]["name"] for obj in stored if fnv_1a(obj["metadata"]["uid"]) < 2**63}
        listed = await real.api.list_raw("v1/configmaps", namespace=real.namespace, shardSelector=LOWER_HALF)
        assert listed.json()["metadata"]["shardInfo"] == {"selector": LOWER_HALF}
        assert {item["metadata"]["name"] for item in listed.json()["items"]} == lower
        async with real.api.watch(
            "v1/configmaps", namespace=real.namespace, shardSelector=LOWER_HALF, **WATCH_LIST
        ) as stream:
            events = await stream.until("BOOKMARK")
        assert {event["object"]["metadata"]["name"] for event in events[:-1]} == lower
        assert "shardInfo" not in events[-1]["object"]["metadata"]


async def test_shard_selectors_are_ignored_with_the_gate_off(real: RealCluster) -> None:
    for index in range(16):
        await real.create(f"a{index}")
    listed = await real.api.list_raw("v1/configmaps", namespace=real.namespace, shardSelector=LOWER_HALF)
    assert "shardInfo" not in listed.json()["metadata"]
    assert len(listed.json()["items"]) == 16


# Overload and restarts


async def test_overload_is_429_in_plain_text_with_retry_after(control_plane_pool: ControlPlanePool) -> None:
    flags = ("--max-requests-inflight=2", "--max-mutating-requests-inflight=2", "--enable-priority-and-fairness=false")
    async with real_cluster(await control_plane_pool.get(*flags)) as real:
        # A consistent list reads etcd. With etcd frozen two requests stay in flight, and the others exceed the limit.
        real.control_plane.etcd.freeze()
        headers = {"Authorization": f"Bearer {real.control_plane.tokens['reader']}"}

        async def list_all() -> HttpResponse:
            return await real.api.list_raw("v1/configmaps", headers=headers)

        requests = [asyncio.create_task(list_all()) for _ in range(4)]
        await until(lambda: sum(request.done() for request in requests) == 2)
        refused = [request.result() for request in requests if request.done()]
        real.control_plane.etcd.thaw()
        answers = await asyncio.gather(*requests)
    assert sorted(answer.status for answer in answers) == [200, 200, 429, 429]
    for answer in refused:
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert answer.body == b"Too many requests, please try again later.\n"


async def test_an_old_version_is_410_after_a_restart(real: RealCluster) -> None:
    before = (await real.api.list_raw("v1/configmaps")).json()["metadata"]["resourceVersion"]
    await real.create("a")
    await real.crash()
    await real.recover()
    async with real.api.watch("v1/configmaps", resourceVersion=before, timeoutSeconds=5) as stream:
        event = await next_event(stream)
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


async def test_an_old_version_is_watchable_after_compaction_alone(real: RealCluster) -> None:
    before = (await real.api.list_raw("v1/configmaps")).json()["metadata"]["resourceVersion"]
    await real.create("a")
    await real.control_plane.compact()
    async with real.api.watch("v1/configmaps", resourceVersion=before, timeoutSeconds=5) as stream:
        event = await next_event(stream)
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "a")


async def test_a_custom_resource_may_be_429_shortly_after_a_restart(
    real: RealCluster,
) -> None:
    resource = await real.create_custom_resource()
    version = (await real.api.list_raw(resource)).json()["metadata"]["resourceVersion"]
    await real.crash()
    await real.recover()
    statuses = []

    async def watched() -> bool:
        async with real.api.watch(resource, resourceVersion=version, timeoutSeconds=5) as stream:
            statuses.append(stream.status)
            if stream.status == 429:
                assert stream.headers["Retry-After"] == "1"
                assert (await next_event(stream))["reason"] == "TooManyRequests"
            return stream.status == 200

    await until(watched)
    assert set(statuses) <= {200, 404, 429}


async def test_deleting_a_definition_ends_its_streams_with_404_after(real: RealCluster) -> None:
    resource = await real.create_custom_resource()
    await real.create("a", resource)
    async with real.api.watch(resource, **WATCH_LIST) as stream:
        await stream.until("BOOKMARK")
        group = resource.partition("/")[0]
        await real.api.delete("apiextensions.k8s.io/v1/customresourcedefinitions", f"widgets.{group}")
        event = await stream.change()
        assert (event["type"], event["object"]["metadata"]["name"]) == ("DELETED", "a")
        while await stream.event() is not None:
            pass

    async def gone() -> bool:
        return (await real.api.list_raw(resource)).status == 404

    await until(gone)


@pytest.mark.parametrize("accept", ["application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v9", "text/csv"])
async def test_an_unsupported_accept_header_is_406(real: RealCluster, accept: str) -> None:
    answer = await real.api.list_raw("v1/configmaps", headers={"Accept": accept})
    assert (answer.status, answer.json()["reason"]) == (406, "NotAcceptable")
