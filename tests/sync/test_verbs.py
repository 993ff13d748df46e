"""The verbs of a blocking connection, on the simulator and on a real API server."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from typing import Any

import msgspec
import pytest

import kinform
import kinform.sync
from kinform.sync._verbs import BATCH_OBJECTS
from kinform.testing import Forbidden, MalformedObject
from tests.sync.conftest import InThread
from tests.sync.programs import until

PODS = "v1/pods"


class Metadata(msgspec.Struct):
    name: str
    resourceVersion: str = ""


class Config(msgspec.Struct):
    metadata: Metadata
    data: dict[str, str] = {}


async def test_an_object_is_written_and_read(cluster):
    configs = cluster.resource

    def program() -> None:
        key = f"{cluster.namespace}/c"
        metadata = {"namespace": cluster.namespace, "name": "c"}
        applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"b": "2"}}
        with kinform.sync.connect(cluster.url, **cluster.connect_options) as api:
            made = api.create(configs, {"metadata": metadata, "data": {"a": "1"}}, type=Config)
            assert made.data == {"a": "1"}
            with pytest.raises(kinform.AlreadyExistsError):
                api.create(configs, {"metadata": metadata})
            assert api.get(configs, key, type=Config) == made
            assert api.apply(configs, applied, field_manager="me", type=Config).data == {"a": "1", "b": "2"}
            patched = api.patch(configs, key, {"data": {"a": None}})
            assert patched["data"] == {"b": "2"}
            stale: dict[str, Any] = {"metadata": metadata | {"resourceVersion": made.metadata.resourceVersion}}
            with pytest.raises(kinform.ConflictError):
                api.replace(configs, stale)
            assert "data" not in api.replace(configs, {"metadata": metadata})
            scope = kinform.Scope(namespaces=[cluster.namespace])
            names = [config.metadata.name for config in api.list(configs, scope=scope, type=Config)]
            assert "c" in names
            api.delete(configs, key, propagation="Background")
            with pytest.raises(kinform.NotFoundError):
                api.get(configs, key)

    await asyncio.to_thread(program)


async def test_an_own_write_is_in_the_store_after_wait_for(cluster):
    scope = kinform.Scope(namespaces=[cluster.namespace])

    def program() -> None:
        metadata = {"namespace": cluster.namespace, "name": "mine"}
        with (
            kinform.sync.connect(cluster.url, **cluster.connect_options) as api,
            kinform.sync.Informer(api, cluster.resource, scope=scope, type=Config) as configs,
        ):
            configs.synced(timeout=20)
            made = api.create(cluster.resource, {"metadata": metadata}, type=Config)
            configs.wait_for(made.metadata.resourceVersion, timeout=20)
            assert configs.store[f"{cluster.namespace}/mine"] == made

    await asyncio.to_thread(program)


async def test_a_list_of_several_batches_and_pages_is_complete(server):
    keys = server.generate(PODS, 2 * BATCH_OBJECTS + 5)

    def program() -> None:
        with kinform.sync.connect(server.url) as api:
            found = [
                f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in api.list(PODS, page_size=50)
            ]
            assert sorted(found) == sorted(keys)
            assert list(api.list("v1/configmaps")) == []

    await asyncio.to_thread(program)
    assert sum(request.verb == "list" for request in server.requests) == 3 + 1


async def test_a_list_yields_the_objects_before_an_error(server):
    server.generate(PODS, 10)
    server.fault(MalformedObject(after=4), on="list")

    found = []

    def program() -> None:
        with kinform.sync.connect(server.url) as api:
            found.extend(api.list(PODS))

    with pytest.raises(kinform.SkippedError):
        await asyncio.to_thread(program)
    assert len(found) == 4


async def test_a_refused_list_raises_in_the_iteration(server):
    server.fault(Forbidden(), on="list")

    def program() -> None:
        with kinform.sync.connect(server.url) as api:
            with pytest.raises(kinform.OptionError, match="page_size"):
                api.list(PODS, page_size=-1)
            found = api.list(PODS)
            with pytest.raises(kinform.ForbiddenError):
                next(found)

    await asyncio.to_thread(program)


async def test_a_list_that_is_left_closes_its_connection(server):
    server.generate(PODS, 2_000)

    def program() -> None:
        with kinform.sync.connect(server.url) as api:
            for _ in api.list(PODS, page_size=0):
                break
            until(lambda: all(request.ended for request in server.requests))
            with closing(api.list(PODS)) as found:
                next(found)

    await asyncio.to_thread(program)


async def test_a_verb_that_waits_ends_with_the_block(server):
    def program() -> None:
        with kinform.sync.connect(server.url) as api:
            server.freeze()
            calls = [InThread(lambda: api.get(PODS, "shop/web-0")), InThread(lambda: list(api.list(PODS)))]
            time.sleep(0.3)
            assert all(call.runs for call in calls)
        for call in calls:
            with pytest.raises(kinform.KinformError):
                call.result()

    try:
        await asyncio.to_thread(program)
    finally:
        server.thaw()


async def test_a_verb_outside_of_the_block_raises(server):
    def program() -> None:
        api = kinform.sync.connect(server.url)
        with pytest.raises(kinform.KinformError, match="not started: enter its `with` block first"):
            api.get(PODS, "shop/web-0")
        with pytest.raises(kinform.OptionError, match="a connection inside its"):
            list(api.list(PODS))
        with api:
            pass
        with pytest.raises(kinform.KinformError, match="its `with` block has ended"):
            api.delete(PODS, "shop/web-0")

    await asyncio.to_thread(program)
