"""Both ends of an encrypted connection: an Http1Connection, and a TLS peer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from kinform._transport.access import ClusterAccess
from kinform._transport.http1 import Http1Connection
from kinform._transport.tls import client_context
from kinform._transport.tls_transport import start_tls
from tests.net.http1_peer import GET, Peer, body_of, connected
from tests.support.tls import CERTIFICATES, server_context


class TlsPeer:
    """The server's end of an encrypted connection."""

    def __init__(self, peer: Peer, context: ssl.SSLContext | None = None) -> None:
        self.peer = peer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = (context or server_context()).wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def handshake(self) -> None:
        """Completes the handshake. If it fails, the client gets an alert."""
        while True:
            try:
                self._tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                pass
            finally:
                await self.peer.send(self._outgoing.read())
            self._incoming.write(await self.peer.receive())

    def encrypt(self, data: bytes) -> bytes:
        """Returns the TLS records of the data."""
        while data:
            data = data[self._tls.write(data) :]
        return self._outgoing.read()

    def close_notify(self) -> bytes:
        """Returns the TLS record that ends the connection."""
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.unwrap()
        return self._outgoing.read()

    async def receive(self, size: int) -> bytes:
        """Returns `size` bytes that the client sent."""
        received = b""
        while len(received) < size:
            try:
                received += self._tls.read(size)
            except ssl.SSLWantReadError:
                data = await self.peer.receive()
                assert data, "the client closed the connection"
                self._incoming.write(data)
        return received

    async def send(self, data: bytes) -> None:
        """Sends the TLS records of the data."""
        await self.peer.send(self.encrypt(data))

    async def send_until_disconnected(self, data: bytes, *, limit: int = 64 << 20) -> None:
        """Sends `data` again and again until the client closes the connection."""
        with suppress(ConnectionError):
            for _ in range(0, limit, len(data)):
                await self.send(data)
            raise AssertionError(f"the client accepted {limit} bytes")

    async def start(self, connection: Http1Connection) -> asyncio.Task[tuple[int, bytes]]:
        """Sends a request; returns a task that returns status and body of the response."""

        async def read() -> tuple[int, bytes]:
            head = await connection.request(GET)
            return head.status, await body_of(connection)

        task = asyncio.create_task(read())
        assert await self.receive(len(GET)) == GET
        return task


async def encrypt(connection: Http1Connection) -> None:
    """Starts TLS on a connection, as its client, which trusts the CA of the tests."""
    assert connection.transport is not None
    access = ClusterAccess(server="https://127.0.0.1", ca_file=str(CERTIFICATES / "ca.pem"))
    connection.upgrade(await start_tls(connection.transport, connection, client_context(access), "127.0.0.1"))


@asynccontextmanager
async def encrypted() -> AsyncIterator[tuple[Http1Connection, TlsPeer]]:
    """Connects an Http1Connection with a peer over TLS."""
    async with connected() as (connection, peer):
        server = TlsPeer(peer)
        shaking = asyncio.create_task(server.handshake())
        await encrypt(connection)
        await shaking
        yield connection, server


async def request(connection: Http1Connection, server: TlsPeer, response: bytes) -> None:
    """Sends a request and the records of the head of the response."""
    waiting = asyncio.create_task(connection.request(GET))
    assert await server.receive(len(GET)) == GET
    await server.peer.send(server.encrypt(response))
    await waiting
