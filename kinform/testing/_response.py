"""The response of one HTTP exchange: headers, body, silence, closed connections.

While the server is frozen, every write waits. `stall` and `close_connection` never return: the handler ends by its
cancellation, once the connection is gone.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterable
from typing import NoReturn

from aiohttp import web

from kinform.testing._faults import Trickle
from kinform.testing._requests import Notifier, RecordedRequest

MAX_WRITE = 256 * 1024
"""Small parts are joined into writes of about this size."""
MIN_GZIP = 128 * 1024
"""Larger bodies are compressed if the client accepts gzip."""

_HEADERS = {"Cache-Control": "no-cache, private"}
_GZIP_WINDOW = 31  # zlib's code for the largest window with a gzip header


class Responder:
    """Writes the response of one exchange."""

    def __init__(
        self, exchange: web.BaseRequest, request: RecordedRequest, thawed: asyncio.Event, notifier: Notifier
    ) -> None:
        self._exchange = exchange
        self._thawed = thawed
        self._notifier = notifier
        self.request = request
        self.response: web.StreamResponse | None = None
        self.trickle: Trickle | None = None

    async def begin(self, status: int, content_type: str, headers: dict[str, str] | None = None) -> None:
        """Sends the status line and the headers of a chunked body."""
        await self._thawed.wait()
        response = web.StreamResponse(status=status, headers={**_HEADERS, **(headers or {})})
        response.content_type = content_type
        response.enable_chunked_encoding()
        self.response = response
        await response.prepare(self._exchange)
        self.request.status = status
        self._notifier.notify_all()

    async def write(self, data: bytes) -> None:
        """Sends a part of the body; returns when the connection accepts more."""
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
            await self.response.write(data)

    async def end(self) -> web.StreamResponse:
        """Ends the body cleanly."""
        assert self.response is not None
        await self._thawed.wait()
        await self.response.write_eof()
        return self.response

    async def respond(
        self, status: int, content_type: str, body: bytes, headers: dict[str, str] | None = None
    ) -> web.StreamResponse:
        """Sends a short response with a Content-Length."""
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

    def notify_all(self) -> None:
        """Wakes the waiters of the server's state."""
        self._notifier.notify_all()

    async def stall(self) -> NoReturn:
        """Sends nothing more, until the client or the server's stop closes the connection."""
        await asyncio.get_running_loop().create_future()
        raise AssertionError("the future has no other reference, but has a result")

    async def close_connection(self) -> NoReturn:
        """Closes the connection after the data written so far, without ending the body."""
        await self._thawed.wait()
        if self._exchange.transport is not None:
            self._exchange.transport.close()
        await self.stall()


async def write_joined(responder: Responder, parts: Iterable[bytes]) -> None:
    """Sends many small parts in few writes."""
    pending: list[bytes] = []
    size = 0
    for part in parts:
        pending.append(part)
        size += len(part)
        if size >= MAX_WRITE:
            await responder.write(b"".join(pending))
            pending.clear()
            size = 0
    if pending:
        await responder.write(b"".join(pending))


def gzipped(parts: Iterable[bytes]) -> Iterable[bytes]:
    """Compresses parts to one gzip member, at kube-apiserver's level 1."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, _GZIP_WINDOW)
    for part in parts:
        if compressed := compressor.compress(part):
            yield compressed
    yield compressor.flush()
