"""Both transports: the requests they send, and how they read responses."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kinform._errors import OptionError, TransportError
from kinform._transport.base import CHUNK_BYTES, Request
from tests.support.loops import on_each_loop, other_tasks
from tests.support.scripted_server import ReceivedRequest, scripted_server
from tests.support.tls import CERTIFICATES, server_context
from tests.support.transports import BOTH, PODS, OpenTransport, body_of


def on_each_transport(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs an async test on both transports, each on both event loops."""
    parametrized: Callable[..., None] = pytest.mark.parametrize("transport_to", BOTH)(on_each_loop(test))
    return parametrized


async def first_chunk_only(request: ReceivedRequest) -> None:
    await request.start_chunked()
    await request.send_chunk(b"first")


# --- requests


@on_each_transport
async def test_a_request_is_sent_unchanged_with_the_token(transport_to: OpenTransport) -> None:
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
@on_each_transport
async def test_gzip_is_accepted_only_for_a_list_that_asks_for_it(
    transport_to: OpenTransport, gzip: bool, watch: bool, encoding: str
) -> None:
    async with scripted_server() as server, transport_to(server.url) as transport:
        (await transport.open(Request(path="/x", params=(), gzip=gzip, watch=watch))).close()
    assert server.requests[0].headers["accept-encoding"] == encoding


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/merge-patch+json", "application/json-patch+json", "application/apply-patch+yaml"],
)
@on_each_transport
async def test_a_body_is_sent_with_its_method_and_type(transport_to: OpenTransport, content_type: str) -> None:
    body = b'[{"op":"add","path":"/a","value":"\xc3\xa9"}]' if "json-patch" in content_type else b'{"a":{"b":null}}'
    async with scripted_server() as server, transport_to(server.url) as transport:
        request = Request(path="/x", params=(("dryRun", "All"),), method="PATCH", body=body, content_type=content_type)
        (await transport.open(request)).close()
    (sent,) = server.requests
    assert (sent.method, sent.path, sent.params) == ("PATCH", "/x", [("dryRun", "All")])
    assert json.loads(sent.body) == json.loads(body)
    assert sent.headers["content-type"] == content_type


# --- responses


@on_each_transport
async def test_a_gzip_body_is_decompressed(transport_to: OpenTransport) -> None:
    body = b'{"items":[]}' * 50_000

    async def respond(request: ReceivedRequest) -> None:
        await request.respond(200, gzip.compress(body), Content_Encoding="gzip")

    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        assert await body_of(await transport.open(Request(path="/x", params=(), gzip=True))) == body


@on_each_transport
async def test_any_status_is_a_response_and_headers_ignore_case(transport_to: OpenTransport) -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.respond(429, b"slow down", Retry_After="7")

    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        assert response.status == 429
        assert response.headers["retry-AFTER"] == "7"
        assert await response.head(1000) == b"slow down"


@on_each_transport
async def test_head_returns_at_most_limit_bytes_and_closes(transport_to: OpenTransport) -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.start_chunked()
        while not request.disconnected.is_set():
            await request.send_chunk(b"e" * 100_000)

    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        assert await response.head(300_001) == b"e" * 300_001
        await asyncio.wait_for(server.requests[0].disconnected.wait(), 5)


@on_each_transport
async def test_head_of_a_truncated_body_returns_what_arrived(transport_to: OpenTransport) -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nhalf")
        request.close()

    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        assert (response.status, await response.head(1000)) in ((500, b"half"), (500, b""))


@on_each_transport
async def test_chunks_are_at_most_256_kib_however_much_is_buffered(transport_to: OpenTransport) -> None:
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


@on_each_transport
async def test_a_chunk_is_returned_as_soon_as_it_arrives(transport_to: OpenTransport) -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.start_chunked()
        await request.send_chunk(b'{"type":"ADDED"}\n')

    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        async with asyncio.timeout(5):
            assert await anext(response.chunks()) == b'{"type":"ADDED"}\n'
        response.close()


@on_each_transport
async def test_an_exhausted_body_stays_exhausted(transport_to: OpenTransport) -> None:
    async with scripted_server() as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        chunks = response.chunks()
        assert [chunk async for chunk in chunks]
        assert await anext(chunks, None) is None
        assert await anext(chunks, None) is None


@on_each_transport
async def test_a_connection_is_reused_after_its_body_was_read(transport_to: OpenTransport) -> None:
    async with scripted_server() as server, transport_to(server.url) as transport:
        for _ in range(3):
            await body_of(await transport.open(PODS))
        assert [request.connection for request in server.requests] == [1, 1, 1]


@on_each_transport
async def test_a_slow_reader_stops_the_server(transport_to: OpenTransport) -> None:
    sent = 0

    async def flood(request: ReceivedRequest) -> None:
        nonlocal sent
        await request.start_chunked()
        while not request.disconnected.is_set():
            await request.send_chunk(b"x" * 10_000)
            sent += 10_000

    async with scripted_server(flood) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        await anext(response.chunks())
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 12 << 20  # mostly in buffers of the kernel
        response.close()


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
@on_each_transport
async def test_a_truncated_body_is_an_error_without_its_contents(transport_to: OpenTransport, respond: Any) -> None:
    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        with pytest.raises(TransportError, match=r"^/api/v1/pods: ") as caught:
            await body_of(await transport.open(PODS))
    assert "secret" not in str(caught.value)
    assert caught.value.reached


async def close_at_once(request: ReceivedRequest) -> None:
    request.close()


async def no_http(request: ReceivedRequest) -> None:
    await request.send(b"secret secret\r\n\r\n")


@pytest.mark.parametrize("respond", [close_at_once, no_http])
@on_each_transport
async def test_a_missing_response_is_an_error_without_contents(transport_to: OpenTransport, respond: Any) -> None:
    async with scripted_server(respond) as server, transport_to(server.url) as transport:
        with pytest.raises(TransportError, match=r"^/api/v1/pods: ") as caught:
            await transport.open(PODS)
    assert "secret" not in str(caught.value)
    assert caught.value.reached


@on_each_transport
async def test_a_refused_connection_names_the_host_as_not_reached(transport_to: OpenTransport) -> None:
    async with transport_to("http://127.0.0.1:1") as transport:
        with pytest.raises(TransportError, match=r"127\.0\.0\.1:1") as caught:
            await transport.open(PODS)
    assert not caught.value.reached


@on_each_transport
async def test_cancel_before_the_headers_closes_the_connection(transport_to: OpenTransport) -> None:
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


@on_each_transport
async def test_cancel_while_waiting_for_a_chunk_closes_the_connection(transport_to: OpenTransport) -> None:
    async with scripted_server(first_chunk_only) as server, transport_to(server.url) as transport:
        chunks = (await transport.open(PODS)).chunks()
        assert await anext(chunks) == b"first"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(chunks)
        await asyncio.wait_for(server.requests[0].disconnected.wait(), 5)
        with pytest.raises(TransportError):
            await anext(chunks)


@on_each_transport
async def test_close_in_mid_body_disconnects_at_once(transport_to: OpenTransport) -> None:
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


@on_each_transport
async def test_an_abandoned_iterator_leaves_no_task(transport_to: OpenTransport) -> None:
    async with scripted_server(first_chunk_only) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        async for _ in response.chunks():
            break
        before = other_tasks()
        response.close()
        del response
        await asyncio.sleep(0)
        assert other_tasks() <= before


# --- the end of a transport


@on_each_transport
async def test_the_end_of_the_transport_closes_open_responses(transport_to: OpenTransport) -> None:
    async with scripted_server(first_chunk_only) as server:
        async with transport_to(server.url) as transport:
            chunks = (await transport.open(PODS)).chunks()
            assert await anext(chunks) == b"first"
        await server.requests[0].disconnected.wait()
        with pytest.raises(TransportError):
            await anext(chunks)


@on_each_transport
async def test_a_closed_transport_is_refused(transport_to: OpenTransport) -> None:
    async with scripted_server() as server:
        async with transport_to(server.url) as transport:
            await body_of(await transport.open(PODS))
        with pytest.raises(OptionError, match=r"^api: "):
            await transport.open(PODS)


# --- credentials


@on_each_transport
async def test_refresh_without_a_source_returns_false(transport_to: OpenTransport) -> None:
    async with transport_to("http://127.0.0.1:1") as transport:
        assert await transport.refresh_credentials() is False


@on_each_transport
async def test_an_https_url_is_verified_by_system_certificates(transport_to: OpenTransport) -> None:
    async with scripted_server(tls=server_context()) as server, transport_to(server.url) as transport:
        with pytest.raises(TransportError, match="certificate verify failed") as caught:
            await transport.open(PODS)
        assert not caught.value.reached


@pytest.mark.parametrize("options", [{"ca": CERTIFICATES / "ca.pem"}, {"verify": False}])
@on_each_transport
async def test_a_given_ca_or_no_verification_accepts_an_https_url(
    transport_to: OpenTransport, options: dict[str, Any]
) -> None:
    async with scripted_server(tls=server_context()) as server, transport_to(server.url, **options) as transport:
        for _ in range(2):
            assert b"PodList" in await body_of(await transport.open(PODS))
        assert server.connections == 1
