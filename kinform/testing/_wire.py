"""The writing end of one connection: headers, body, silence, and the ways to break off.

Every byte waits while the server is frozen. Breaking off never returns: the handler is cancelled when the
connection is gone, which is how it gets out.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterable
from typing import NoReturn

from aiohttp import web

from kinform.testing._faults import Trickle
from kinform.testing._requests import Bell, Request

PIECE = 256 * 1024
"""Bytes that are joined into one write."""
GZIP_FROM = 128 * 1024
"""Bodies above so many bytes are compressed where the client invites it."""

_HEADERS = {"Cache-Control": "no-cache, private"}


class Wire:
    """One exchange, from the server's side."""

    def __init__(self, exchange: web.BaseRequest, request: Request, thawed: asyncio.Event, bell: Bell) -> None:
        self._exchange = exchange
        self._thawed = thawed
        self._bell = bell
        self.request = request
        self.response: web.StreamResponse | None = None
        self.sent = 0
        self.trickle: Trickle | None = None

    async def begin(self, status: int, content_type: str, headers: dict[str, str] | None = None) -> None:
        """Sends the status line and the headers; the body will be chunked."""
        await self._thawed.wait()
        response = web.StreamResponse(status=status, headers={**_HEADERS, **(headers or {})})
        response.content_type = content_type
        response.enable_chunked_encoding()
        self.response = response
        await response.prepare(self._exchange)
        self.request.status = status
        self._bell.ring()

    async def write(self, data: bytes) -> None:
        """Sends a piece of the body; returns when the connection takes more."""
        assert self.response is not None
        if self.trickle is None:
            await self._send(data)
            return
        step = self.trickle.bytes
        for at in range(0, len(data), step):
            await self._send(data[at : at + step])
            await asyncio.sleep(self.trickle.pause)

    async def _send(self, data: bytes) -> None:
        assert self.response is not None
        await self._thawed.wait()
        if data:
            self.sent += len(data)
            await self.response.write(data)

    async def end(self) -> web.StreamResponse:
        """Finishes the body cleanly."""
        assert self.response is not None
        await self._thawed.wait()
        await self.response.write_eof()
        return self.response

    async def answer(
        self, status: int, content_type: str, body: bytes, headers: dict[str, str] | None = None
    ) -> web.StreamResponse:
        """Sends a short answer as a whole, with its length."""
        await self._thawed.wait()
        response = web.Response(status=status, body=body, headers={**_HEADERS, **(headers or {})})
        response.content_type = content_type
        if content_type == "text/plain":
            response.charset = "utf-8"
        self.response = response
        self.request.status = status
        await response.prepare(self._exchange)
        await response.write_eof()
        return response

    def ring(self) -> None:
        """Tells those who wait that something has changed."""
        self._bell.ring()

    async def hang(self) -> NoReturn:
        """Stays silent until the other side, or the end of the server, takes the connection away."""
        await asyncio.get_running_loop().create_future()
        raise AssertionError("a future that nobody sets was set")

    async def hang_up(self) -> NoReturn:
        """Closes the connection where it stands, once what was written is out."""
        await self._thawed.wait()
        if self._exchange.transport is not None:
            self._exchange.transport.close()
        await self.hang()


async def write_joined(wire: Wire, parts: Iterable[bytes]) -> None:
    """Sends many small parts in large pieces."""
    held: list[bytes] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= PIECE:
            await wire.write(b"".join(held))
            held.clear()
            size = 0
    if held:
        await wire.write(b"".join(held))


def gzipped(parts: Iterable[bytes]) -> Iterable[bytes]:
    """The parts as one gzip member, at the server's level 1."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    for part in parts:
        if packed := packer.compress(part):
            yield packed
    yield packer.flush()
