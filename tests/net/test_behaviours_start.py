"""Starts, request by request, on the simulator and a real kube-apiserver.

A transport between the informer and the server records the requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import kinform
from tests.net.informers import quick
from tests.support.clusters import Cluster
from tests.support.proxy import Proxy
from tests.support.recording import RecordingTransport
from tests.support.waiting import until


@pytest.fixture
async def recording(cluster: Cluster) -> AsyncIterator[RecordingTransport]:
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        yield RecordingTransport(api)


def scoped(cluster: Cluster) -> kinform.Scope:
    return kinform.Scope(namespaces=[cluster.namespace])


def informer(api: object, cluster: Cluster, **options: object) -> kinform.Informer:
    return kinform.Informer(api, cluster.resource, scope=scoped(cluster), options=quick(**options))


def names(store: kinform.Store) -> set[str]:
    return {key.partition("/")[2] for key in store}


async def test_a_paged_list_sends_each_token_then_watches(cluster, recording):
    for name in ("a", "b", "c"):
        await cluster.create(name)
    async with informer(recording, cluster, initial="list", page_size=1) as configs:
        await configs.synced(timeout=20)
        assert names(configs.store) >= {"a", "b", "c"}
        listed = configs.stats().streams[cluster.namespace].resource_version
        await until(lambda: recording.watches)
    asked = recording.lists
    tokens = [params.pop("continue", None) for params in asked]
    assert tokens[0] is None
    assert all(tokens[1:])
    assert len(set(tokens)) == len(tokens) == len(configs.store)
    assert asked == [{"limit": "1"}] * len(tokens)
    assert recording.watches[0]["resourceVersion"] == listed
    assert recording.watch_lists == []


async def test_a_watch_list_continues_as_a_watch_and_sends_no_list(cluster, recording):
    await cluster.create("a")
    async with informer(recording, cluster, initial="auto") as configs:
        await configs.synced(timeout=20)
        await cluster.create("b")
        await until(lambda: names(configs.store) >= {"a", "b"})
    assert len(recording.requests) == 1
    assert len(recording.watch_lists) == 1


async def test_synced_waits_for_the_initial_events_end_bookmark(cluster, recording):
    await cluster.create("a")
    recording.replace_chunk = lambda chunk: chunk.replace(b'initial-events-end":"true"', b'initial-events-end":"nope"')
    async with informer(recording, cluster, initial="stream", headers_timeout=1.0) as configs:
        with pytest.raises(TimeoutError, match=r"syncing|retrying"):
            await configs.synced(timeout=0.5)
        assert len(configs.store) == 0
        assert configs.stats().streams[cluster.namespace].resource_version == ""
        recording.replace_chunk = lambda chunk: chunk
        await configs.synced(timeout=20)
        assert "a" in names(configs.store)


async def test_a_watch_list_without_end_bookmark_is_replaced_by_a_list(cluster, recording):
    await cluster.create("a")
    recording.replace_chunk = lambda chunk: chunk.replace(b"k8s.io/initial-events-end", b"k8s.io/no-such-annotation")
    for attempt in range(2):
        async with informer(recording, cluster, initial="auto", headers_timeout=0.5) as configs:
            await configs.synced(timeout=20)
            assert "a" in names(configs.store)
        assert 1 <= len(recording.watch_lists) <= 3
        assert len(recording.lists) == attempt + 1


async def test_changes_before_the_end_bookmark_are_in_the_state(cluster, recording):
    for name in ("a", "b", "c"):
        await cluster.create(name, data={"k": name})
    held: list[bytes] = []

    def late_bookmark(chunk: bytes) -> bytes:
        """Delays the end bookmark until a deletion has passed.

        The collection is small, so that a chunk is whole lines."""
        lines = chunk.splitlines(keepends=True)
        ends = [line for line in lines if b"initial-events-end" in line]
        held.extend(ends)
        passing = [line for line in lines if line not in ends]
        if any(b'"type":"DELETED"' in line for line in passing):
            passing += held
        return b"".join(passing) or b"\n"

    recording.replace_chunk = late_bookmark
    async with informer(recording, cluster, initial="stream") as configs:
        changes = configs.changes()
        await until(lambda: held)
        await cluster.create("d")
        await cluster.replace("b", data={"k": "changed"})
        await cluster.delete("a")
        await configs.synced(timeout=20)
        assert names(configs.store) & {"a", "b", "c", "d"} == {"b", "c", "d"}
        assert configs.store[f"{cluster.namespace}/b"]["data"] == {"k": "changed"}
        received = [change async for change in until_synced(changes)]
    assert {type(change) for change in received[:-1]} == {kinform.Added}
    assert f"{cluster.namespace}/a" not in {change.key for change in received}
    assert len(recording.requests) == 1


async def until_synced(changes: kinform.Changes) -> AsyncIterator[object]:
    async for change in changes:
        yield change
        if isinstance(change, kinform.Synced):
            return


async def test_changes_and_deletes_during_a_watch_list_are_not_lost(cluster, recording):
    for number in range(30):
        await cluster.create(f"c{number}", data={"k": "x" * 500})

    async def churn() -> None:
        for number in range(0, 30, 2):
            await cluster.delete(f"c{number}")
            await cluster.replace(f"c{number + 1}", data={"k": "changed"})

    async def start(at: float) -> kinform.Informer:
        await asyncio.sleep(at)
        return await informer(recording, cluster, initial="stream").__aenter__()

    churning = asyncio.create_task(churn())
    started = await asyncio.gather(*(start(at / 100) for at in range(12)))
    await churning
    listed = (await cluster.api.list_raw(cluster.resource, namespace=cluster.namespace)).json()["items"]
    expected = {found["metadata"]["name"]: found["metadata"]["resourceVersion"] for found in listed}
    try:
        for configs in started:
            await configs.synced(timeout=20)
            await until(lambda store=configs.store: {m.name: m.resource_version for m in metas(store)} == expected)
    finally:
        for configs in started:
            await configs.__aexit__(None, None, None)


def metas(store: kinform.Store) -> list[kinform.Meta]:
    return [meta for key in store if (meta := store.meta(key))]


@pytest.mark.parametrize("initial", ["list", "stream"])
async def test_an_object_deleted_during_a_cut_start_does_not_survive(cluster, proxy: Proxy, initial):
    for number in range(10):
        await cluster.create(f"c{number}", data={"k": "x" * 20_000})
    async with kinform.connect(cluster.write_kubeconfig_for(proxy.url)) as api:
        recording = RecordingTransport(api)
        received: list[object] = []

        async def in_between(request: kinform.Request) -> None:
            if len(recording.requests) == 2:
                await cluster.delete("c0")

        recording.before_request = in_between
        writer, store = kinform.store()
        async with asyncio.timeout(30):
            proxy.reset_after_bytes(150_000)
            stream = kinform.watcher(recording, cluster.resource, scope=scoped(cluster), options=quick(initial=initial))
            async for event in kinform.reflector(writer, stream):
                received.append(event)
                if isinstance(event, kinform.InitDone):
                    break
        assert len(recording.requests) == 2
        inits = [at for at, event in enumerate(received) if isinstance(event, kinform.Init)]
        assert len(inits) == 2
        assert "c0" in {event.object.name for event in received[: inits[1]] if isinstance(event, kinform.InitApply)}
        assert "c0" not in names(store)
        assert len(names(store) & {f"c{number}" for number in range(10)}) == 9


async def test_a_page_that_is_cut_is_requested_again_in_the_same_state(cluster, proxy: Proxy):
    for number in range(10):
        await cluster.create(f"c{number}", data={"k": "x" * 20_000})
    async with kinform.connect(cluster.write_kubeconfig_for(proxy.url)) as api:
        recording = RecordingTransport(api)

        async def cut_the_second_page(request: kinform.Request) -> None:
            if len(recording.requests) == 2:
                proxy.reset_after_bytes(30_000)

        recording.before_request = cut_the_second_page
        async with informer(recording, cluster, initial="list", page_size=5) as configs:
            await configs.synced(timeout=20)
            assert {f"c{number}" for number in range(10)} <= names(configs.store)
        second = recording.lists[1]["continue"]
        assert [params.get("continue") for params in recording.lists[:3]] == [None, second, second]


async def test_an_expired_continue_token_leads_to_a_list_in_one_page(cluster, recording):
    for name in ("a", "b", "c"):
        await cluster.create(name)

    async def expire_before_the_second_page(request: kinform.Request) -> None:
        if len(recording.requests) == 2:
            await cluster.delete("a")
            await cluster.expire_history()

    recording.before_request = expire_before_the_second_page
    async with informer(recording, cluster, initial="list", page_size=1) as configs:
        await configs.synced(timeout=60)
        assert names(configs.store) >= {"b", "c"}
        assert "a" not in names(configs.store)
    assert [("limit" in params, "continue" in params) for params in recording.lists][:2] == [
        (True, False),
        (True, True),
    ]
    assert recording.lists[-1] == {}


async def test_an_ended_watch_resumes_at_the_last_bookmark(cluster, recording):
    await cluster.create("a")
    elsewhere = f"{cluster.namespace}-elsewhere"
    await cluster.api.create("v1/namespaces", {"metadata": {"name": elsewhere}})
    async with informer(recording, cluster, initial="list", watch_timeout=3) as configs:
        await configs.synced(timeout=20)
        await until(lambda: recording.watches)
        thing = {"metadata": {"name": "b", "namespace": elsewhere}}
        written = (await cluster.api.create(cluster.resource, thing))["metadata"]["resourceVersion"]
        if cluster.name == "sim":
            cluster.server.bookmark()
        await configs.wait_for(written, timeout=20)
        if cluster.name == "sim":
            cluster.server.disconnect()
        await until(lambda: len(recording.watches) == 2, within=20)
    assert "b" not in names(configs.store)
    assert int(recording.watches[1]["resourceVersion"]) >= int(written)
    assert len(recording.lists) == 1
