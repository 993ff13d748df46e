"""Programs for each door: types, calls, the drop-in, factories, health, threads.

Each runs as a user would write it, on the simulator and on a real kube-apiserver, with the credentials of a kubeconfig.
"""

from __future__ import annotations

import asyncio
from typing import Any

import kubernetes
import kubernetes.aio
import kubernetes_asyncio
import msgspec
import pytest

import kinform
import kinform.sync
from kinform import watch
from kinform.sync import watch as sync_watch
from tests.support.clusters import Cluster
from tests.support.waiting import until


class Meta(msgspec.Struct):
    name: str
    namespace: str = ""
    labels: dict[str, str] = {}


class Spec(msgspec.Struct, frozen=True):
    nodeName: str = ""


class Pod(msgspec.Struct):
    metadata: Meta
    spec: Spec


class DeploymentSpec(msgspec.Struct):
    replicas: int = 1


class Deployment(msgspec.Struct):
    metadata: Meta
    spec: DeploymentSpec


class Map(msgspec.Struct):
    metadata: Meta
    data: dict[str, str] = {}


CONTAINERS = [{"name": "c", "image": "i"}]


@pytest.fixture(autouse=True)
async def cluster_with_a_pod(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster that `connect()` finds, with a pod web-0."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    await cluster.create(
        "web-0", "v1/pods", labels={"app": "web"}, spec={"nodeName": "node-7", "containers": CONTAINERS}
    )
    return cluster


@pytest.fixture
def web_0(cluster: Cluster) -> str:
    return f"{cluster.namespace}/web-0"


async def test_types_are_those_of_the_informer(web_0):
    def serve(pods: kinform.Informer[Pod]) -> Pod | None:
        return pods.store.get(web_0)

    async with kinform.connect() as api:
        pods = kinform.Informer(api, "v1/pods", type=Pod)
        plain = kinform.Informer(api, "v1/pods")
        models = kinform.Informer(api, "v1/pods", type=kubernetes_asyncio.client.V1Pod)
        async with pods, plain, models:
            for informer in (pods, plain, models):
                await informer.synced(timeout=60)
            found = serve(pods)
            assert found is not None
            assert (found.metadata.labels, found.spec) == ({"app": "web"}, Spec("node-7"))
            assert dict(pods.store.items())[web_0] == found
            assert plain.store[web_0]["spec"]["nodeName"] == models.store[web_0].spec.node_name == "node-7"
            assert repr(pods) == f"<kinform.Informer of v1/pods: live, {len(pods.store)} objects>"
    assert kinform.__version__


async def test_one_shot_calls_list_read_and_write(cluster, web_0):
    shop = cluster.namespace
    template = {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": CONTAINERS}}
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "d"}}, "template": template}
    async with kinform.connect() as api:
        await api.create("apps/v1/deployments", {"metadata": {"namespace": shop, "name": "d"}, "spec": spec})
        scope = kinform.Scope(namespaces=[shop])
        found = [d async for d in api.list("apps/v1/deployments", scope=scope, type=Deployment)]
        assert [(d.metadata.name, d.spec.replicas) for d in found] == [("d", 3)]
        pod = await api.get("v1/pods", web_0)
        made = await api.create(
            "v1/configmaps", {"metadata": {"namespace": shop, "name": "c"}, "data": {"mode": "slow"}}
        )
        assert made["metadata"]["resourceVersion"]
        wanted = {"kind": "ConfigMap", "metadata": {"namespace": shop, "name": "c"}, "data": {"mode": "fast"}}
        obj = await api.apply("v1/configmaps", wanted, field_manager="widget-operator", force=True)
        assert obj["data"] == {"mode": "fast"}
        condition = {"type": "Checked", "status": "True"}
        patch = {"status": {"conditions": [condition]}}
        patched = await api.patch("v1/pods", web_0, patch, how="merge", subresource="status")
        assert condition.items() <= patched["status"]["conditions"][0].items()
        assert patched["metadata"]["uid"] == pod["metadata"]["uid"]
        replaced = await api.replace("v1/configmaps", {**obj, "data": {"mode": "off"}})
        with pytest.raises(kinform.ConflictError):
            await api.replace("v1/configmaps", obj)
        with pytest.raises(kinform.AlreadyExistsError):
            await api.create("v1/configmaps", wanted)
        with pytest.raises(kinform.InvalidError) as caught:
            await api.create("v1/configmaps", {"metadata": {"namespace": shop, "name": "UPPER"}})
        assert caught.value.causes
        await api.delete("apps/v1/deployments", f"{shop}/d")
        await api.delete("v1/configmaps", f"{shop}/c", uid=replaced["metadata"]["uid"], propagation="Background")
        with pytest.raises(kinform.NotFoundError):
            await api.get("v1/configmaps", f"{shop}/c")


@pytest.mark.parametrize("client", [kubernetes_asyncio, kubernetes.aio], ids=lambda client: client.__name__)
async def test_the_drop_in_takes_the_place_of_the_watch(cluster, client):
    configuration = client.client.Configuration()
    loaded = client.config.load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)
    if loaded is not None:
        await loaded
    async with client.client.ApiClient(configuration) as api:
        v1 = client.client.CoreV1Api(api)
        async with watch.Watch() as w:
            async for event in w.stream(v1.list_pod_for_all_namespaces, label_selector="app=web"):
                if event["object"].metadata.namespace == cluster.namespace:
                    assert (event["type"], event["object"].metadata.name) == ("ADDED", "web-0")
                    assert event["raw_object"]["metadata"]["labels"] == {"app": "web"}
                    break


async def test_the_synchronous_drop_in_takes_the_place_of_the_watch(cluster):
    def program() -> None:
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)
        with kubernetes.client.ApiClient(configuration) as api:
            v1 = kubernetes.client.CoreV1Api(api)
            w = sync_watch.Watch()
            for event in w.stream(v1.list_pod_for_all_namespaces, label_selector="app=web"):
                if event["object"].metadata.namespace == cluster.namespace:
                    assert (event["type"], event["object"].metadata.name) == ("ADDED", "web-0")
                    w.stop()

    async with asyncio.timeout(60):
        await asyncio.to_thread(program)


async def test_a_factory_serves_two_informers_from_one_stream(web_0):
    async with kinform.connect() as api, kinform.Factory(api, start_jitter=0.1, max_concurrent_syncs=4) as factory:
        pods = factory.informer("v1/pods", type=Pod, indexes={"node": "spec.nodeName"})
        same = factory.informer("v1/pods")
        await factory.synced(timeout=60)
        assert pods.store.raw(web_0) == same.store.raw(web_0)
        assert web_0 in pods.store.index_keys("node", "node-7")
        assert {pod.spec for pod in pods.store.index("node", "node-7")} == {Spec("node-7")}
        assert (factory.stats().informers, factory.stats().streams) == (2, 1)


async def test_a_lazy_informer_reports_its_health(cluster, web_0):
    async with kinform.connect() as api:
        pods = kinform.Informer(api, "v1/pods", start="lazy", idle_timeout=600, resync_period=3600)
        async with pods:
            assert pods.health().state == "idle"
            await pods.synced(timeout=60)
            failed = asyncio.create_task(pods.failed())
            await until(lambda: pods.health().ok)
            assert pods.health(max_age=120).ok
            health = pods.health()
            assert (health.state, health.reason, health.degraded, health.last_error) == ("live", "", [], None)
            assert web_0 in dict(pods.store.items(on_undecodable="skip"))
            assert not failed.done()
        with pytest.raises(kinform.KinformError):
            await failed


async def test_a_refusal_is_raised_and_a_failure_ends_the_block():
    options = kinform.WatchOptions(backoff=kinform.Backoff(initial=0.05, maximum=0.1, refused=0.1))
    async with kinform.connect() as api:
        async with kinform.Informer(api, "example.com/v1/nothing", options=options) as nothing:
            with pytest.raises(kinform.NotFoundError):
                await nothing.synced(timeout=60)
            with pytest.raises(kinform.NotFoundError):
                await nothing.synced(timeout=0.5, wait=True)
        scope = kinform.Scope(field_selector="spec.colour=red")
        with pytest.raises(kinform.BadRequestError):
            async with kinform.Informer(api, "v1/pods", scope=scope) as pods:
                assert isinstance(await pods.failed(), kinform.BadRequestError)


async def test_threads_follow_a_collection(cluster, web_0):
    loop = asyncio.get_running_loop()
    changes: list[tuple[str, Any]] = []

    def program() -> None:
        with kinform.sync.connect() as api, kinform.sync.Informer(api, "v1/pods", type=Pod) as pods:
            pods.synced(timeout=60)
            found = pods.store.get(web_0)
            assert found is not None
            assert found.spec == Spec("node-7")
            for change in pods.changes():
                if isinstance(change, kinform.Synced):
                    deletion = asyncio.run_coroutine_threadsafe(cluster.delete("web-0", "v1/pods"), loop)
                elif change.key == web_0:
                    changes.append((type(change).__name__, change.key))
                    if isinstance(change, kinform.Deleted):
                        break
            deletion.result(30)

    async with asyncio.timeout(90):
        await asyncio.to_thread(program)
    assert (changes[0], changes[-1]) == (("Added", web_0), ("Deleted", web_0))
