"""The other end of a connection, byte by byte: says what a test tells it to, and sees when it is left."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import msgspec

CERTIFICATES = Path(__file__).parent / "certificates"  # made for these tests alone, and good until 2120

Answer = Callable[["Call"], Awaitable[None]]


class Call:
    """One request, and the means to answer it."""

    def __init__(self, target: str, headers: dict[str, str], writer: asyncio.StreamWriter, number: int) -> None:
        parts = urlsplit(target)
        self.path = parts.path
        self.params = parse_qsl(parts.query, keep_blank_values=True)
        self.headers = headers
        self.connection = number
        self.certificate = writer.get_extra_info("peercert")
        self.left = asyncio.Event()
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, status: int, body: bytes, **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def begin(self) -> None:
        """Headers of a chunked answer."""
        await self.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.send(b"0\r\n\r\n")

    def cut(self) -> None:
        """Closes without another word."""
        self._writer.close()


class Peer(msgspec.Struct):
    """A running server.

    Attributes:
        answer: What each request is answered with; may be exchanged at any time.
    """

    answer: Answer
    url: str = ""
    calls: list[Call] = []
    connections: int = 0

    @property
    def authorizations(self) -> list[str | None]:
        return [call.headers.get("authorization") for call in self.calls]


def tls() -> ssl.SSLContext:
    """What a server at 127.0.0.1 shows to those who trust `CERTIFICATES / "ca.pem"`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=CERTIFICATES / "ca.pem")
    context.load_cert_chain(CERTIFICATES / "server.pem")
    return context


async def an_empty_list(call: Call) -> None:
    await call.answer(200, b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}')


@asynccontextmanager
async def peer(answer: Answer = an_empty_list, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """A server on loopback; all its connections end with the block."""
    running = Peer(answer)
    serving: set[asyncio.Task[None]] = set()
    answering: set[asyncio.Task[None]] = set()
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        writers.add(writer)
        running.connections += 1
        number = running.connections
        calls: list[Call] = []
        try:
            while head := await _head(reader):
                calls.append(Call(*head, writer, number))
                running.calls.append(calls[-1])
                answer = asyncio.create_task(_answered(running, calls[-1]))
                answering.add(answer)
                answer.add_done_callback(answering.discard)
        except ConnectionError:
            pass
        finally:
            for call in calls:
                call.left.set()
            writer.close()
            writers.discard(writer)
            serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    host, port = server.sockets[0].getsockname()
    running.url = f"{'https' if tls else 'http'}://{host}:{port}"
    try:
        yield running
    finally:
        server.close()
        for task in answering:
            task.cancel()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*serving, *answering, return_exceptions=True)


async def _answered(running: Peer, call: Call) -> None:
    with suppress(ConnectionError):  # the other side left, which is what many tests are about
        await running.answer(call)


async def _head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]] | None:
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    pairs = (line.split(": ", 1) for line in lines[1:] if line)
    return lines[0].split(" ")[1], {name.lower(): value for name, value in pairs}
