"""The transports: a caller's ApiClient, and `kinform.connect` with its client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from kinform._connection.connection import connect
from kinform._transport.access import ClusterAccess
from kinform._transport.api_client import ApiClientTransport
from kinform._transport.base import Request, Response, Transport
from kinform._transport.http_client import HttpClient
from kinform._transport.lean_import import ApiClient, Configuration
from tests.support.tls import CERTIFICATES

PODS = Request(path="/api/v1/pods", params=())


class OpenTransport(Protocol):
    """Opens a transport for the time of a block."""

    def __call__(
        self, url: str, *, token: str | None = None, ca: Path | None = None, verify: bool = True
    ) -> AbstractAsyncContextManager[Transport]: ...


@asynccontextmanager
async def api_client_transport(
    url: str, *, token: str | None = None, ca: Path | None = None, verify: bool = True, limit: int = 100
) -> AsyncIterator[ApiClientTransport]:
    """Opens a transport over an ApiClient with at most `limit` connections."""
    configuration = Configuration(host=url)
    configuration.connection_pool_maxsize = limit
    configuration.ssl_ca_cert = None if ca is None else str(ca)
    configuration.verify_ssl = verify
    if token is not None:
        configuration.api_key["BearerToken"] = f"Bearer {token}"
    async with ApiClient(configuration) as client:
        yield ApiClientTransport(client)


BOTH = [pytest.param(connect, id="connect"), pytest.param(api_client_transport, id="ApiClient")]


async def body_of(response: Response) -> bytes:
    """Reads the body of a response to its end."""
    return b"".join([chunk async for chunk in response.chunks()])


@asynccontextmanager
async def client_of(server: str, **access: Any) -> AsyncIterator[HttpClient]:
    """Opens an HTTP client that trusts the tests' CA; the end of the block closes it."""
    client = HttpClient(ClusterAccess(server=server, **{"ca_file": str(CERTIFICATES / "ca.pem"), **access}))
    try:
        yield client
    finally:
        client.close()
        await asyncio.sleep(0)  # where asyncio closes the sockets


class Answer(NamedTuple):
    """A response that was read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def call(client: HttpClient, method: str, path: str, **fields: Any) -> Answer:
    """Sends a request, such as one with a body, and reads the response to its end."""
    response = await client.open(Request(method=method, path=path, **{"params": (), **fields}))
    return Answer(response.status, response.headers, await body_of(response))


async def get(client: HttpClient) -> bytes:
    """Sends a GET and reads the response to its end."""
    return await body_of(await client.open(PODS))
