"""An informer whom a real kube-apiserver refuses: by rights, by token, by gate, and for want of the resource."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import kinform
from tests.conftest import Planes
from tests.net.informers import quick
from tests.support.clusters import DEFINITIONS, RealCluster, real_cluster
from tests.support.recording import RecordingTransport
from tests.support.waiting import until


@asynccontextmanager
async def seen(real: RealCluster, user: str) -> AsyncIterator[RecordingTransport]:
    """What a user asks, through a client of its own."""
    async with kinform.connect(real.url, **real.access_of(user)) as api:
        yield RecordingTransport(api)


def informer(api: object, real: RealCluster, **options: object) -> kinform.Informer:
    scope = kinform.Scope(namespaces=[real.namespace])
    return kinform.Informer(api, real.resource, scope=scope, options=quick(**options))


def holds(configs: kinform.Informer, real: RealCluster, *names: str) -> bool:
    return {f"{real.namespace}/{name}" for name in names} == set(configs.store)


async def test_who_may_list_but_not_watch_reads_what_was_listed_and_hears_more_once_the_right_is_there(real):
    await real.create("a")
    try:
        async with seen(real, "lister") as recording:
            async with informer(recording, real) as configs:
                await configs.synced(timeout=20)
                await until(lambda: configs.state == "forbidden")
                assert holds(configs, real, "a")
                assert "403" in configs.stats().streams[real.namespace].error
                await real.create("b")
                await real.plane.grant("lister", ["get", "list", "watch"])
                await until(lambda: configs.state == "live" and holds(configs, real, "a", "b"))
            assert len(recording.lists) == 1
            async with informer(recording, real) as configs:
                await configs.synced(timeout=20)
            assert len(recording.watch_lists) == 2  # a right that was missing is not remembered
            assert len(recording.lists) == 1
    finally:
        await real.plane.grant("lister", ["get", "list"])


async def test_who_has_no_right_is_told_so_and_served_once_it_is_there(real, caplog):
    await real.create("a")
    try:
        async with seen(real, "nobody") as recording, informer(recording, real) as configs:
            await until(lambda: configs.state == "forbidden")
            with pytest.raises(kinform.ForbiddenError, match=f"v1/configmaps in {real.namespace}.*403"):
                await configs.synced(timeout=0.2)
            lines, asked, begun = len(caplog.records), len(recording.requests), time.monotonic()
            await until(lambda: len(recording.requests) > asked + 5)
            assert time.monotonic() - begun > 5 * 0.1  # as long as a refusal is waited for, here
            assert len(caplog.records) <= lines + 1
            await real.plane.grant("nobody", ["list", "watch"])
            await configs.synced(timeout=20)
            assert holds(configs, real, "a")
    finally:
        await real.plane.revoke("nobody")


async def test_a_token_that_the_server_does_not_know_is_a_state(real):
    async with kinform.connect(real.url, token="unknown", ca=str(real.plane.ca)) as api:
        async with informer(api, real) as configs:
            await until(lambda: configs.state == "unauthorized")
            with pytest.raises(TimeoutError, match=r"unauthorized .*401"):
                await configs.synced(timeout=0.1)


async def test_a_resource_that_comes_goes_and_comes_back(real):
    widgets = await real.custom()
    definition = f"widgets.{widgets.partition('/')[0]}"
    stored = (await real.api.get(DEFINITIONS, definition)).json()
    async with seen(real, "admin") as recording:
        async with kinform.Informer(recording, widgets, options=quick()) as informer:
            await real.create("a", widgets)
            await until(lambda: len(informer.store) == 1)
            await real.api.delete(DEFINITIONS, definition)
            await until(lambda: informer.state == "not_found", within=20)
            body = {"metadata": {"name": definition}, "spec": stored["spec"]}

            async def served() -> bool:
                return (await real.api.list_raw(widgets)).status == 200

            async def gone() -> bool:
                return (await real.api.get(DEFINITIONS, definition)).status == 404

            await until(gone)
            await real.api.create(DEFINITIONS, body)
            await until(served, within=30)
            await real.create("b", widgets)
            await until(lambda: list(informer.store.keys()) == [f"{real.namespace}/b"], within=30)
            assert informer.state == "live"


async def test_where_watch_list_is_off_a_list_does_and_the_server_is_not_asked_twice(planes: Planes):
    async with real_cluster(await planes.get("--feature-gates=WatchList=false")) as real:
        await real.create("a")
        async with seen(real, "reader") as recording:
            for _ in range(2):
                async with informer(recording, real) as configs:
                    await configs.synced(timeout=20)
                    name = f"b{len(recording.requests)}"
                    await real.create(name)
                    await until(lambda store=configs.store, key=f"{real.namespace}/{name}": key in store)
            assert len(recording.watch_lists) == 1
            assert len(recording.lists) == 2
            async with kinform.Informer(recording, "v1/namespaces", options=quick()) as namespaces:
                await namespaces.synced(timeout=20)
            assert len(recording.watch_lists) == 2  # what one resource lacks another may have
            async with informer(recording, real, initial="stream") as configs:
                with pytest.raises(kinform.BadRequestError, match="422"):
                    await configs.synced(timeout=20)
                assert configs.state == "failed"
