"""How fast the server can be read at all: by a client that looks at nothing, over one plain connection."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

PIECE = 256 << 10


def ceiling(url: str, path: str, objects: int) -> dict[str, dict[str, float]]:
    """Bytes and objects a second of one whole LIST, and of the initial events of a WatchList."""
    streaming = f"{path}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    return {
        "list": _read(url, path, b"]}\n", objects),
        "stream": _read(url, streaming, b'"true"}}}}\n\r\n', objects),
    }


def _read(url: str, target: str, end: bytes, objects: int) -> dict[str, float]:
    place = urlsplit(url)
    held, size, last = bytearray(PIECE), 0, b""
    with socket.create_connection((place.hostname, place.port)) as connection:
        begun = time.perf_counter()
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
        while not last.endswith(end):
            if not (count := connection.recv_into(held)):
                raise ConnectionError("the server closed the connection")
            size += count
            last = (last + held[max(count - len(end), 0) : count])[-len(end) :]
        seconds = time.perf_counter() - begun
    return {"bytes_per_second": size / seconds, "objects_per_second": objects / seconds}
