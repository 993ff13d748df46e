"""Facts of the wire that only a real kube-apiserver can show: gates, rights, overload, restarts.

What the simulator must do as well is in tests/simulator/test_conformance.py. No line of kinform runs here.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conftest import Planes
from tests.support.admin import WATCH_LIST, Answer, Stream
from tests.support.clusters import RealCluster, real_cluster
from tests.support.waiting import until

LOWER_HALF = "shardRange(object.metadata.uid, '0x0000000000000000', '0x8000000000000000')"


def fnv_1a(text: str) -> int:
    number = 0xCBF29CE484222325
    for byte in text.encode():
        number = (number ^ byte) * 0x100000001B3 % 2**64
    return number


async def first(stream: Stream) -> Any:
    event = await stream.event()
    assert event is not None
    return event


# Rights


async def test_no_token_is_403_as_anonymous(real: RealCluster) -> None:
    answer = await real.api.list_raw("v1/configmaps", headers={"Authorization": None})
    assert (answer.status, answer.json()["reason"]) == (403, "Forbidden")
    assert 'User "system:anonymous" cannot list resource "configmaps"' in answer.json()["message"]


async def test_a_wrong_token_is_401(real: RealCluster) -> None:
    answer = await real.api.list_raw("v1/configmaps", headers={"Authorization": "Bearer wrong"})
    assert (answer.status, answer.json()["reason"]) == (401, "Unauthorized")


async def test_missing_rights_are_403_and_name_verb_resource_and_namespace(real: RealCluster) -> None:
    headers = {"Authorization": f"Bearer {real.plane.tokens['lister']}"}
    async with real.api.watch("v1/configmaps", namespace=real.namespace, headers=headers) as stream:
        assert stream.status == 403
        message = (await stream.line()).decode()
    assert 'User \\"lister\\" cannot watch resource \\"configmaps\\"' in message
    assert f'in the namespace \\"{real.namespace}\\"' in message


# Gates


async def test_without_watch_list_initial_events_are_422_and_a_plain_watch_works(planes: Planes) -> None:
    async with real_cluster(await planes.get("--feature-gates=WatchList=false")) as real:
        await real.create("a")
        async with real.api.watch("v1/configmaps", namespace=real.namespace, **WATCH_LIST) as stream:
            assert stream.status == 422
            status = await first(stream)
        assert (status["reason"], status["details"]["causes"][0]["field"]) == ("Invalid", "sendInitialEvents")
        async with real.api.watch("v1/configmaps", namespace=real.namespace, timeoutSeconds=10) as stream:
            assert (await first(stream))["type"] == "ADDED"


async def test_shards_are_echoed_by_lists_and_kept_by_lists_and_watches_where_the_gate_is_on(
    planes: Planes,
) -> None:
    async with real_cluster(await planes.get("--feature-gates=ShardedListAndWatch=true")) as real:
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


async def test_shards_are_ignored_in_silence_where_the_gate_is_off(real: RealCluster) -> None:
    for index in range(16):
        await real.create(f"a{index}")
    listed = await real.api.list_raw("v1/configmaps", namespace=real.namespace, shardSelector=LOWER_HALF)
    assert "shardInfo" not in listed.json()["metadata"]
    assert len(listed.json()["items"]) == 16


# Overload and restarts


async def test_too_many_requests_are_429_in_plain_text_with_retry_after(planes: Planes) -> None:
    flags = ("--max-requests-inflight=2", "--max-mutating-requests-inflight=2", "--enable-priority-and-fairness=false")
    async with real_cluster(await planes.get(*flags)) as real:
        # A consistent list asks etcd: frozen, it holds two requests in flight, and the others meet the limit.
        real.plane.etcd.freeze()
        headers = {"Authorization": f"Bearer {real.plane.tokens['reader']}"}

        async def listed() -> Answer:
            return await real.api.list_raw("v1/configmaps", headers=headers)

        requests = [asyncio.create_task(listed()) for _ in range(4)]
        await until(lambda: sum(request.done() for request in requests) == 2)
        refused = [request.result() for request in requests if request.done()]
        real.plane.etcd.thaw()
        answers = await asyncio.gather(*requests)
    assert sorted(answer.status for answer in answers) == [200, 200, 429, 429]
    for answer in refused:
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert answer.body == b"Too many requests, please try again later.\n"


async def test_after_a_restart_an_old_version_is_410_even_without_compaction(real: RealCluster) -> None:
    before = (await real.api.list_raw("v1/configmaps")).json()["metadata"]["resourceVersion"]
    await real.create("a")
    await real.crash()
    await real.resurrect()
    async with real.api.watch("v1/configmaps", resourceVersion=before, timeoutSeconds=5) as stream:
        event = await first(stream)
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


async def test_compaction_alone_leaves_an_old_version_watchable(real: RealCluster) -> None:
    before = (await real.api.list_raw("v1/configmaps")).json()["metadata"]["resourceVersion"]
    await real.create("a")
    await real.plane.compact()
    async with real.api.watch("v1/configmaps", resourceVersion=before, timeoutSeconds=5) as stream:
        event = await first(stream)
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "a")


async def test_a_custom_resource_after_a_restart_may_be_429_with_a_status_until_its_cache_is_filled(
    real: RealCluster,
) -> None:
    resource = await real.custom()
    version = (await real.api.list_raw(resource)).json()["metadata"]["resourceVersion"]
    await real.crash()
    await real.resurrect()
    statuses = []

    async def watched() -> bool:
        async with real.api.watch(resource, resourceVersion=version, timeoutSeconds=5) as stream:
            statuses.append(stream.status)
            if stream.status == 429:
                assert stream.headers["Retry-After"] == "1"
                assert (await first(stream))["reason"] == "TooManyRequests"
            return stream.status == 200

    await until(watched)
    assert set(statuses) <= {200, 404, 429}


async def test_a_deleted_definition_ends_its_streams_and_is_404_from_then_on(real: RealCluster) -> None:
    resource = await real.custom()
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
async def test_an_accept_header_that_cannot_be_met_is_406(real: RealCluster, accept: str) -> None:
    answer = await real.api.list_raw("v1/configmaps", headers={"Accept": accept})
    assert (answer.status, answer.json()["reason"]) == (406, "NotAcceptable")
