"""The HTTP client: requests to one server, over connections that are used again.

Opens a connection for each response that is being read, and keeps some idle ones. A GET on an idle connection that the
server has closed is sent again, once, on a new one. Follows no redirect, keeps no cookie and reads no `.netrc`. Never
retries otherwise and never interprets a status: `_listwatch` does.

Source: RFC 9112 for HTTP/1.1.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode, urlsplit
from weakref import WeakSet

from kinform._errors import OptionError, TransportError
from kinform._transport.access import ClusterAccess
from kinform._transport.authorization import CredentialError
from kinform._transport.base import Request
from kinform._transport.dial import Dialer
from kinform._transport.http1 import Http1Connection, HttpError
from kinform._transport.idle_connections import IdleConnections
from kinform._transport.proxy import find_proxy, format_address
from kinform._transport.streamed_response import StreamedResponse
from kinform._transport.tls import client_context

_AGENT = "kinform"


class HttpClient:
    """Sends requests to one server as one user.

    Attributes:
        access: The server and the credentials. Another one is used from the next request on; its server, its proxy,
            its certificates and its headers have to be the same.

    Raises:
        OptionError: A certificate or a key cannot be loaded, or the proxy is not supported.
    """

    def __init__(self, access: ClusterAccess) -> None:
        self.access = access
        parts = urlsplit(access.server)
        host, standard = parts.hostname or "", 443 if parts.scheme == "https" else 80
        port = parts.port or standard
        context = client_context(access) if parts.scheme == "https" else None
        proxy = find_proxy(parts.scheme, host, port, access.proxy_url)
        self._dialer = Dialer(host, port, proxy, context, access.tls_server_name or host)
        self._plain_proxy = proxy if context is None else None  # it gets the requests, not a CONNECT
        self._authority = format_address(host, port).removesuffix(f":{standard}")
        self._prefix = parts.path.rstrip("/")
        self._idle = IdleConnections()
        self._busy: WeakSet[Http1Connection] = WeakSet()
        self._responses: WeakSet[StreamedResponse] = WeakSet()
        self._closed = False

    async def open(self, request: Request) -> StreamedResponse:
        """See `Transport.open`."""
        data = self._head(request) + request.body
        idle = self._idle.take()
        if idle is not None:
            try:
                return await self._exchange(idle, request, data)
            except TransportError:
                if request.method != "GET" or idle.answered or self._closed:
                    raise
        try:
            connection = await self._dialer.connect()
        except TransportError as error:
            raise TransportError(f"{request.path}: {error}", reached=False) from error.__cause__
        return await self._exchange(connection, request, data)

    def close_responses(self) -> None:
        """Closes all open responses, as `Response.close` does. Their readers wake."""
        for response in list(self._responses):
            response.close()

    def close(self) -> None:
        """Closes all connections at once. Idempotent."""
        self._closed = True
        self.close_responses()
        self._dialer.close()
        for connection in list(self._busy):
            connection.close()
        self._idle.close()

    async def _exchange(self, connection: Http1Connection, request: Request, data: bytes) -> StreamedResponse:
        """Sends a request on a connection, which is closed if there is no response."""
        self._busy.add(connection)
        try:
            head = await connection.request(data, bodiless=request.method == "HEAD")
            response = StreamedResponse(connection, head.status, head.headers, request.path, self._release)
            self._responses.add(response)
            return response
        except HttpError as error:
            connection.close()
            raise TransportError(f"{request.path}: {error}") from error
        except BaseException:
            connection.close()
            raise

    def _head(self, request: Request) -> bytes:
        """Returns the head of a request, with the credentials of this moment."""
        path, params = quote(request.path, safe="/:@!$&'()*+,;=~%"), urlencode(request.params)
        target = self._prefix + path + (f"?{params}" if params else "")
        lines = [
            ("Host", self._authority),
            ("User-Agent", _AGENT),
            ("Accept", request.accept),
            ("Accept-Encoding", "gzip" if request.gzip and not request.watch else "identity"),
        ]
        if request.body:
            lines.append(("Content-Type", request.content_type))
        if request.body or request.method != "GET":
            lines.append(("Content-Length", str(len(request.body))))
        lines += self.access.headers
        if self.access.authorization is not None:
            try:
                authorization = self.access.authorization()
            except (OSError, ValueError) as error:
                why = error if isinstance(error, OptionError | CredentialError) else type(error).__name__
                text = f"{request.path}: the credentials cannot be read ({why})"
                raise TransportError(text, reached=False) from None
            if authorization is not None:
                lines.append(("Authorization", authorization))
        if self._plain_proxy is not None:
            target = f"http://{self._authority}{target}"
            if self._plain_proxy.authorization is not None:
                lines.append(("Proxy-Authorization", self._plain_proxy.authorization))
        for name, value in lines:
            if not value.isprintable():  # a line break would begin another header
                why = f"the header {name} has characters that are not allowed"
                raise TransportError(f"{request.path}: {why}", reached=False)
        text = "".join(f"{name}: {value}\r\n" for name, value in lines)
        return f"{request.method} {target} HTTP/1.1\r\n{text}\r\n".encode()

    def _release(self, response: StreamedResponse, connection: Http1Connection) -> None:
        self._responses.discard(response)
        self._busy.discard(connection)
        if connection.reusable and not self._closed:
            self._idle.put(connection)
        else:
            connection.close()
