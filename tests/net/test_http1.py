"""Http1Connection against a raw server.

Covers framing, limits, broken connections, cancellation and slow readers.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from kinform._transport.http1 import Http1Connection, HttpError

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Peer:
    """The server's end of a connection: sends raw bytes."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)

    async def receive(self) -> bytes:
        return await self._loop.sock_recv(self._sock, 65536)

    def close(self) -> None:
        self._sock.close()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Http1Connection, Peer]]:
    """Returns both ends of a connection."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    peer = Peer(theirs)
    _, connection = await asyncio.get_running_loop().create_connection(Http1Connection, sock=ours)
    try:
        yield connection, peer
    finally:
        connection.close()
        peer.close()
        await asyncio.sleep(0)


async def body_of(connection: Http1Connection) -> bytes:
    parts = []
    while part := await connection.read():
        parts.append(part)
    return b"".join(parts)


async def test_a_chunked_response_is_read_to_its_end() -> None:
    async with connected() as (connection, peer):
        await peer.send(CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        head = await connection.request(GET)
        assert (head.status, head.headers["transfer-encoding"]) == (200, "chunked")
        assert await peer.receive() == GET
        assert await body_of(connection) == b"abcde"
        assert connection.reusable


async def test_a_body_that_breaks_off_is_an_error() -> None:
    async with connected() as (connection, peer):
        await peer.send(CHUNKED + b"3\r\nabc\r\n2\r\nd")
        await connection.request(GET)
        peer.close()
        with pytest.raises(HttpError, match="before the end of the body"):
            await body_of(connection)
