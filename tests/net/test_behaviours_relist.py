"""Readers during relists: they see complete states, and exactly the changes."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import kinform
from kinform.testing import Gone, Hangup, MalformedObject, Server
from tests.net.informers import in_sync, quick
from tests.support.recording import RecordingTransport
from tests.support.waiting import until

PODS = "v1/pods"
METRICS = "metrics.example.com/v1/nodes"


def state(store: kinform.Store[Any]) -> frozenset[tuple[str, str]]:
    """Returns keys and versions of one iteration."""
    return frozenset((key, found["metadata"]["resourceVersion"]) for key, found in store.items())


def truth(server: Server) -> frozenset[tuple[str, str]]:
    return frozenset((key, version) for key, (_, version) in server.versions(PODS).items())


@pytest.mark.parametrize("initial", ["list", "stream"])
async def test_readers_see_every_object_throughout_relists(server, api, initial):
    for number in range(1000):
        labels = {"app": "web" if number % 2 else "db"}
        server.put(PODS, {"metadata": {"name": f"p{number}", "namespace": "shop", "labels": labels}})
    options = quick(initial=initial, page_size=50)
    async with kinform.Informer(api, PODS, indexes={"app": "metadata.labels.app"}, options=options) as pods:
        await pods.synced(timeout=20)
        await server.wait_for_watchers(1)
        store, over = pods.store, threading.Event()
        seen: dict[str, set[Any]] = {"len": set(), "keys": set(), "items": set(), "index": set(), "gets": set()}

        def read() -> None:
            seen["len"].add(len(store))
            seen["keys"].add(len(list(store.keys())))
            seen["index"].add(len(store.index_keys("app", "web")))
            seen["gets"].add(store.meta("shop/p7") is not None)

        async def often() -> None:
            while not over.is_set():
                read()
                await asyncio.sleep(0)

        async def slowly() -> None:
            while not over.is_set():
                items, read_so_far = store.items(), []
                for key, found in items:
                    read_so_far.append((key, found["metadata"]["resourceVersion"]))
                    if len(read_so_far) % 100 == 0:
                        await asyncio.sleep(0)
                seen["items"].add(frozenset(read_so_far))

        def from_a_thread() -> None:
            while not over.wait(0.001):
                seen["len"].add(len(store))
                seen["gets"].add(store.meta("shop/p7") is not None)

        states = {truth(server)}
        thread = threading.Thread(target=from_a_thread)
        thread.start()
        readers = [asyncio.create_task(reader()) for reader in (often, often, often, slowly, slowly)]
        try:
            for _ in range(3):
                await server.stop()
                for number in range(0, 1000, 2):
                    server.touch(PODS, f"shop/p{number}")
                states.add(truth(server))
                server.compact()
                await server.start()
                await until(lambda: in_sync(store, server, PODS), within=20)
        finally:
            over.set()
            await asyncio.gather(*readers)
            await asyncio.to_thread(thread.join)
    assert seen["len"] == seen["keys"] == {1000}
    assert seen["index"] == {500}
    assert seen["gets"] == {True}
    assert seen["items"] <= states
    assert len(seen["items"]) > 1


async def test_a_sweep_in_slices_notifies_once_and_synced_waits_for_it(server, api):
    for number in range(1000):
        server.put(PODS, {"metadata": {"name": f"p{number}", "namespace": "shop", "labels": {"app": "web"}}})
    received: list[str] = []
    async with kinform.Informer(api, PODS, indexes={"app": "metadata.labels.app"}, options=quick()) as pods:
        while not len(pods.store):
            await asyncio.sleep(0)
        changes = pods.changes()
        pods.on_add(lambda pod: received.append(pod["metadata"]["name"]))
        await pods.synced(timeout=10)
        assert len(pods.store.index_keys("app", "web")) == 1000
        server.put(PODS, {"metadata": {"name": "last", "namespace": "shop"}})
        await until(lambda: "last" in received)
        seen = [await anext(changes) for _ in range(1002)]
    assert len(received) == len(set(received)) == 1001
    assert [type(change) for change in seen].count(kinform.Synced) == 1
    assert len({change.key for change in seen}) == 1002


async def test_synced_waits_for_complete_indexes(server, api):
    for number in range(1000):
        server.put(PODS, {"metadata": {"name": f"p{number}", "namespace": "shop", "labels": {"app": "web"}}})
    async with kinform.Informer(api, PODS, indexes={"app": "metadata.labels.app"}, options=quick()) as pods:
        while not len(pods.store):
            await asyncio.sleep(0)
        await pods.synced(timeout=10)
        assert len(pods.store.index_keys("app", "web")) == 1000


@pytest.mark.parametrize("resource", [PODS, "v1/namespaces"])
async def test_a_relist_notifies_only_of_real_changes(server, api, resource):
    def put(name: str) -> None:
        namespace = {"namespace": "shop"} if resource == PODS else {}
        server.put(resource, {"metadata": {"name": name, "labels": {"at": server.resource_version}, **namespace}})

    prefix = "shop/" if resource == PODS else ""
    for name in ("same", "changed", "gone"):
        put(name)
    async with kinform.Informer(api, resource, options=quick(initial="list", page_size=2)) as informer:
        await informer.synced(timeout=10)
        await server.wait_for_watchers(1)
        changes = informer.changes()
        unchanged = informer.store.raw(f"{prefix}same")
        last = informer.store[f"{prefix}gone"]
        await server.stop()
        put("changed")
        put("new")
        server.delete(resource, f"{prefix}gone")
        server.compact()
        await server.start()
        await until(lambda: in_sync(informer.store, server, resource))
        received = [await anext(changes) for _ in range(7)]
        assert informer.store.raw(f"{prefix}same") == unchanged
        assert informer.stats().changes_depth == [0]
    assert isinstance(received[3], kinform.Synced)
    by_key = {change.key: change for change in received[4:]}
    assert set(by_key) == {f"{prefix}changed", f"{prefix}gone", f"{prefix}new"}
    assert by_key[f"{prefix}gone"] == kinform.Deleted(f"{prefix}gone", last, True)
    assert isinstance(by_key[f"{prefix}new"], kinform.Added)
    updated = by_key[f"{prefix}changed"]
    assert updated.old["metadata"]["labels"] != updated.object["metadata"]["labels"]


class Aggregated:
    """Takes uid and resourceVersion out of what passes, as aggregated APIs have none.

    Its watches bring no events.
    """

    def __init__(self, inner: kinform.Transport) -> None:
        self._inner = inner
        self.identity = self
        self.usage = {b"n1": b"5", b"n2": b"5"}

    async def open(self, request: kinform.Request) -> Any:
        return AggregatedAnswer(await self._inner.open(request), None if request.watch else self)

    async def refresh_credentials(self) -> bool:
        return False


class AggregatedAnswer:
    def __init__(self, inner: Any, owner: Aggregated | None) -> None:
        self._inner = inner
        self._owner = owner
        self.status = inner.status
        self.headers = inner.headers

    async def chunks(self) -> Any:
        async for _ in self._inner.chunks():
            pass
        if self._owner is None:
            return
        items = b",".join(
            b'{"metadata":{"name":"%s"},"usage":%s}' % (name, usage) for name, usage in self._owner.usage.items()
        )
        yield b'{"kind":"NodeMetricsList","apiVersion":"metrics.example.com/v1","metadata":{},"items":[%s]}' % items

    async def head(self, limit: int) -> bytes:
        head: bytes = await self._inner.head(limit)
        return head

    def close(self) -> None:
        self._inner.close()


async def test_without_uid_and_version_changed_bytes_are_an_update(server, api):
    server.register(METRICS, kind="NodeMetrics", namespaced=False)
    server.fault(Gone(), on="watch", times=None)
    aggregated = Aggregated(api)
    async with kinform.Informer(aggregated, METRICS, options=quick(initial="list")) as nodes:
        changes = nodes.changes()
        await nodes.synced(timeout=10)
        received = [await anext(changes) for _ in range(3)]
        assert {type(change) for change in received} == {kinform.Added, kinform.Synced}
        await server.wait_for_request(on="list", count=len(server.requests) + 2)
        assert nodes.stats().changes_depth == [0]
        aggregated.usage[b"n2"] = b"7"
        async with asyncio.timeout(10):
            change = await anext(changes)
        assert (type(change), change.key) == (kinform.Updated, "n2")
        assert (change.old["usage"], change.object["usage"]) == (5, 7)


@pytest.mark.parametrize("cut", [True, False])
async def test_without_versions_a_watch_that_ends_leads_to_a_relist(server, api, cut):
    server.register(METRICS, kind="NodeMetrics", namespaced=False)
    aggregated = Aggregated(api)
    async with kinform.Informer(aggregated, METRICS, options=quick(initial="list")) as nodes:
        changes = nodes.changes()
        await nodes.synced(timeout=10)
        await server.wait_for_watchers(1)
        last = nodes.store["n2"]
        del aggregated.usage[b"n2"]
        if cut:
            server.interrupt(Hangup(after=0))
        else:
            server.disconnect()
        async with asyncio.timeout(10):
            received = [await anext(changes) for _ in range(4)]
        assert received[3] == kinform.Deleted("n2", last, True)
        assert set(nodes.store) == {"n1"}


@pytest.mark.parametrize("readable", [True, False])
async def test_an_unreadable_object_in_a_relist_is_not_deleted(server, api, unhealed, readable, caplog):
    keys = server.generate(PODS, 6)
    async with kinform.Informer(api, PODS, options=quick(initial="list")) as pods:
        await pods.synced(timeout=10)
        await server.wait_for_watchers(1)
        deleted: list[str] = []
        pods.on_delete(lambda pod: deleted.append(pod["metadata"]["name"]))
        await server.stop()
        server.delete(PODS, keys[0])
        server.compact()
        server.fault(MalformedObject(after=2, readable_key=readable), on="list")
        await server.start()
        await until(lambda: pods.stats().streams[""].skipped == 1)
        await until(lambda: pods.state == "live")
        if readable:  # then what is missing is known to be gone
            await until(lambda: deleted == [keys[0].partition("/")[2]])
            assert set(pods.store) == set(keys[1:])
            assert pods.stats().stale == 1
        else:
            assert set(pods.store) == set(keys)
            assert deleted == []
            assert "a list skipped an object without a readable key" in caplog.text
            assert pods.stats().stale == 2
        assert "skipped" in caplog.text


@pytest.mark.parametrize("initial", ["list", "stream"])
async def test_a_relist_after_410_gives_exactly_the_missed_changes(cluster, proxy, initial):
    for name in ("same", "changed", "gone", "reborn"):
        await cluster.create(name, data={"k": name})
    scope = kinform.Scope(namespaces=[cluster.namespace])
    async with kinform.connect(cluster.write_kubeconfig_for(proxy.url)) as api:
        recording = RecordingTransport(api)
        async with kinform.Informer(
            recording, cluster.resource, scope=scope, options=quick(initial=initial)
        ) as configs:
            await configs.synced(timeout=20)
            present = len(configs.store)
            changes = configs.changes()
            last = configs.store[f"{cluster.namespace}/gone"]
            await until(lambda: configs.state == "live")
            await proxy.refuse_connections()
            proxy.reset_connections()
            await cluster.delete("gone")
            await cluster.replace("changed", data={"k": "new"})
            await cluster.delete("reborn")
            await cluster.create("reborn", data={"k": "reborn"})
            await cluster.create("new")
            await cluster.expire_history()
            assert len(configs.store) == present  # readers are served meanwhile
            await proxy.accept_connections()
            async with asyncio.timeout(30):
                received = [await anext(changes) for _ in range(present + 1 + 5)][present + 1 :]
            await until(lambda: configs.state == "live")
            assert configs.stats().changes_depth == [0]
    by_key: dict[str, list[Any]] = {}
    for change in received:
        by_key.setdefault(change.key.partition("/")[2], []).append(change)
    assert {name: [type(change) for change in of_it] for name, of_it in by_key.items()} == {
        "gone": [kinform.Deleted],
        "changed": [kinform.Updated],
        "reborn": [kinform.Deleted, kinform.Added],
        "new": [kinform.Added],
    }
    (deleted,), (updated,) = by_key["gone"], by_key["changed"]
    assert (deleted.object, deleted.synthetic) == (last, True)
    assert (updated.old["data"], updated.object["data"]) == ({"k": "changed"}, {"k": "new"})
    resumed = [params for params in recording.watches if "resourceVersion" in params]
    assert resumed  # it tried to go on where it was, and only then began anew
    assert len(recording.lists) + len(recording.watch_lists) == 2
