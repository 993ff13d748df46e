"""Both ends of a connection: an Http1Connection, and a peer that sends raw bytes."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from kinform._transport.http1 import Head, Http1Connection, HttpError

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Peer:
    """The server's end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self.sock = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        """Sends raw bytes; returns when the kernel has accepted them."""
        await self._loop.sock_sendall(self.sock, data)

    async def send_until_disconnected(self, data: bytes, *, limit: int = 64 << 20) -> None:
        """Sends `data` again and again until the client closes the connection."""
        with suppress(ConnectionError):
            for _ in range(0, limit, len(data)):
                await self.send(data)
            raise AssertionError(f"the client accepted {limit} bytes")

    async def receive(self) -> bytes:
        """Returns what the client sent; `b""` when it has disconnected."""
        try:
            return await self._loop.sock_recv(self.sock, 65536)
        except ConnectionError:
            return b""

    async def disconnected(self) -> None:
        """Waits until the client has closed the connection."""
        while await self.receive():
            pass

    def close(self) -> None:
        """Closes the connection in the regular way."""
        self.sock.close()

    def reset(self) -> None:
        """Closes the connection with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Http1Connection, Peer]]:
    """Connects an Http1Connection with a peer; the end of the block closes both."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        _, connection = await loop.create_connection(Http1Connection, *listener.getsockname())
        peer = Peer(listener.accept()[0])
    try:
        yield connection, peer
    finally:
        connection.close()
        peer.close()
        await asyncio.sleep(0)  # where asyncio closes the socket


async def exchange(connection: Http1Connection, peer: Peer, response: bytes, *, bodiless: bool = False) -> Head:
    """Sends a request, then the response; returns its head."""
    waiting = asyncio.create_task(connection.request(GET, bodiless=bodiless))
    assert await peer.receive() == GET
    await peer.send(response)
    return await waiting


async def start(connection: Http1Connection, peer: Peer) -> asyncio.Task[tuple[int, bytes]]:
    """Sends a request; returns a task that returns status and body of the response."""

    async def read() -> tuple[int, bytes]:
        head = await connection.request(GET)
        return head.status, await body_of(connection)

    task = asyncio.create_task(read())
    assert await peer.receive() == GET
    return task


async def body_of(connection: Http1Connection) -> bytes:
    """Reads the body to its end."""
    parts = []
    while part := await connection.read():
        parts.append(part)
    return b"".join(parts)


async def is_closed(connection: Http1Connection, peer: Peer) -> None:
    """Waits until the client has closed the connection, which then takes no request."""
    await peer.disconnected()
    assert connection.closed
    assert not connection.reusable
    with pytest.raises(HttpError):
        await connection.request(GET)
