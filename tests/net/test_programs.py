"""Programs as in the documentation, and the documented behaviour of their calls."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import kubernetes_asyncio.client
import msgspec
import pytest

import kinform
from kinform.testing import Forbidden, Gone
from tests.net.informers import quick
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]

PROGRAM = """
import asyncio
import kinform

async def main() -> None:
    async with kinform.connect() as api:                       # kubeconfig ($KUBECONFIG, ~/.kube/config), else in-cluster
        async with kinform.Informer(api, "v1/pods") as pods:   # group/version/plural; leaving the block stops all it started
            await pods.synced(timeout=60)                      # TimeoutError names the state it hung in
            print(len(pods.store), pods.store.get("shop/web-0"))
            async for change in pods.changes():                # the present state as Added, then Synced, then what happens
                print(type(change).__name__, change.key)

asyncio.run(main())
"""  # noqa: E501


class Spec(msgspec.Struct):
    nodeName: int


class Pod(msgspec.Struct):
    spec: Spec


def pod(name: str, namespace: str = "shop", *, node: str = "n1", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": {"nodeName": node}}


class TestPrograms:
    async def test_an_informer_program(self, server, tmp_path):
        server.put("v1/pods", pod("web-0"))
        environment = {
            **os.environ,
            "KUBECONFIG": str(server.write_kubeconfig(tmp_path / "config")),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, env=environment, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(30):
                assert (await process.stdout.readline()).startswith(b"1 {'apiVersion': 'v1', 'kind': 'Pod', 'metadata'")
                assert await process.stdout.readline() == b"Added shop/web-0\n"
                assert (await process.stdout.readline()).split() == [b"Synced"]
                server.touch("v1/pods", "shop/web-0")
                assert await process.stdout.readline() == b"Updated shop/web-0\n"
                server.delete("v1/pods", "shop/web-0")
                assert await process.stdout.readline() == b"Deleted shop/web-0\n"
        finally:
            process.kill()
            await process.wait()

    async def test_handlers_program(self, server, api):
        calls = []
        server.put("v1/pods", pod("web-0"))
        async with kinform.Informer(api, "v1/pods") as pods:

            @pods.on_add
            async def added(pod):
                calls.append(("added", pod["metadata"]["name"]))

            @pods.on_update
            def updated(old, new):
                calls.append(("updated", old["spec"]["nodeName"], new["spec"]["nodeName"]))

            @pods.on_delete
            def deleted(pod):
                calls.append(("deleted", pod["spec"]["nodeName"]))

            await pods.synced(timeout=60)
            server.put("v1/pods", pod("web-0", node="n2"))
            server.delete("v1/pods", "shop/web-0")
            await until(lambda: len(calls) == 3)
        assert calls == [("added", "web-0"), ("updated", "n1", "n2"), ("deleted", "n2")]

    async def test_watcher_and_reflector_programs(self, server, api):
        server.put("v1/pods", pod("web-0"))
        seen: list[Any] = []
        scope, prune, options = kinform.Scope(namespaces=["shop"]), kinform.Prune(), kinform.WatchOptions()
        async for event in kinform.watcher(api, "v1/pods", scope=scope, prune=prune, options=options):
            match event:
                case kinform.Init():
                    seen.append("init")
                case kinform.InitApply(object=o):
                    seen.append((o.key, o.uid, o.resource_version, o.raw, o.decode()))
                case kinform.InitDone():
                    seen.append("done")
                    server.put("v1/pods", pod("web-0", node="n2"))
                    server.delete("v1/pods", "shop/web-0")
                case kinform.Apply(object=o):
                    seen.append(o.decode()["spec"]["nodeName"])
                case kinform.Delete(object=o):
                    seen.append(o.key)
                    break
        init, (key, uid, version, raw, decoded), *rest = seen
        assert (init, key, rest) == ("init", "shop/web-0", ["done", "n2", "shop/web-0"])
        assert decoded == json.loads(raw)
        assert (decoded["metadata"]["uid"], decoded["metadata"]["resourceVersion"]) == (uid, version)

        server.put("v1/pods", pod("web-1"))
        writer, store = kinform.store(type=dict, indexes={})
        async for event in kinform.reflector(writer, kinform.watcher(api, "v1/pods")):
            if isinstance(event, kinform.InitApply):
                assert len(store) == 0
            if isinstance(event, kinform.InitDone):
                assert list(store.keys()) == ["shop/web-1"]
                server.put("v1/pods", pod("web-2"))
            if isinstance(event, kinform.Apply):
                assert store[event.object.key] == event.object.decode()
                break

    async def test_a_controller_test_with_the_simulator(self):
        async with kinform.testing.Server() as server:
            server.put("v1/pods", pod("web-0"))
            server.delete("v1/pods", "shop/web-0")
            server.generate("v1/pods", 100)
            server.fault(kinform.testing.Gone(), on="watch")
            server.compact()
            async with kinform.connect(server.url) as api:
                async with kinform.Informer(api, "v1/pods") as pods:
                    await pods.synced(timeout=60)
                    assert len(pods.store) == 100
            assert [request.verb for request in server.requests]


class TestSynced:
    async def test_a_timeout_names_the_forbidden_namespace(self, server, api):
        server.put("v1/pods", pod("web-0"))
        server.fault(Forbidden(), times=None, namespace="till")
        scope = kinform.Scope(namespaces=["shop", "till"])
        async with kinform.Informer(api, "v1/pods", scope=scope, options=quick()) as pods:
            await pods.synced(timeout=10, allow_partial=True)
            assert list(pods.store.keys()) == ["shop/web-0"]
            with pytest.raises(kinform.ForbiddenError, match="till"):
                await pods.synced(timeout=0.1)
            with pytest.raises(TimeoutError, match=r"v1/pods in shop: live.*, v1/pods in till: forbidden"):
                await pods.wait_for("999999", timeout=0.1)


class TestChanges:
    async def test_changes_yields_synced_once_even_after_relists(self, server, api):
        server.generate("v1/pods", 3)
        pods = kinform.Informer(api, "v1/pods", options=quick(initial="list"))
        changes = pods.changes()
        received = []

        async def read() -> None:
            async for change in changes:
                received.append(type(change))  # noqa: PERF401

        async with pods:
            reading = asyncio.create_task(read())
            await pods.synced(timeout=10)
            await server.wait_for_watchers(1)
            server.fault(Gone(), on="watch")
            server.disconnect()
            await server.wait_for_request(on="list", count=2)
            await server.wait_for_watchers(1)
            server.put("v1/pods", pod("last"))
            await until(lambda: len(received) == 5)
        await reading
        assert received == [kinform.Added] * 3 + [kinform.Synced, kinform.Added]

    async def test_closed_changes_end_and_receive_no_more(self, server, api):
        server.generate("v1/pods", 2)
        async with kinform.Informer(api, "v1/pods", options=quick()) as pods:
            await pods.synced(timeout=10)
            changes = pods.changes()
            await changes.aclose()
            server.put("v1/pods", pod("last"))
            await until(lambda: len(pods.store) == 3)
            assert pods.stats().changes_depth == [0]
            assert [change async for change in changes] in ([], [kinform.Synced()])


class TestObjects:
    async def test_items_are_those_at_the_call_not_at_the_iteration(self, server, api):
        server.generate("v1/pods", 3)
        async with kinform.Informer(api, "v1/pods", options=quick()) as pods:
            await pods.synced(timeout=10)
            items, before = pods.store.items(), set(pods.store)
            server.delete("v1/pods", sorted(before)[0])
            await until(lambda: len(pods.store) == 2)
            assert {key for key, _ in items} == before

    async def test_keep_always_includes_type_and_identity(self, server, api):
        server.put("v1/pods", pod("web-0", app="web", tier="front"))
        prune = kinform.Prune(keep=["metadata.labels", "spec"], drop=["metadata.labels.tier"])
        for initial in ("list", "stream"):
            async with kinform.Informer(api, "v1/pods", prune=prune, options=quick(initial=initial)) as pods:
                await pods.synced(timeout=10)
                assert pods.store.raw("shop/web-0").startswith(b'{"apiVersion":"v1","kind":"Pod",')
                uid, version = server.versions("v1/pods")["shop/web-0"]
                assert pods.store["shop/web-0"] == {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {
                        "name": "web-0",
                        "namespace": "shop",
                        "uid": uid,
                        "resourceVersion": version,
                        "labels": {"app": "web"},
                    },
                    "spec": {"nodeName": "n1"},
                }

    async def test_the_default_drops_managed_fields_an_empty_prune_not(self, server, api):
        (key,) = server.generate("v1/pods", 1)
        for prune, kept in ((None, False), (kinform.Prune(), True)):
            async with kinform.Informer(api, "v1/pods", prune=prune, options=quick()) as pods:
                await pods.synced(timeout=10)
                assert ("managedFields" in pods.store[key]["metadata"]) is kept
                if kept:
                    assert pods.store[key] == json.loads(server.raw("v1/pods", key))

    async def test_a_transform_changes_or_drops_objects_and_is_timed(self, server, api):
        server.put("v1/pods", pod("web-0", app="web"))
        server.put("v1/pods", pod("db-0", app="db"))

        def transform(raw: bytes) -> bytes | None:
            return None if b'"db"' in raw else raw.replace(b'"web"', b'"web2"')

        async with kinform.Informer(api, "v1/pods", transform=transform, options=quick()) as pods:
            await pods.synced(timeout=10)
            assert list(pods.store.keys()) == ["shop/web-0"]
            assert pods.store["shop/web-0"]["metadata"]["labels"] == {"app": "web2"}
            assert pods.stats().transform_seconds > 0
            server.put("v1/pods", pod("db-0", app="web"))
            await until(lambda: "shop/db-0" in pods.store)
            server.put("v1/pods", pod("db-0", app="db"))
            await until(lambda: "shop/db-0" not in pods.store)

    async def test_an_object_of_another_type_raises_and_raw_reads_it(self, server, api):
        server.put("v1/pods", pod("web-0", node="hunter2"))
        async with kinform.Informer(api, "v1/pods", type=Pod, options=quick()) as pods:
            await pods.synced(timeout=10)
            with pytest.raises(kinform.DecodeError) as caught:
                pods.store.get("shop/web-0")
            assert (caught.value.key, caught.value.path) == ("shop/web-0", "$.spec.nodeName")
            assert "hunter2" not in str(caught.value)
            assert b"hunter2" in pods.store.raw("shop/web-0")


class TestConstruction:
    @pytest.mark.parametrize(
        ("make", "field"),
        [
            (lambda: kinform.Resource.of("pods"), "resource"),
            (lambda: kinform.Resource.of("apps/deployments"), "resource"),
            (lambda: kinform.Resource(version="v1", plural="Pods"), "Resource.plural"),
            (lambda: kinform.Scope(namespaces="shop"), "Scope.namespaces"),
            (lambda: kinform.Scope(namespaces=[]), "Scope.namespaces"),
            (lambda: kinform.Scope(label_selector="app=web,,"), "Scope.label_selector"),
            (lambda: kinform.Scope(label_selector="app in web"), "Scope.label_selector"),
            (lambda: kinform.Scope(field_selector="status.phase"), "Scope.field_selector"),
            (lambda: kinform.Prune(drop="metadata.managedFields"), "Prune.drop"),
            (lambda: kinform.Prune(drop=["a..b"]), "Prune.drop"),
            (lambda: kinform.Prune(drop=["metadata.name"]), "Prune.drop"),
            (lambda: kinform.Prune(keep_last={"status.conditions": 0}), "Prune.keep_last"),
            (lambda: kinform.WatchOptions(page_size=-1), "WatchOptions.page_size"),
            (lambda: kinform.WatchOptions(page_size=True), "WatchOptions.page_size"),
            (lambda: kinform.WatchOptions(initial="both"), "WatchOptions.initial"),
            (lambda: kinform.WatchOptions(silence_timeout=0), "WatchOptions.silence_timeout"),
            (lambda: kinform.WatchOptions(on_error="print"), "WatchOptions.on_error"),
            (lambda: kinform.Backoff(initial=2, maximum=1), "Backoff.maximum"),
            (lambda: kinform.Backoff(initial=float("nan")), "Backoff.initial"),
        ],
    )
    def test_the_error_names_field_value_and_allowed_values(self, make, field):
        with pytest.raises(kinform.OptionError) as caught:
            make()
        assert caught.value.field == field
        assert repr(caught.value.value) in str(caught.value)
        assert "expected" in str(caught.value)

    def test_the_error_of_a_bad_path_gives_the_position(self):
        with pytest.raises(kinform.OptionError, match=r"at character 6"):
            kinform.Prune(drop=["spec..x"])

    async def test_namespaces_of_a_cluster_scoped_resource_are_not_found(self, server, api):
        server.put("v1/namespaces", {"metadata": {"name": "shop"}})
        scope = kinform.Scope(namespaces=["shop"])
        async with kinform.Informer(api, "v1/nodes", scope=scope, options=quick()) as nodes:
            await until(lambda: nodes.state == "not_found")
            assert "404" in nodes.stats().streams["shop"].error


async def test_an_api_client_of_the_caller_works_and_stays_open(server):
    configuration = kubernetes_asyncio.client.Configuration(host=server.url)
    async with kubernetes_asyncio.client.ApiClient(configuration) as client:
        server.generate("v1/pods", 2)
        async with kinform.Informer(client, kinform.Resource(version="v1", plural="pods"), options=quick()) as pods:
            await pods.synced(timeout=10)
            assert len(pods.store) == 2
        listed = await kubernetes_asyncio.client.CoreV1Api(client).list_pod_for_all_namespaces()
        assert len(listed.items) == 2
