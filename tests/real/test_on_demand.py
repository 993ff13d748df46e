"""`OnDemand` with few permissions, on a real kube-apiserver."""

from __future__ import annotations

import asyncio

import pytest

import kinform
from tests.real.rights import grant_one
from tests.support.admin import Object
from tests.support.clusters import RealCluster
from tests.support.recording import RecordingTransport
from tests.support.waiting import until


async def value(configs: kinform.OnDemand, key: str) -> str | None:
    try:
        found = await configs.get(key)
    except kinform.ForbiddenError:
        return "forbidden"
    return None if found is None else found["data"]["k"]


async def becomes(configs: kinform.OnDemand, key: str, expected: str | None) -> None:
    async with asyncio.timeout(20):
        while await value(configs, key) != expected:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("verbs", [("list", "watch"), ("list",)])
async def test_rights_on_one_object_are_enough(real: RealCluster, verbs: tuple[str, ...]) -> None:
    await real.create("a", data={"k": "1"})
    await real.create("b", data={"k": "other"})
    await grant_one(real, "unprivileged", *verbs)
    async with kinform.connect(real.url, **real.connect_options_of("unprivileged")) as api:
        recording = RecordingTransport(api)
        async with kinform.OnDemand(recording, real.resource, ttl=300 if "watch" in verbs else 1) as configs:
            await becomes(configs, f"{real.namespace}/a", "1")
            assert await value(configs, f"{real.namespace}/b") == "forbidden"
            if "watch" not in verbs:
                await until(lambda: configs.stats().watches == 0)
            lists = len(recording.lists)
            await real.replace("a", data={"k": "2"})
            await becomes(configs, f"{real.namespace}/a", "2")
            assert (len(recording.lists) == lists) == ("watch" in verbs)


async def test_namespaces_share_watches(real: RealCluster) -> None:
    names = [f"{real.namespace}-shared-{i}" for i in range(8)]
    for name in names:
        await written(real, "POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    async with kinform.connect(real.url, **real.connect_options) as api:
        recording = RecordingTransport(api)
        async with kinform.OnDemand(recording, "v1/namespaces") as namespaces:
            assert all(await asyncio.gather(*map(namespaces.get, names[:3])))
            assert (len(recording.requests), namespaces.stats().watches) == (1, 1)
            for name in names[3:]:
                assert await namespaces.get(name)
            await until(lambda: namespaces.stats().watches == 1, within=20)
            requests = len(recording.requests)
            for name in names:
                await written(
                    real, "PUT", f"/api/v1/namespaces/{name}", {"metadata": {"name": name, "labels": {"x": "1"}}}
                )
                await has_label(namespaces, name)
            assert len(recording.requests) == requests == 7  # the first three, five others, and one for all
            assert recording.lists == []


async def written(real: RealCluster, method: str, path: str, body: Object) -> None:
    answer = await real.api.request(method, path, body=body)
    assert answer.status < 300, answer.body


async def has_label(namespaces: kinform.OnDemand, name: str) -> None:
    async with asyncio.timeout(20):
        while (found := await namespaces.get(name)) is None or found["metadata"]["labels"].get("x") != "1":
            await asyncio.sleep(0.05)
