"""Factories, lazy informers and resyncs, simulated and on a real kube-apiserver."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest

import kinform
from tests.net.informers import quick
from tests.support.clusters import Cluster
from tests.support.waiting import until


class Metadata(msgspec.Struct):
    name: str
    labels: dict[str, str] = {}


class Config(msgspec.Struct):
    metadata: Metadata
    data: dict[str, str] = {}


@pytest.fixture
async def api(cluster):
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        yield api


def options_of(cluster: Cluster) -> dict[str, Any]:
    """Returns the options of informers on the test's own namespace."""
    return {"scope": kinform.Scope(namespaces=[cluster.namespace]), "options": quick()}


async def test_a_program_with_a_factory(cluster, api):
    for name in ("a", "b", "c"):
        await cluster.create(name, labels={"app": "web" if name < "c" else "db"}, data={"k": name})
    options, resource = options_of(cluster), cluster.resource
    async with kinform.Factory(api, start_jitter=0.2, max_concurrent_syncs=4) as factory:
        configs = factory.informer(resource, type=Config, indexes={"app": "metadata.labels.app"}, **options)
        same = factory.informer(resource, **options)
        heard: list[str] = []
        same.on_change(heard.append)
        await factory.synced(timeout=60)
        keys = [f"{cluster.namespace}/{name}" for name in ("a", "b", "c")]
        assert configs.store.index_keys("app", "web") == keys[:2]
        assert configs.store[keys[0]].data == {"k": "a"}
        assert same.store[keys[0]]["data"] == {"k": "a"}
        assert factory.stats().streams == 1
        await cluster.replace("a", data={"k": "changed"})
        await until(lambda: heard.count(keys[0]) == 2)
        assert configs.store[keys[0]].data == {"k": "changed"}
        assert factory.health(max_age=120).ok


async def test_an_informer_that_joins_during_a_relist_misses_nothing(cluster, api):
    for i in range(20):
        await cluster.create(f"c{i}")
    options, resource = options_of(cluster), cluster.resource
    counts: list[Counter[str]] = [Counter(), Counter()]

    async def count(changes: kinform.Changes[Any], counts: Counter[str]) -> None:
        async for change in changes:
            counts[type(change).__name__] += 1

    async with kinform.Factory(api) as factory:
        first = factory.informer(resource, **options)
        reading = [asyncio.create_task(count(first.changes(), counts[0]))]
        await first.synced(timeout=20)
        await cluster.crash()
        await cluster.recover()
        for i in range(5):
            await cluster.replace(f"c{i}", data={"k": "changed"})
        await cluster.delete("c19")
        await cluster.expire_history()
        second = factory.informer(resource, type=Config, **options)
        reading.append(asyncio.create_task(count(second.changes(), counts[1])))
        await cluster.create("last")
        key = f"{cluster.namespace}/last"
        await until(lambda: key in first.store and key in second.store, within=40)
        await until(lambda: all(found["Added"] - found["Deleted"] == 20 for found in counts), within=20)
    await asyncio.gather(*reading)
    assert (counts[0]["Updated"], counts[0]["Deleted"]) == (5, 1)
    assert [found["Synced"] for found in counts] == [1, 1]


async def test_a_lazy_informer_continues_from_its_snapshot(cluster, api, tmp_path):
    for name in ("a", "b"):
        await cluster.create(name)
    lazy = {**options_of(cluster), "start": "lazy", "idle_timeout": 0.3, "snapshot": tmp_path / "configs"}
    async with kinform.Informer(api, cluster.resource, **lazy) as configs:
        for round in range(3):
            with pytest.raises(kinform.KinformError, match="the informer is idle"):
                len(configs.store)
            await configs.synced(timeout=20)
            assert configs.stats().snapshot.loaded is (round > 0)
            await until(lambda: len(configs.store) == 2 + round)  # noqa: B023
            await until(lambda: configs.state == "idle")
            await cluster.create(f"c{round}")


async def test_a_resync_repeats_all_objects(cluster, api):
    for name in ("a", "b"):
        await cluster.create(name)
    calls: list[tuple[str, bool]] = []
    async with kinform.Informer(api, cluster.resource, resync_period=0.1, **options_of(cluster)) as configs:
        configs.on_update(lambda old, new: calls.append((new["metadata"]["name"], old is new)))
        await until(lambda: calls.count(("b", True)) > 3)
        await cluster.replace("a", data={"k": "changed"})
        await until(lambda: ("a", False) in calls)
