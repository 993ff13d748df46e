"""Fixtures: a plain HTTP client of the simulator, and collections to write to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from kinform.testing import Server
from tests.simulator.conformance_writes import Writer, accepted, deployment
from tests.support.clusters import Cluster


@pytest.fixture
async def client(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url, timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
def maps(cluster: Cluster) -> Writer:
    return Writer(cluster)


@pytest.fixture
async def deployments(cluster: Cluster) -> Writer:
    writer = Writer(cluster, "apps/v1/deployments", "Deployment")
    env = [{"name": "A", "value": "1"}]
    made = await writer.create(deployment(writer, {"name": "x", "image": "i", "env": env}))
    assert accepted(made, 201)["metadata"]["generation"] == 1
    return writer
