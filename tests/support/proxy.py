"""A TCP proxy with bad manners, to stand between a client and either server.

It passes bytes, so TLS goes through it untouched. It can be slow, fall silent, reset, hang up, cut after an
exact number of bytes and refuse; each takes effect at once on what is open and on what comes later. It knows
nothing of HTTP and never makes a byte up.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

PIECE = 64 << 10


class Proxy:
    """Listens on a port of its own on 127.0.0.1 and passes all on to one server.

        async with Proxy(cluster.url) as proxy:
            async with kinform.connect(proxy.url, token=..., ca=...) as api:
                ...
                proxy.stall()

    Belongs to the event loop it was entered in. Leaving the block resets what is still open.

    Args:
        target: The server's URL; scheme and path are kept in `url`.

    Attributes:
        url: The target's URL with the proxy's port in it.
        delay: Seconds that each piece (of up to 64 KiB, either direction) waits. 0 at first.
        rate: Bytes a second and connection from the server to the client, or None for no bound (at first).
        accepted: Connections accepted so far.
        bytes_down: Bytes passed to clients so far.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = (parts.hostname, parts.port)
        self._parts = parts
        self.port = 0
        self.delay = 0.0
        self.rate: float | None = None
        self.accepted = 0
        self.bytes_down = 0
        self._cut_at: int | None = None
        self._server: asyncio.Server | None = None
        self._links: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._changed = asyncio.Condition()

    @property
    def url(self) -> str:
        """The target's URL by way of this proxy."""
        return self._parts._replace(netloc=f"127.0.0.1:{self.port}").geturl()

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._links)

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()
        links = list(self._links)
        self.cut()
        await asyncio.gather(*links, return_exceptions=True)

    async def refuse(self) -> None:
        """Refuses new connections from now on; open ones stay as they are."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def accept(self) -> None:
        """Accepts connections (again), always on the same port."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=256)
            self.port = self._server.sockets[0].getsockname()[1]

    def stall(self) -> None:
        """Passes nothing on any more, either way, not even the end of a connection: half-open, in silence.

        New connections are accepted and hear nothing either.
        """
        self._flowing.clear()

    def flow(self) -> None:
        """Ends a `stall`; what came in meanwhile is passed on."""
        self._flowing.set()

    def cut(self) -> None:
        """Resets every open connection (RST to both sides)."""
        self._end(_reset)

    def hang_up(self) -> None:
        """Closes every open connection in good order (FIN to both sides), wherever the body stands."""
        self._end(asyncio.StreamWriter.close)

    def cut_after(self, count: int) -> None:
        """Resets, once, the connection that passes the `count`th byte from now, all connections counted.

        A TLS handshake's bytes count too.
        """
        self._cut_at = self.bytes_down + count

    async def until(self, condition: Callable[[Proxy], bool], *, within: float = 10.0) -> None:
        """Returns as soon as `condition(proxy)` holds: `await proxy.until(lambda p: p.accepted == 2)`.

        Raises:
            TimeoutError: It did not hold in `within` seconds.
        """
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(lambda: condition(self))

    def _end(self, how: Callable[[asyncio.StreamWriter], None]) -> None:
        for task, writers in list(self._links.items()):
            for writer in writers:
                how(writer)
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        writers = self._links[task] = [writer]
        self.accepted += 1
        try:
            await self._tell()
            await self._flowing.wait()
            up_reader, up_writer = await asyncio.open_connection(*self._target)
            writers.append(up_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, up_writer, down=False))
                both.create_task(self._pump(up_reader, writer, down=True))
        except* (asyncio.CancelledError, OSError, _Cut):
            pass
        finally:
            for each in writers:
                if not each.transport.is_closing():
                    _reset(each)
            del self._links[task]
            with contextlib.suppress(asyncio.CancelledError):
                await self._tell()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, down: bool) -> None:
        while piece := await reader.read(PIECE):
            await self._flowing.wait()
            if self.delay:
                await asyncio.sleep(self.delay)
            await (self._pass_down(piece, writer) if down else _pass(piece, writer))
        await self._flowing.wait()
        writer.write_eof()

    async def _pass_down(self, piece: bytes, writer: asyncio.StreamWriter) -> None:
        while piece:
            step = len(piece) if self.rate is None else max(1, int(self.rate / 20))
            if self._cut_at is not None:
                step = min(step, self._cut_at - self.bytes_down)
            await _pass(piece[:step], writer)
            self.bytes_down += len(piece[:step])
            await self._tell()
            if self._cut_at is not None and self.bytes_down >= self._cut_at:
                self._cut_at = None
                raise _Cut
            if self.rate is not None:
                await asyncio.sleep(len(piece[:step]) / self.rate)
                await self._flowing.wait()
            piece = piece[step:]

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class _Cut(Exception):
    """The byte at which a connection was to be cut has been reached."""


async def _pass(piece: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(piece)
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
