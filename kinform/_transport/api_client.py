"""The transport over an ApiClient: sends a request, streams the response body.

Serves kubernetes_asyncio's `ApiClient`, and that of `kubernetes.aio`, whose calls have another signature.
A failed connection and a TLS certificate that is not accepted become a TransportError in `open`. The configuration of
the client says which certificates are accepted.

Never retries, never measures silence, never interprets a status: `_listwatch` does. Never closes a client
that the caller made.

Source: kubernetes_asyncio's `api_client.py` and `rest.py`; aiohttp's `streams.py`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import aiohttp
import aiohttp.http
import msgspec
from multidict import CIMultiDict

from kinform._errors import OptionError, TransportError
from kinform._printable import printable
from kinform._transport.base import CHUNK_BYTES, Request, Response
from kinform._transport.chunk_reader import ChunkReader
from kinform._transport.lean_import import ApiClient

_log = logging.getLogger("kinform.transport")

# `sock_read=None`: a watch may be silent for minutes. The stream has its own deadline for silence.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=None)

_CONNECT_ERRORS = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ConnectionTimeoutError,
)
_NETWORK_ERRORS = (aiohttp.ClientError, aiohttp.http.HttpProcessingError, OSError, EOFError)
# Their `repr` shows the headers of the request, which include the token, or the URL of a proxy with its password.
_ERRORS_WITH_SECRETS = (aiohttp.ClientResponseError, aiohttp.InvalidURL)


class ApiClientTransport:
    """Sends requests through an ApiClient that belongs to the caller and stays open.

    The client adds its credentials to each request. Logs one warning for each client that is near its
    connection limit: a watch occupies a connection until it ends, and if all connections are in use, a
    request waits without end.
    """

    def __init__(self, api_client: ApiClient) -> None:
        self.api_client = api_client
        self._serializes_first = hasattr(api_client, "param_serialize")  # `kubernetes.aio`
        self._open_responses = _open_responses.setdefault(api_client, _OpenResponses())

    @property
    def identity(self) -> object:
        """The ApiClient."""
        return self.api_client

    async def open(self, request: Request) -> Response:
        """See `Transport.open`.

        Raises:
            OptionError: The ApiClient has been closed.
            TransportError: There was no response, or it came from another server, after a redirect.
        """
        session = self.api_client.rest_client.pool_manager
        if session is not None and session.closed:
            raise OptionError("api", self.api_client, "an ApiClient that is still open")
        self._open_responses.warn_near_limit(session)
        try:
            response = await self._send(request)
        except _NETWORK_ERRORS as error:
            failure = _transport_error(request.path, error)
        except ValueError as error:  # aiohttp, before it sends anything
            why = f"aiohttp refuses to send it ({type(error).__name__}); see HTTP_PROXY, HTTPS_PROXY and ~/.netrc"
            failure = TransportError(f"{request.path}: {why}", reached=False)
        except Exception as error:
            if any(base.__name__ == "ApiException" for base in type(error).__mro__):  # of either package
                return _response_of(error)
            if session is not None and session.closed:  # during the call: aiohttp raises RuntimeError
                raise TransportError(f"{request.path}: the client was closed", reached=False) from error
            if self.api_client.configuration.refresh_api_key_hook is None:
                raise
            # The hook may send a request for a token, which fails like any other. Its text may quote the kubeconfig.
            why = f"the credentials cannot be renewed ({type(error).__name__})"
            raise TransportError(f"{request.path}: {why}", reached=False) from None
        else:
            _refuse_other_server(request.path, response)
            return _AiohttpResponse(response, request.path, self._open_responses)
        raise failure  # not in the `except`: the context of an error is an error, too

    def _server_and_ca(self) -> tuple[str, bytes | None]:
        configuration: Any = self.api_client.configuration
        ca = configuration.ssl_ca_cert
        return configuration.host, None if ca is None else Path(ca).read_bytes()

    async def _send(self, request: Request) -> aiohttp.ClientResponse:
        headers = {
            "Accept": request.accept,
            "Accept-Encoding": "gzip" if request.gzip and not request.watch else "identity",
        }
        body = None
        if request.body:
            headers["Content-Type"] = request.content_type
            body = msgspec.json.decode(request.body)  # the client encodes it again
        api_client: Any = self.api_client
        if self._serializes_first:
            serialized = api_client.param_serialize(
                request.method,
                request.path,
                query_params=list(request.params),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            parts = await serialized if inspect.isawaitable(serialized) else serialized
            wrapped = await api_client.call_api(*parts, _request_timeout=_TIMEOUT)
        else:
            wrapped = await api_client.call_api(
                request.path,
                request.method,
                query_params=list(request.params),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=_TIMEOUT,
            )
            if getattr(api_client, "last_response", None) is wrapped:
                api_client.last_response = None  # else the client keeps the buffer of a closed body
        response: aiohttp.ClientResponse = getattr(wrapped, "response", wrapped)
        return response

    async def refresh_credentials(self) -> bool:
        """Runs the client's own `refresh_api_key_hook` once.

        Returns:
            False if the client has no hook, or the hook failed, which is logged.
        """
        configuration: Any = self.api_client.configuration
        hook = configuration.refresh_api_key_hook
        if hook is None:
            return False
        try:
            renewed = hook(configuration)
            if inspect.isawaitable(renewed):
                await renewed
        except Exception as error:
            _log.warning("the client's refresh_api_key_hook failed: %s", type(error).__name__)
            return False
        return True


class _OpenResponses:
    """The open responses of one ApiClient, over all its transports.

    Each occupies a connection.
    """

    def __init__(self) -> None:
        self.responses: WeakSet[_AiohttpResponse] = WeakSet()
        self._warned = False

    def warn_near_limit(self, session: aiohttp.ClientSession | None) -> None:
        limit = session.connector.limit if session is not None and session.connector is not None else 0
        if not limit or self._warned or len(self.responses) + 1 < limit * 9 / 10:
            return
        self._warned = True
        _log.warning(
            "%d of the %d connections of this ApiClient are in use and one more is needed; beyond the limit "
            "requests wait without end. Set configuration.connection_pool_maxsize = 0 or use kinform.connect()",
            len(self.responses),
            limit,
        )


_open_responses: WeakKeyDictionary[ApiClient, _OpenResponses] = WeakKeyDictionary()


class _AiohttpResponse(ChunkReader):
    """A Response whose body is read from the connection, through aiohttp."""

    def __init__(self, response: aiohttp.ClientResponse, path: str, open_responses: _OpenResponses) -> None:
        self._response = response
        self._path = path
        self._open_responses: _OpenResponses | None = open_responses
        open_responses.responses.add(self)
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def _read(self, limit: int) -> bytes:
        if self._open_responses is None:
            if self._response.content.at_eof():
                return b""
            raise TransportError(f"{self._path}: the response was closed")
        try:
            # Not `readany`, which joins all that is buffered, up to twice the session's `read_bufsize`.
            return await self._response.content.read(limit)
        except (*_NETWORK_ERRORS, RuntimeError) as error:  # RuntimeError: the client was closed
            failure = _transport_error(self._path, error)
        raise failure

    def close(self) -> None:
        self._response.close()  # a no-op after the end of the body, which returns the connection to the pool
        if self._open_responses is not None:
            self._open_responses.responses.discard(self)
            self._open_responses = None


class _BufferedResponse:
    """A Response whose body the client has read already."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        while self._body:
            chunk, self._body = self._body[:CHUNK_BYTES], self._body[CHUNK_BYTES:]
            yield chunk

    async def head(self, limit: int) -> bytes:
        body, self._body = self._body[:limit], b""
        return body

    def close(self) -> None:
        self._body = b""


def _response_of(error: Any) -> Response:
    """Converts an ApiException: some versions of the client raise on a status."""
    if not error.status:
        raise TransportError(f"the client raised {type(error).__name__} without a status") from error
    body = error.body or b""
    return _BufferedResponse(
        int(error.status),
        CIMultiDict(error.headers or {}),
        body.encode() if isinstance(body, str) else bytes(body),
    )


def _refuse_other_server(path: str, response: aiohttp.ClientResponse) -> None:
    """Refuses a response that a redirect to another host, port or scheme has led to.

    Raises:
        TransportError: It comes from another server.
    """
    first = response.history[0] if response.history else response
    if response.url.origin() != first.url.origin():
        response.close()
        other = printable(str(response.url.origin()))
        raise TransportError(f"{path}: the server redirected to another server, {other}")


def _transport_error(path: str, error: Exception) -> TransportError:
    """Returns the error for one of aiohttp. Its cause shows no secret."""
    failure = TransportError(f"{path}: {_describe(error)}", reached=not isinstance(error, _CONNECT_ERRORS))
    failure.__cause__ = None if isinstance(error, _ERRORS_WITH_SECRETS) else error
    return failure


def _describe(error: BaseException) -> str:
    """Describes a network error in a few words, without any bytes sent or received."""
    name = type(error).__name__
    if isinstance(error, _CONNECT_ERRORS):
        return f"{name}: {error}"  # host, port and reason
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"
    return name
