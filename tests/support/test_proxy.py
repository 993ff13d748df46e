"""The faults of the proxy, on which other tests rely, seen by a plain client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.admin import AdminClient
from tests.support.clusters import Cluster, RealCluster
from tests.support.proxy import Proxy


@pytest.fixture
async def client(cluster: Cluster, proxy: Proxy) -> AsyncIterator[AdminClient]:
    tls = cluster.control_plane.tls_context() if isinstance(cluster, RealCluster) else True
    client = AdminClient(proxy.url, cluster.connect_options.get("token"), tls)
    yield client
    await client.close()


async def test_bytes_are_forwarded_unchanged(cluster: Cluster, proxy: Proxy, client: AdminClient) -> None:
    await cluster.create("a", data={"text": "x" * 300_000})
    forwarded = await client.list_raw(cluster.resource, namespace=cluster.namespace)
    assert forwarded.body == (await cluster.api.list_raw(cluster.resource, namespace=cluster.namespace)).body
    assert proxy.accepted_connections == proxy.open_connections == 1
    assert proxy.bytes_to_client > 300_000


async def test_reset_ends_open_streams_and_new_connections_work(
    cluster: Cluster, proxy: Proxy, client: AdminClient
) -> None:
    async with client.watch(cluster.resource, namespace=cluster.namespace, timeoutSeconds=60) as stream:
        proxy.reset_connections()
        with pytest.raises(aiohttp.ClientError):
            await stream.line(within=5)
    await proxy.wait_until(lambda it: it.open_connections == 0)
    assert (await client.list_raw(cluster.resource)).status == 200


async def test_close_ends_a_body_early(cluster: Cluster, proxy: Proxy, client: AdminClient) -> None:
    async with client.watch(cluster.resource, namespace=cluster.namespace, timeoutSeconds=60) as stream:
        proxy.close_connections()
        with pytest.raises(aiohttp.ClientError):
            await stream.line(within=5)


async def test_stopped_forwarding_is_silent_until_it_resumes(
    cluster: Cluster, proxy: Proxy, client: AdminClient
) -> None:
    async with client.watch(cluster.resource, namespace=cluster.namespace, timeoutSeconds=60) as stream:
        proxy.stop_forwarding()
        await cluster.create("a")
        with pytest.raises(TimeoutError):
            await stream.line(within=0.3)
        proxy.resume_forwarding()
        event = await stream.event(within=5)
    assert event is not None
    assert event["object"]["metadata"]["name"] == "a"


async def test_stopped_forwarding_hides_the_end_of_the_server(
    cluster: Cluster, proxy: Proxy, client: AdminClient
) -> None:
    async with client.watch(cluster.resource, namespace=cluster.namespace, timeoutSeconds=60) as stream:
        proxy.stop_forwarding()
        await cluster.crash()
        with pytest.raises(TimeoutError):
            await stream.line(within=0.3)
        proxy.resume_forwarding()
        with pytest.raises(aiohttp.ClientError):
            await stream.line(within=5)


async def test_refused_connections_work_again_on_the_same_port(
    cluster: Cluster, proxy: Proxy, client: AdminClient
) -> None:
    url = proxy.url
    await proxy.refuse_connections()
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.list_raw(cluster.resource)
    await proxy.accept_connections()
    assert proxy.url == url
    assert (await client.list_raw(cluster.resource)).status == 200


async def test_reset_after_bytes_cuts_a_body_at_that_byte(cluster: Cluster, proxy: Proxy, client: AdminClient) -> None:
    await cluster.create("a", data={"text": "x" * 300_000})
    proxy.reset_after_bytes(100_000)
    with pytest.raises(aiohttp.ClientError):
        await client.list_raw(cluster.resource, namespace=cluster.namespace)
    assert proxy.bytes_to_client == 100_000
    assert (await client.list_raw(cluster.resource, namespace=cluster.namespace)).status == 200


async def test_delay_and_rate_limit_slow_responses_down(cluster: Cluster, proxy: Proxy, client: AdminClient) -> None:
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
    proxy.bytes_per_second = 200_000
    assert await seconds() >= 0.4


async def test_the_end_of_the_block_leaves_no_task_and_no_listener(cluster: Cluster) -> None:
    async with Proxy(cluster.url) as proxy:
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        await proxy.wait_until(lambda it: it.open_connections == 1)
    writer.close()
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await asyncio.open_connection("127.0.0.1", proxy.port)
    names = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()}
    assert not any(name.startswith("Proxy.") for name in names)
