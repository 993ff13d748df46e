"""Kubeconfigs on both transports: `connect`, and an ApiClient made from one."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kinform._connection.connection import connect
from kinform._errors import TransportError
from kinform._transport.adapter import as_transport
from kinform._transport.base import Transport
from tests.support.http_proxy import http_proxy
from tests.support.kubeconfig import write_contexts
from tests.support.loops import on_each_loop
from tests.support.scripted_server import ScriptedServer, scripted_server
from tests.support.tls import CERTIFICATES, server_context
from tests.support.transports import PODS, body_of

OpenKubeconfig = Callable[[Path], AbstractAsyncContextManager[Transport]]


@asynccontextmanager
async def client_of_kubeconfig(path: Path) -> AsyncIterator[Transport]:
    """Opens a transport over an ApiClient that kubernetes_asyncio makes."""
    from kubernetes_asyncio.config import new_client_from_config

    async with await new_client_from_config(str(path)) as client:
        yield as_transport(client)


def on_each_transport(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs an async test on both transports, each on both event loops."""
    both = [pytest.param(connect, id="connect"), pytest.param(client_of_kubeconfig, id="ApiClient")]
    parametrized: Callable[..., None] = pytest.mark.parametrize("transport_of", both)(on_each_loop(test))
    return parametrized


def inline(name: str) -> str:
    return base64.b64encode((CERTIFICATES / f"{name}.pem").read_bytes()).decode()


def plugin(**status: str) -> dict[str, Any]:
    """Returns a user whose exec plugin prints this status."""
    version = "client.authentication.k8s.io/v1"
    credential = json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})
    return {"exec": {"apiVersion": version, "command": "echo", "args": [credential], "interactiveMode": "Never"}}


PASSWORD = base64.b64encode(b"me:secret").decode()
USERS = {
    "token": ({"token": "t0"}, "Bearer t0"),
    "token file": ({"tokenFile": "token"}, "Bearer from-file"),
    "token and password": ({"token": "t0", "username": "me", "password": "secret"}, "Bearer t0"),
    "password": ({"username": "me", "password": "secret"}, f"Basic {PASSWORD}"),
    "plugin": (plugin(token="printed"), "Bearer printed"),
    "plugin and token": ({"token": "t0"} | plugin(token="printed"), "Bearer printed"),
}


@pytest.mark.parametrize(("user", "authorization"), USERS.values(), ids=USERS)
@on_each_transport
async def test_the_credentials_of_the_user_are_sent(
    transport_of: OpenKubeconfig, tmp_path: Path, user: Any, authorization: str
) -> None:
    (tmp_path / "token").write_text("from-file")
    async with scripted_server() as server:
        async with transport_of(write_contexts(tmp_path / "one", "shop", url=server.url, user=user)) as transport:
            assert b"PodList" in await body_of(await transport.open(PODS))
    assert server.authorizations == [authorization]
    assert server.requests[0].path == "/shop/api/v1/pods"


FILE = {"certificate-authority": "ca.pem"}
CLUSTERS = {
    "CA in a file": FILE,
    "inline CA": {"certificate-authority-data": inline("ca")},
    "a name": {"certificate-authority": str(CERTIFICATES / "other-ca.pem"), "tls-server-name": "api.internal"},
    "no verification": {"insecure-skip-tls-verify": True},
}


@asynccontextmanager
async def cluster_of(folder: Path, fields: Any, user: Any) -> AsyncIterator[tuple[ScriptedServer, Path]]:
    """Runs a server that requires client certificates; yields it and a kubeconfig."""
    context = server_context()
    context.load_cert_chain(CERTIFICATES / f"{'named' if 'tls-server-name' in fields else 'server'}.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    for name in ("ca", "first"):
        shutil.copy(CERTIFICATES / f"{name}.pem", folder)
    async with scripted_server(tls=context) as server:
        cluster = {"name": "shop", "cluster": {"server": server.url} | fields}
        yield server, write_contexts(folder / "one", "shop", user=user, clusters=[cluster])


IDENTITY = {"client-certificate": "first.pem", "client-key": "first.pem"}


@pytest.mark.parametrize("fields", CLUSTERS.values(), ids=CLUSTERS)
@on_each_transport
async def test_the_server_is_verified_as_the_cluster_says(
    transport_of: OpenKubeconfig, tmp_path: Path, fields: Any
) -> None:
    async with cluster_of(tmp_path, fields, IDENTITY) as (server, path), transport_of(path) as transport:
        assert b"PodList" in await body_of(await transport.open(PODS))
    assert len(server.requests) == 1


@pytest.mark.parametrize("fields", [{}, {"certificate-authority": "first.pem"}, FILE | {"tls-server-name": "other"}])
@on_each_transport
async def test_a_server_that_is_not_trusted_gets_no_request(
    transport_of: OpenKubeconfig, tmp_path: Path, fields: Any
) -> None:
    async with cluster_of(tmp_path, fields, IDENTITY) as (server, path), transport_of(path) as transport:
        with pytest.raises(TransportError, match="certificate verify failed") as caught:
            await transport.open(PODS)
        assert not caught.value.reached
    assert not server.requests


CERTIFICATE = (CERTIFICATES / "first.pem").read_text()
IDENTITIES = {
    "files": IDENTITY,
    "inline": {"client-certificate-data": inline("first"), "client-key-data": inline("first")},
    "plugin": plugin(clientCertificateData=CERTIFICATE, clientKeyData=CERTIFICATE),
}


@pytest.mark.parametrize("user", IDENTITIES.values(), ids=IDENTITIES)
@on_each_transport
async def test_the_client_certificate_of_the_user_is_sent(
    transport_of: OpenKubeconfig, tmp_path: Path, user: Any
) -> None:
    async with cluster_of(tmp_path, FILE, user) as (server, path), transport_of(path) as transport:
        assert b"PodList" in await body_of(await transport.open(PODS))
    assert [request.client_certificate["subject"][0][0][1] for request in server.requests] == ["first"]


@on_each_transport
async def test_requests_go_through_the_proxy_of_the_cluster(transport_of: OpenKubeconfig, tmp_path: Path) -> None:
    async with http_proxy() as proxy:
        fields = FILE | {"proxy-url": f"http://me:secret@{proxy.address}"}
        async with cluster_of(tmp_path, fields, IDENTITY) as (server, path), transport_of(path) as transport:
            assert b"PodList" in await body_of(await transport.open(PODS))
    ((connect_line, *headers),) = proxy.heads
    assert connect_line == f"CONNECT {server.url.removeprefix('https://')} HTTP/1.1"
    assert f"Proxy-Authorization: Basic {PASSWORD}" in headers
