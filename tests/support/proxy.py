"""A TCP proxy for adversity tests, between a client and either server.

It can delay, throttle, stop forwarding, reset or close connections, reset one after an exact number of
bytes, and refuse new ones. Each call takes effect at once on open connections and on later ones. Forwards
bytes unchanged, so TLS passes through. Never parses HTTP, never makes up a byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

READ_BYTES = 64 << 10
THROTTLED_WRITES_PER_SECOND = 20


class Proxy:
    """Listens on a port of 127.0.0.1 and forwards every connection to one server.

        async with Proxy(cluster.url) as proxy:
            async with kinform.connect(proxy.url, token=..., ca=...) as api:
                ...
                proxy.stop_forwarding()

    Belongs to the event loop in which it was entered. The end of the block resets all open connections.

    Args:
        target: The server's URL; `url` keeps its scheme and path.

    Attributes:
        delay: Seconds that each read (of up to 64 KiB, in either direction) waits. 0 at first.
        bytes_per_second: The limit for each connection from the server to the client. None at first: no
            limit.
        accepted_connections: Connections accepted so far.
        bytes_to_client: Bytes forwarded to clients so far.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = (parts.hostname, parts.port)
        self._parts = parts
        self.port = 0
        self.delay = 0.0
        self.bytes_per_second: float | None = None
        self.accepted_connections = 0
        self.bytes_to_client = 0
        self._reset_at: int | None = None
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._forwarding = asyncio.Event()
        self._forwarding.set()
        self._changed = asyncio.Condition()

    @property
    def url(self) -> str:
        """The target's URL with the address of this proxy."""
        return self._parts._replace(netloc=f"127.0.0.1:{self.port}").geturl()

    @property
    def open_connections(self) -> int:
        """The number of connections that are open now."""
        return len(self._connections)

    async def __aenter__(self) -> Self:
        await self.accept_connections()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse_connections()
        connections = list(self._connections)
        self.reset_connections()
        await asyncio.gather(*connections, return_exceptions=True)

    async def refuse_connections(self) -> None:
        """Refuses new connections; open ones stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def accept_connections(self) -> None:
        """Ends `refuse_connections`; the port stays the same."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=256)
            self.port = self._server.sockets[0].getsockname()[1]

    def stop_forwarding(self) -> None:
        """Stops forwarding in both directions, without closing anything.

        Not even the end of a connection is forwarded. New connections are accepted and stay silent.
        """
        self._forwarding.clear()

    def resume_forwarding(self) -> None:
        """Ends `stop_forwarding` and forwards what has arrived meanwhile."""
        self._forwarding.set()

    def reset_connections(self) -> None:
        """Resets every open connection (RST to both sides)."""
        self._end_connections(_reset)

    def close_connections(self) -> None:
        """Closes every open connection (FIN to both sides), also in mid-body."""
        self._end_connections(asyncio.StreamWriter.close)

    def reset_after_bytes(self, count: int) -> None:
        """Resets, once, the connection that forwards the `count`th byte from now on.

        Counts the bytes to clients of all connections, with those of TLS handshakes.
        """
        self._reset_at = self.bytes_to_client + count

    async def wait_until(self, condition: Callable[[Proxy], bool], *, within: float = 10.0) -> None:
        """Waits until `condition(proxy)` holds.

            await proxy.wait_until(lambda proxy: proxy.accepted_connections == 2)

        Raises:
            TimeoutError: It did not hold in `within` seconds.
        """
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(lambda: condition(self))

    def _end_connections(self, end: Callable[[asyncio.StreamWriter], None]) -> None:
        for task, writers in list(self._connections.items()):
            for writer in writers:
                end(writer)
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        writers = self._connections[task] = [writer]
        self.accepted_connections += 1
        try:
            await self._notify()
            await self._forwarding.wait()
            server_reader, server_writer = await asyncio.open_connection(*self._target)
            writers.append(server_writer)
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._forward(reader, server_writer, _send))
                directions.create_task(self._forward(server_reader, writer, self._send_to_client))
        except* (asyncio.CancelledError, OSError, _ResetReached):
            pass
        finally:
            for each in writers:
                if not each.transport.is_closing():
                    _reset(each)
            del self._connections[task]
            with contextlib.suppress(asyncio.CancelledError):
                await self._notify()

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        send: Callable[[bytes, asyncio.StreamWriter], Awaitable[None]],
    ) -> None:
        while data := await reader.read(READ_BYTES):
            await self._forwarding.wait()
            if self.delay:
                await asyncio.sleep(self.delay)
            await send(data, writer)
        await self._forwarding.wait()
        writer.write_eof()

    async def _send_to_client(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        while data:
            size = len(data)
            if self.bytes_per_second is not None:
                size = max(1, int(self.bytes_per_second / THROTTLED_WRITES_PER_SECOND))
            if self._reset_at is not None:
                size = min(size, self._reset_at - self.bytes_to_client)
            part, data = data[:size], data[size:]
            await _send(part, writer)
            self.bytes_to_client += len(part)
            await self._notify()
            if self._reset_at is not None and self.bytes_to_client >= self._reset_at:
                self._reset_at = None
                raise _ResetReached
            if self.bytes_per_second is not None:
                await asyncio.sleep(len(part) / self.bytes_per_second)
                await self._forwarding.wait()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class _ResetReached(Exception):
    """The byte after which `reset_after_bytes` resets the connection was forwarded."""


async def _send(data: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(data)
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
