"""Ports whose connections a test accepts by hand, or never."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.net.http1_peer import Peer


class Listener:
    """A port whose connections a test accepts one by one.

    Attributes:
        port: The port at 127.0.0.1.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self.peers: list[Peer] = []
        self.port: int = sock.getsockname()[1]

    async def accept(self) -> Peer:
        """Accepts the next connection."""
        sock, _ = await asyncio.get_running_loop().sock_accept(self._sock)
        self.peers.append(Peer(sock))
        return self.peers[-1]

    def no_connection(self) -> bool:
        """Returns whether there is no connection to accept."""
        try:
            self._sock.accept()[0].close()
        except BlockingIOError:
            return True
        return False


@contextmanager
def listening() -> Iterator[Listener]:
    """Listens at 127.0.0.1; the end of the block closes all connections."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        listener = Listener(sock)
        try:
            yield listener
        finally:
            for peer in listener.peers:
                peer.close()


@contextmanager
def unresponsive(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Yields a port that never accepts a connection nor refuses it: its queue is full."""
    with socket.create_server((host, port), backlog=0) as sock:
        port = sock.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex((host, port))
            yield port
        finally:
            for filler in fillers:
                filler.close()
