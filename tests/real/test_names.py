"""`Scope.names` on a real kube-apiserver."""

from __future__ import annotations

from typing import Any

import pytest

import kinform
from tests.net.informers import quick, versions
from tests.real.rights import grant_one
from tests.support.clusters import RealCluster
from tests.support.waiting import until


@pytest.fixture(params=["built-in", "custom"])
async def resource(request: pytest.FixtureRequest, real: RealCluster) -> str:
    return real.resource if request.param == "built-in" else await real.create_custom_resource()


async def named(real: RealCluster, resource: str, names: Any) -> dict[str, tuple[str, str]]:
    """Returns the versions of the server's objects with these names."""
    listed = await real.api.list_raw(resource, namespace=real.namespace)
    metas = [item["metadata"] for item in listed.json()["items"]]
    return {
        f"{meta['namespace']}/{meta['name']}": (meta["uid"], meta["resourceVersion"])
        for meta in metas
        if meta["name"] in names
    }


@pytest.mark.parametrize("initial", ["list", "stream"])
@pytest.mark.parametrize("names", [["a1"], ["a1", "a2", "b"]], ids=["one name", "several names"])
async def test_the_store_follows_the_objects_with_the_names(
    real: RealCluster, resource: str, names: list[str], initial: Any
) -> None:
    for number in range(6):
        await real.create(f"a{number}", resource)
    scope = kinform.Scope(names=names, namespaces=[real.namespace])
    async with (
        kinform.connect(real.url, **real.connect_options) as api,
        kinform.Informer(api, resource, scope=scope, options=quick(initial=initial, page_size=2)) as found,
    ):
        await found.synced(timeout=20)
        assert versions(found.store) == await named(real, resource, names)
        for name in ("a1", "a3"):
            await real.replace(name, resource, data={"k": "v"})
        await real.create("b", resource)
        await real.delete("a2", resource)
        expected = await named(real, resource, names)
        await until(lambda: versions(found.store) == expected)
        await real.delete("a1", resource)
        await until(lambda: f"{real.namespace}/a1" not in found.store)
        assert (found.stats().name_dropped == 0) is (len(names) == 1)


async def test_rights_on_one_object_are_enough_for_one_name(real: RealCluster) -> None:
    for name in ("a", "b"):
        await real.create(name, data={"k": "1"})
    await grant_one(real, "unprivileged", "list", "watch")
    async with kinform.connect(real.url, **real.connect_options_of("unprivileged")) as api:
        scope = kinform.Scope(names=["a"], namespaces=[real.namespace])
        async with kinform.Informer(api, real.resource, scope=scope, options=quick()) as configs:
            await configs.synced(timeout=20, wait=True)
            await real.replace("a", data={"k": "2"})
            await until(lambda: configs.store[f"{real.namespace}/a"]["data"] == {"k": "2"})
        scope = kinform.Scope(names=["a", "b"], namespaces=[real.namespace])
        async with kinform.Informer(api, real.resource, scope=scope, options=quick()) as configs:
            with pytest.raises(kinform.ForbiddenError):
                await configs.synced(timeout=20)
