"""Connections without a request, which wait for another one.

Bound: IDLE_CONNECTIONS, each for at most IDLE_SECONDS.
"""

from __future__ import annotations

import asyncio

from kinform._transport.http1 import Http1Connection

IDLE_CONNECTIONS = 4
IDLE_SECONDS = 30.0


class IdleConnections:
    """The idle connections of one client."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Http1Connection, asyncio.TimerHandle]] = []

    def take(self) -> Http1Connection | None:
        """Returns the connection that was used last and is still open, or None."""
        while self._waiting:
            connection, timer = self._waiting.pop()
            timer.cancel()
            if not connection.closed:
                return connection
        return None

    def put(self, connection: Http1Connection) -> None:
        """Adds a connection. If there are too many, the oldest one is closed."""
        timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._expire, connection)
        self._waiting.append((connection, timer))
        if len(self._waiting) > IDLE_CONNECTIONS:
            oldest, timer = self._waiting.pop(0)
            timer.cancel()
            oldest.close()

    def close(self) -> None:
        """Closes all of them."""
        while (connection := self.take()) is not None:
            connection.close()

    def _expire(self, connection: Http1Connection) -> None:
        self._waiting = [entry for entry in self._waiting if entry[0] is not connection]
        connection.close()
