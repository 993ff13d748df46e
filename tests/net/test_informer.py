"""The informer, on the simulator and a real kube-apiserver alike."""

from __future__ import annotations

import asyncio

import pytest

import kinform
from tests.net.informers import fails, quick
from tests.support.clusters import Cluster
from tests.support.waiting import until


@pytest.fixture
async def api(cluster):
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        yield api


def informer(api, cluster: Cluster, **options) -> kinform.Informer:
    """An informer on the test's own namespace."""
    scope = kinform.Scope(namespaces=[cluster.namespace])
    return kinform.Informer(api, cluster.resource, scope=scope, options=quick(**options))


async def truth(cluster: Cluster) -> dict[str, dict]:
    """Returns the objects of the server, in the form that the store should give."""
    answer = (await cluster.api.list_raw(cluster.resource, namespace=cluster.namespace)).json()
    held = {}
    for found in answer["items"]:
        found["metadata"].pop("managedFields", None)
        metadata = found["metadata"]
        held[f"{metadata['namespace']}/{metadata['name']}"] = {"apiVersion": "v1", "kind": "ConfigMap", **found}
    return held


async def agrees(informer: kinform.Informer, cluster: Cluster, *, within: float = 20) -> None:
    """Waits until the store holds what the server holds, to the last value."""
    expected = await truth(cluster)
    try:
        await until(lambda: dict(informer.store.items()) == expected, within=within)
    except TimeoutError:
        raise AssertionError(f"{sorted(informer.store)} is not {sorted(expected)}; {informer.stats()}") from None


STARTS = pytest.mark.parametrize(
    "start", [{"initial": "list"}, {"initial": "list", "page_size": 1}, {"initial": "list", "page_size": 0},
              {"initial": "stream"}, {"initial": "auto"}], ids=["list", "pages", "unpaged", "stream", "auto"],
)  # fmt: skip


@STARTS
async def test_a_start_is_init_applies_init_done_then_changes(cluster, api, start):
    for name in ("a", "b", "c"):
        await cluster.create(name, data={"k": name})
    scope = kinform.Scope(namespaces=[cluster.namespace])
    stream = kinform.watcher(api, cluster.resource, scope=scope, options=quick(**start))
    received = []
    async for event in stream:
        received.append(event)
        if isinstance(event, kinform.InitDone):
            await cluster.replace("a", data={"k": "changed"})
            await cluster.delete("b")
        if isinstance(event, kinform.Delete):
            break
    kinds = [type(event) for event in received]
    assert kinds == [kinform.Init, *[kinform.InitApply] * 3, kinform.InitDone, kinform.Apply, kinform.Delete]
    assert {event.object.name for event in received[1:4]} == {"a", "b", "c"}
    changed = received[5].object
    assert changed.decode()["data"] == {"k": "changed"}
    assert (changed.key, changed.namespace) == (f"{cluster.namespace}/a", cluster.namespace)
    assert changed.raw.startswith(b'{"apiVersion":"v1","kind":"ConfigMap",')
    assert received[6].object.key == f"{cluster.namespace}/b"
    assert len(changed.uid) == 36
    assert int(changed.resource_version) < int(received[6].object.resource_version)


@STARTS
async def test_an_empty_collection_is_complete(cluster, api, start):
    scope = kinform.Scope(label_selector="app=nothing")
    received = []
    async for event in kinform.watcher(api, cluster.resource, scope=scope, options=quick(**start)):
        received.append(type(event))
        if isinstance(event, kinform.InitDone):
            break
    assert received == [kinform.Init, kinform.InitDone]


@STARTS
async def test_a_store_follows_the_server(cluster, api, start):
    for name in ("a", "b"):
        await cluster.create(name, data={"k": name, "odd": 'é\u2028\u0085"\\\u0000 😀'})
    async with informer(api, cluster, **start) as configs:
        await configs.synced(timeout=20)
        await agrees(configs, cluster)
        await cluster.create("c", labels={"app": "web"})
        await cluster.replace("a", data={"k": "changed"})
        await cluster.delete("b")
        await agrees(configs, cluster)


async def test_an_informer_that_is_entered_again_starts_anew(cluster, api, tmp_path):
    await cluster.create("a")
    scope = kinform.Scope(namespaces=[cluster.namespace])
    configs = kinform.Informer(api, cluster.resource, scope=scope, options=quick(), snapshot=tmp_path / "configs")
    heard: list[str] = []
    configs.on_change(heard.append)
    for round in (1, 2):
        async with configs:
            with pytest.raises(kinform.KinformError, match="the informer is running already"):
                await configs.__aenter__()
            await configs.synced(timeout=20)
            await agrees(configs, cluster)
            assert configs.stats().snapshot.loaded is (round == 2)
            await until(lambda: len(heard) == round)  # noqa: B023
            leaving = asyncio.create_task(configs.__aexit__(None, None, None))
            await asyncio.sleep(0)
            with pytest.raises(kinform.KinformError, match="the informer is running already"):
                await configs.__aenter__()
            await leaving


async def test_a_custom_resource_reads_the_same_by_list_and_watch_list(cluster, api):
    widgets = await cluster.create_custom_resource()
    written = await cluster.create("a", widgets, spec={"big": 2**63 + 1, "list": [1, None, {"x": []}]})
    written["metadata"].pop("managedFields", None)
    for initial in ("list", "stream"):
        async with kinform.Informer(api, widgets, options=quick(initial=initial)) as informer:
            await informer.synced(timeout=20)
            assert informer.store[f"{cluster.namespace}/a"] == written


async def test_a_cluster_scoped_resource_has_keys_without_namespace(cluster, api):
    widgets = await cluster.create_custom_resource(namespaced=False)
    await cluster.api.create(widgets, {"metadata": {"name": "a"}})
    async with kinform.Informer(api, widgets, options=quick()) as informer:
        await informer.synced(timeout=20)
        assert list(informer.store.keys()) == ["a"]
        assert informer.store.meta("a").namespace == ""
    scope = kinform.Scope(namespaces=["default"])
    async with kinform.Informer(api, widgets, scope=scope, options=quick()) as informer:
        await until(lambda: informer.state == "not_found", within=20)


@pytest.mark.parametrize("initial", ["list", "stream"])
async def test_metadata_only_reads_the_same_by_list_and_watch_list(cluster, api, initial):
    await cluster.create("a", labels={"app": "web"}, data={"secret": "x" * 1000})
    scope = kinform.Scope(namespaces=[cluster.namespace], metadata_only=True)
    async with kinform.Informer(api, cluster.resource, scope=scope, options=quick(initial=initial)) as configs:
        await configs.synced(timeout=20)
        found = configs.store[f"{cluster.namespace}/a"]
        assert set(found) == {"apiVersion", "kind", "metadata"}
        assert found["kind"] == "PartialObjectMetadata"
        assert found["metadata"]["labels"] == {"app": "web"}
        await cluster.replace("a", labels={"app": "db"})
        await until(lambda: configs.store[f"{cluster.namespace}/a"]["metadata"]["labels"] == {"app": "db"})


async def test_selectors_are_evaluated_by_the_server(cluster, api):
    await cluster.create("a", labels={"app": "web"})
    await cluster.create("b", labels={"app": "db"})
    scope = kinform.Scope(namespaces=[cluster.namespace], label_selector="app in (web)")
    async with kinform.Informer(api, cluster.resource, scope=scope, options=quick()) as configs:
        await configs.synced(timeout=20)
        assert list(configs.store.keys()) == [f"{cluster.namespace}/a"]
        await cluster.replace("b", labels={"app": "web"})
        await cluster.replace("a", labels={"app": "db"})
        await until(lambda: list(configs.store.keys()) == [f"{cluster.namespace}/b"])
    scope = kinform.Scope(namespaces=[cluster.namespace], field_selector="spec.nonsense=1")
    failing = kinform.Informer(api, cluster.resource, scope=scope, options=quick())
    async with fails(failing, kinform.BadRequestError) as configs:
        with pytest.raises(kinform.BadRequestError):
            await configs.synced(timeout=20)


@pytest.mark.parametrize("initial", ["list", "auto"])
async def test_a_relist_after_a_real_410_gives_the_missed_changes(cluster, api, initial):
    for name in ("a", "b", "c"):
        await cluster.create(name)
    async with informer(api, cluster, initial=initial) as configs:
        await configs.synced(timeout=20)
        changes = configs.changes()
        assert [type(await anext(changes)) for _ in range(4)] == [kinform.Added] * 3 + [kinform.Synced]
        before = configs.stats().streams[cluster.namespace].seconds_since_sync
        await cluster.expire_history()
        await cluster.delete("a")
        await cluster.replace("b", data={"k": "changed"})
        await cluster.create("d")
        await agrees(configs, cluster, within=60)
        received = {}
        async with asyncio.timeout(20):
            while len(received) < 3:
                change = await anext(changes)
                received[change.key.split("/")[1]] = type(change)
        assert received == {"a": kinform.Deleted, "b": kinform.Updated, "d": kinform.Added}
        assert before is not None


async def test_streams_resume_after_the_server_was_restarted(cluster, api):
    await cluster.create("a")
    async with informer(api, cluster) as configs:
        await configs.synced(timeout=20)
        await cluster.crash()
        await until(lambda: configs.state == "retrying")
        assert list(configs.store.keys()) == [f"{cluster.namespace}/a"]
        await cluster.recover()
        await cluster.create("b")
        await agrees(configs, cluster, within=60)


async def test_streams_resume_after_the_server_was_frozen(cluster, api):
    await cluster.create("a")
    async with informer(api, cluster, silence_timeout=1, headers_timeout=1) as configs:
        await configs.synced(timeout=20)
        await cluster.freeze()
        await until(lambda: configs.state == "retrying")
        assert "no complete data" in configs.stats().streams[cluster.namespace].error
        await cluster.thaw()
        await cluster.create("b")
        await agrees(configs, cluster, within=60)


async def test_a_watch_ended_by_the_server_resumes_without_a_list(cluster, api):
    await cluster.create("a")
    async with informer(api, cluster, watch_timeout=1) as configs:
        await configs.synced(timeout=20)
        synced = configs.stats().streams[cluster.namespace].seconds_since_sync
        for name in ("b", "c", "d"):
            await asyncio.sleep(0.7)  # longer than one watch in all
            await cluster.create(name)
        await agrees(configs, cluster)
        assert configs.stats().streams[cluster.namespace].seconds_since_sync > synced + 2


async def test_the_same_name_with_a_new_uid_is_a_delete_and_an_add(cluster, api):
    await cluster.create("a")
    async with informer(api, cluster) as configs:
        await configs.synced(timeout=20)
        changes = configs.changes()
        await cluster.crash()
        await cluster.recover()
        await cluster.delete("a")
        await cluster.create("a")
        await cluster.expire_history()
        received = []
        async with asyncio.timeout(60):
            while len(received) < 4:
                received.append(type(await anext(changes)))
    assert received == [kinform.Added, kinform.Synced, kinform.Deleted, kinform.Added]


async def test_a_proxy_that_cuts_and_stalls_loses_nothing(cluster, proxy):
    for number in range(20):
        await cluster.create(f"c{number}", data={"k": "x" * 2000})
    async with kinform.connect(cluster.write_kubeconfig_for(proxy.url)) as api:
        async with informer(api, cluster, silence_timeout=1, headers_timeout=2) as configs:
            await configs.synced(timeout=20)
            for name in ("x", "y", "z"):
                proxy.reset_connections()
                await cluster.create(name)
                await agrees(configs, cluster)
            proxy.stop_forwarding()
            await cluster.create("last")
            await until(lambda: configs.state == "retrying")
            proxy.resume_forwarding()
            await agrees(configs, cluster)


async def test_a_singular_that_the_server_lacks_suggests_the_plural(api, cluster):
    async with kinform.Informer(api, "v1/pod", options=quick()) as informer:
        await until(lambda: informer.state == "not_found", within=20)
        (stream,) = informer.stats().streams.values()
        assert stream.error.endswith("; did you mean v1/pods?")


async def test_repr_names_resource_scope_state_and_objects(cluster, api):
    pods = informer(api, cluster)
    name = f"<kinform.Informer of v1/configmaps in {cluster.namespace}: "
    assert repr(pods) == f"{name}starting, 0 objects>"
    async with pods:
        await cluster.create("a")
        await pods.synced(20)
        await until(lambda: len(pods.store) > 0)
        assert repr(pods).startswith(f"{name}live, ")
    assert repr(pods).startswith(f"{name}stopped, ")
