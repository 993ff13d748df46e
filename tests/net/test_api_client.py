"""ApiClientTransport: what is particular to the clients that callers bring.

See test_transport.py for what it has in common with the other transport.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import kinform
from kinform._errors import OptionError, TransportError
from kinform._transport.adapter import as_transport
from kinform._transport.api_client import ApiClientTransport
from kinform._transport.base import Request
from kinform._transport.lean_import import ApiClient
from tests.support.loops import on_each_loop
from tests.support.recording import RecordingTransport
from tests.support.scripted_server import ReceivedRequest, ScriptedServer, scripted_server
from tests.support.transports import PODS, api_client_transport, body_of


async def test_the_only_timeout_is_the_one_for_connecting() -> None:
    timeouts: list[Any] = []

    async def call_api(*arguments: object, _request_timeout: object = None, **rest: object) -> None:
        timeouts.append(_request_timeout)
        raise aiohttp.ServerDisconnectedError

    async with api_client_transport("http://127.0.0.1:1") as transport:
        transport.api_client.call_api = call_api
        with pytest.raises(TransportError):
            await transport.open(PODS)
    assert timeouts == [aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=None)]


@on_each_loop
async def test_the_client_keeps_no_closed_response() -> None:
    async with scripted_server() as server, api_client_transport(server.url) as transport:
        (await transport.open(PODS)).close()
        assert transport.api_client.last_response is None


@on_each_loop
async def test_the_client_stays_open_and_a_closed_one_is_refused() -> None:
    async with scripted_server() as server:
        async with api_client_transport(server.url) as transport:
            (await transport.open(PODS)).close()
            assert not transport.api_client.rest_client.pool_manager.closed
        with pytest.raises(OptionError, match="still open"):
            await transport.open(PODS)


async def hold(request: ReceivedRequest) -> None:
    await request.start_chunked()
    await request.send_chunk(b"first")


async def open_responses(server: ScriptedServer, caplog: pytest.LogCaptureFixture, limit: int, count: int) -> list[str]:
    """Opens `count` responses of one client and returns the lines that were logged."""
    async with api_client_transport(server.url, limit=limit) as transport:
        others = [ApiClientTransport(transport.api_client) for _ in range(count)]
        for response in [await other.open(PODS) for other in others]:
            response.close()
    return [record.message for record in caplog.records if record.name == "kinform.transport"]


@on_each_loop
async def test_one_warning_is_logged_near_the_connection_limit(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted_server(hold) as server:
        messages = await open_responses(server, caplog, limit=10, count=10)
    assert len(messages) == 1
    assert "8 of the 10 connections" in messages[0]


@pytest.mark.parametrize(("limit", "count"), [(10, 8), (0, 12)])
@on_each_loop
async def test_no_warning_is_logged_below_the_connection_limit(
    caplog: pytest.LogCaptureFixture, limit: int, count: int
) -> None:
    async with scripted_server(hold) as server:
        assert await open_responses(server, caplog, limit, count) == []


@on_each_loop
async def test_closed_connections_do_not_count_towards_the_limit(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted_server() as server, api_client_transport(server.url, limit=3) as transport:
        responses = []
        for _ in range(10):
            responses.append(await transport.open(PODS))
            await body_of(responses[-1])
    assert not caplog.records


@pytest.mark.parametrize("awaited", [False, True])
@on_each_loop
async def test_refresh_runs_a_sync_or_async_hook_of_the_client(awaited: bool) -> None:
    async with scripted_server() as server, api_client_transport(server.url, token="old") as transport:
        runs: list[str] = []

        def renew(configuration: Any) -> None:
            runs.append("hook")
            configuration.api_key["BearerToken"] = "Bearer new"

        async def renew_later(configuration: Any) -> None:
            renew(configuration)

        transport.api_client.configuration.refresh_api_key_hook = renew_later if awaited else renew
        assert await transport.refresh_credentials() is True
        assert runs == ["hook"]
        (await transport.open(PODS)).close()
    assert server.authorizations == ["Bearer new"]


@on_each_loop
async def test_a_failing_hook_is_reported_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    def fail(configuration: Any) -> None:
        raise RuntimeError("secret")

    async with scripted_server() as server, api_client_transport(server.url, token="t") as transport:
        transport.api_client.configuration.refresh_api_key_hook = fail
        with caplog.at_level(logging.DEBUG, logger="kinform"):
            assert await transport.refresh_credentials() is False
        with pytest.raises(TransportError, match=r"cannot be renewed \(RuntimeError\)") as caught:
            await transport.open(PODS)
    assert "secret" not in caplog.text
    assert "secret" not in str(caught.value)
    assert not caught.value.reached


# --- other clients than ApiClient


class ApiException(Exception):
    """The exception of a client version that checks the status itself."""

    def __init__(self, status: int, body: bytes | str | None) -> None:
        self.status = status
        self.body = body
        self.headers = {"Retry-After": "3"}


@pytest.mark.parametrize("body", [b"too many", "too many"])
@on_each_loop
async def test_a_client_that_raises_on_a_status_gives_a_response(body: bytes | str) -> None:
    async def call_api(*arguments: object, **rest: object) -> None:
        raise ApiException(429, body)

    async with api_client_transport("http://127.0.0.1:1") as transport:
        transport.api_client.call_api = call_api
        response = await transport.open(PODS)
        assert response.status == 429
        assert response.headers["retry-after"] == "3"
        assert await response.head(3) == b"too"
        response = await transport.open(PODS)
        assert await body_of(response) == b"too many"
        response.close()


@on_each_loop
async def test_a_client_error_without_a_status_is_a_transport_error() -> None:
    async def call_api(*arguments: object, **rest: object) -> None:
        raise ApiException(0, None)

    async with api_client_transport("http://127.0.0.1:1") as transport:
        transport.api_client.call_api = call_api
        with pytest.raises(TransportError, match="without a status"):
            await transport.open(PODS)


class SerializingClient:
    """A client with the signature of `kubernetes.aio`: serialize, then call.

    The response is wrapped.
    """

    def __init__(self, inner: ApiClient) -> None:
        self.inner = inner
        self.configuration = inner.configuration
        self.rest_client = inner.rest_client

    async def param_serialize(
        self, method: str, resource_path: str, *, query_params: Any, header_params: Any, body: Any, auth_settings: Any
    ) -> tuple[Any, ...]:
        assert auth_settings == ["BearerToken"]
        assert body is None
        return method, self.configuration.host + resource_path, {**header_params, "x-query": str(query_params)}

    async def call_api(self, method: str, url: str, headers: Any, *, _request_timeout: Any) -> Any:
        self.response = await self.rest_client.pool_manager.request(
            method, url, headers=headers, timeout=_request_timeout
        )
        return self

    async def close(self) -> None: ...


@on_each_loop
async def test_a_client_that_serializes_first_is_supported() -> None:
    async with scripted_server() as server, api_client_transport(server.url) as inner:
        transport = as_transport(SerializingClient(inner.api_client))
        body = await body_of(await transport.open(Request(path="/x", params=(("limit", "1"),))))
    assert b"PodList" in body
    assert server.requests[0].headers["x-query"] == "[('limit', '1')]"
    assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("content_type", ["application/merge-patch+json", "application/apply-patch+yaml"])
@on_each_loop
async def test_a_write_goes_through_kubernetes_aio(content_type: str) -> None:
    import kubernetes.aio.client as aio

    async with scripted_server() as server, aio.ApiClient(aio.Configuration(host=server.url)) as client:
        request = Request(path="/x", params=(), method="PATCH", body=b'{"a":null}', content_type=content_type)
        await body_of(await as_transport(client).open(request))
    (sent,) = server.requests
    assert (sent.method, json.loads(sent.body), sent.headers["content-type"]) == ("PATCH", {"a": None}, content_type)


class SynchronousClient:
    configuration = rest_client = None

    def call_api(self) -> None: ...
    def close(self) -> None: ...


@pytest.mark.parametrize("api", [None, "http://localhost", SynchronousClient(), ApiClient, ApiClientTransport, 3])
def test_an_object_that_is_not_a_client_is_refused(api: object) -> None:
    with pytest.raises(OptionError, match=r"^api: .*kinform\.connect\(\)"):
        as_transport(api)


@pytest.mark.parametrize("identity", ["https://example.com", {}, 7])
def test_a_transport_with_another_identity_is_refused(identity: object) -> None:
    class WithIdentity(RecordingTransport):
        @property
        def identity(self) -> object:
            return identity

    with pytest.raises(OptionError, match=r"^Transport\.identity: .* hashable and weakly referenceable"):
        as_transport(WithIdentity(kinform.connect("http://127.0.0.1:1")))


@on_each_loop
async def test_transports_over_one_client_have_the_same_identity() -> None:
    async with api_client_transport("http://127.0.0.1:1") as transport:
        other = as_transport(transport.api_client)
        assert other.identity is transport.identity is transport.api_client
        assert as_transport(transport) is transport


# --- what the environment and a hostile server can do


def texts_of(error: BaseException | None) -> str:
    """Returns all texts of an error, of its causes and of its contexts."""
    if error is None:
        return ""
    own = f"{error} {error!r} {error.args}"
    return own + texts_of(error.__cause__) + texts_of(error.__context__)


async def send_garbage(request: ReceivedRequest) -> None:
    await request.send(b"nonsense\r\n\r\n")


async def redirect_to_itself(request: ReceivedRequest) -> None:
    await request.respond(302, b"", Location=request.path)


async def send_a_bad_chunk(request: ReceivedRequest) -> None:
    await request.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")


@pytest.mark.parametrize("handler", [send_garbage, redirect_to_itself, send_a_bad_chunk])
async def test_no_cause_of_an_error_shows_the_token(handler: Any) -> None:
    async with scripted_server(handler) as server, api_client_transport(server.url, token="hunter2") as transport:
        with pytest.raises(TransportError) as caught:
            await body_of(await transport.open(PODS))
        assert server.requests[0].headers["authorization"] == "Bearer hunter2"
    assert "hunter2" not in texts_of(caught.value)


@pytest.mark.parametrize("proxy", ["http://u:hunter2@[", "http://u:hunter2@host:port", "://u:hunter2@host"])
async def test_a_malformed_proxy_variable_is_retried_and_not_shown(monkeypatch: Any, proxy: str) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    async with scripted_server() as server, api_client_transport(server.url) as transport:
        with pytest.raises(TransportError) as caught:
            await transport.open(PODS)
        assert not server.requests
        assert "hunter2" not in texts_of(caught.value)


@pytest.mark.filterwarnings("ignore:.*netrc")
async def test_a_login_of_netrc_ends_no_informer(monkeypatch: Any, tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "netrc").write_text("default login bob password hunter2\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with scripted_server() as server, api_client_transport(server.url, token="right") as transport:
        options = kinform.WatchOptions(backoff=kinform.Backoff(initial=0.01, maximum=0.02))
        async with kinform.Informer(transport.api_client, "v1/pods", options=options) as pods:
            with pytest.raises(TimeoutError, match=r"retrying \(/api/v1/pods: aiohttp refuses .* see .*~/.netrc"):
                await pods.synced(timeout=0.3)
            (tmp_path / "netrc").unlink()
            await pods.synced(timeout=10)
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_redirect_to_another_server_is_refused(host: str) -> None:
    async with scripted_server() as other:
        elsewhere = other.url.replace("127.0.0.1", host)

        async def redirect(request: ReceivedRequest) -> None:
            await request.respond(302, b"", Location=f"{elsewhere}/api/v1/pods?token=hunter2")

        async with scripted_server(redirect) as server, api_client_transport(server.url, token="right") as transport:
            with pytest.raises(TransportError, match=f"the server redirected to another server, {elsewhere}$"):
                await transport.open(PODS)
        assert "authorization" not in other.requests[0].headers


async def test_a_redirect_within_the_server_is_followed() -> None:
    async def redirect(request: ReceivedRequest) -> None:
        if request.path == "/api/v1/pods":
            await request.respond(302, b"", Location="/prefix/api/v1/pods")
        else:
            await request.respond(200, b"{}")

    async with scripted_server(redirect) as server, api_client_transport(server.url) as transport:
        assert await body_of(await transport.open(PODS)) == b"{}"
