"""A connection to one cluster: `connect`, and `Connection` with its ApiClient.

Opens and closes the client, and decides when the credentials are read again. The TLS context is created
here with the client; which certificates it accepts and which it sends is set in `credentials`. Never
touches the network before the block is entered.
"""

from __future__ import annotations

import asyncio
import logging
import os
from types import TracebackType
from typing import Self

from kinform._errors import OptionError, TransportError
from kinform._heap import trim_heap
from kinform._transport.api_client import ApiClientTransport
from kinform._transport.base import Request, Response
from kinform._transport.credentials import CredentialSource, certificate_file_states, find_source
from kinform._transport.lean_import import ApiClient, Configuration
from kinform._transport.read_buffers import with_small_buffers

_log = logging.getLogger("kinform.connection")


def connect(
    target: str | os.PathLike[str] | None = None,
    *,
    context: str | None = None,
    token: str | None = None,
    ca: str | os.PathLike[str] | None = None,
    verify: bool = True,
) -> Connection:
    """Returns a connection to a cluster, to be entered with `async with`.

    Args:
        target: The path of a kubeconfig, or an `http://` or `https://` URL, which may have a path prefix.
            If it is None, kinform looks in `$KUBECONFIG` (one path or several, as for kubectl). If that
            variable is not set, it looks in `~/.kube/config`, and then for a pod's service account.
        context: The context in the kubeconfig. None: its `current-context`. Not allowed with a URL.
        token: A bearer token. For a URL only: a kubeconfig has its own credentials.
        ca: A file with PEM certificates. kinform trusts these, and not the certificates of the system. For
            an `https://` URL only.
        verify: False accepts any certificate. For an `https://` URL only.

    Returns:
        A connection that is not open yet. Only the file system has been read.

    Raises:
        OptionError: An argument is not valid, or does not apply to this target; or the target is None and
            no cluster was found.
    """
    return Connection(find_source(target, context=context, token=token, ca=ca, verify=verify))


class Connection:
    """A connection to one cluster as one user, made by `connect`.

    The connection is open only inside its `async with` block, and can be entered only once. It is a
    `Transport`, so you can pass it to informers. Any number of informers can share it, because it does not
    limit the number of its HTTP connections. The end of the block closes every HTTP connection still in use.

    kinform reads credentials again, because they can change: a pod's token and a kubeconfig's `tokenFile`
    before each request, the credentials of an exec plugin when they expire, and all of them after a 401.
    After a 401, kinform also replaces client certificates that have changed. This closes the open streams,
    and they resume.
    """

    def __init__(self, source: CredentialSource) -> None:
        self._source = source
        self._api_client: ApiClient | None = None
        self._transport: ApiClientTransport | None = None
        self._closed = False
        self._refresh_lock = asyncio.Lock()
        self._refresh_count = 0
        self._certificates: list[tuple[str, int, int]] = []

    def __repr__(self) -> str:
        state = "open" if self._transport else "closed" if self._closed else "not open yet"
        return f"<kinform.Connection to {self._source}, {state}>"

    @property
    def identity(self) -> object:
        """The connection itself: see `Transport.identity`."""
        return self

    @property
    def api_client(self) -> ApiClient:
        """The client of kubernetes_asyncio. Use it for calls other than list and watch.

        It is closed with the connection.

        Raises:
            OptionError: The connection is not open.
        """
        self._require_open()
        assert self._api_client is not None
        return self._api_client

    async def __aenter__(self) -> Self:
        """Reads the credentials and creates the client. Sends nothing to the cluster.

        Raises:
            OptionError: The kubeconfig is incomplete or cannot be read, or the connection was entered before.
            TransportError: Its exec or auth plugin failed.
        """
        if self._transport or self._closed:
            raise OptionError("connect", self, "a connection that has not been entered before")
        configuration = Configuration()
        configuration.connection_pool_maxsize = 0  # no limit: each watch occupies a connection
        await self._source.load(configuration)
        try:
            self._api_client = ApiClient(configuration)
        except (OSError, ValueError) as error:
            why = f"certificates and keys that can be loaded ({type(error).__name__})"
            raise OptionError("connect.target", str(self._source), why) from error
        self._transport = ApiClientTransport(with_small_buffers(self._api_client))
        self._certificates = certificate_file_states(configuration)
        trim_heap()  # the imports freed nearly 1 MB
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
            await api_client.close()  # closes the connector, which both sessions share

    async def open(self, request: Request) -> Response:
        """See `Transport.open`.

        Raises:
            OptionError: The connection is not open.
            TransportError: There was no response.
        """
        self._require_open()
        if self._source.expired():
            await self.refresh_credentials()
        return await self._require_open().open(request)

    async def refresh_credentials(self) -> bool:
        """Reads the credentials again, only once for all concurrent callers.

        Returns:
            False if there is no source to read again, or if the reading failed. kinform logs a failure.
        """
        self._require_open()
        if not self._source.can_reload:
            return False
        count = self._refresh_count
        async with self._refresh_lock:
            if self._refresh_count != count:
                return True  # another caller read them while this one waited
            api_client = self.api_client
            configuration: Configuration = api_client.configuration
            try:
                await self._source.load(configuration)
                if self._api_client is not api_client:
                    return False  # the connection was closed during the load
                if certificate_file_states(configuration) != self._certificates:
                    await self._exchange_certificates(api_client)
            except (OptionError, TransportError, OSError, ValueError) as error:
                _log.warning("%s: the credentials cannot be read again: %s", self._source, error)
                return False
            self._refresh_count += 1
        return True

    async def _exchange_certificates(self, api_client: ApiClient) -> None:
        rest_client, transport = api_client.rest_client, self._require_open()
        api_client.rest_client = type(rest_client)(api_client.configuration)
        self._transport = ApiClientTransport(with_small_buffers(api_client))
        self._certificates = certificate_file_states(api_client.configuration)
        await _close(transport)
        await rest_client.close()

    def _require_open(self) -> ApiClientTransport:
        if self._transport is None:
            raise OptionError("api", self, "a connection inside its `async with` block")
        return self._transport


async def _close(transport: ApiClientTransport) -> None:
    transport.close_responses()  # wakes their readers, which the end of the session would not
    await transport.api_client.rest_client.close()
