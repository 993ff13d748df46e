"""ApiClientTransport: the requests it sends, and how it reads responses."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from kinform._errors import OptionError, TransportError
from kinform._transport.adapter import as_transport
from kinform._transport.api_client import ApiClientTransport
from kinform._transport.base import CHUNK_BYTES, Request, Response
from kinform._transport.lean_import import ApiClient, Configuration
from tests.support.scripted_server import ReceivedRequest, ScriptedServer, scripted_server

PODS = Request(path="/api/v1/pods", params=())


@asynccontextmanager
async def transport_to(url: str, *, token: str = "", limit: int = 100) -> AsyncIterator[ApiClientTransport]:
    configuration = Configuration(host=url)
    configuration.connection_pool_maxsize = limit
    if token:
        configuration.api_key["BearerToken"] = f"Bearer {token}"
    async with ApiClient(configuration) as client:
        yield ApiClientTransport(client)


async def body_of(response: Response) -> bytes:
    return b"".join([chunk async for chunk in response.chunks()])


# --- requests


async def test_a_request_is_sent_unchanged_with_the_token() -> None:
    params = (
        ("limit", "500"),
        ("labelSelector", "app in (a,b),tier!=x;y"),
        ("continue", "a+b/c=="),
        ("shardSelector", "shardRange(object.metadata.uid, '0x0', '0x1')"),
        ("fieldSelector", "metadata.name=é&x"),
        ("empty", ""),
    )
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
    async with scripted_server() as server, transport_to(server.url, token="t0") as transport:
        response = await transport.open(Request(path="/api/v1/namespaces/shop/pods", params=params, accept=accept))
        response.close()
    (sent,) = server.requests
    assert sent.path == "/api/v1/namespaces/shop/pods"
    assert sent.params == list(params)
    assert sent.headers["accept"] == accept
    assert sent.headers["authorization"] == "Bearer t0"


@pytest.mark.parametrize(
    ("gzip", "watch", "encoding"),
    [(False, False, "identity"), (True, False, "gzip"), (False, True, "identity"), (True, True, "identity")],
)
async def test_gzip_is_accepted_only_for_a_list_that_asks_for_it(gzip: bool, watch: bool, encoding: str) -> None:
    async with scripted_server() as server, transport_to(server.url) as transport:
        (await transport.open(Request(path="/x", params=(), gzip=gzip, watch=watch))).close()
    assert server.requests[0].headers["accept-encoding"] == encoding


async def test_the_only_timeout_is_the_one_for_connecting() -> None:
    timeouts: list[Any] = []

    async def call_api(*arguments: object, _request_timeout: object = None, **rest: object) -> None:
        timeouts.append(_request_timeout)
        raise aiohttp.ServerDisconnectedError

    async with transport_to("http://127.0.0.1:1") as transport:
        transport.api_client.call_api = call_api
        with pytest.raises(TransportError):
            await transport.open(PODS)
    assert timeouts == [aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=None)]


# --- responses


async def test_a_gzip_body_is_decompressed() -> None:
    body = b'{"items":[]}' * 50_000

    async def respond(request: ReceivedRequest) -> None:
        await request.respond(200, gzip.compress(body), Content_Encoding="gzip")

    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        assert await body_of(await transport.open(Request(path="/x", params=(), gzip=True))) == body


async def test_any_status_is_a_response_and_headers_ignore_case() -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.respond(429, b"slow down", Retry_After="7")

    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        assert response.status == 429
        assert response.headers["retry-AFTER"] == "7"
        assert await response.head(1000) == b"slow down"


async def test_head_returns_at_most_limit_bytes_and_closes() -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.start_chunked()
        while not request.disconnected.is_set():
            await request.send_chunk(b"e" * 100_000)

    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        assert await response.head(300_001) == b"e" * 300_001
        await asyncio.wait_for(server.requests[0].disconnected.wait(), 5)


async def test_head_of_a_truncated_body_returns_what_arrived() -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nhalf")
        request.close()

    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        assert (response.status, await response.head(1000)) in ((500, b"half"), (500, b""))


async def test_chunks_are_at_most_256_kib_however_much_is_buffered() -> None:
    body = bytes(range(256)) * (16 << 10)

    async def respond(request: ReceivedRequest) -> None:
        await request.respond(200, body)

    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        chunks = []
        async for chunk in response.chunks():
            assert 0 < len(chunk) <= CHUNK_BYTES
            chunks.append(chunk)
            for _ in range(5):
                await asyncio.sleep(0)  # lets more arrive than is read
    assert b"".join(chunks) == body


async def test_a_chunk_is_returned_as_soon_as_it_arrives() -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.start_chunked()
        await request.send_chunk(b'{"type":"ADDED"}\n')

    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        async with asyncio.timeout(5):
            assert await anext(response.chunks()) == b'{"type":"ADDED"}\n'
        response.close()


async def test_an_exhausted_body_stays_exhausted() -> None:
    async with scripted_server() as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        chunks = response.chunks()
        assert [chunk async for chunk in chunks]
        assert await anext(chunks, None) is None
        assert await anext(chunks, None) is None


async def test_a_connection_is_reused_after_its_body_was_read() -> None:
    async with scripted_server() as server, transport_to(server.url) as transport:
        for _ in range(3):
            await body_of(await transport.open(PODS))
        assert [request.connection for request in server.requests] == [1, 1, 1]


async def test_the_client_keeps_no_closed_response() -> None:
    async with scripted_server() as server, transport_to(server.url) as transport:
        (await transport.open(PODS)).close()
        assert transport.api_client.last_response is None


# --- network errors


async def short_body(request: ReceivedRequest) -> None:
    await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsecret")
    request.close()


async def open_chunked(request: ReceivedRequest) -> None:
    await request.start_chunked()
    await request.send_chunk(b"secret")
    request.close()


async def bad_chunk(request: ReceivedRequest) -> None:
    await request.start_chunked()
    await request.send(b"secret\r\n")


async def bad_gzip(request: ReceivedRequest) -> None:
    await request.respond(200, b"secret", Content_Encoding="gzip")


@pytest.mark.parametrize("respond", [short_body, open_chunked, bad_chunk, bad_gzip])
async def test_a_truncated_body_is_an_error_without_its_contents(respond: Any) -> None:
    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        with pytest.raises(TransportError, match=r"^/api/v1/pods: ") as caught:
            await body_of(await transport.open(PODS))
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, aiohttp.ClientError | aiohttp.http.HttpProcessingError)
    assert caught.value.reached


async def close_at_once(request: ReceivedRequest) -> None:
    request.close()


async def no_http(request: ReceivedRequest) -> None:
    await request.send(b"secret secret\r\n\r\n")


@pytest.mark.parametrize("respond", [close_at_once, no_http])
async def test_a_missing_response_is_an_error_without_contents(respond: Any) -> None:
    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        with pytest.raises(TransportError, match=r"^/api/v1/pods: ") as caught:
            await transport.open(PODS)
    assert "secret" not in str(caught.value)
    assert caught.value.reached


async def test_a_refused_connection_names_the_host_as_not_reached() -> None:
    async with transport_to("http://127.0.0.1:1") as transport:
        with pytest.raises(TransportError, match=r"127\.0\.0\.1:1") as caught:
            await transport.open(PODS)
    assert isinstance(caught.value.__cause__, aiohttp.ClientConnectorError)
    assert not caught.value.reached


async def test_cancel_before_the_headers_closes_the_connection() -> None:
    received = asyncio.Event()

    async def respond(request: ReceivedRequest) -> None:
        received.set()

    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        opening = asyncio.create_task(transport.open(PODS))
        await asyncio.wait_for(received.wait(), 5)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await asyncio.wait_for(server.requests[0].disconnected.wait(), 5)


async def test_cancel_while_waiting_for_a_chunk_closes_the_connection() -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.start_chunked()
        await request.send_chunk(b"first")

    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        chunks = (await transport.open(PODS)).chunks()
        assert await anext(chunks) == b"first"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(chunks)
        await asyncio.wait_for(server.requests[0].disconnected.wait(), 5)
        with pytest.raises(TransportError):
            await anext(chunks)


async def test_close_in_mid_body_disconnects_at_once() -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.start_chunked()
        while not request.disconnected.is_set():
            await request.send_chunk(b"x" * 100_000)

    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        await anext(response.chunks())
        response.close()
        response.close()
        await asyncio.wait_for(server.requests[0].disconnected.wait(), 5)
        with pytest.raises(TransportError, match="closed"):
            await anext(response.chunks())


async def test_an_abandoned_iterator_leaves_no_task() -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.start_chunked()
        await request.send_chunk(b"first")

    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        async for _ in response.chunks():
            break
        before = asyncio.all_tasks()
        response.close()
        del response
        await asyncio.sleep(0)
        assert asyncio.all_tasks() <= before


# --- the caller's ApiClient


async def test_the_client_stays_open_and_a_closed_one_is_refused() -> None:
    async with scripted_server() as server:
        async with transport_to(server.url) as transport:
            (await transport.open(PODS)).close()
            assert not transport.api_client.rest_client.pool_manager.closed
        with pytest.raises(OptionError, match="still open"):
            await transport.open(PODS)


async def test_a_client_closed_in_mid_body_is_a_transport_error() -> None:
    async with scripted_server(first_chunk_only) as server:
        async with transport_to(server.url) as transport:
            chunks = (await transport.open(PODS)).chunks()
            assert await anext(chunks) == b"first"
        with pytest.raises(TransportError):
            await anext(chunks)


async def first_chunk_only(request: ReceivedRequest) -> None:
    await request.start_chunked()
    await request.send_chunk(b"first")


async def open_responses(server: ScriptedServer, caplog: pytest.LogCaptureFixture, limit: int, count: int) -> list[str]:
    """Opens `count` responses of one client and returns the lines that were logged."""
    async with transport_to(server.url, limit=limit) as transport:
        others = [ApiClientTransport(transport.api_client) for _ in range(count)]
        for response in [await other.open(PODS) for other in others]:
            response.close()
    return [record.message for record in caplog.records if record.name == "kinform.transport"]


async def test_one_warning_is_logged_near_the_connection_limit(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted_server(first_chunk_only) as server:
        messages = await open_responses(server, caplog, limit=10, count=10)
    assert len(messages) == 1
    assert "8 of the 10 connections" in messages[0]


@pytest.mark.parametrize(("limit", "count"), [(10, 8), (0, 12)])
async def test_no_warning_is_logged_below_the_connection_limit(
    caplog: pytest.LogCaptureFixture, limit: int, count: int
) -> None:
    async with scripted_server(first_chunk_only) as server:
        assert await open_responses(server, caplog, limit, count) == []


async def test_closed_connections_do_not_count_towards_the_limit(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted_server() as server, transport_to(server.url, limit=3) as transport:
        responses = []
        for _ in range(10):
            responses.append(await transport.open(PODS))
            await body_of(responses[-1])
    assert not caplog.records


async def test_refresh_without_a_hook_returns_false() -> None:
    async with transport_to("http://127.0.0.1:1") as transport:
        assert await transport.refresh_credentials() is False


@pytest.mark.parametrize("awaited", [False, True])
async def test_refresh_runs_a_sync_or_async_hook_of_the_client(awaited: bool) -> None:
    async with scripted_server() as server, transport_to(server.url, token="old") as transport:
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


async def test_a_failing_hook_is_reported_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    def fail(configuration: Any) -> None:
        raise RuntimeError("secret")

    async with scripted_server() as server, transport_to(server.url, token="t") as transport:
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
async def test_a_client_that_raises_on_a_status_gives_a_response(body: bytes | str) -> None:
    async def call_api(*arguments: object, **rest: object) -> None:
        raise ApiException(429, body)

    async with transport_to("http://127.0.0.1:1") as transport:
        transport.api_client.call_api = call_api
        response = await transport.open(PODS)
        assert response.status == 429
        assert response.headers["retry-after"] == "3"
        assert await response.head(3) == b"too"
        response = await transport.open(PODS)
        assert await body_of(response) == b"too many"
        response.close()


async def test_a_client_error_without_a_status_is_a_transport_error() -> None:
    async def call_api(*arguments: object, **rest: object) -> None:
        raise ApiException(0, None)

    async with transport_to("http://127.0.0.1:1") as transport:
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
        self, method: str, resource_path: str, *, query_params: Any, header_params: Any, auth_settings: Any
    ) -> tuple[Any, ...]:
        assert auth_settings == ["BearerToken"]
        return method, self.configuration.host + resource_path, {**header_params, "x-query": str(query_params)}

    async def call_api(self, method: str, url: str, headers: Any, *, _request_timeout: Any) -> Any:
        self.response = await self.rest_client.pool_manager.request(
            method, url, headers=headers, timeout=_request_timeout
        )
        return self

    async def close(self) -> None: ...


async def test_a_client_that_serializes_first_is_supported() -> None:
    async with scripted_server() as server, transport_to(server.url) as inner:
        transport = as_transport(SerializingClient(inner.api_client))
        body = await body_of(await transport.open(Request(path="/x", params=(("limit", "1"),))))
    assert b"PodList" in body
    assert server.requests[0].headers["x-query"] == "[('limit', '1')]"
    assert server.requests[0].headers["accept-encoding"] == "identity"


class SynchronousClient:
    configuration = rest_client = None

    def call_api(self) -> None: ...
    def close(self) -> None: ...


@pytest.mark.parametrize("api", [None, "http://localhost", SynchronousClient(), ApiClient, ApiClientTransport, 3])
def test_an_object_that_is_not_a_client_is_refused(api: object) -> None:
    with pytest.raises(OptionError, match=r"^api: .*kinform\.connect\(\)"):
        as_transport(api)


async def test_transports_over_one_client_have_the_same_identity() -> None:
    async with transport_to("http://127.0.0.1:1") as transport:
        other = as_transport(transport.api_client)
        assert other.identity is transport.identity is transport.api_client
        assert as_transport(transport) is transport
