"""The HTTP/1.1 connections of the benchmark server.

Each has a thread, which writes prepared buffers and blocks. Speaks TLS if it has a certificate. Does not know what is
served.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec

Buffer = bytes | memoryview
Chunk = list[Buffer]
"""Buffers that one system call sends."""


class HttpRequest(msgspec.Struct):
    """A request.

    `query` has the last value of each parameter; header names are in lower case.
    """

    path: str
    query: dict[str, str]
    headers: dict[str, str]


class Connection:
    """The sending half of a connection to a client."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        # A TLS connection cannot write several buffers in one call.
        self._gathers = not isinstance(connection, ssl.SSLSocket)

    def respond(self, chunks: Iterable[Chunk], *, status: str = "200 OK", encoding: str = "") -> None:
        """Sends a whole response, with its length."""
        body = list(chunks)
        more = f"Content-Encoding: {encoding}\r\n" if encoding else ""
        self._head(status, f"{more}Content-Length: {sum(map(_size, body))}\r\n")
        for chunk in body:
            self._send(chunk)

    def start_stream(self) -> None:
        """Sends the head of a response of unknown length."""
        self._head("200 OK", "Transfer-Encoding: chunked\r\n")

    def send_chunk(self, chunk: Chunk) -> None:
        """Sends one chunk of the stream."""
        self._send([b"%x\r\n" % _size(chunk), *chunk, b"\r\n"])

    def end_stream(self) -> None:
        """Ends the stream."""
        self._send([b"0\r\n\r\n"])

    def _head(self, status: str, more: str) -> None:
        self._send([f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}\r\n".encode()])

    def _send(self, chunk: Chunk) -> None:
        if not self._gathers:
            self._connection.sendall(b"".join(chunk))
        elif (sent := self._connection.sendmsg(chunk)) < _size(chunk):
            self._connection.sendall(b"".join(chunk)[sent:])


class Listener:
    """Accepts connections. The thread of a connection responds to its requests.

    Args:
        respond: Responds to one request; called from many threads.
        certificate: A PEM file with certificate and key, to speak TLS.

    Attributes:
        url: The URL of the server.
    """

    def __init__(self, respond: Callable[[HttpRequest, Connection], None], certificate: Path | None) -> None:
        self._respond = respond
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
        with suppress(OSError):  # the client closed the connection
            connection = plain if self._tls is None else self._tls.wrap_socket(plain, server_side=True)
            with connection:
                sender, received = Connection(connection), b""
                while True:
                    while b"\r\n\r\n" not in received:
                        if not (more := connection.recv(65536)):
                            return
                        received += more
                    head, _, received = received.partition(b"\r\n\r\n")
                    self._respond(_parse(head.decode("latin-1")), sender)


def _parse(head: str) -> HttpRequest:
    first, *lines = head.split("\r\n")
    target = urlsplit(first.split(" ", 2)[1])
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return HttpRequest(target.path, {name: values[-1] for name, values in parse_qs(target.query).items()}, headers)


def _size(chunk: Chunk) -> int:
    return sum(map(len, chunk))
