"""An HTTP proxy that records what it is asked for.

Opens a tunnel for each CONNECT, or sends the response of a test instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class HttpProxy(msgspec.Struct):
    """A running proxy.

    Attributes:
        address: Its `host:port`.
        port: Its port.
        response: The response to each request. None: it stays silent.
        tunnel: Whether a tunnel follows the response to CONNECT.
        hang_up: Whether the proxy closes the connection after a response.
        target: The `(host, port)` of all tunnels. None: what the client asks for.
        heads: The lines of the heads received so far.
        open_connections: The number of connections that clients have not closed.
    """

    response: bytes | None = ESTABLISHED
    tunnel: bool = True
    hang_up: bool = False
    target: tuple[str, int] | None = None
    port: int = 0
    heads: list[list[str]] = []
    open_connections: int = 0
    changed: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def wait_until_closed(self) -> None:
        """Waits until clients have closed all connections."""
        async with asyncio.timeout(10):
            while self.open_connections:
                self.changed.clear()
                await self.changed.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        self.open_connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
                self.heads.append(head)
                if self.response is not None:
                    writer.write(self.response)
                if self.hang_up:
                    await writer.drain()
                    return
                if self.response is not None and self.tunnel and head[0].startswith("CONNECT "):
                    host, _, port = head[0].split(" ")[1].rpartition(":")
                    target = self.target or (host.strip("[]"), int(port))
                    await tunnel(reader, writer, *await asyncio.open_connection(*target))
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()
            self.open_connections -= 1
            self.changed.set()


@asynccontextmanager
async def http_proxy(
    response: bytes | None = ESTABLISHED,
    *,
    tunnel: bool = True,
    hang_up: bool = False,
    target: tuple[str, int] | None = None,
) -> AsyncIterator[HttpProxy]:
    """Runs a proxy on 127.0.0.1; the end of the block closes all its connections."""
    proxy = HttpProxy(response, tunnel, hang_up, target)
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with suppress(asyncio.CancelledError):
            await proxy.serve(reader, writer)
        serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def tunnel(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    server_reader: asyncio.StreamReader,
    server_writer: asyncio.StreamWriter,
) -> None:
    """Forwards bytes in both directions until one side ends."""

    async def forward(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()

    directions = [asyncio.create_task(forward(*ends)) for ends in ((reader, server_writer), (server_reader, writer))]
    try:
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server_writer.transport.abort()
        for direction in directions:
            direction.cancel()
        await asyncio.gather(*directions, return_exceptions=True)
