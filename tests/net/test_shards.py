"""Shards: the same objects whether the server filters or kinform."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import kinform
from kinform.testing import InternalError, Invalid, Server
from kinform_ext._scan import shard_of
from tests.net.informers import quick, versions
from tests.support.waiting import until

CONFIGS = "v1/configmaps"
COUNT = 4


@pytest.fixture(params=["server", "client"])
def filters(request: pytest.FixtureRequest) -> Any:
    """The side that filters by shards."""
    return request.param


@pytest.fixture
async def server(filters: str) -> AsyncIterator[Server]:
    """A simulator that filters by shards, or one that does not."""
    async with Server(sharding=filters == "server") as server:
        for number in range(60):
            put(server, f"c{number}")
        yield server


def put(server: Server, name: str, *, namespace: str = "", **labels: str) -> str:
    """Writes an object. Its namespace follows from its name by default."""
    namespace = namespace or ("shop" if int(name[1:]) % 2 else "bank")
    metadata = {"name": name, "namespace": namespace, "labels": {"parity": namespace, **labels}}
    return server.put(CONFIGS, {"metadata": metadata, "data": {"key": name}})


def shard(index: int, **scope: Any) -> kinform.Scope:
    return kinform.Scope(shard=(index, COUNT), **scope)


def informer(api: kinform.Connection, index: int = 0, *, options: Any = None, **scope: Any) -> kinform.Informer:
    return kinform.Informer(api, CONFIGS, scope=shard(index, **scope), options=options or quick())


def in_shard(server: Server, index: int = 0, *, namespace: str = "") -> dict[str, tuple[str, str]]:
    """Returns the versions of the server's objects in a shard."""
    return {
        key: version
        for key, version in server.versions(CONFIGS).items()
        if shard_of(version[0], COUNT) == index and key.startswith(namespace)
    }


def one_of(server: Server, index: int) -> str:
    """Returns the key of an object of a shard."""
    return next(iter(in_shard(server, index)))


@pytest.mark.parametrize("initial", ["list", "stream"])
async def test_each_object_is_in_exactly_one_shard(server: Server, api: kinform.Connection, initial: Any) -> None:
    found: dict[str, tuple[str, str]] = {}
    for index in range(COUNT):
        async with informer(api, index, options=quick(initial=initial, page_size=7)) as configs:
            await configs.synced(timeout=10)
            assert versions(configs.store) == in_shard(server, index)
            assert not found.keys() & set(configs.store)
            found |= versions(configs.store)
    assert found == server.versions(CONFIGS)


@pytest.mark.parametrize("initial", ["list", "stream"])
async def test_stats_say_who_filters(server: Server, api: kinform.Connection, filters: str, initial: Any) -> None:
    async with informer(api, options=quick(initial=initial)) as configs:
        await configs.synced(timeout=10)
        stats = configs.stats()
    others = len(server.versions(CONFIGS)) - len(in_shard(server))
    assert stats.streams[""].shard_filter == filters
    assert stats.shard_dropped == (0 if filters == "server" else others)


async def test_changes_of_other_shards_never_arrive(server: Server, api: kinform.Connection) -> None:
    seen: list[Any] = []
    async with informer(api) as configs:
        await configs.synced(timeout=10)
        configs.on_add(lambda obj: seen.append(obj["metadata"]["uid"]))
        configs.on_update(lambda _, obj: seen.append(obj["metadata"]["uid"]))
        configs.on_delete(lambda obj: seen.append(obj["metadata"]["uid"]))
        for number in range(40, 80):
            put(server, f"c{number}", changed="1")
        for number in range(0, 40):
            server.delete(CONFIGS, f"{'shop' if number % 2 else 'bank'}/c{number}")
        await until(lambda: versions(configs.store) == in_shard(server))
    assert seen
    assert {shard_of(uid, COUNT) for uid in seen} == {0}


async def test_an_object_that_is_recreated_may_change_its_shard(server: Server, api: kinform.Connection) -> None:
    async with informer(api) as configs:
        await configs.synced(timeout=10)
        for _ in range(20):
            key = one_of(server, 0)
            server.delete(CONFIGS, key)
            put(server, key.split("/")[1])
        await until(lambda: versions(configs.store) == in_shard(server))


async def test_selectors_namespaces_and_metadata_combine(server: Server, api: kinform.Connection) -> None:
    scope = {"namespaces": ["shop"], "label_selector": "parity=shop", "metadata_only": True}
    async with informer(api, 1, **scope) as configs:
        await configs.synced(timeout=10)
        assert versions(configs.store) == in_shard(server, 1, namespace="shop/")
        assert {obj["kind"] for obj in configs.store.values()} == {"PartialObjectMetadata"}
        await configs.add_namespace("bank")
        key = one_of(server, 1)
        server.touch(CONFIGS, key)
        assert set(configs.store) == set(in_shard(server, 1, namespace="shop/"))  # the labels of others do not match


async def test_an_event_of_another_shard_moves_the_resource_version(
    server: Server, api: kinform.Connection, filters: str
) -> None:
    async with informer(api) as configs:
        await configs.synced(timeout=10)
        await server.wait_for_watchers(1)
        version = server.touch(CONFIGS, one_of(server, 1))
        if filters == "server":
            server.bookmark()
        await configs.wait_for(version, timeout=10)
        assert configs.stats().streams[""].resource_version == version


@pytest.mark.parametrize("filters", ["client"], indirect=True)
async def test_events_of_other_shards_are_no_silence(api: kinform.Connection, server: Server) -> None:
    async with informer(api, options=quick(silence_timeout=1.0)) as configs:
        await configs.synced(timeout=10)
        for _ in range(8):
            await asyncio.sleep(0.2)
            version = server.touch(CONFIGS, one_of(server, 1))
            await configs.wait_for(version, timeout=10)
        assert configs.stats().errors == 0


async def test_a_410_relists_the_shard(server: Server, api: kinform.Connection) -> None:
    async with informer(api) as configs:
        await configs.synced(timeout=10)
        await server.stop()
        for number in range(30, 90):
            put(server, f"c{number}", again="1")
        server.compact()
        await server.start()
        await until(lambda: versions(configs.store) == in_shard(server))
        assert sum(configs.stats().relists.values()) == 1


async def test_skipped_objects_of_other_shards_are_not_degraded(api: kinform.Connection, server: Server) -> None:
    async with informer(api, options=quick(max_object_bytes=4000)) as configs:
        await configs.synced(timeout=10)
        foreign, ours = one_of(server, 1), one_of(server, 0)
        for key in (foreign, ours):
            server.update(CONFIGS, key, lambda obj: obj["data"].update(big="x" * 5000))
        await until(lambda: configs.stats().degraded == [ours])
        server.update(CONFIGS, ours, lambda obj: obj["data"].pop("big"))
        await until(lambda: not configs.stats().degraded)
        assert versions(configs.store) == in_shard(server)


@pytest.mark.parametrize("filters", ["client"], indirect=True)
async def test_a_skipped_key_that_left_the_shard_is_healed(server: Server, api: kinform.Connection) -> None:
    async with informer(api, options=quick(max_object_bytes=4000)) as configs:
        await configs.synced(timeout=10)
        key = one_of(server, 0)
        server.update(CONFIGS, key, lambda obj: obj["data"].update(big="x" * 5000))
        await until(lambda: configs.stats().degraded == [key])
        while key in in_shard(server):  # each time with another uid
            server.delete(CONFIGS, key)
            put(server, key.split("/")[1])
        await until(lambda: not configs.stats().degraded)
        assert versions(configs.store) == in_shard(server)


async def test_an_own_write_of_another_shard_is_not_readable(server: Server, api: kinform.Connection) -> None:
    async with informer(api) as configs:
        await configs.synced(timeout=10)
        created = [
            await api.create(CONFIGS, {"metadata": {"name": f"c{number}", "namespace": "shop"}})
            for number in range(100, 120)
        ]
        for answer in created:
            configs.expect(answer)
        for answer in created:
            ours = shard_of(answer["metadata"]["uid"], COUNT) == 0
            assert (f"shop/{answer['metadata']['name']}" in configs.store) is ours


async def test_a_list_and_a_stream_have_a_shard_too(server: Server, api: kinform.Connection) -> None:
    expected = set(in_shard(server, 2))
    listed = [obj async for obj in api.list(CONFIGS, scope=shard(2), page_size=7)]
    assert {f"{obj['metadata']['namespace']}/{obj['metadata']['name']}" for obj in listed} == expected
    found = set()
    async for event in kinform.watcher(api, CONFIGS, scope=shard(2)):
        if isinstance(event, kinform.InitDone):
            break
        if isinstance(event, kinform.InitApply):
            found.add(event.object.key)
    assert found == expected


async def test_a_snapshot_of_another_shard_is_refused(server: Server, api: kinform.Connection, tmp_path: Path) -> None:
    for index, refused in ((0, None), (0, None), (1, "other shards")):
        options = quick(initial="list")
        async with kinform.Informer(api, CONFIGS, scope=shard(index), snapshot=tmp_path / "s", options=options) as one:
            await one.synced(timeout=10)
            assert versions(one.store) == in_shard(server, index)
            assert (one.stats().snapshot.refused or "").endswith(refused or "")
            assert (one.stats().snapshot.refused is None) is (refused is None)


async def test_a_factory_shares_equal_shards_only(server: Server, api: kinform.Connection) -> None:
    async with kinform.Factory(api) as factory:
        informers = [
            factory.informer(CONFIGS, scope=scope) for scope in (shard(0), shard(0), shard(1), kinform.Scope())
        ]
        await factory.synced(timeout=10)
        assert factory.stats().collections == 3
        assert [len(each.store) for each in informers] == [
            len(in_shard(server)), len(in_shard(server)), len(in_shard(server, 1)), len(server.versions(CONFIGS))
        ]  # fmt: skip


@pytest.mark.parametrize("filters", ["server"], indirect=True)
class TestARefusedSelector:
    """A server with another syntax."""

    @pytest.fixture(params=[InternalError, Invalid])
    def refusing(self, request: pytest.FixtureRequest, server: Server) -> Server:
        fault = request.param(message="invalid shard selector: unexpected function")
        server.fault(fault, times=None, when=lambda request: "shardSelector" in request.params)
        return server

    @pytest.mark.parametrize("initial", ["list", "stream", "auto"])
    async def test_kinform_filters(
        self, refusing: Server, api: kinform.Connection, initial: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        for index in range(COUNT):
            async with informer(api, index, options=quick(initial=initial)) as configs:
                await configs.synced(timeout=10)
                put(refusing, f"c{80 + index}")
                refusing.delete(CONFIGS, one_of(refusing, index))
                await until(lambda: versions(configs.store) == in_shard(refusing, index))  # noqa: B023
                assert configs.stats().streams[""].shard_filter == "client"
        assert sum("refuses shardSelector" in line for line in caplog.messages) == 1
        assert sum("shardSelector" in each.params for each in refusing.requests) == 1

    async def test_a_list_is_complete(
        self, refusing: Server, api: kinform.Connection, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(2):
            found = {obj["metadata"]["uid"] async for obj in api.list(CONFIGS, scope=shard(1), page_size=7)}
            assert found == {uid for uid, _ in in_shard(refusing, 1).values()}
        assert sum("refuses shardSelector" in line for line in caplog.messages) == 1
        assert sum("shardSelector" in each.params for each in refusing.requests) == 1

    async def test_another_refusal_of_a_list_is_raised(self, server: Server, api: kinform.Connection) -> None:
        server.fault(InternalError(), on="list", times=None)
        with pytest.raises(kinform.StatusError, match="went wrong"):
            await anext(aiter(api.list(CONFIGS, scope=shard(1))))
        assert len(server.requests) == 1
