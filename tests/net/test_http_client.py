"""HttpClient: which connection a request uses, small requests, gzip, cleaning up."""

from __future__ import annotations

import asyncio
import gzip
import socket
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from kinform._errors import TransportError
from kinform._transport import dial, idle_connections
from kinform._transport.gzip_body import GzipBody
from kinform._transport.http1 import HttpError
from kinform._transport.idle_connections import IDLE_CONNECTIONS
from tests.net.http1_peer import Peer
from tests.net.listener import Listener, listening, unresponsive
from tests.support.loops import on_each_loop
from tests.support.scripted_server import ReceivedRequest, scripted_server
from tests.support.tls import server_context
from tests.support.transports import PODS, body_of, call, client_of, get
from tests.support.waiting import until

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
Respond = Callable[[ReceivedRequest], Awaitable[None]]


# --- idle connections


@on_each_loop
async def test_each_kind_of_request_leaves_its_connection_idle() -> None:
    async with scripted_server() as server, client_of(server.url) as client:
        await get(client)
        await call(client, "POST", "/x", body=b"{}")
        await (await client.open(PODS)).head(1 << 20)
        await call(client, "DELETE", "/x")
        assert server.connections == 1


@on_each_loop
async def test_a_get_is_repeated_once_on_a_new_connection() -> None:
    with listening() as listener:
        async with client_of(f"http://127.0.0.1:{listener.port}") as client:
            opening = [asyncio.create_task(client.open(PODS)) for _ in range(2)]
            idle = [await listener.accept() for _ in range(2)]
            for peer in idle:
                await peer.receive()
                await peer.send(EMPTY)
            responses = [await task for task in opening]
            for response in responses:
                await body_of(response)
            again = asyncio.create_task(get(client))
            used = await _first_to_receive(idle)
            used.close()
            peer = await listener.accept()
            assert (await peer.receive()).startswith(b"GET /api/v1/pods ")
            await peer.send(EMPTY)
            assert await again == b"{}"
            # The new connection was not idle, so a failure there is an error.
            again = asyncio.create_task(get(client))
            await peer.receive()
            peer.close()
            newest = await listener.accept()
            await newest.receive()
            newest.close()
            with pytest.raises(TransportError, match="closed the connection"):
                await again
            assert listener.no_connection()


async def _first_to_receive(peers: list[Peer]) -> Peer:
    receiving = {asyncio.create_task(peer.receive()): peer for peer in peers}
    done, pending = await asyncio.wait(receiving, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return receiving[done.pop()]


async def closed_after_one(listener: Listener, request: Awaitable[Any], *, answer: bytes) -> None:
    """Answers a first GET, receives the request, sends `answer` and closes."""
    peer = await listener.accept()
    await peer.receive()
    await peer.send(EMPTY)
    sending = asyncio.ensure_future(request)
    await peer.receive()
    await peer.send(answer)
    peer.close()
    with pytest.raises(TransportError) as caught:
        await sending
    assert caught.value.reached
    assert listener.no_connection()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@on_each_loop
async def test_a_write_is_never_repeated(method: str) -> None:
    with listening() as listener:
        async with client_of(f"http://127.0.0.1:{listener.port}") as client:

            async def write() -> None:
                await first
                await call(client, method, "/x", body=b"{}")

            first = asyncio.create_task(get(client))
            await closed_after_one(listener, write(), answer=b"")


@on_each_loop
async def test_a_get_with_half_an_answer_is_not_repeated() -> None:
    with listening() as listener:
        async with client_of(f"http://127.0.0.1:{listener.port}") as client:

            async def read() -> None:
                await first
                await get(client)

            first = asyncio.create_task(get(client))
            await closed_after_one(listener, read(), answer=b"HTTP/1.1 200")


@on_each_loop
async def test_a_connection_that_was_closed_while_idle_is_not_used() -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.respond(200, b"{}")
        request.close()

    async with scripted_server(respond) as server, client_of(server.url) as client:
        for _ in range(3):
            assert (await call(client, "POST", "/x", body=b"{}")).status == 200
            await until(lambda: all(connection.closed for connection, _ in client._idle._waiting))
        assert server.connections == 3


@on_each_loop
async def test_idle_connections_are_limited_in_number() -> None:
    async with scripted_server() as server, client_of(server.url) as client:
        responses = [await client.open(PODS) for _ in range(IDLE_CONNECTIONS + 3)]
        for response in responses:
            await body_of(response)
        await until(lambda: sum(request.disconnected.is_set() for request in server.requests) == 3)
        assert [request.disconnected.is_set() for request in server.requests] == [True] * 3 + [False] * 4


@on_each_loop
async def test_idle_connections_are_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_connections, "IDLE_SECONDS", 0.05)
    async with scripted_server() as server, client_of(server.url) as client:
        for response in [await client.open(PODS) for _ in range(3)]:
            await body_of(response)
        await until(lambda: all(request.disconnected.is_set() for request in server.requests))
        await get(client)
        assert server.connections == 4


# --- requests with a body


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@on_each_loop
async def test_a_request_sends_its_body(method: str) -> None:
    async with scripted_server() as server, client_of(server.url) as client:
        body = b'{"spec":{"renewTime":"now"}}' * 1000
        kind = "application/merge-patch+json"
        await call(client, method, "/a b/\r\nc", params=(("x", "ä&"),), body=body, content_type=kind)
        await call(client, method, "/empty")
    full, empty = server.requests
    assert (full.method, full.path, full.params) == (method, "/a%20b/%0D%0Ac", [("x", "ä&")])
    assert full.body == body
    assert full.headers["content-type"] == kind
    assert empty.headers["content-length"] == "0"
    assert "content-type" not in empty.headers


@pytest.mark.parametrize("status", [201, 301, 302, 307, 308, 404, 409, 500])
@on_each_loop
async def test_a_request_returns_any_status(status: int) -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.respond(status, b"text", Location="http://127.0.0.1:1/other")

    async with scripted_server(respond) as server, client_of(server.url) as client:
        reply = await call(client, "PUT", "/x", body=b"{}")
        assert (reply.status, reply.body, reply.headers["LOCATION"]) == (status, b"text", "http://127.0.0.1:1/other")
        response = await client.open(PODS)
        assert response.status == status  # a redirect is never followed: it would get the token
        await body_of(response)
        assert len(server.requests) == 2


@on_each_loop
async def test_a_head_request_has_no_body() -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")

    async with scripted_server(respond) as server, client_of(server.url) as client:
        for _ in range(2):
            assert (await call(client, "HEAD", "/x")).body == b""
        assert server.connections == 1


@pytest.mark.parametrize("size", [2, 1 << 20])
@on_each_loop
async def test_an_early_answer_to_a_write_is_returned(size: int) -> None:
    with listening() as listener:
        async with client_of(f"http://127.0.0.1:{listener.port}") as client:
            sending = asyncio.create_task(call(client, "POST", "/x", body=b"x" * size))
            peer = await listener.accept()
            while b"\r\n\r\n" not in await peer.receive():
                pass
            await peer.send(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
            peer.close()  # sends a reset, if not all was received
            assert (await sending)[::2] == (413, b"big")


# --- headers


@pytest.mark.parametrize("value", ["Bearer secret\r\nX-More: 1", "Bearer secret\n", "Bearer \0secret", "a\x85secret"])
@on_each_loop
async def test_a_header_with_a_line_break_is_an_error(value: str) -> None:
    async with scripted_server() as server:
        for access in ({"authorization": lambda: value}, {"headers": (("Authorization", value),)}):
            async with client_of(server.url, **access) as client:
                with pytest.raises(TransportError, match="header Authorization has characters that are") as caught:
                    await client.open(PODS)
                assert "secret" not in str(caught.value)
                assert not caught.value.reached
        assert server.connections == 0


@pytest.mark.parametrize("error", [FileNotFoundError("secret"), ValueError("secret")])
@on_each_loop
async def test_credentials_that_cannot_be_read_are_an_error(error: Exception) -> None:
    def fail() -> str:
        raise error

    async with client_of("http://127.0.0.1:1", authorization=fail) as client:
        with pytest.raises(TransportError, match=f"credentials cannot be read .{type(error).__name__}") as caught:
            await client.open(PODS)
    assert "secret" not in str(caught.value)
    assert not caught.value.reached


# --- codings


@on_each_loop
async def test_an_unknown_content_coding_is_an_error() -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.respond(200, b"secret", Content_Encoding="br")

    async with scripted_server(respond) as server, client_of(server.url) as client:
        with pytest.raises(TransportError, match=r"content coding 'br'") as caught:
            await client.open(PODS)
        assert "secret" not in str(caught.value)
        await server.requests[0].disconnected.wait()
        assert client._idle._waiting == []


class Pieces:
    """Stands in for a connection: returns one piece of a body after the other."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = iter(pieces)

    async def read(self) -> bytes:
        return next((piece for piece in self._pieces if piece), b"")

    def close(self) -> None: ...


async def inflated(*pieces: bytes, limit: int = 100) -> bytes:
    """Returns the decompressed body, whose compressed form arrives in pieces."""
    source: Any = Pieces(*pieces)
    body, found = GzipBody(source), list[bytes]()
    while chunk := await body.read(limit):
        assert len(chunk) <= limit
        found.append(chunk)
    return b"".join(found)


TEXT = b'{"kind":"PodList","items":[' + b'{"kind":"Pod"},' * 100 + b"]}"
MEMBERS = gzip.compress(TEXT) + gzip.compress(b"") + gzip.compress(b"end")
ENDS = (0, len(gzip.compress(TEXT)), len(gzip.compress(TEXT) + gzip.compress(b"")), len(MEMBERS))


async def test_a_gzip_body_may_be_split_anywhere() -> None:
    for place in range(len(MEMBERS)):
        assert await inflated(MEMBERS[:place], MEMBERS[place:]) == TEXT + b"end"
    assert await inflated(*(MEMBERS[place : place + 1] for place in range(len(MEMBERS))), limit=1) == TEXT + b"end"
    assert await inflated() == b""


async def test_a_truncated_gzip_body_is_an_error() -> None:
    for place in set(range(len(MEMBERS))) - set(ENDS):
        with pytest.raises(HttpError, match="broke off"):
            await inflated(MEMBERS[:place])


async def test_a_malformed_gzip_body_is_an_error() -> None:
    wrong_checksum = bytearray(gzip.compress(TEXT))
    wrong_checksum[-6] ^= 1
    for body in (bytes(wrong_checksum), b"secret", MEMBERS + b"secret", zlib.compress(TEXT)):
        with pytest.raises(HttpError, match=r"malformed$"):
            await inflated(body)


async def test_a_gzip_bomb_takes_bounded_memory() -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = deflate.compress(b" ") + deflate.flush(zlib.Z_FULL_FLUSH)
    block = deflate.compress(b" " * (16 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)  # of no history: can be repeated
    source: Any = Pieces(start, *[block * 8] * 8)  # 1 GiB in pieces of 130 kB
    body, size = GzipBody(source), 0
    tracemalloc.start()
    try:
        with suppress(HttpError):  # the last member has no end
            while True:
                size += len(await body.read(256 << 10))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert size == (1 << 30) + 1


# --- older and careless servers


@on_each_loop
async def test_an_http_1_0_server_is_understood() -> None:
    async def respond(request: ReceivedRequest) -> None:
        if request.connection < 3:
            await request.send(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
            request.close()
        else:
            await request.send(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nkept")

    async with scripted_server(respond) as server, client_of(server.url) as client:
        assert [await get(client) for _ in range(4)] == [b"until the end"] * 2 + [b"kept"] * 2
        assert server.connections == 3


@on_each_loop
async def test_a_whole_body_needs_no_close_notify() -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.respond(200, b"{}")
        request.end_tcp()

    async with scripted_server(respond, tls=server_context()) as server, client_of(server.url) as client:
        assert [await get(client) for _ in range(2)] == [b"{}"] * 2
        assert server.connections == 2


@on_each_loop
async def test_a_cut_of_the_tls_stream_is_an_error() -> None:
    async def respond(request: ReceivedRequest) -> None:
        await request.start_chunked()
        await request.send_chunk(b"first")
        request.end_tcp()

    async with scripted_server(respond, tls=server_context()) as server, client_of(server.url) as client:
        with pytest.raises(TransportError, match="before the end of the body"):
            await get(client)


# --- addresses


@on_each_loop
async def test_an_ipv6_literal_is_an_address() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with scripted_server(host="::1") as server, client_of(server.url) as client:
        await get(client)
    assert server.url.startswith("http://[::1]:")
    assert server.requests[0].headers["host"] == server.url.removeprefix("http://")


def resolve(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Makes a name have these addresses."""

    async def found(host: str, port: int) -> list[str]:
        assert host == "cluster"
        return list(addresses)

    monkeypatch.setattr(dial, "_addresses", found)


@on_each_loop
async def test_a_refused_address_is_followed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch, "127.0.0.2", "127.0.0.1")
    async with scripted_server() as server:
        async with client_of(server.url.replace("127.0.0.1", "cluster")) as client:
            await get(client)
        assert server.requests[0].headers["host"] == server.url.replace("http://127.0.0.1", "cluster")


@on_each_loop
async def test_an_address_without_an_answer_is_followed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch, "127.0.0.2", "127.0.0.1")
    monkeypatch.setattr(dial, "CONNECT_SECONDS", 0.4)
    async with scripted_server() as server:
        port = int(server.url.rpartition(":")[2])
        with unresponsive("127.0.0.2", port):
            async with client_of(f"http://cluster:{port}") as client:
                await get(client)


@on_each_loop
async def test_the_error_is_that_of_the_last_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "CONNECT_SECONDS", 0.2)
    with unresponsive() as port:
        silence = r"no connection within 0\.2 s"
        for addresses, why in ((["127.0.0.1", "127.0.0.2"], "connection refused"), (["127.0.0.1"], silence)):
            resolve(monkeypatch, *addresses)
            async with client_of(f"http://cluster:{port}") as client:
                with pytest.raises(TransportError, match=f"cannot connect to cluster:{port}: .*{why}") as caught:
                    await client.open(PODS)
                assert not caught.value.reached


@on_each_loop
async def test_a_wrong_certificate_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch, "127.0.0.1", "127.0.0.1")
    async with scripted_server(tls=server_context()) as server:
        async with client_of(server.url.replace("127.0.0.1", "cluster")) as client:
            with pytest.raises(TransportError, match="certificate verify failed: Hostname mismatch"):
                await client.open(PODS)
        async with client_of(server.url.replace("127.0.0.1", "cluster"), tls_server_name="127.0.0.1") as client:
            await get(client)
    assert server.connections == 1


async def test_addresses_are_tried_in_the_order_of_the_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(host: str, port: int, *rest: Any, **named: Any) -> list[Any]:
        assert (host, port) == ("cluster", 443)
        return [(0, 0, 0, "", (address, port)) for address in ("fd00::2", "10.0.0.2", "10.0.0.1", "10.0.0.2")]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert await dial._addresses("cluster", 443) == ["fd00::2", "10.0.0.2", "10.0.0.1"]
    for literal in ("10.0.0.9", "fd00::9"):
        assert await dial._addresses(literal, 443) == [literal]


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", ".example"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@on_each_loop
async def test_an_impossible_host_name_is_a_transport_error(scheme: str, host: str) -> None:
    async with client_of(f"{scheme}://{host}") as client:
        with pytest.raises(TransportError, match=f"cannot connect to {host[:5]}") as caught:
            await client.open(PODS)
        assert not caught.value.reached
