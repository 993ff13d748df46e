"""The throughput of the benchmark server.

It is measured by a client that only counts bytes. No client can be faster than this.
"""

from __future__ import annotations

import socket
import ssl
import time
from urllib.parse import urlsplit

BUFFER_BYTES = 256 << 10


def ceiling(url: str, ca: str | None, path: str, objects: int) -> dict[str, dict[str, float]]:
    """Measures bytes and objects a second of one LIST and one WatchList.

    Over TLS, `ca` is the file of the CA to trust, as for every client.
    """
    streaming = f"{path}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    return {
        "list": _read(url, ca, path, b"]}\n", objects),
        "stream": _read(url, ca, streaming, b'"true"}}}}\n\r\n', objects),
    }


def _read(url: str, ca: str | None, target: str, end: bytes, objects: int) -> dict[str, float]:
    address = urlsplit(url)
    buffer, size, tail = bytearray(BUFFER_BYTES), 0, b""
    with _connect(address.hostname or "", address.port or 0, ca) as connection:
        start = time.perf_counter()
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        while not tail.endswith(end):
            if not (count := connection.recv_into(buffer)):
                raise ConnectionError("the server closed the connection")
            size += count
            tail = (tail + buffer[max(count - len(end), 0) : count])[-len(end) :]
        seconds = time.perf_counter() - start
    return {"bytes_per_second": size / seconds, "objects_per_second": objects / seconds}


def _connect(host: str, port: int, ca: str | None) -> socket.socket:
    connection = socket.create_connection((host, port))
    if ca is None:
        return connection
    return ssl.create_default_context(cafile=ca).wrap_socket(connection, server_hostname=host)
