"""A scripted HTTP server: a handler of the test writes each response.

A handler may send any bytes. Records the requests, and notices when a client disconnects.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qsl, urlsplit

import msgspec


class ReceivedRequest:
    """A request that the server has received, with methods to respond to it.

    Attributes:
        method: The method, in upper case.
        path: The path, without the query.
        params: The query parameters in order.
        headers: The headers by lower-case name; the values of a repeated one are joined by `", "`.
        body: The body.
        connection: The number of the connection, from 1.
        client_certificate: The client's certificate, or None.
        disconnected: Set when the client has closed the connection.
    """

    def __init__(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes,
        writer: asyncio.StreamWriter,
        connection: int,
    ) -> None:
        parts = urlsplit(target)
        self.method = method
        self.path = parts.path
        self.params = parse_qsl(parts.query, keep_blank_values=True)
        self.headers = headers
        self.body = body
        self.connection = connection
        self.client_certificate = writer.get_extra_info("peercert")
        self.disconnected = asyncio.Event()
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Sends raw bytes."""
        self._writer.write(data)
        await self._writer.drain()

    async def respond(self, status: int, body: bytes, **headers: str) -> None:
        """Sends a whole response; `Retry_After="1"` is the header `Retry-After`."""
        lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def start_chunked(self) -> None:
        """Sends the headers of a chunked response."""
        await self.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    async def send_chunk(self, data: bytes) -> None:
        """Sends one chunk."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def close(self) -> None:
        """Closes the connection without sending anything."""
        self._writer.close()

    def end_tcp(self) -> None:
        """Ends the TCP stream to the client; over TLS without a `close_notify`."""
        with socket.socket(fileno=os.dup(self._writer.get_extra_info("socket").fileno())) as copy:
            with suppress(OSError):  # the client has disconnected
                copy.shutdown(socket.SHUT_WR)


Handler = Callable[[ReceivedRequest], Awaitable[None]]


class ScriptedServer(msgspec.Struct):
    """A running server.

    Attributes:
        handler: Responds to each request; may be replaced at any time.
        url: The server's URL.
        requests: The requests received so far.
        connections: The number of connections accepted so far.
    """

    handler: Handler
    url: str = ""
    requests: list[ReceivedRequest] = []
    connections: int = 0

    @property
    def authorizations(self) -> list[str | None]:
        """The Authorization header of each request."""
        return [request.headers.get("authorization") for request in self.requests]


async def respond_with_an_empty_list(request: ReceivedRequest) -> None:
    await request.respond(200, b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}')


@asynccontextmanager
async def scripted_server(
    handler: Handler = respond_with_an_empty_list, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[ScriptedServer]:
    """Runs a server; the end of the block closes all its connections."""
    running = ScriptedServer(handler)
    serving: set[asyncio.Task[None]] = set()
    responding: set[asyncio.Task[None]] = set()
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        writers.add(writer)
        running.connections += 1
        connection = running.connections
        requests: list[ReceivedRequest] = []
        try:
            while received := await _read_request(reader):
                requests.append(ReceivedRequest(*received, writer, connection))
                running.requests.append(requests[-1])
                response = asyncio.create_task(_handle(running, requests[-1]))
                responding.add(response)
                response.add_done_callback(responding.discard)
        except ConnectionError:
            pass
        finally:
            for request in requests:
                request.disconnected.set()
            writer.close()
            writers.discard(writer)
            serving.discard(task)

    server = await asyncio.start_server(serve, host, 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    running.url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    try:
        yield running
    finally:
        server.close()
        for task in responding:
            task.cancel()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*serving, *responding, return_exceptions=True)


async def _handle(running: ScriptedServer, request: ReceivedRequest) -> None:
    with suppress(ConnectionError):  # the client disconnected, which many tests are about
        await running.handler(request)


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes] | None:
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines[1:] if line)
        headers = dict[str, str]()
        for name, value in pairs:
            before = headers.get(name.lower())
            headers[name.lower()] = value if before is None else f"{before}, {value}"
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    except asyncio.IncompleteReadError:
        return None
    method, target, _ = lines[0].split(" ")
    return method, target, headers, body
