"""The HTTP client: requests to one server, over connections that are used again.

Opens a connection for each response that is being read, and keeps some idle ones. A GET on an idle connection that the
server has closed is sent again, once, on a new one. Follows no redirect, keeps no cookie and reads no `.netrc`. Never
retries otherwise and never interprets a status: `_listwatch` does.

Bound: IDLE_CONNECTIONS unused connections, each for at most IDLE_SECONDS.

Source: RFC 9112 for HTTP/1.1.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit
from weakref import WeakSet

from kinform._errors import OptionError, TransportError
from kinform._transport.access import ClusterAccess
from kinform._transport.base import CHUNK_BYTES, Request
from kinform._transport.http1 import Http1Connection, HttpError
from kinform._transport.proxy import connect_through, find_proxy, format_address
from kinform._transport.tls import client_context, describe_tls_error
from kinform._transport.tls_transport import start_tls

CONNECT_SECONDS = 10.0
"""For the name, all addresses, the proxy and the TLS handshake."""
CALL_SECONDS = 30.0
"""For a whole small request, until the last byte of its response."""
IDLE_CONNECTIONS = 4
IDLE_SECONDS = 30.0
MAX_BODY_BYTES = 16 << 20
"""The most bytes in the response to a small request."""
GZIP = 31
"""The `wbits` of zlib for gzip with a header and a checksum."""

_AGENT = "kinform"


class Reply(NamedTuple):
    """A response that was read to its end.

    Attributes:
        status: The HTTP status.
        headers: The HTTP headers. The lookup of a name ignores case.
        body: The body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Sends requests to one server as one user.

    Attributes:
        access: The server and the credentials. Another one is used from the next request on; its server, its proxy
            and its certificates have to be the same.

    Raises:
        OptionError: A certificate or a key cannot be loaded, or the proxy is not supported.
    """

    def __init__(self, access: ClusterAccess) -> None:
        self.access = access
        parts = urlsplit(access.server)
        self._scheme, self._host = parts.scheme, parts.hostname or ""
        standard = 443 if self._scheme == "https" else 80
        self._port = parts.port or standard
        self._prefix = parts.path.rstrip("/")
        self._authority = format_address(self._host, self._port).removesuffix(f":{standard}")
        self._tls = client_context(access) if self._scheme == "https" else None
        self._proxy = find_proxy(self._scheme, self._host, self._port, access.proxy_url)
        self._connecting: set[asyncio.Timeout] = set()
        self._idle: list[tuple[Http1Connection, asyncio.TimerHandle]] = []
        self._busy: WeakSet[Http1Connection] = WeakSet()
        self._responses: WeakSet[StreamedResponse] = WeakSet()
        self._closed = False

    async def open(self, request: Request) -> StreamedResponse:
        """See `Transport.open`."""
        headers = [
            ("Accept", request.accept),
            ("Accept-Encoding", "gzip" if request.gzip and not request.watch else "identity"),
        ]
        return await self._send("GET", request.path, request.params, headers, b"")

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        content_type: str = "application/json",
        seconds: float = CALL_SECONDS,
    ) -> Reply:
        """Sends a small request and returns its whole response, with any status.

        Raises:
            TransportError: There was no response within `seconds`, it broke off, or it is larger than MAX_BODY_BYTES.
        """
        headers = [("Accept", "application/json"), ("Accept-Encoding", "identity")]
        if body:
            headers += [("Content-Type", content_type)]
        if body or method != "GET":
            headers += [("Content-Length", str(len(body)))]
        try:
            async with asyncio.timeout(seconds):
                response = await self._send(method, path, params, headers, body)
                return Reply(response.status, response.headers, await response.whole(MAX_BODY_BYTES))
        except TimeoutError:
            raise TransportError(f"{path}: no response within {seconds:g} s") from None

    def close_responses(self) -> None:
        """Closes all open responses, as `Response.close` does. Their readers wake."""
        for response in list(self._responses):
            response.close()

    def close(self) -> None:
        """Closes all connections at once. Idempotent."""
        self._closed = True
        self.close_responses()
        for deadline in self._connecting:
            if not deadline.expired():
                deadline.reschedule(0)
        for connection in list(self._busy):
            connection.close()
        for connection, timer in self._idle:
            timer.cancel()
            connection.close()
        self._idle.clear()

    async def _send(
        self, method: str, path: str, params: tuple[tuple[str, str], ...], headers: list[tuple[str, str]], body: bytes
    ) -> StreamedResponse:
        data = self._head(method, path, params, headers) + body
        idle = self._take_idle()
        if idle is not None:
            try:
                return await self._exchange(idle, method, path, data)
            except TransportError:
                if method != "GET" or idle.answered or self._closed:
                    raise
        return await self._exchange(await self._connect(path), method, path, data)

    async def _exchange(self, connection: Http1Connection, method: str, path: str, data: bytes) -> StreamedResponse:
        """Sends a request on a connection, which is closed if there is no response."""
        self._busy.add(connection)
        try:
            head = await connection.request(data, bodiless=method == "HEAD")
            return StreamedResponse(self, connection, head.status, head.headers, path)
        except HttpError as error:
            connection.close()
            raise TransportError(f"{path}: {error}") from error
        except BaseException:
            connection.close()
            raise

    def _head(
        self,
        method: str,
        path: str,
        params: tuple[tuple[str, str], ...],
        headers: list[tuple[str, str]],
    ) -> bytes:
        """Returns the head of a request, with the credentials of this moment."""
        target = self._prefix + quote(path, safe="/:@!$&'()*+,;=~%") + ("?" if params else "") + urlencode(params)
        lines = [("Host", self._authority), ("User-Agent", _AGENT), *headers, *self.access.headers]
        if self.access.authorization is not None:
            try:
                authorization = self.access.authorization()
            except (OSError, ValueError) as error:
                why = f"the credentials cannot be read ({type(error).__name__})"
                raise TransportError(f"{path}: {why}", reached=False) from None
            if authorization is not None:
                lines.append(("Authorization", authorization))
        if self._proxy is not None and self._tls is None:
            target = f"http://{self._authority}{target}"
            if self._proxy.authorization is not None:
                lines.append(("Proxy-Authorization", self._proxy.authorization))
        for name, value in lines:
            if not value.isprintable():  # a line break would begin another header
                raise TransportError(f"{path}: the header {name} has characters that are not allowed", reached=False)
        text = "".join(f"{name}: {value}\r\n" for name, value in lines)
        return f"{method} {target} HTTP/1.1\r\n{text}\r\n".encode()

    async def _connect(self, path: str) -> Http1Connection:
        proxy, where = self._proxy, format_address(self._host, self._port)
        if proxy is not None:
            where += f" through the proxy {format_address(proxy.host, proxy.port)}"
        try:
            async with asyncio.timeout(CONNECT_SECONDS) as deadline:
                self._connecting.add(deadline)
                try:
                    connection = await self._connect_to_server()
                finally:
                    self._connecting.discard(deadline)
        except OptionError:
            raise
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that DNS does not allow
            why = "the connection was closed" if self._closed else f"cannot connect to {where}: {_describe(error)}"
            raise TransportError(f"{path}: {why}", reached=False) from error
        if self._closed:
            connection.close()
            raise TransportError(f"{path}: the connection was closed", reached=False)
        return connection

    async def _connect_to_server(self) -> Http1Connection:
        name = (self.access.tls_server_name or self._host) if self._tls else None
        if self._proxy is None:
            return await _connect_in_turn(self._host, self._port, self._tls, name)
        connection = await _connect_in_turn(self._proxy.host, self._proxy.port)
        if self._tls is not None and name is not None:
            await connect_through(connection, self._proxy, self._host, self._port, self._tls, name)
        return connection

    def _take_idle(self) -> Http1Connection | None:
        """Returns the connection that was used last and is still open, or None."""
        while self._idle:
            connection, timer = self._idle.pop()
            timer.cancel()
            if not connection.closed:
                return connection
        return None

    def _put_idle(self, connection: Http1Connection) -> None:
        if self._closed:
            connection.close()
            return
        timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._drop_idle, connection)
        self._idle.append((connection, timer))
        if len(self._idle) > IDLE_CONNECTIONS:
            oldest, timer = self._idle.pop(0)
            timer.cancel()
            oldest.close()

    def _drop_idle(self, connection: Http1Connection) -> None:
        self._idle = [entry for entry in self._idle if entry[0] is not connection]
        connection.close()

    def _release(self, response: StreamedResponse, connection: Http1Connection) -> None:
        self._responses.discard(response)
        self._busy.discard(connection)
        if connection.reusable:
            self._put_idle(connection)
        else:
            connection.close()


class StreamedResponse:
    """A `Response` whose body is read from its connection."""

    def __init__(
        self,
        client: HttpClient,
        connection: Http1Connection,
        status: int,
        headers: Mapping[str, str],
        path: str,
    ) -> None:
        self.status = status
        self.headers = headers
        self._path = path
        self._client: HttpClient | None = client
        self._connection = connection
        self._ended = False
        self._gzip: _GzipBody | None = None
        encoding = headers.get("content-encoding", "identity").lower()
        if encoding in ("gzip", "x-gzip"):
            self._gzip = _GzipBody(connection)
        elif encoding != "identity":
            raise TransportError(f"{path}: the response has the content coding {encoding[:40]!r}")
        client._responses.add(self)

    def chunks(self) -> AsyncIterator[bytes]:
        return self  # not a generator: the loop needs a task to close one that was not exhausted

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = b""
        try:
            chunk = await self._read(CHUNK_BYTES)
        finally:
            if not chunk:
                self.close()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def head(self, limit: int) -> bytes:
        parts, left = list[bytes](), limit
        try:
            while left > 0 and (chunk := await self._read(min(left, CHUNK_BYTES))):
                parts.append(chunk)
                left -= len(chunk)
        except TransportError:
            pass  # the caller has the status, which says more than a truncated error text
        finally:
            self.close()
        return b"".join(parts)

    async def whole(self, most: int) -> bytes:
        """Returns the body, then closes the response.

        Raises:
            TransportError: The body broke off, or has more than `most` bytes.
        """
        parts, size = list[bytes](), 0
        try:
            while chunk := await self._read(CHUNK_BYTES):
                parts.append(chunk)
                size += len(chunk)
                if size > most:
                    raise TransportError(f"{self._path}: the response has more than {most} bytes")
        finally:
            self.close()
        return b"".join(parts)

    async def _read(self, limit: int) -> bytes:
        if self._client is None:
            if self._ended:
                return b""
            raise TransportError(f"{self._path}: the response was closed")
        try:
            chunk = await (self._connection if self._gzip is None else self._gzip).read(limit)
        except HttpError as error:
            raise TransportError(f"{self._path}: {error}") from error
        self._ended = not chunk
        return chunk

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client._release(self, self._connection)


class _GzipBody:
    """The decompressed body of a response. Bound: one read of compressed bytes."""

    def __init__(self, connection: Http1Connection) -> None:
        self._connection = connection
        self._inflate = zlib.decompressobj(GZIP)
        self._rest = b""
        self._began = False

    async def read(self, limit: int) -> bytes:
        """Returns at most `limit` bytes, `b""` at the end."""
        while True:
            if self._inflate.eof and self._rest:
                self._inflate = zlib.decompressobj(GZIP)  # another member follows
            if not self._rest:
                self._rest = await self._connection.read()
                if not self._rest:
                    if self._began and not self._inflate.eof:
                        raise HttpError("the gzip body broke off")
                    return b""
                continue
            self._began = True
            try:
                found = self._inflate.decompress(self._rest, limit)
            except zlib.error:
                self._connection.close()
                raise HttpError("the gzip body is malformed") from None
            self._rest = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
            if found:
                return found


async def _connect_in_turn(
    host: str, port: int, tls: ssl.SSLContext | None = None, server_name: str | None = None
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
                if tls is not None and server_name is not None:
                    connection.upgrade(await start_tls(transport, connection, tls, server_name))
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
