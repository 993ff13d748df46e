"""Own writes are readable at once, on the simulator and a real kube-apiserver."""

from __future__ import annotations

import asyncio
from typing import Any

import kubernetes
import kubernetes_asyncio
import msgspec
import pytest

import kinform
import kinform.sync
from kinform.testing import Forbidden, Server
from tests.net.informers import in_sync, quick
from tests.support.clusters import Cluster
from tests.support.waiting import until

CONFIGS = "v1/configmaps"


class Metadata(msgspec.Struct, rename="camel", omit_defaults=True):
    name: str
    namespace: str = ""
    resource_version: str = ""
    labels: dict[str, str] = {}


class Config(msgspec.Struct):
    metadata: Metadata
    data: dict[str, str] = {}


def config(name: str, *, namespace: str = "shop", labels: dict[str, str] | None = None, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels or {}}, "data": data}


def answer(name: str = "a", *, rv: str = "1000000", **fields: Any) -> dict[str, Any]:
    """An answer to a write, with a resourceVersion that no stream reaches."""
    found = {"apiVersion": "v1", "kind": "ConfigMap"} | config(name) | fields
    found["metadata"] = found["metadata"] | {"uid": "u", "resourceVersion": rv}
    return found


@pytest.fixture
async def api(cluster: Cluster):
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        yield api


@pytest.fixture
async def server():
    async with Server() as server:
        server.put(CONFIGS, config("a", v="1"))
        server.put(CONFIGS, config("b", v="1"))
        yield server


async def caught_up(informer: kinform.Informer[Any]) -> None:
    await until(lambda: informer.stats().expectations == 0, within=20)


async def test_own_writes_are_read_at_once_and_never_go_back(cluster: Cluster, api: kinform.Connection):
    scope = kinform.Scope(namespaces=[cluster.namespace])
    key = f"{cluster.namespace}/a"
    async with kinform.Informer(api, CONFIGS, scope=scope, type=Config, options=quick()) as configs:
        await configs.synced(timeout=20)
        changes = configs.changes()
        assert isinstance(await anext(changes), kinform.Added | kinform.Synced)
        made = await api.create(CONFIGS, config("a", namespace=cluster.namespace, v="0"))
        configs.expect(made)
        seen = [configs.store[key].metadata.resource_version]
        assert seen == [made["metadata"]["resourceVersion"]]
        for number in range(1, 30):
            made = await api.patch(CONFIGS, key, {"data": {"v": str(number)}}, how="merge")
            configs.expect(made)
            assert configs.store[key].data == {"v": str(number)}
            assert dict(configs.store.items())[key].data == {"v": str(number)}
            seen.append(configs.store[key].metadata.resource_version)
            if number % 3 == 0:
                await asyncio.sleep(0.01)
                assert configs.store[key].data == {"v": str(number)}
        assert seen == sorted(seen, key=int)
        await configs.wait_for(made["metadata"]["resourceVersion"], timeout=20)
        assert configs.store[key].data == {"v": "29"}
        assert configs.stats().expectations == 0
        assert configs.stats().dropped_expectations == 0
        received = []
        async for change in changes:
            if change.key == key:
                received.append((type(change).__name__, change.object.metadata.resource_version))
                if change.object.data == {"v": "29"}:
                    break
        assert received[0][0] == "Added"
        assert [version for _, version in received] == seen  # by the stream, each once


async def test_an_object_that_another_client_deletes_is_gone(cluster: Cluster, api: kinform.Connection):
    scope = kinform.Scope(namespaces=[cluster.namespace])
    async with kinform.Informer(api, CONFIGS, scope=scope, options=quick()) as configs:
        await configs.synced(timeout=20)
        made = await api.create(CONFIGS, config("a", namespace=cluster.namespace))
        configs.expect(made)
        assert f"{cluster.namespace}/a" in configs.store
        await cluster.delete("a")
        await caught_up(configs)
        await until(lambda: f"{cluster.namespace}/a" not in configs.store, within=20)


async def test_an_object_that_leaves_the_selector_is_absent_at_once(cluster: Cluster, api: kinform.Connection):
    scope = kinform.Scope(namespaces=[cluster.namespace], label_selector="app=web")
    key = f"{cluster.namespace}/a"
    async with kinform.Informer(api, CONFIGS, scope=scope, options=quick()) as configs:
        await configs.synced(timeout=20)
        configs.expect(await api.create(CONFIGS, config("b", namespace=cluster.namespace)))
        assert f"{cluster.namespace}/b" not in configs.store
        configs.expect(await api.create(CONFIGS, config("a", namespace=cluster.namespace, labels={"app": "web"})))
        assert key in configs.store
        await caught_up(configs)
        configs.expect(await api.patch(CONFIGS, key, {"metadata": {"labels": {"app": "db"}}}, how="merge"))
        assert key not in configs.store
        assert list(configs.store.items()) == []
        await caught_up(configs)
        assert key not in configs.store


async def test_an_own_write_stays_while_the_stream_is_refused(server: Server):
    async with kinform.connect(server.url) as api, kinform.Informer(api, CONFIGS, options=quick()) as configs:
        await configs.synced(timeout=10)
        server.fault(Forbidden(), on="watch", times=None)
        server.disconnect()
        await until(lambda: configs.state == "forbidden")
        made = await api.patch(CONFIGS, "shop/a", {"data": {"v": "2"}}, how="merge")
        configs.expect(made)
        configs.expect(await api.create(CONFIGS, config("c")))
        await api.delete(CONFIGS, "shop/c")
        errors = configs.stats().streams[""].errors
        await until(lambda: configs.stats().streams[""].errors > errors + 2)
        assert configs.store["shop/a"]["data"] == {"v": "2"}
        assert sorted(configs.store) == ["shop/a", "shop/b", "shop/c"]
        server.compact()  # the next watch gets 410, and the informer relists
        server.heal()
        await caught_up(configs)
        assert in_sync(configs.store, server, CONFIGS)
        assert sorted(configs.store) == ["shop/a", "shop/b"]


async def test_an_expected_object_takes_any_form(server: Server):
    async with kinform.connect(server.url) as api, kinform.Informer(api, CONFIGS, options=quick()) as configs:
        await configs.synced(timeout=10)
        stored = configs.store["shop/a"]

        def expected(rv: int, form: Any) -> dict[str, Any]:
            configs.expect(form)
            found = configs.store["shop/a"]
            assert found["metadata"]["resourceVersion"] == str(rv)
            return found

        made = answer(rv="2000001", data={"v": "2"})
        assert expected(2000001, made) == made
        made["metadata"]["resourceVersion"] = "2000002"
        assert expected(2000002, msgspec.json.encode(made)) == made
        made["metadata"]["resourceVersion"] = "2000003"
        decoded = msgspec.convert(made, Config)
        found = expected(2000003, decoded)
        assert found["data"] == {"v": "2"}
        assert (found["apiVersion"], found["kind"]) == ("v1", "ConfigMap")
        assert list(found) == [*list(stored)[:2], "metadata", "data"]
        for number, module in enumerate((kubernetes, kubernetes_asyncio), 4):
            time = "2026-11-27T08:00:00Z"
            made["metadata"] |= {"resourceVersion": f"20001{number}0", "creationTimestamp": time}
            model = module.client.ApiClient.__new__(module.client.ApiClient)
            model.configuration = module.client.Configuration()
            made_model = model._ApiClient__deserialize(made, module.client.V1ConfigMap)
            assert expected(2000100 + 10 * number, made_model) == made
            made_model.kind = made_model.api_version = None
            made_model.metadata.resource_version = f"20001{number}1"
            assert expected(2000101 + 10 * number, made_model)["kind"] == "ConfigMap"


async def test_a_transform_may_store_labels_of_another_type(server: Server):
    def count_labels(raw: bytes) -> bytes:
        found = msgspec.json.decode(raw)
        found["metadata"]["labels"] = len(found["metadata"]["labels"])
        return msgspec.json.encode(found)

    async with (
        kinform.connect(server.url) as api,
        kinform.Informer(api, CONFIGS, transform=count_labels) as configs,
    ):
        await configs.synced(timeout=10)
        configs.expect(answer())
        assert configs.store["shop/a"]["metadata"]["labels"] == 0


async def test_managed_fields_are_dropped_as_of_all_objects(server: Server):
    async with (
        kinform.connect(server.url) as api,
        kinform.Informer(api, CONFIGS, options=quick()) as configs,
        kinform.Informer(api, CONFIGS, options=quick(), scope=kinform.Scope(metadata_only=True)) as partial,
    ):
        await configs.synced(timeout=10)
        await partial.synced(timeout=10)
        made = await api.replace(CONFIGS, config("a", v="2"))
        assert "managedFields" in made["metadata"]
        for informer in (configs, partial):
            informer.expect(made)
            assert informer.store["shop/a"]["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
            assert "managedFields" not in informer.store["shop/a"]["metadata"]
        before = [informer.store.raw("shop/a") for informer in (configs, partial)]
        assert "data" not in partial.store["shop/a"]
        assert partial.store["shop/a"]["kind"] == "PartialObjectMetadata"
        await caught_up(configs)
        await caught_up(partial)
        assert [informer.store.raw("shop/a") for informer in (configs, partial)] == before


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"apiVersion": "v2"}, "obj.apiVersion: 'v2' .*\"v1\""),
        ({"apiVersion": "apps/v1"}, "obj.apiVersion: 'apps/v1'"),
        ({"kind": "Secret"}, "obj.kind: 'Secret' .*\"ConfigMap\""),
        ({"metadata": {"name": "a", "resourceVersion": "7"}}, "obj.metadata.namespace: '' .*the namespace"),
        ({"metadata": {"name": "a", "namespace": "x", "resourceVersion": "7"}}, "obj.metadata.namespace: 'x' .*shop"),
        ({"metadata": {"namespace": "shop", "resourceVersion": "7"}}, "obj.metadata.name: None"),
        ({"metadata": {"name": "a", "namespace": "shop"}}, "obj.metadata.resourceVersion: '' .*a number"),
        ({"metadata": {"name": "a", "namespace": "shop", "resourceVersion": "x7"}}, "resourceVersion: 'x7'"),
        ({"metadata": 7}, "obj: .*not shown.*metadata"),
        ({"metadata": {"name": "a", "namespace": "shop", "resourceVersion": "7", "labels": 7}}, "obj: .*labels"),
        ({"data": {"password": "hunter2", "more": object()}}, "obj: .*values that JSON has"),
        ({"data": {"large": "x" * 2_000_000}}, "obj: .*oversized"),
    ],
)  # fmt: skip
async def test_an_object_that_cannot_be_expected_is_refused(server: Server, wrong: dict[str, Any], message: str):
    options = quick(max_object_bytes=1_000_000)
    scope = kinform.Scope(namespaces=["shop"])
    async with (
        kinform.connect(server.url) as api,
        kinform.Informer(api, CONFIGS, options=options, scope=scope) as configs,
    ):
        await configs.synced(timeout=10)
        with pytest.raises(kinform.OptionError, match=message) as caught:
            configs.expect(answer() | wrong)
        assert "hunter2" not in str(caught.value)
        assert configs.stats().expectations == 0


@pytest.mark.parametrize("wrong", [7, None, "text", b"", b"[]", b'{"metadata":{}}{}', b"\xff", [answer()]])
async def test_what_is_not_an_object_is_refused(server: Server, wrong: Any):
    async with kinform.connect(server.url) as api, kinform.Informer(api, CONFIGS, options=quick()) as configs:
        await configs.synced(timeout=10)
        with pytest.raises(kinform.OptionError, match=r"^obj"):
            configs.expect(wrong)


async def test_the_kind_is_checked_before_the_first_object_too(server: Server):
    async with kinform.connect(server.url) as api, kinform.Informer(api, "v1/pods", options=quick()) as pods:
        await pods.synced(timeout=10)
        with pytest.raises(kinform.OptionError, match=r"obj.kind: 'ConfigMap' .*the kind of v1/pods"):
            pods.expect(answer())
        pods.expect(answer(kind="Pod"))
        assert list(pods.store) == ["shop/a"]


async def test_a_field_selector_of_another_name_excludes(server: Server):
    scope = kinform.Scope(field_selector="metadata.name=a,metadata.namespace!=till")
    async with (
        kinform.connect(server.url) as api,
        kinform.Informer(api, CONFIGS, options=quick(), scope=scope) as configs,
    ):
        await configs.synced(timeout=10)
        configs.expect(answer("a"))
        configs.expect(answer("b"))
        assert list(configs.store) == ["shop/a"]
        assert configs.store.meta("shop/a").resource_version == "1000000"


@pytest.mark.parametrize("resource", [CONFIGS, "apps/v1/deployments"])
async def test_the_answer_of_a_delete_is_refused_as_a_status(server: Server, resource: str):
    server.generate(resource, 1, namespace="till")
    async with kinform.connect(server.url) as api, kinform.Informer(api, resource, options=quick()) as informer:
        await informer.synced(timeout=10)
        gone = await api.delete(resource, max(informer.store))
        assert gone["kind"] == "Status"
        for form in (gone, msgspec.json.encode(gone)):
            with pytest.raises(kinform.OptionError, match=r"obj\.kind: 'Status' .*deletion cannot be expected"):
                informer.expect(form)


async def test_only_a_running_informer_can_expect(server: Server):
    async with kinform.connect(server.url) as api:
        configs = kinform.Informer(api, CONFIGS, options=quick())
        with pytest.raises(kinform.KinformError, match="has not started"):
            configs.expect(answer())
        async with configs:
            await configs.synced(timeout=10)
            configs.expect(answer())
            with pytest.raises(kinform.KinformError, match="thread"):
                await asyncio.to_thread(configs.expect, answer())
        with pytest.raises(kinform.KinformError, match="not running"):
            configs.expect(answer())
        assert configs.store.meta("shop/a").resource_version == "1000000"


async def test_informers_that_share_see_each_others_writes(server: Server):
    async with kinform.connect(server.url) as api, kinform.Factory(api) as factory:
        dicts = factory.informer(CONFIGS, options=quick())
        structs = factory.informer(CONFIGS, options=quick(), type=Config, indexes={"v": "data.v"})
        await factory.synced(timeout=10)
        dicts.expect(answer(data={"v": "7"}))
        assert structs.store["shop/a"].data == {"v": "7"}
        assert structs.store.index_keys("v", "7") == ["shop/a"]
        assert structs.store.index_values("v") == ["1", "7"]
        assert structs.stats().expectations == dicts.stats().expectations == 1


async def test_an_own_write_is_expected_of_an_idle_informer_too(server: Server):
    async with (
        kinform.connect(server.url) as api,
        kinform.Informer(api, CONFIGS, options=quick(), start="lazy", idle_timeout=1) as configs,
    ):
        for _ in range(2):
            assert configs.state == "idle"
            made = await api.patch(CONFIGS, "shop/a", {"data": {"v": "2"}}, how="merge")
            configs.expect(made)
            with pytest.raises(kinform.KinformError, match="idle"):
                configs.store.get("shop/a")
            await configs.synced(timeout=10)
            assert configs.store["shop/a"]["data"] == {"v": "2"}
            await caught_up(configs)
            await until(lambda: configs.state == "idle")


async def test_threads_expect_and_read_own_writes(cluster: Cluster):
    loop = asyncio.get_running_loop()

    def create(number: int) -> dict[str, Any]:
        writing = cluster.create(f"c{number}", data={"v": str(number)})
        return asyncio.run_coroutine_threadsafe(writing, loop).result()

    def program() -> None:
        scope = kinform.Scope(namespaces=[cluster.namespace])
        with (
            kinform.sync.connect(cluster.url, **cluster.connect_options) as api,
            kinform.sync.Informer(api, CONFIGS, scope=scope, options=quick(), decoded_cache=10) as configs,
        ):
            configs.synced(timeout=20)
            for number in range(10):
                made = create(number)
                configs.expect(made)
                assert configs.store[f"{cluster.namespace}/c{number}"]["data"] == {"v": str(number)}
            configs.wait_for(made["metadata"]["resourceVersion"], timeout=20)
            assert configs.stats().expectations == 0
            assert {key for key in configs.store if "/c" in key} == {f"{cluster.namespace}/c{n}" for n in range(10)}

    await asyncio.to_thread(program)
