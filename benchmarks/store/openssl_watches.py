"""Idle watches over TLS without kinform, which show what OpenSSL takes."""

from __future__ import annotations

import json
import socket
import ssl
import sys
from urllib.parse import urlsplit

WATCH = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
BUFFER = bytearray(16_384)
END = b"initial-events-end"


def open_watch(context: ssl.SSLContext, url: str, path: str) -> ssl.SSLSocket:
    """Opens a watch, and reads until it has sent the state."""
    server = urlsplit(url)
    assert server.hostname is not None
    assert server.port is not None
    connection = socket.create_connection((server.hostname, server.port))
    watch = context.wrap_socket(connection, server_hostname=server.hostname)
    watch.sendall(f"GET {path}?{WATCH} HTTP/1.1\r\nHost: {server.netloc}\r\n\r\n".encode())
    last = b""
    while END not in last:
        size = watch.recv_into(BUFFER)
        if not size:
            raise SystemExit("the server ended a watch")
        last = last[-len(END) :] + BUFFER[:size]
    return watch


def main(url: str, path: str, ca: str, watches: int) -> None:
    """Answers each line of standard input with the number of watches."""
    context = ssl.create_default_context(cafile=ca)
    opened = [open_watch(context, url, path) for _ in range(watches)]
    while sys.stdin.readline():
        print(len(opened), flush=True)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
