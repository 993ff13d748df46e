"""Names: the same objects whether the server filters, as for one name, or kinform."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import kinform
from kinform.testing import Server
from tests.net.informers import quick, versions
from tests.support.recording import RecordingTransport
from tests.support.waiting import until

CONFIGS = "v1/configmaps"
MANY = ("c1", "c2", "c70")  # the last one does not exist at first


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server() as server:
        for namespace in ("bank", "shop"):
            for number in range(30):
                put(server, f"c{number}", namespace)
        yield server


@pytest.fixture(params=[("c1",), MANY], ids=["one name", "several names"])
def names(request: pytest.FixtureRequest) -> Any:
    return request.param


def put(server: Server, name: str, namespace: str = "shop", **labels: str) -> str:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return server.put(CONFIGS, {"metadata": metadata, "data": {"key": name}})


def informer(api: kinform.Connection, names: Any, *, options: Any = None, **scope: Any) -> kinform.Informer:
    return kinform.Informer(api, CONFIGS, scope=kinform.Scope(names=names, **scope), options=options or quick())


def named(server: Server, names: Any, *, namespace: str = "") -> dict[str, tuple[str, str]]:
    """Returns the versions of the server's objects with these names."""
    found = server.versions(CONFIGS).items()
    return {key: value for key, value in found if key.split("/")[1] in names and key.startswith(namespace)}


@pytest.mark.parametrize("initial", ["list", "stream"])
@pytest.mark.parametrize("namespaces", [None, ["shop"], ["shop", "bank"]])
async def test_the_store_follows_the_objects_with_the_names(
    server: Server, api: kinform.Connection, names: Any, initial: Any, namespaces: Any
) -> None:
    options = quick(initial=initial, page_size=7)
    async with informer(api, names, namespaces=namespaces, options=options) as configs:
        await configs.synced(timeout=10)
        keys = None if namespaces is None or len(namespaces) > 1 else f"{namespaces[0]}/"
        assert versions(configs.store) == named(server, names, namespace=keys or "")
        assert len(configs.stats().streams) == len(namespaces or [""])
        seen: list[str] = []
        configs.on_delete(lambda obj: seen.append(obj["metadata"]["name"]))
        for name in ("c1", "c5", "c70", "c71"):
            put(server, name, changed="1")
        server.delete(CONFIGS, "shop/c1")
        server.delete(CONFIGS, "shop/c5")
        await until(lambda: versions(configs.store) == named(server, names, namespace=keys or ""))
        await until(lambda: seen == ["c1"])


@pytest.mark.parametrize("initial", ["list", "stream"])
async def test_stats_count_dropped_objects(server: Server, api: kinform.Connection, names: Any, initial: Any) -> None:
    async with informer(api, names, options=quick(initial=initial)) as configs:
        await configs.synced(timeout=10)
        stats = configs.stats()
        others = len(server.versions(CONFIGS)) - len(named(server, names))
        assert stats.name_dropped == (0 if len(names) == 1 else others)
        assert (stats.shard_dropped, stats.streams[""].shard_filter) == (0, None)


async def test_an_event_with_another_name_moves_the_resource_version(server: Server, api: kinform.Connection) -> None:
    async with informer(api, MANY) as configs:
        await configs.synced(timeout=10)
        await server.wait_for_watchers(1)
        version = server.touch(CONFIGS, "shop/c5")
        await configs.wait_for(version, timeout=10)
        assert configs.stats().streams[""].resource_version == version


async def test_a_410_relists_the_names(server: Server, api: kinform.Connection, names: Any) -> None:
    async with informer(api, names) as configs:
        await configs.synced(timeout=10)
        await server.stop()
        for number in range(0, 90):
            put(server, f"c{number}", again="1")
        server.delete(CONFIGS, "bank/c1")
        server.compact()
        await server.start()
        await until(lambda: versions(configs.store) == named(server, names))
        assert sum(configs.stats().relists.values()) == 1


async def test_skipped_objects_with_other_names_are_not_degraded(
    server: Server, api: kinform.Connection, names: Any
) -> None:
    async with informer(api, names, options=quick(max_object_bytes=4000)) as configs:
        await configs.synced(timeout=10)
        for key in ("shop/c5", "shop/c1"):
            server.update(CONFIGS, key, lambda obj: obj["data"].update(big="x" * 5000))
        await until(lambda: configs.stats().degraded == ["shop/c1"])
        server.update(CONFIGS, "shop/c1", lambda obj: obj["data"].pop("big"))
        await until(lambda: not configs.stats().degraded)
        assert versions(configs.store) == named(server, names)


@pytest.mark.parametrize("initial", ["list", "stream"])
async def test_an_object_that_was_too_large_at_first_is_healed(
    server: Server, api: kinform.Connection, names: Any, initial: Any
) -> None:
    for key in ("shop/c5", "shop/c1"):
        server.update(CONFIGS, key, lambda obj: obj["data"].update(big="x" * 5000))
    async with informer(api, names, options=quick(initial=initial, max_object_bytes=4000)) as configs:
        await configs.synced(timeout=10, allow_skipped=True)
        assert configs.stats().degraded == ["shop/c1"]
        server.delete(CONFIGS, "shop/c1")
        await until(lambda: not configs.stats().degraded)
        assert versions(configs.store) == named(server, names)


async def test_an_own_write_with_another_name_is_not_readable(
    server: Server, api: kinform.Connection, names: Any
) -> None:
    async with informer(api, [*names, "c80"]) as configs:
        await configs.synced(timeout=10)
        for name in ("c80", "c81"):
            configs.expect(await api.create(CONFIGS, {"metadata": {"name": name, "namespace": "shop"}}))
        assert "shop/c80" in configs.store
        assert "shop/c81" not in configs.store


async def test_a_list_and_a_stream_have_names_too(server: Server, api: kinform.Connection, names: Any) -> None:
    scope = kinform.Scope(names=names)
    listed = [obj async for obj in api.list(CONFIGS, scope=scope, page_size=7)]
    assert {f"{obj['metadata']['namespace']}/{obj['metadata']['name']}" for obj in listed} == set(named(server, names))
    found = set()
    async for event in kinform.watcher(api, CONFIGS, scope=scope):
        if isinstance(event, kinform.InitDone):
            break
        if isinstance(event, kinform.InitApply):
            found.add(event.object.key)
    assert found == set(named(server, names))


async def test_selectors_shards_and_metadata_combine(server: Server, api: kinform.Connection) -> None:
    put(server, "c1", "shop", app="web")
    found: set[str] = set()
    for index in range(2):
        scope: Any = {"label_selector": "app=web", "metadata_only": True, "shard": (index, 2)}
        async with informer(api, MANY, **scope) as configs:
            await configs.synced(timeout=10)
            found |= set(configs.store)
            assert {obj["kind"] for obj in configs.store.values()} <= {"PartialObjectMetadata"}
    assert found == {"shop/c1"}


@pytest.mark.parametrize("max_streams", [50, 1])
async def test_names_in_the_namespaces_of_a_selector(
    server: Server, api: kinform.Connection, names: Any, max_streams: int
) -> None:
    for namespace in ("shop", "bank", "till"):
        server.put("v1/namespaces", {"metadata": {"name": namespace, "labels": {"tenant": "true"}}})
    server.put("v1/namespaces", {"metadata": {"name": "bank", "labels": {}}})
    selector = kinform.NamespaceSelector("tenant=true", max_streams=max_streams)
    async with informer(api, names, namespaces=selector) as configs:
        await configs.synced(timeout=10)
        await until(lambda: versions(configs.store) == named(server, names, namespace="shop/"))
        for name in ("c1", "c5"):
            put(server, name, "till")
        await until(lambda: "till/c1" in configs.store)
        assert "till/c5" not in configs.store
        server.put("v1/namespaces", {"metadata": {"name": "bank", "labels": {"tenant": "true"}}})
        await until(lambda: versions(configs.store) == named(server, names))


async def test_a_snapshot_of_other_names_is_refused(server: Server, api: kinform.Connection, tmp_path: Path) -> None:
    for names, refused in ((["c1", "c2"], False), (["c2", "c1"], False), (["c1"], True), (None, True)):
        scope, options = kinform.Scope(names=names), quick(initial="list")
        async with kinform.Informer(api, CONFIGS, scope=scope, snapshot=tmp_path / "s", options=options) as one:
            await one.synced(timeout=10)
            assert versions(one.store) == (named(server, names) if names else server.versions(CONFIGS))
            assert (one.stats().snapshot.refused or "").endswith("other names" if refused else "")
            assert (one.stats().snapshot.refused is None) is not refused


async def test_a_factory_shares_equal_names_only(server: Server, api: kinform.Connection) -> None:
    async with kinform.Factory(api) as factory:
        informers = [
            factory.informer(CONFIGS, scope=kinform.Scope(names=names))
            for names in (["c1", "c2"], ["c2", "c1"], ["c1"], None)
        ]
        await factory.synced(timeout=10)
        assert factory.stats().collections == 3
        assert [len(each.store) for each in informers] == [4, 4, 2, 60]


async def test_names_of_cluster_scoped_objects(server: Server, api: kinform.Connection) -> None:
    for name in ("a", "b", "c"):
        server.put("v1/nodes", {"metadata": {"name": name}})
    for names in (["a"], ["a", "c"]):
        async with kinform.Informer(api, "v1/nodes", scope=kinform.Scope(names=names), options=quick()) as nodes:
            await nodes.synced(timeout=10)
            assert sorted(nodes.store) == names


class WithoutFieldSelectors(RecordingTransport):
    """A server that ignores field selectors, as some aggregated API servers do."""

    async def open(self, request: kinform.Request) -> kinform.Response:
        params = tuple(each for each in request.params if each[0] != "fieldSelector")
        return await super().open(msgspec.structs.replace(request, params=params))


@pytest.mark.parametrize("initial", ["list", "stream"])
async def test_kinform_filters_if_the_server_ignores_one_name(
    server: Server, api: kinform.Connection, initial: Any
) -> None:
    transport: Any = WithoutFieldSelectors(api)
    async with informer(transport, ["c1"], options=quick(initial=initial)) as configs:
        await configs.synced(timeout=10)
        for name in ("c1", "c2"):
            put(server, name, changed="1")
        await until(lambda: versions(configs.store) == named(server, ["c1"]))
        assert configs.stats().name_dropped >= 58
