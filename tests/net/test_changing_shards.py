"""A running informer follows other shards without a restart."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import kinform
from kinform._sharding import ShardSet
from kinform.testing import InternalError, Server
from kinform_ext._scan import shard_of
from tests.net.informers import in_sync, quick, versions
from tests.support.waiting import until

CONFIGS = "v1/configmaps"
COUNT = 8


class Source:
    """Shards that a test sets."""

    name = "test"
    entered = True

    def __init__(self, *indices: int) -> None:
        self.current = ShardSet(COUNT, frozenset(indices))
        self.listeners: list[Callable[[ShardSet], None]] = []

    def subscribe(self, listener: Callable[[ShardSet], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def set(self, *indices: int) -> None:
        self.current = ShardSet(COUNT, frozenset(indices))
        for listener in self.listeners:
            listener(self.current)


@pytest.fixture(params=[True, False], ids=["server", "client"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    """A simulator that filters by shards, or one that does not."""
    async with Server(sharding=request.param) as server:
        for number in range(100):
            put(server, number)
        yield server


def put(server: Server, number: int, **data: str) -> None:
    metadata = {"name": f"c{number}", "namespace": ("shop", "bank")[number % 2]}
    server.put(CONFIGS, {"metadata": metadata, "data": data})


def informer(api: kinform.Connection, source: Source, **options: Any) -> kinform.Informer:
    scope = kinform.Scope(shards=source, **options.pop("scope", {}))
    return kinform.Informer(api, CONFIGS, scope=scope, options=quick(initial=options.pop("initial", "auto")), **options)


def expected(server: Server, source: Source) -> dict[str, tuple[str, str]]:
    """Returns the versions of the server's objects in the shards of a source."""
    found = server.versions(CONFIGS)
    return {key: version for key, version in found.items() if shard_of(version[0], COUNT) in source.current.indices}


@pytest.mark.parametrize("initial", ["list", "stream"])
async def test_lost_objects_leave_at_once_and_new_ones_come(server, api, initial):
    source = Source(0, 1, 2)
    async with informer(api, source, initial=initial) as configs:
        await configs.synced(timeout=10)
        assert versions(configs.store) == expected(server, source)
        source.set(0, 1)
        assert versions(configs.store) == expected(server, source)  # without a request
        source.set(1, 4, 5)
        assert {shard_of(configs.store.meta(key).uid, COUNT) for key in configs.store} == {1}
        await until(lambda: versions(configs.store) == expected(server, source))
    assert not source.listeners


async def test_handlers_get_deletions_and_additions(server, api):
    source = Source(0, 1)
    seen: dict[str, set[str]] = {"add": set(), "update": set(), "delete": set()}
    async with informer(api, source) as configs:
        await configs.synced(timeout=10)
        configs.on_add(lambda obj: seen["add"].add(obj["metadata"]["uid"]))
        configs.on_update(lambda _, obj: seen["update"].add(obj["metadata"]["uid"]))
        configs.on_delete(lambda obj: seen["delete"].add(obj["metadata"]["uid"]))
        await until(lambda: len(seen["add"]) == len(configs.store))
        seen["add"].clear()
        lost = {uid for uid, _ in expected(server, Source(0)).values()}
        new = {uid for uid, _ in expected(server, Source(2)).values()}
        source.set(1, 2)
        await until(lambda: seen == {"add": new, "update": set(), "delete": lost})


async def test_deletions_of_lost_shards_are_synthetic(server, api):
    source = Source(0, 1)
    async with informer(api, source) as configs:
        await configs.synced(timeout=10)
        changes = configs.changes()
        source.set(1)
        async for change in changes:
            if isinstance(change, kinform.Deleted):
                assert change.synthetic
                break


async def test_a_smaller_set_resumes_the_watch(server, api):
    source = Source(0, 1, 2)
    async with informer(api, source) as configs:
        await configs.synced(timeout=10)
        before = len(server.requests)
        source.set(2)
        put(server, 200)
        for number in range(100):
            put(server, number, changed="1")
        await until(lambda: versions(configs.store) == expected(server, source))
        assert [each.verb for each in server.requests[before:]] == ["watch"]
        assert configs.stats().relists["requested"] == 0


async def test_a_larger_set_relists_once_and_keeps_the_others(server, api):
    source = Source(0)
    async with informer(api, source) as configs:
        await configs.synced(timeout=10)
        kept = set(configs.store)
        missing: list[set[str]] = []
        source.set(0, 3)
        while versions(configs.store) != expected(server, source):
            missing.append(kept - set(configs.store))
            await asyncio.sleep(0)
        assert not any(missing)
        assert configs.stats().relists["requested"] == 1


async def test_an_empty_set_has_no_objects_and_is_synced(server, api):
    source = Source()
    async with informer(api, source) as configs:
        await configs.synced(timeout=10)
        assert not len(configs.store)
        source.set(*range(COUNT))
        await until(lambda: in_sync(configs.store, server, CONFIGS))
        source.set()
        assert not len(configs.store)


async def test_lost_objects_leave_while_the_server_is_away(server, api):
    source = Source(0, 1)
    async with informer(api, source) as configs:
        await configs.synced(timeout=10)
        await server.stop()
        source.set(0)
        assert versions(configs.store) == expected(server, source)
        source.set(0, 1)
        assert versions(configs.store) == expected(server, Source(0))
        await server.start()
        await until(lambda: versions(configs.store) == expected(server, source))


async def test_a_shard_that_is_lost_and_won_again_is_complete(server, api):
    source = Source(0, 1)
    async with informer(api, source) as configs:
        await configs.synced(timeout=10)
        source.set(0)
        source.set(0, 1)
        assert versions(configs.store) == expected(server, Source(0))
        await until(lambda: versions(configs.store) == expected(server, source))


async def test_shards_change_while_the_first_state_comes_in(server, api):
    source = Source(0, 1, 2)
    server.fault(InternalError(), on="list", times=2)
    async with informer(api, source, initial="list") as configs:
        source.set(1, 5)
        await configs.synced(timeout=10)
        await until(lambda: versions(configs.store) == expected(server, source))


async def test_namespaces_follow_together(server, api):
    source = Source(0, 1)
    async with informer(api, source, scope={"namespaces": ["shop", "bank"]}) as configs:
        await configs.synced(timeout=10)
        source.set(1)
        assert versions(configs.store) == expected(server, source)
        source.set(2, 3)
        await until(lambda: versions(configs.store) == expected(server, source))
        await configs.remove_namespace("bank")
        source.set(4)
        await configs.add_namespace("bank")
        await until(lambda: versions(configs.store) == expected(server, source))


async def test_a_later_start_follows_the_shards_of_then(server, api):
    source = Source(0)
    configs = informer(api, source)
    for index in (0, 3):
        source.set(index)
        async with configs:
            await configs.synced(timeout=10)
            assert versions(configs.store) == expected(server, source)


async def test_a_snapshot_belongs_to_the_shards_of_its_end(server, api, tmp_path: Path):
    source, path = Source(0, 1), tmp_path / "snapshot"
    for start, end, refused in (((0, 1), (0, 2), None), ((0, 2), (0, 2), None), ((0, 1), (0, 1), "other shards")):
        source.set(*start)
        async with informer(api, source, snapshot=path, initial="list") as configs:
            await configs.synced(timeout=10)
            assert (configs.stats().snapshot.refused or "").endswith(refused or "")
            assert (configs.stats().snapshot.refused is None) is (refused is None)
            source.set(*end)
            await until(lambda: versions(configs.store) == expected(server, source))


async def test_no_snapshot_is_written_before_new_objects_are_there(server, api, tmp_path: Path):
    source, path = Source(0), tmp_path / "snapshot"
    async with informer(api, source, snapshot=path) as configs:
        await configs.synced(timeout=10)
        server.freeze()
        source.set(0, 1)
    assert configs.stats().snapshot.writes == 0
    server.thaw()


@pytest.mark.parametrize("seed", range(5))
async def test_random_changes_end_in_the_right_objects(server, api, seed):
    rng, source = random.Random(seed), Source(0, 1)
    async with informer(api, source, initial=rng.choice(["list", "stream"])) as configs:
        for step in range(30):
            source.set(*rng.sample(range(COUNT), rng.randrange(COUNT)))
            held = {shard_of(configs.store.meta(key).uid, COUNT) for key in configs.store}
            assert held <= source.current.indices
            for _ in range(rng.randrange(4)):
                put(server, rng.randrange(120), step=str(step))
            for _ in range(rng.randrange(20)):
                await asyncio.sleep(rng.choice([0, 0, 0.002]))
                held = {shard_of(configs.store.meta(key).uid, COUNT) for key in configs.store}
                assert held <= source.current.indices
        await until(lambda: versions(configs.store) == expected(server, source))
        assert configs.stats().errors == 0


def test_a_scope_has_one_shard_or_shards_that_change() -> None:
    with pytest.raises(kinform.OptionError, match=r"Scope\.shards"):
        kinform.Scope(shard=(0, 8), shards=Source())
    with pytest.raises(kinform.OptionError, match=r"Scope\.shards"):
        kinform.Scope(shards=(0, 8))  # type: ignore[arg-type]
