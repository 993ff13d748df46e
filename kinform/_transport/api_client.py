"""From a request to the bytes of its answer, over an ApiClient.

The transport over kubernetes_asyncio's `ApiClient`, and over `kubernetes.aio`, the same client with another
signature. Never retries, never judges silence, never reads a status: `_listwatch` decides. Never closes a client
that the caller made.

Source: kubernetes_asyncio's `api_client.py` and `rest.py`; aiohttp's `streams.py`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import aiohttp
import aiohttp.http
from multidict import CIMultiDict

from kinform._errors import OptionError, TransportError
from kinform._transport.base import CHUNK_BYTES, Request, Response, Transport
from kinform._transport.lean_import import ApiClient

_log = logging.getLogger("kinform.transport")

# `sock_read=None`: a watch may be silent for minutes; how long is too long, the reflector knows.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=None)

_BROKEN = (aiohttp.ClientError, aiohttp.http.HttpProcessingError, OSError, EOFError)
_UNREACHED = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ConnectionTimeoutError,
)


class ApiClientTransport:
    """Requests through an ApiClient that belongs to the caller, which stays open.

    Credentials are whatever the client sends: they are asked for anew for each request. A client with few
    connections left is warned about once: a watch holds one for as long as it lives, and the request after
    the last waits for ever.
    """

    def __init__(self, api_client: ApiClient) -> None:
        self.api_client = api_client
        self._serializes = hasattr(api_client, "param_serialize")  # `kubernetes.aio`
        self._load = _loads.setdefault(api_client, _Load())

    @property
    def identity(self) -> object:
        """The ApiClient."""
        return self.api_client

    async def open(self, request: Request) -> Response:
        """See `Transport.open`.

        Raises:
            OptionError: The ApiClient has been closed.
            TransportError: There was no answer.
        """
        session = self.api_client.rest_client.pool_manager
        if session is not None and session.closed:
            raise OptionError("api", self.api_client, "an ApiClient that is still open")
        self._load.watch_limit(session)
        try:
            answer = await self._call(request)
        except _BROKEN as error:
            reached = not isinstance(error, _UNREACHED)
            raise TransportError(f"{request.path}: {_describe(error)}", reached=reached) from error
        except Exception as error:
            if any(base.__name__ == "ApiException" for base in type(error).__mro__):  # either package's
                return _answered(error)
            if session is not None and session.closed:  # in the meantime, which aiohttp tells as RuntimeError
                raise TransportError(f"{request.path}: the client was closed", reached=False) from error
            if self.api_client.configuration.refresh_api_key_hook is None:
                raise
            # Getting a token is a request of its own, and fails like one. Its text may quote the kubeconfig.
            why = f"the credentials cannot be renewed ({type(error).__name__})"
            raise TransportError(f"{request.path}: {why}", reached=False) from None
        return _Streamed(answer, request.path, self._load)

    def close_answers(self) -> None:
        """Closes all answers of this client that are still open, as `Response.close` does."""
        for answer in list(self._load.held):
            answer.close()

    async def _call(self, request: Request) -> aiohttp.ClientResponse:
        headers = {
            "Accept": request.accept,
            "Accept-Encoding": "gzip" if request.gzip and not request.watch else "identity",
        }
        api_client: Any = self.api_client
        if self._serializes:
            serialized = api_client.param_serialize(
                "GET",
                request.path,
                query_params=list(request.params),
                header_params=headers,
                auth_settings=["BearerToken"],
            )
            parts = await serialized if inspect.isawaitable(serialized) else serialized
            wrapped = await api_client.call_api(*parts, _request_timeout=_TIMEOUT)
        else:
            wrapped = await api_client.call_api(
                request.path,
                "GET",
                query_params=list(request.params),
                header_params=headers,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=_TIMEOUT,
            )
            if getattr(api_client, "last_response", None) is wrapped:
                api_client.last_response = None  # would keep a closed body's buffer until the next call
        answer: aiohttp.ClientResponse = getattr(wrapped, "response", wrapped)
        return answer

    async def refresh_credentials(self) -> bool:
        """Runs the client's own `refresh_api_key_hook` once, if it has one."""
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


class _Load:
    """The answers of one ApiClient that are open, over all its transports: each holds a connection."""

    def __init__(self) -> None:
        self.held: WeakSet[_Streamed] = WeakSet()
        self.warned = False

    def watch_limit(self, session: aiohttp.ClientSession | None) -> None:
        limit = session.connector.limit if session is not None and session.connector is not None else 0
        if not limit or self.warned or len(self.held) + 1 < limit * 9 / 10:
            return
        self.warned = True
        _log.warning(
            "%d of the %d connections of this ApiClient are held and one more is asked for; beyond the limit "
            "requests wait for ever. Set configuration.connection_pool_maxsize = 0 or use kinform.connect()",
            len(self.held),
            limit,
        )


_loads: WeakKeyDictionary[ApiClient, _Load] = WeakKeyDictionary()


class _Streamed:
    """A Response over aiohttp's."""

    def __init__(self, answer: aiohttp.ClientResponse, path: str, load: _Load) -> None:
        self._answer = answer
        self._path = path
        self._load: _Load | None = load
        load.held.add(self)
        self.status = answer.status
        self.headers: Mapping[str, str] = answer.headers

    def chunks(self) -> AsyncIterator[bytes]:
        return self  # no generator: one that is left half-way costs the loop a task to end it

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
        parts: list[bytes] = []
        left = limit
        try:
            while left > 0 and (chunk := await self._read(min(left, CHUNK_BYTES))):
                parts.append(chunk)
                left -= len(chunk)
        except TransportError:
            pass  # the status is known already, and says more than the loss of an error's text
        finally:
            self.close()
        return b"".join(parts)

    async def _read(self, limit: int) -> bytes:
        if self._load is None:
            if self._answer.content.at_eof():
                return b""
            raise TransportError(f"{self._path}: the answer was closed")
        try:
            # Not `readany`, which joins all that is buffered, up to twice the session's `read_bufsize`.
            return await self._answer.content.read(limit)
        except (*_BROKEN, RuntimeError) as error:  # RuntimeError: the client was closed meanwhile
            raise TransportError(f"{self._path}: {_describe(error)}") from error

    def close(self) -> None:
        self._answer.close()  # after the end of the body a no-op: the connection has gone back to the pool
        if self._load is not None:
            self._load.held.discard(self)
            self._load = None


class _Read:
    """A Response whose body the client has read already: some versions raise on a status."""

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


def _answered(error: Any) -> Response:
    """The answer that a version of the client raised instead of returning."""
    if not error.status:
        raise TransportError(f"the client gave up: {type(error).__name__}") from error
    body = error.body or b""
    return _Read(
        int(error.status),
        CIMultiDict(error.headers or {}),
        body.encode() if isinstance(body, str) else bytes(body),
    )


def _describe(error: BaseException) -> str:
    """A failure of the network in a few words, without what was sent or received."""
    name = type(error).__name__
    if isinstance(error, _UNREACHED):
        return f"{name}: {error}"  # host, port and reason
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"
    return name


def as_transport(api: object) -> Transport:
    """What an informer was given, as a transport.

    Raises:
        OptionError: Neither an ApiClient of kubernetes_asyncio nor a transport.
    """
    if not isinstance(api, type):
        if isinstance(api, Transport):
            return api
        client: Any = api
        # The synchronous client has the same methods but for this one.
        if hasattr(client, "call_api") and inspect.iscoroutinefunction(getattr(client, "close", None)):
            return ApiClientTransport(client)
    raise OptionError(
        "api", api, "what kinform.connect() gives, an ApiClient of kubernetes_asyncio, or a kinform.Transport"
    )
