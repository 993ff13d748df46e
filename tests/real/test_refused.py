"""Refusals by a real kube-apiserver: rights, token, gate, missing resource."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import kinform
from tests.net.informers import fails, quick
from tests.support.clusters import DEFINITIONS, RealCluster, real_cluster
from tests.support.controlplane.pool import ControlPlanePool
from tests.support.recording import RecordingTransport
from tests.support.waiting import until


@asynccontextmanager
async def recording_as(real: RealCluster, user: str) -> AsyncIterator[RecordingTransport]:
    """Yields a recording transport that authenticates as a user."""
    async with kinform.connect(real.url, **real.connect_options_of(user)) as api:
        yield RecordingTransport(api)


def informer(api: object, real: RealCluster, **options: object) -> kinform.Informer:
    scope = kinform.Scope(namespaces=[real.namespace])
    return kinform.Informer(api, real.resource, scope=scope, options=quick(**options))


def has_objects(configs: kinform.Informer, real: RealCluster, *names: str) -> bool:
    return {f"{real.namespace}/{name}" for name in names} == set(configs.store)


async def test_without_the_watch_right_the_list_stays_readable(real):
    await real.create("a")
    try:
        async with recording_as(real, "lister") as recording:
            async with informer(recording, real) as configs:
                await configs.synced(timeout=20)
                await until(lambda: configs.state == "forbidden")
                assert has_objects(configs, real, "a")
                assert "403" in configs.stats().streams[real.namespace].error
                await real.create("b")
                await real.control_plane.grant("lister", ["get", "list", "watch"])
                await until(lambda: configs.state == "live" and has_objects(configs, real, "a", "b"))
            assert len(recording.lists) == 1
            async with informer(recording, real) as configs:
                await configs.synced(timeout=20)
            assert len(recording.watch_lists) == 2  # a missing right is not remembered
            assert len(recording.lists) == 1
    finally:
        await real.control_plane.grant("lister", ["get", "list"])


async def test_without_rights_the_state_is_forbidden_until_granted(real, caplog):
    await real.create("a")
    try:
        async with recording_as(real, "unprivileged") as recording, informer(recording, real) as configs:
            await until(lambda: configs.state == "forbidden")
            with pytest.raises(kinform.ForbiddenError, match=f"v1/configmaps in {real.namespace}.*403") as caught:
                await configs.synced(timeout=20)
            assert 'cannot list resource "configmaps"' in caught.value.message
            assert (caught.value.reason, caught.value.details) == ("Forbidden", {"kind": "configmaps"})
            lines, sent, start = len(caplog.records), len(recording.requests), time.monotonic()
            await until(lambda: len(recording.requests) > sent + 5)
            assert time.monotonic() - start > 5 * 0.1  # `Backoff.refused` of `quick`
            assert len(caplog.records) <= lines + 1
            await real.control_plane.grant("unprivileged", ["list", "watch"])
            await configs.synced(timeout=20, wait=True)
            assert has_objects(configs, real, "a")
    finally:
        await real.control_plane.revoke("unprivileged")


async def test_an_unknown_token_gives_the_state_unauthorized(real):
    async with kinform.connect(real.url, token="unknown", ca=str(real.control_plane.ca)) as api:
        async with informer(api, real) as configs:
            await until(lambda: configs.state == "unauthorized")
            with pytest.raises(kinform.UnauthorizedError, match="401 Unauthorized"):
                await configs.synced(timeout=20)


async def test_a_resource_can_be_deleted_and_created_again(real):
    widgets = await real.create_custom_resource()
    definition = f"widgets.{widgets.partition('/')[0]}"
    stored = (await real.api.get(DEFINITIONS, definition)).json()
    async with recording_as(real, "admin") as recording:
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


async def test_without_watch_list_it_lists_and_does_not_try_again(control_plane_pool: ControlPlanePool):
    async with real_cluster(await control_plane_pool.get("--feature-gates=WatchList=false")) as real:
        await real.create("a")
        async with recording_as(real, "reader") as recording:
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
            assert len(recording.watch_lists) == 2  # remembered for one resource only
            async with fails(informer(recording, real, initial="stream"), kinform.BadRequestError) as configs:
                with pytest.raises(kinform.BadRequestError, match="422"):
                    await configs.synced(timeout=20)
                assert configs.state == "failed"
