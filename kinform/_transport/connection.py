"""A connection to one cluster: where it is, who asks, and the ApiClient that does.

Holds `connect` and `Connection`. Never touches the network before the block is entered.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import os
from types import TracebackType
from typing import Any, Self

import aiohttp

from kinform._errors import OptionError, TransportError
from kinform._transport.api_client import ApiClientTransport
from kinform._transport.base import CHUNK_BYTES, Request, Response
from kinform._transport.credentials import HIDDEN, CredentialSource, KubeconfigSource, find_source, source_at_url
from kinform._transport.lean_import import ApiClient, Configuration
from kinform._worker_thread import trim_heap

_log = logging.getLogger("kinform.connection")

TLS_BYTES = 32 << 10  # read at once: two records


def connect(
    target: str | os.PathLike[str] | None = None,
    *,
    context: str | None = None,
    token: str | None = None,
    ca: str | os.PathLike[str] | None = None,
    verify: bool = True,
) -> Connection:
    """A connection to a cluster, to be entered with `async with`.

    Args:
        target: A kubeconfig's path, or an `http://` or `https://` URL, with a path prefix if need be. None
            looks in `$KUBECONFIG` (one path or several, as kubectl reads it), then in `~/.kube/config`
            where that variable is not set, then for a pod's service account.
        context: The kubeconfig's context; None takes its `current-context`. Has no meaning for a URL.
        token: A bearer token, for a URL only: a kubeconfig has its own credentials.
        ca: A file with PEM certificates to trust instead of the system's, for an `https://` URL only.
        verify: False accepts any certificate, for an `https://` URL only.

    Returns:
        A connection that is not open yet. Nothing but the file system has been looked at.

    Raises:
        OptionError: An argument that cannot mean anything, or no cluster to be found where None was given.
    """
    if context is not None and (not isinstance(context, str) or not context):
        raise OptionError("connect.context", context, "the name of a context, or None")
    if not isinstance(verify, bool):
        raise OptionError("connect.verify", verify, "True or False")
    if target is not None and not isinstance(target, str | os.PathLike):
        raise OptionError("connect.target", target, "a kubeconfig's path, an http(s):// URL, or None")
    place = None if target is None else os.fspath(target)
    if place is not None and "://" in place:
        return Connection(source_at_url(place, context, token, ca, verify))
    for field, value, default in (("token", token, None), ("ca", ca, None), ("verify", verify, True)):
        if value is not default:
            shown = HIDDEN if field == "token" else value
            raise OptionError(f"connect.{field}", shown, f"{default}, unless the target is an http(s):// URL")
    if place is None:
        return Connection(find_source(context))
    path = os.path.expanduser(place)
    if not os.path.isfile(path) or os.pathsep in path:
        raise OptionError("connect.target", target, "the path of an existing kubeconfig, or an http(s):// URL")
    return Connection(KubeconfigSource(path, context))


class Connection:
    """One cluster, one user; made by `connect`. Open inside its `async with` block, once.

    It is a `Transport`, so informers take it as it is, any number of them: connections are not limited.
    Leaving the block closes every connection still in use.

    Credentials that rotate are read again: a pod's token and a kubeconfig's `tokenFile` as they change, an
    exec plugin's when they expire, everything after a 401. Certificates are exchanged after a 401; streams
    still open then break off and resume.
    """

    def __init__(self, source: CredentialSource) -> None:
        self._source = source
        self._api_client: ApiClient | None = None
        self._transport: ApiClientTransport | None = None
        self._closed = False
        self._loading = asyncio.Lock()
        self._loads = 0
        self._certificates: list[tuple[str, int, int]] = []

    def __repr__(self) -> str:
        state = "open" if self._transport else "closed" if self._closed else "not open yet"
        return f"<kinform.Connection to {self._source}, {state}>"

    @property
    def identity(self) -> object:
        """This connection itself."""
        return self

    @property
    def api_client(self) -> ApiClient:
        """kubernetes_asyncio's client, for all that is not list and watch. Closed with the connection.

        Raises:
            OptionError: The connection is not open.
        """
        self._opened()
        assert self._api_client is not None
        return self._api_client

    async def __aenter__(self) -> Self:
        """Reads the credentials and makes the client; sends nothing to the cluster.

        Raises:
            OptionError: The kubeconfig lacks something or cannot be read, or this was entered before.
            TransportError: Its exec or auth plugin failed.
        """
        if self._transport or self._closed:
            raise OptionError("connect", self, "a connection that has not been entered before")
        configuration = Configuration()
        configuration.connection_pool_maxsize = 0  # no limit: each watch holds one
        await self._source.load(configuration)
        try:
            self._api_client = ApiClient(configuration)
        except (OSError, ValueError) as error:
            why = f"certificates and keys that can be loaded ({type(error).__name__})"
            raise OptionError("connect.target", str(self._source), why) from error
        self._transport = ApiClientTransport(_reading_less_ahead(self._api_client))
        self._certificates = _certificates(configuration)
        trim_heap()  # what the imports left behind, nearly a megabyte
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        transport, self._transport = self._transport, None
        if transport is not None:
            await _close(transport)
        api_client, self._api_client = self._api_client, None
        if api_client is not None:
            await api_client.close()  # and with it the connector that both sessions use

    async def open(self, request: Request) -> Response:
        """See `Transport.open`.

        Raises:
            OptionError: The connection is not open.
            TransportError: There was no answer.
        """
        self._opened()
        if self._source.due():
            await self.refresh_credentials()
        return await self._opened().open(request)

    async def refresh_credentials(self) -> bool:
        """Reads the credentials again, once for all who ask at the same time.

        Returns:
            False if there is nothing to read again, or reading failed, which is logged.
        """
        self._opened()
        if not self._source.reloads:
            return False
        seen = self._loads
        async with self._loading:
            if self._loads != seen:
                return True  # another stream read them while this one waited
            api_client = self.api_client
            configuration: Configuration = api_client.configuration
            try:
                await self._source.load(configuration)
                if self._api_client is not api_client:
                    return False  # closed in the meantime
                if _certificates(configuration) != self._certificates:
                    await self._exchange_certificates(api_client)
            except (OptionError, TransportError, OSError, ValueError) as error:
                _log.warning("%s: the credentials cannot be read again: %s", self._source, error)
                return False
            self._loads += 1
        return True

    async def _exchange_certificates(self, api_client: ApiClient) -> None:
        client, transport = api_client.rest_client, self._opened()
        api_client.rest_client = type(client)(api_client.configuration)
        self._transport = ApiClientTransport(_reading_less_ahead(api_client))
        self._certificates = _certificates(api_client.configuration)
        await _close(transport)
        await client.close()

    def _opened(self) -> ApiClientTransport:
        if self._transport is None:
            raise OptionError("api", self, "a connection inside its `async with` block")
        return self._transport


class _Answer(aiohttp.ClientResponse):
    """An answer that holds less while it is waited for.

    Over TLS asyncio keeps a buffer of 256 KiB for each connection, and OpenSSL one of as much as was ever read at once.
    Where asyncio is another than is known here, or not in use, they stay as they are.
    """

    async def start(self, connection: aiohttp.connector.Connection) -> Self:
        """See aiohttp: the request was sent, nothing of the answer has been read."""
        tls: Any = getattr(connection.transport, "_ssl_protocol", None)
        if hasattr(tls, "max_size") and hasattr(tls, "_ssl_buffer"):
            tls.max_size = TLS_BYTES
            tls._ssl_buffer = bytearray()  # too small, so that it makes another
        await super().start(connection)
        return self


def _reading_less_ahead(api_client: ApiClient) -> ApiClient:
    """The same client with a smaller buffer a stream: 0.5 MiB in place of 4, where the reader is slower.

    kubernetes_asyncio's own `Watch` reads by lines and needs the room; chunks do not.
    """
    session: aiohttp.ClientSession = api_client.rest_client.pool_manager
    smaller = copy.copy(api_client)
    smaller.rest_client = copy.copy(api_client.rest_client)
    smaller.rest_client.pool_manager = aiohttp.ClientSession(
        connector=session.connector,
        connector_owner=False,
        trust_env=session.trust_env,
        read_bufsize=CHUNK_BYTES,
        response_class=_Answer,
    )
    return smaller


async def _close(transport: ApiClientTransport) -> None:
    transport.close_answers()  # whoever waits for one learns of it here; of the session's end it would not
    await transport.api_client.rest_client.close()


def _certificates(configuration: Configuration) -> list[tuple[str, int, int]]:
    """What tells one set of certificate files from another: the same path may hold a new certificate."""
    files = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    states = ((path, os.stat(path)) for path in files if path)
    return [(path, state.st_mtime_ns, state.st_size) for path, state in states]
