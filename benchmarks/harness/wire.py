"""Connections of the benchmark's own API server: HTTP/1.1, a thread each, blocking writes of buffers that are there.

Over TLS where there is a certificate. Knows nothing of what is served.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import msgspec

Buffer = bytes | memoryview
Piece = list[Buffer]


class Asked(msgspec.Struct):
    """A request: all there is to it, of each query parameter the last; names of headers in lower case."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


class Connection:
    """The way back to one client."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        # A TLS connection cannot write several buffers at once.
        self._at_once = not isinstance(connection, ssl.SSLSocket)

    def answer(self, pieces: Iterable[Piece], *, status: str = "200 OK", encoding: str = "") -> None:
        """A whole answer, its length told before."""
        known = list(pieces)
        more = f"Content-Encoding: {encoding}\r\n" if encoding else ""
        self._head(status, f"{more}Content-Length: {sum(map(_size, known))}\r\n")
        for piece in known:
            self._send(piece)

    def begin(self) -> None:
        """An answer in chunks, whose end nobody knows."""
        self._head("200 OK", "Transfer-Encoding: chunked\r\n")

    def chunk(self, piece: Piece) -> None:
        """One chunk of it."""
        self._send([b"%x\r\n" % _size(piece), *piece, b"\r\n"])

    def end(self) -> None:
        """No more will come of it."""
        self._send([b"0\r\n\r\n"])

    def _head(self, status: str, more: str) -> None:
        self._send([f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}\r\n".encode()])

    def _send(self, piece: Piece) -> None:
        if not self._at_once:
            self._connection.sendall(b"".join(piece))
        elif (sent := self._connection.sendmsg(piece)) < _size(piece):
            self._connection.sendall(b"".join(piece)[sent:])


class Listener:
    """Takes connections, and has each request answered in a thread of its connection.

    Args:
        answer: Answers one request; called from many threads.
        certificate: A PEM file with certificate and key: the server speaks TLS.

    Attributes:
        url: Where it is.
    """

    def __init__(self, answer: Callable[[Asked, Connection], None], certificate: str | None) -> None:
        self._answer = answer
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError):  # the client went away
            connection = plain if self._tls is None else self._tls.wrap_socket(plain, server_side=True)
            with connection:
                back, received = Connection(connection), b""
                while True:
                    while b"\r\n\r\n" not in received:
                        if not (more := connection.recv(65536)):
                            return
                        received += more
                    head, _, received = received.partition(b"\r\n\r\n")
                    self._answer(_asked(head.decode("latin-1")), back)


def _asked(head: str) -> Asked:
    first, *lines = head.split("\r\n")
    target = urlsplit(first.split(" ", 2)[1])
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Asked(target.path, {name: values[-1] for name, values in parse_qs(target.query).items()}, headers)


def _size(piece: Piece) -> int:
    return sum(map(len, piece))
