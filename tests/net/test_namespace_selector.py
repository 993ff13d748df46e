"""`NamespaceSelector`: namespaces begin to match and end to, with any streams."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import kinform
from kinform.testing import Forbidden, Hangup, Server
from tests.net.informers import quick
from tests.support.waiting import until

PODS = "v1/pods"


def put_namespace(server: Server, name: str, *, agent: bool) -> None:
    server.put("v1/namespaces", {"metadata": {"name": name, "labels": {"tenant-agent": str(agent).lower()}}})


def put_pod(server: Server, key: str, **labels: str) -> None:
    namespace, name = key.split("/")
    server.put(PODS, {"metadata": {"namespace": namespace, "name": name, "labels": labels}})


def scope(max_streams: int = 50, **options: Any) -> kinform.Scope:
    return kinform.Scope(namespaces=kinform.NamespaceSelector("tenant-agent=true", max_streams), **options)


def expected(server: Server) -> dict[str, str]:
    """Returns the resourceVersions of the pods in matching namespaces."""
    names = {
        name
        for name in server.keys("v1/namespaces")
        if (server.get("v1/namespaces", name) or {})["metadata"].get("labels", {}).get("tenant-agent") == "true"
    }
    return {key: rv for key, (_, rv) in server.versions(PODS).items() if key.split("/")[0] in names}


def stored(informer: kinform.Informer[Any]) -> dict[str, str]:
    metas = {key: informer.store.meta(key) for key in informer.store}
    return {key: meta.resource_version for key, meta in metas.items() if meta is not None}


@pytest.fixture
async def make(server: Server) -> AsyncIterator[Callable[..., kinform.Informer[Any]]]:
    async with kinform.connect(server.url) as api:
        yield lambda scope, **options: kinform.Informer(api, PODS, scope=scope, options=quick(), **options)


def watched(server: Server) -> set[str]:
    """Returns the paths of the pods that were requested."""
    return {request.path for request in server.requests if request.path.endswith("/pods")}


@pytest.mark.parametrize("max_streams", [50, 0])
async def test_namespaces_are_followed_as_they_match(server: Server, make: Any, max_streams: int) -> None:
    for name, agent in (("shop", True), ("bank", False), ("till", True)):
        put_namespace(server, name, agent=agent)
        server.generate(PODS, 3, namespace=name)
    deleted: list[str] = []
    async with make(scope(max_streams)) as pods:
        pods.on_delete(lambda pod: deleted.append("{namespace}/{name}".format(**pod["metadata"])))
        await pods.synced(timeout=10)
        assert stored(pods) == expected(server)
        assert len(pods.store) == 6
        put_namespace(server, "bank", agent=True)
        await until(lambda: stored(pods) == expected(server))
        assert len(pods.store) == 9
        gone = [key for key in server.keys(PODS) if key.startswith("shop/")]
        put_namespace(server, "shop", agent=False)
        await until(lambda: len(pods.store) == 6)
        await until(lambda: sorted(deleted) == sorted(gone))
        server.delete("v1/namespaces", "till")
        await until(lambda: len(pods.store) == 3)
        put_pod(server, "bank/new")
        put_pod(server, "shop/new")
        await until(lambda: stored(pods) == expected(server))
        assert pods.health().ok
        stats = pods.stats().namespaces
    own = 1 if max_streams else 0
    assert stats == kinform.NamespacesStats(matching=1, own_streams=own, covered=1 - own)
    assert ("/api/v1/pods" in watched(server)) == (max_streams == 0)


async def test_more_namespaces_than_streams_share_one(server: Server, make: Any) -> None:
    for i in range(4):
        put_namespace(server, f"n{i}", agent=i < 3)
        server.generate(PODS, 2, namespace=f"n{i}")
    changes: list[str] = []
    async with make(scope(3)) as pods:
        await pods.synced(timeout=10)
        assert set(pods.stats().streams) == {"(namespaces)", "n0", "n1", "n2"}
        pods.on_change(lambda key: changes.append(key))
        await until(lambda: len(changes) == 6)
        changes.clear()
        put_namespace(server, "n3", agent=True)
        await until(lambda: stored(pods) == expected(server) and len(pods.store) == 8)
        await until(lambda: pods.state == "live")
        assert set(pods.stats().streams) == {"(namespaces)", ""}
        assert pods.stats().namespaces == kinform.NamespacesStats(matching=4, own_streams=0, covered=4)
        put_pod(server, "n0/new")
        put_pod(server, "other/new")
        await until(lambda: "n0/new" in pods.store)
        assert "other/new" not in pods.store
        await until(lambda: sorted(set(changes)) == sorted({k for k in pods.store if k[:2] == "n3"} | {"n0/new"}))
        # A later one has a stream of its own again.
        put_namespace(server, "n4", agent=True)
        put_pod(server, "n4/a")
        await until(lambda: "n4/a" in pods.store)
        assert set(pods.stats().streams) == {"(namespaces)", "", "n4"}


async def test_no_namespace_matches_at_first(server: Server, make: Any) -> None:
    async with make(scope()) as pods:
        await pods.synced(timeout=10)
        assert (len(pods.store), pods.state) == (0, "live")
        put_namespace(server, "shop", agent=True)
        put_pod(server, "shop/a", app="web")
        await until(lambda: "shop/a" in pods.store)


async def test_missing_rights_on_namespaces_are_told(server: Server, make: Any) -> None:
    server.fault(Forbidden(), resource="v1/namespaces", times=None)
    async with make(scope()) as pods:
        with pytest.raises(kinform.ForbiddenError, match=r"v1/namespaces \(labels tenant-agent=true\)"):
            await pods.synced(timeout=10)
        assert pods.state == "forbidden"
        server.heal()
        await pods.synced(timeout=10, wait=True)


async def test_own_writes_are_readable_in_both_forms(server: Server) -> None:
    for max_streams in (1, 0):
        put_namespace(server, "shop", agent=True)
        async with kinform.connect(server.url) as api:
            configs = kinform.Informer(api, "v1/configmaps", scope=scope(max_streams), options=quick())
            async with configs:
                await configs.synced(timeout=10)
                obj = {"metadata": {"namespace": "shop", "name": f"c{max_streams}"}}
                made = await api.create("v1/configmaps", obj)
                configs.expect(made)
                assert f"shop/c{max_streams}" in configs.store
                other = {"metadata": {"namespace": "other", "name": "c", "resourceVersion": "1"}}
                with pytest.raises(kinform.OptionError, match="a followed namespace"):
                    configs.expect({"kind": "ConfigMap", **other})
                await until(lambda configs=configs: configs.stats().expectations == 0)


@pytest.mark.parametrize("max_streams", [0, 2, 5])
async def test_random_changes_and_faults_end_in_the_right_state(server: Server, make: Any, max_streams: int) -> None:
    seed = int(os.environ.get("KINFORM_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"KINFORM_SEED={seed}")
    rng = random.Random(seed)
    names = [f"n{i}" for i in range(7)]
    for name in names:
        put_namespace(server, name, agent=rng.random() < 0.5)
    async with make(scope(max_streams)) as pods:
        for _ in range(150):
            name = rng.choice(names)
            draw = rng.random()
            if draw < 0.3:
                put_namespace(server, name, agent=rng.random() < 0.5)
            elif draw < 0.75:
                put_pod(server, f"{name}/{rng.randrange(5)}", x=str(rng.random()))
            elif draw < 0.85 and (keys := server.keys(PODS)):
                server.delete(PODS, rng.choice(keys))
            elif draw < 0.9:
                server.fault(Hangup(after=rng.randrange(3)))
            elif draw < 0.95:
                server.disconnect()
            else:
                server.compact()
            await asyncio.sleep(rng.random() * 0.02)
        await until(lambda: stored(pods) == expected(server), within=30)
        await until(lambda: pods.health().ok)


async def test_what_cannot_follow_a_selector_refuses_it(server: Server, make: Any, tmp_path: Any) -> None:
    async with kinform.connect(server.url) as api:
        with pytest.raises(kinform.OptionError, match="an Informer takes a selector"):
            kinform.watcher(api, PODS, scope=scope())
        with pytest.raises(kinform.OptionError, match="an Informer takes a selector"):
            api.list(PODS, scope=scope())
    with pytest.raises(kinform.OptionError, match="snapshot"):
        make(scope(), snapshot=tmp_path / "pods")
    async with make(scope()) as pods:
        with pytest.raises(kinform.OptionError, match="follows those that match"):
            await pods.add_namespace("shop")
    for wrong in ("", " ", "a b", 7):
        with pytest.raises(kinform.OptionError, match=r"NamespaceSelector\.label_selector"):
            kinform.NamespaceSelector(wrong)  # type: ignore[arg-type]
    with pytest.raises(kinform.OptionError, match="max_streams"):
        kinform.NamespaceSelector("a=b", -1)


async def test_informers_of_a_factory_share_the_selected_namespaces(server: Server) -> None:
    put_namespace(server, "shop", agent=True)
    put_pod(server, "shop/a")
    async with kinform.connect(server.url) as api, kinform.Factory(api) as factory:
        first, second = (factory.informer(PODS, scope=scope(), options=quick()) for _ in range(2))
        await factory.synced(timeout=10)
        assert list(first.store) == list(second.store) == ["shop/a"]
        assert factory.stats().streams == 2
        assert first.name == "v1/pods in namespaces with tenant-agent=true"


async def test_an_informer_follows_selected_namespaces_again(server: Server, make: Any) -> None:
    put_namespace(server, "shop", agent=True)
    put_pod(server, "shop/a")
    for max_streams in (1, 0):
        pods = make(scope(max_streams))
        for _ in range(2):
            async with pods:
                await pods.synced(timeout=10)
                assert list(pods.store) == ["shop/a"]
