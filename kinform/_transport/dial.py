"""New connections to one server: its addresses in turn, a proxy, and TLS.

Source: RFC 6724 for the order of addresses, which is the resolver's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress

from kinform._errors import TransportError
from kinform._transport.http1 import Http1Connection
from kinform._transport.proxy import Proxy, connect_through, format_address
from kinform._transport.tls import describe_tls_error
from kinform._transport.tls_transport import start_tls

CONNECT_SECONDS = 10.0
"""The deadline for the name, all addresses, the proxy and the TLS handshake."""


class Dialer:
    """Opens connections to one server.

    Args:
        host: The host name or IP address of the server.
        port: Its port.
        proxy: The proxy to it, or None.
        context: The certificates, or None without TLS.
        server_name: The name in the server's certificate.
    """

    def __init__(
        self, host: str, port: int, proxy: Proxy | None, context: ssl.SSLContext | None, server_name: str
    ) -> None:
        self._host, self._port = host, port
        self._proxy = proxy
        self._context = context
        self._server_name = server_name
        self._deadlines: set[asyncio.Timeout] = set()
        self._closed = False

    async def connect(self) -> Http1Connection:
        """Returns a new connection.

        Cancellation leaves no socket open.

        Raises:
            TransportError: There is no connection within CONNECT_SECONDS.
        """
        where = format_address(self._host, self._port)
        if self._proxy is not None:
            where += f" through the proxy {format_address(self._proxy.host, self._proxy.port)}"
        try:
            async with asyncio.timeout(CONNECT_SECONDS) as deadline:
                self._deadlines.add(deadline)
                try:
                    connection = await self._connect()
                finally:
                    self._deadlines.discard(deadline)
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that DNS does not allow
            why = "the connection was closed" if self._closed else f"cannot connect to {where}: {_describe(error)}"
            raise TransportError(why, reached=False) from error
        if self._closed:
            connection.close()
            raise TransportError("the connection was closed", reached=False)
        return connection

    def close(self) -> None:
        """Ends the attempts that are in progress, with a TransportError."""
        self._closed = True
        for deadline in self._deadlines:
            if not deadline.expired():
                deadline.reschedule(0)

    async def _connect(self) -> Http1Connection:
        if self._proxy is None:
            return await _connect_in_turn(self._host, self._port, self._context, self._server_name)
        connection = await _connect_in_turn(self._proxy.host, self._proxy.port)
        if self._context is not None:
            await connect_through(connection, self._proxy, self._host, self._port, self._context, self._server_name)
        return connection


async def _connect_in_turn(
    host: str, port: int, context: ssl.SSLContext | None = None, server_name: str = ""
) -> Http1Connection:
    """Connects to the first address that answers.

    Each address gets an equal share of the time that is left. Without `happy_eyeballs_delay`, which leaks the socket
    of a cancelled attempt in Python 3.11.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + CONNECT_SECONDS
    addresses = await _addresses(host, port)
    for left in range(len(addresses), 0, -1):
        try:
            async with asyncio.timeout((end - loop.time()) / left):
                transport, connection = await loop.create_connection(Http1Connection, addresses[-left], port)
                if context is not None:
                    connection.upgrade(await start_tls(transport, connection, context, server_name))
                return connection
        except ssl.SSLError:
            raise  # another address of this server has the same certificate
        except OSError:
            if left == 1:
                raise
    raise OSError(f"{host} has no address")


async def _addresses(host: str, port: int) -> list[str]:
    """Returns the addresses of a name, in the order of the resolver."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            socket.inet_pton(family, host)
            return [host]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _describe(error: OSError | UnicodeError) -> str:
    """Describes a network error in a few words, without any bytes sent or received."""
    if isinstance(error, ssl.SSLError):
        return describe_tls_error(error)
    if isinstance(error, UnicodeError):
        return "the name of the host is not valid"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"  # asyncio and uvloop say it differently
    if isinstance(error, TimeoutError) and not error.errno:
        return f"no connection within {CONNECT_SECONDS:g} s"
    return error.strerror or str(error) or type(error).__name__
