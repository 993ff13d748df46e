"""The proxy's bad manners, shown by a plain client on either server: other tests rely on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.admin import Admin
from tests.support.clusters import Cluster, RealCluster
from tests.support.proxy import Proxy


@pytest.fixture
async def client(cluster: Cluster, proxy: Proxy) -> AsyncIterator[Admin]:
    tls = cluster.plane.tls() if isinstance(cluster, RealCluster) else True
    client = Admin(proxy.url, cluster.access.get("token"), tls)
    yield client
    await client.close()


async def test_bytes_pass_unchanged(cluster: Cluster, proxy: Proxy, client: Admin) -> None:
    await cluster.create("a", data={"text": "x" * 300_000})
    through = await client.list_raw(cluster.resource, namespace=cluster.namespace)
    assert through.body == (await cluster.api.list_raw(cluster.resource, namespace=cluster.namespace)).body
    assert proxy.accepted == proxy.open == 1
    assert proxy.bytes_down > 300_000


async def test_a_cut_resets_open_streams_and_new_connections_work(
    cluster: Cluster, proxy: Proxy, client: Admin
) -> None:
    async with client.watch(cluster.resource, namespace=cluster.namespace, timeoutSeconds=60) as stream:
        proxy.cut()
        with pytest.raises(aiohttp.ClientError):
            await stream.line(within=5)
    await proxy.until(lambda it: it.open == 0)
    assert (await client.list_raw(cluster.resource)).status == 200


async def test_hanging_up_ends_a_body_early(cluster: Cluster, proxy: Proxy, client: Admin) -> None:
    async with client.watch(cluster.resource, namespace=cluster.namespace, timeoutSeconds=60) as stream:
        proxy.hang_up()
        with pytest.raises(aiohttp.ClientError):
            await stream.line(within=5)


async def test_a_stall_is_silence_until_it_flows_again(cluster: Cluster, proxy: Proxy, client: Admin) -> None:
    async with client.watch(cluster.resource, namespace=cluster.namespace, timeoutSeconds=60) as stream:
        proxy.stall()
        await cluster.create("a")
        with pytest.raises(TimeoutError):
            await stream.line(within=0.3)
        proxy.flow()
        event = await stream.event(within=5)
    assert event is not None
    assert event["object"]["metadata"]["name"] == "a"


async def test_a_stall_hides_even_the_death_of_the_server(cluster: Cluster, proxy: Proxy, client: Admin) -> None:
    async with client.watch(cluster.resource, namespace=cluster.namespace, timeoutSeconds=60) as stream:
        proxy.stall()
        await cluster.crash()
        with pytest.raises(TimeoutError):
            await stream.line(within=0.3)
        proxy.flow()
        with pytest.raises(aiohttp.ClientError):
            await stream.line(within=5)


async def test_refusing_is_connection_refused_and_accepting_undoes_it(
    cluster: Cluster, proxy: Proxy, client: Admin
) -> None:
    url = proxy.url
    await proxy.refuse()
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.list_raw(cluster.resource)
    await proxy.accept()
    assert proxy.url == url
    assert (await client.list_raw(cluster.resource)).status == 200


async def test_a_cut_after_so_many_bytes_comes_in_the_middle_of_a_body(
    cluster: Cluster, proxy: Proxy, client: Admin
) -> None:
    await cluster.create("a", data={"text": "x" * 300_000})
    proxy.cut_after(100_000)
    with pytest.raises(aiohttp.ClientError):
        await client.list_raw(cluster.resource, namespace=cluster.namespace)
    assert proxy.bytes_down == 100_000
    assert (await client.list_raw(cluster.resource, namespace=cluster.namespace)).status == 200


async def test_delay_and_rate_slow_things_down(cluster: Cluster, proxy: Proxy, client: Admin) -> None:
    await cluster.create("a", data={"text": "x" * 100_000})
    await client.list_raw(cluster.resource)
    loop = asyncio.get_running_loop()

    async def seconds() -> float:
        started = loop.time()
        await client.list_raw(cluster.resource, namespace=cluster.namespace)
        return loop.time() - started

    proxy.delay = 0.2
    assert await seconds() >= 0.4  # once each way
    proxy.delay = 0.0
    proxy.rate = 200_000
    assert await seconds() >= 0.4


async def test_leaving_the_block_leaves_no_task_and_no_listener(cluster: Cluster) -> None:
    async with Proxy(cluster.url) as proxy:
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        await proxy.until(lambda it: it.open == 1)
    writer.close()
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await asyncio.open_connection("127.0.0.1", proxy.port)
    names = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()}
    assert not any(name.startswith("Proxy.") for name in names)
