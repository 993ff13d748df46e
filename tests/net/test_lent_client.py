"""Connection.api_client: credentials, certificates and proxy of the connection."""

from __future__ import annotations

import base64
import ssl
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from kinform._connection.connection import Connection, connect
from kinform._errors import OptionError, TransportError
from tests.support.http_proxy import http_proxy
from tests.support.kubeconfig import write_contexts
from tests.support.loops import on_each_loop
from tests.support.scripted_server import ScriptedServer, scripted_server
from tests.support.tls import CERTIFICATES, server_context
from tests.support.transports import PODS


def server_with(name: str, *, mutual: bool = False) -> AbstractAsyncContextManager[ScriptedServer]:
    """Runs a server with this certificate. If `mutual`, it requires one of the client."""
    context = server_context()
    context.load_cert_chain(CERTIFICATES / f"{name}.pem")
    context.verify_mode = ssl.CERT_REQUIRED if mutual else ssl.CERT_NONE
    return scripted_server(tls=context)


def inline(name: str) -> str:
    return base64.b64encode((CERTIFICATES / f"{name}.pem").read_bytes()).decode()


async def ask_twice(api: Connection) -> None:
    """Sends a request by the connection, and one by its client of kubernetes_asyncio."""
    (await api.open(PODS)).close()
    await api.api_client.call_api("/x", "GET", auth_settings=["BearerToken"], _preload_content=False)


@on_each_loop
async def test_api_client_is_a_full_client_with_the_credentials() -> None:
    from kubernetes_asyncio.client import CoreV1Api, V1PodList

    async with scripted_server() as server, connect(server.url, token="t0") as api:
        pods = await CoreV1Api(api.api_client).list_pod_for_all_namespaces()
        assert isinstance(pods, V1PodList)
        assert server.authorizations == ["Bearer t0"]


@on_each_loop
async def test_an_impersonated_user_is_exchanged_for_both_clients(tmp_path: Path) -> None:
    def user(*groups: str) -> dict[str, Any]:
        return {"token": "t", "as": "jane", "as-groups": list(groups)}

    async with scripted_server() as server:
        path = write_contexts(tmp_path / "one", "shop", url=server.url, user=user("dev", "ops"))
        async with connect(path) as api:
            for groups in (["ops"], []):
                (await api.open(PODS)).close()
                await api.api_client.call_api("/x", "GET", _preload_content=False)
                write_contexts(path, "shop", url=server.url, user=user(*groups))
                assert await api.refresh_credentials() is True
    assert [request.headers["impersonate-group"] for request in server.requests] == ["dev, ops"] * 2 + ["ops"] * 2


@on_each_loop
async def test_api_client_sends_no_password_of_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with scripted_server() as server, connect(server.url, token="t0") as api:
        await api.api_client.call_api("/x", "GET", auth_settings=["BearerToken"], _preload_content=False)
    async with scripted_server() as anonymous, connect(anonymous.url) as api:
        await api.api_client.call_api("/x", "GET", _preload_content=False)
    assert server.authorizations == ["Bearer t0"]
    assert anonymous.authorizations == [None]


# --- certificates and proxies


@pytest.mark.parametrize(
    ("name", "ca"), [("server", "ca"), ("lax", "lax-ca"), ("server", "server")], ids=["strict", "lax", "no root"]
)
@on_each_loop
async def test_both_clients_accept_the_same_certificates(name: str, ca: str) -> None:
    """The lax CA breaks rules of RFC 5280 that Python 3.13 checks by default."""
    async with server_with(name) as server, connect(server.url, ca=CERTIFICATES / f"{ca}.pem") as api:
        await ask_twice(api)
    assert len(server.requests) == 2


@on_each_loop
async def test_both_clients_refuse_the_same_certificates() -> None:
    from aiohttp import ClientConnectorCertificateError

    async with server_with("server") as server, connect(server.url, ca=CERTIFICATES / "other-ca.pem") as api:
        with pytest.raises(TransportError, match="certificate verify failed"):
            await api.open(PODS)
        with pytest.raises(ClientConnectorCertificateError):
            await api.api_client.call_api("/x", "GET", _preload_content=False)


@on_each_loop
async def test_both_clients_use_inline_certificates_and_the_name(tmp_path: Path) -> None:
    async with server_with("named", mutual=True) as server:
        cluster = {
            "server": server.url,
            "certificate-authority-data": inline("other-ca"),
            "tls-server-name": "api.internal",
        }
        user = {"client-certificate-data": inline("first"), "client-key-data": inline("first")}
        path = write_contexts(tmp_path / "one", "shop", user=user, clusters=[{"name": "shop", "cluster": cluster}])
        async with connect(path) as api:
            await ask_twice(api)
            user = {"client-certificate-data": inline("second"), "client-key-data": inline("second")}
            write_contexts(path, "shop", user=user, clusters=[{"name": "shop", "cluster": cluster}])
            assert await api.refresh_credentials() is True
            await ask_twice(api)
    names = [request.client_certificate["subject"][0][0][1] for request in server.requests]
    assert names == ["first", "first", "second", "second"]


@on_each_loop
async def test_both_clients_use_the_proxy_of_the_kubeconfig(tmp_path: Path) -> None:
    async with server_with("server") as server, http_proxy() as proxy:
        cluster = {
            "server": server.url,
            "certificate-authority": str(CERTIFICATES / "ca.pem"),
            "proxy-url": f"http://me:secret@{proxy.address}",
        }
        path = write_contexts(tmp_path / "one", "shop", clusters=[{"name": "shop", "cluster": cluster}])
        async with connect(path) as api:
            await ask_twice(api)
    assert [head[0].partition(" HTTP")[0] for head in proxy.heads] == [f"CONNECT {server.url[8:]}"] * 2
    credentials = base64.b64encode(b"me:secret").decode()
    assert all(f"Proxy-Authorization: Basic {credentials}" in head for head in proxy.heads)


@on_each_loop
async def test_a_certificate_that_has_gone_is_an_option_error(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes((CERTIFICATES / "ca.pem").read_bytes())
    async with connect("https://127.0.0.1:1", ca=ca) as api:
        ca.unlink()
        with pytest.raises(OptionError, match=r"ca\.pem cannot be loaded"):
            _ = api.api_client
