"""The control plane of the tests: crash, freeze, rights, start errors."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.support.clusters import RealCluster
from tests.support.controlplane.plane import ControlPlane, StartError
from tests.support.controlplane.pool import ControlPlanePool
from tests.support.waiting import until


async def test_objects_and_port_survive_a_crash(real: RealCluster) -> None:
    await real.create("a", data={"k": "v"})
    await real.crash()
    with pytest.raises(aiohttp.ClientConnectorError):
        await real.api.list_raw("v1/configmaps")
    await real.recover()
    listed = (await real.api.list_raw("v1/configmaps", namespace=real.namespace)).json()
    assert [item["metadata"]["name"] for item in listed["items"]] == ["a"]


async def test_a_frozen_server_is_silent_until_thawed(real: RealCluster) -> None:
    await real.freeze()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await real.api.list_raw("v1/namespaces")
    await real.thaw()
    async with asyncio.timeout(10):
        assert (await real.api.list_raw("v1/namespaces")).status == 200


async def test_users_have_their_documented_rights(real: RealCluster) -> None:
    async def statuses(user: str) -> tuple[int, int]:
        headers = {"Authorization": f"Bearer {real.control_plane.tokens[user]}"}
        listed = await real.api.list_raw("v1/configmaps", headers=headers)
        async with real.api.watch("v1/configmaps", headers=headers, timeoutSeconds=1) as stream:
            return listed.status, stream.status

    assert await statuses("admin") == (200, 200)
    assert await statuses("reader") == (200, 200)
    assert await statuses("lister") == (200, 403)
    assert await statuses("unprivileged") == (403, 403)


async def test_rights_can_be_granted_and_revoked(real: RealCluster) -> None:
    headers = {"Authorization": f"Bearer {real.control_plane.tokens['unprivileged']}"}

    async def list_status_is(status: int) -> bool:
        return (await real.api.list_raw("v1/configmaps", headers=headers)).status == status

    await real.control_plane.grant("unprivileged", ["list"], resources=["configmaps"])
    await until(lambda: list_status_is(200))
    await real.control_plane.revoke("unprivileged")
    await until(lambda: list_status_is(403))


async def test_the_kubeconfig_has_a_context_for_every_user(control_plane: ControlPlane) -> None:
    text = control_plane.kubeconfig.read_text()
    assert all(token in text for token in control_plane.tokens.values())
    assert control_plane.kubeconfig.stat().st_mode & 0o077 == 0


async def test_the_error_of_a_failed_start_shows_the_end_of_the_log(control_plane_pool: ControlPlanePool) -> None:
    with pytest.raises(StartError, match="unrecognized feature gate: NoSuchGate"):
        await control_plane_pool.get("--feature-gates=NoSuchGate=true")
