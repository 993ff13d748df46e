"""`Connection.get`, and what all verbs have in common: retries and deadlines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

import kinform
from kinform._connection import exchange
from kinform.testing import Server
from tests.net.listener import listening, unresponsive
from tests.support.clusters import Cluster
from tests.support.kubeconfig import write_contexts
from tests.support.scripted_server import Handler, ReceivedRequest, scripted_server

OBJECT = b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-0","namespace":"shop"}}'


class Meta(msgspec.Struct):
    name: str
    namespace: str = ""


class Pod(msgspec.Struct):
    metadata: Meta


# --- on both servers


async def test_get_returns_an_object_as_the_server_has_it(cluster: Cluster) -> None:
    stored = await cluster.create("a", data={"k": "v"})
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        key = f"{cluster.namespace}/a"
        assert await api.get(cluster.resource, key) == stored
        pod = await api.get(kinform.Resource(version="v1", plural="configmaps"), key, type=Pod)
        assert pod == Pod(Meta("a", cluster.namespace))
        assert (await api.get("v1/namespaces", cluster.namespace))["kind"] == "Namespace"


async def test_a_missing_object_is_not_found(cluster: Cluster) -> None:
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        with pytest.raises(kinform.NotFoundError) as caught:
            await api.get("v1/configmaps", f"{cluster.namespace}/missing")
    error = caught.value
    assert str(error) == (
        f"get v1/configmaps {cluster.namespace}/missing: "
        'the server answered 404 NotFound: configmaps "missing" not found'
    )
    assert (error.verb, error.status, error.details) == ("get", 404, {"name": "missing", "kind": "configmaps"})


async def test_a_missing_resource_is_not_found_without_a_name(cluster: Cluster) -> None:
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        with pytest.raises(kinform.NotFoundError, match=r"did you mean v1/configmaps\?$") as caught:
            await api.get("v1/configmap", f"{cluster.namespace}/a")
    assert "name" not in caught.value.details


async def test_a_cluster_scoped_object_with_a_namespace_is_hinted(cluster: Cluster) -> None:
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        with pytest.raises(kinform.NotFoundError, match="a cluster-scoped resource has no namespace"):
            await api.get("v1/namespaces", f"shop/{cluster.namespace}")


# --- arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resource": "pods"}, "^resource: 'pods'"),
        ({"key": ""}, """^key: '' is not allowed; expected "namespace/name", or "name" for a cluster-scoped object$"""),
        ({"key": "/web-0"}, "^key: '/web-0'"),
        ({"key": "shop/"}, "^key: 'shop/'"),
        ({"key": "a/b/c"}, "^key: 'a/b/c'"),
        ({"key": "shop/.."}, "^key: 'shop/..'"),
        ({"key": "shop/a%2fb"}, "^key: 'shop/a%2fb'"),
        ({"key": "shop/a\nb"}, "^key: "),
        ({"key": 7}, "^key: 7"),
        ({"subresource": "../x"}, "^subresource: '../x'"),
        ({"subresource": None}, "^subresource: None"),
        ({"type": int}, "^type: "),
        ({"timeout": -1}, "^timeout: -1"),
    ],
)
async def test_arguments_are_checked_before_the_request(arguments: dict[str, Any], message: str) -> None:
    async with scripted_server() as server, kinform.connect(server.url) as api:
        with pytest.raises(kinform.OptionError, match=message):
            await api.get(**{"resource": "v1/pods", "key": "shop/web-0", **arguments})
        assert not server.requests


async def test_a_name_is_escaped_in_the_path(server: Server) -> None:
    async with kinform.connect(server.url) as api:
        with pytest.raises(kinform.NotFoundError):
            await api.get("v1/pods", "shop/a?b#c", subresource="status")
    assert server.requests[0].path == "/api/v1/namespaces/shop/pods/a?b#c/status"
    assert not server.requests[0].params


# --- retries


def flaky(failures: int, *, half: bool = False) -> Handler:
    """Returns a server that breaks off the first responses, before or within the body."""
    seen = [0]

    async def respond(request: ReceivedRequest) -> None:
        seen[0] += 1
        if seen[0] > failures:
            await request.respond(200, OBJECT)
            return
        if half:
            await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        request.close()

    return respond


@pytest.mark.parametrize("half", [False, True])
async def test_a_read_is_sent_again_once(half: bool) -> None:
    async with scripted_server(flaky(1, half=half)) as server, kinform.connect(server.url) as api:
        assert (await api.get("v1/pods", "shop/web-0", type=Pod)).metadata.name == "web-0"
        assert len(server.requests) == 2
    async with scripted_server(flaky(9, half=half)) as server, kinform.connect(server.url) as api:
        with pytest.raises(kinform.TransportError, match="closed the connection"):
            await api.get("v1/pods", "shop/web-0")
        assert len(server.requests) == 2


async def test_an_unreachable_server_is_an_error_at_the_second_attempt() -> None:
    with listening() as listener:
        port = listener.port
    async with kinform.connect(f"http://127.0.0.1:{port}") as api:
        with pytest.raises(kinform.TransportError) as caught:
            await api.get("v1/pods", "shop/web-0")
        assert not caught.value.reached


async def test_a_deadline_covers_connecting_and_the_whole_body() -> None:
    async def half(request: ReceivedRequest) -> None:
        await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")

    message = r"^get v1/pods shop/web-0: no complete response within 0\.05 s$"
    async with scripted_server(half) as server, kinform.connect(server.url) as api:
        with pytest.raises(kinform.StalledError, match=message):
            await api.get("v1/pods", "shop/web-0", timeout=0.05)
        await server.requests[0].disconnected.wait()
    with unresponsive() as port:
        async with kinform.connect(f"http://127.0.0.1:{port}") as api:
            with pytest.raises(kinform.StalledError, match=message):
                await api.get("v1/pods", "shop/web-0", timeout=0.05)


async def test_too_many_requests_end_at_the_timeout() -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.respond(429, b"too many", Retry_After="0.02")

    async with scripted_server(respond) as server, kinform.connect(server.url) as api:
        with pytest.raises(kinform.StatusError, match="429") as caught:
            await api.get("v1/pods", "shop/web-0", timeout=0.05)
        assert caught.value.retry_after == 0.02
        assert 1 < len(server.requests) <= 3


async def test_a_token_file_is_read_again_after_401(tmp_path: Path) -> None:
    async def respond(request: ReceivedRequest) -> None:
        good = request.headers["authorization"] == "Bearer new"
        await request.respond(200 if good else 401, OBJECT if good else b"{}")

    async with scripted_server(respond) as server:
        cluster = {"name": "c", "cluster": {"server": server.url}}
        config = write_contexts(tmp_path / "config", "c", user={"token": "old"}, clusters=[cluster])
        async with kinform.connect(config) as api:
            write_contexts(tmp_path / "config", "c", user={"token": "new"}, clusters=[cluster])
            await api.get("v1/pods", "shop/web-0")
        assert server.authorizations == ["Bearer old", "Bearer new"]


# --- responses


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_an_error(status: int) -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.respond(status, b"moved", Location="http://127.0.0.1:1/other")

    async with scripted_server(respond) as server, kinform.connect(server.url) as api:
        with pytest.raises(kinform.StatusError, match=f"answered {status}$"):
            await api.get("v1/pods", "shop/web-0")
        assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"", b"<html>secret</html>", b"[1]", b'{"a":', b'"text"'])
async def test_a_body_that_is_no_object_is_an_error(body: bytes) -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.respond(200, body)

    async with scripted_server(respond) as server, kinform.connect(server.url) as api:
        with pytest.raises(kinform.DecodeError, match=r"^shop/web-0: cannot be decoded") as caught:
            await api.get("v1/pods", "shop/web-0")
        assert "secret" not in str(caught.value)


async def test_a_body_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MAX_BODY_BYTES", 1000)

    async def respond(request: ReceivedRequest) -> None:
        size = 1000 + request.path.endswith("/large")
        await request.respond(200, OBJECT + b" " * (size - len(OBJECT)))

    async with scripted_server(respond) as server, kinform.connect(server.url) as api:
        assert await api.get("v1/pods", "shop/small")
        with pytest.raises(kinform.ProtocolError, match="more than 1000 bytes"):
            await api.get("v1/pods", "shop/large")
