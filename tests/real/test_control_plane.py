"""The control plane itself: that it can be crashed, frozen, compacted and shared without a trace."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.conftest import Planes
from tests.support.clusters import RealCluster
from tests.support.controlplane.plane import ControlPlane, StartError
from tests.support.waiting import until


async def test_what_is_stored_survives_a_crash_and_the_port_stays(real: RealCluster) -> None:
    await real.create("a", data={"k": "v"})
    await real.crash()
    with pytest.raises(aiohttp.ClientConnectorError):
        await real.api.list_raw("v1/configmaps")
    await real.resurrect()
    listed = (await real.api.list_raw("v1/configmaps", namespace=real.namespace)).json()
    assert [item["metadata"]["name"] for item in listed["items"]] == ["a"]


async def test_a_frozen_server_is_silent_and_goes_on_when_thawed(real: RealCluster) -> None:
    await real.freeze()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await real.api.list_raw("v1/namespaces")
    await real.thaw()
    async with asyncio.timeout(10):
        assert (await real.api.list_raw("v1/namespaces")).status == 200


async def test_users_have_the_rights_they_are_said_to_have(real: RealCluster) -> None:
    async def statuses(user: str) -> tuple[int, int]:
        headers = {"Authorization": f"Bearer {real.plane.tokens[user]}"}
        listed = await real.api.list_raw("v1/configmaps", headers=headers)
        async with real.api.watch("v1/configmaps", headers=headers, timeoutSeconds=1) as stream:
            return listed.status, stream.status

    assert await statuses("admin") == (200, 200)
    assert await statuses("reader") == (200, 200)
    assert await statuses("lister") == (200, 403)
    assert await statuses("nobody") == (403, 403)


async def test_rights_can_be_granted_and_taken_away(real: RealCluster) -> None:
    headers = {"Authorization": f"Bearer {real.plane.tokens['nobody']}"}

    async def lists_with(status: int) -> bool:
        return (await real.api.list_raw("v1/configmaps", headers=headers)).status == status

    await real.plane.grant("nobody", ["list"], resources=["configmaps"])
    await until(lambda: lists_with(200))
    await real.plane.revoke("nobody")
    await until(lambda: lists_with(403))


async def test_the_kubeconfig_has_a_context_for_every_user(control_plane: ControlPlane) -> None:
    text = control_plane.kubeconfig.read_text()
    assert all(token in text for token in control_plane.tokens.values())
    assert control_plane.kubeconfig.stat().st_mode & 0o077 == 0


async def test_a_server_that_does_not_come_up_shows_the_end_of_its_log_and_leaves_nothing(planes: Planes) -> None:
    with pytest.raises(StartError, match="unrecognized feature gate: NoSuchGate"):
        await planes.get("--feature-gates=NoSuchGate=true")
