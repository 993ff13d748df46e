"""A connection to one cluster: `connect`, and `Connection`.

Opens and closes the HTTP client, and decides when the credentials are read again. Which certificates are accepted and
sent is set in `credentials`. Never touches the network before the block is entered.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kinform._connection.verbs import Verbs
from kinform._errors import KinformError, OptionError, TransportError
from kinform._loop_binding import LoopBinding
from kinform._transport.access import ClusterAccess
from kinform._transport.base import Request, Response, Transport
from kinform._transport.credentials import CredentialSource, find_source
from kinform._transport.http_client import HttpClient

if TYPE_CHECKING:
    from kinform._transport.lean_import import ApiClient

RENEW_EARLY_SECONDS = 30.0
"""Seconds before the end of the credentials at which they are read again."""
MIN_RENEWAL_SECONDS = 10.0
"""A request reads expired credentials again only if they were not read in this time, with or without success."""

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


class Connection(Verbs):
    """A connection to one cluster as one user, made by `connect`.

    The connection is open only inside its `async with` block, and can be entered only once. It is a
    `Transport`, so you can pass it to informers. Any number of informers can share it, because it does not
    limit the number of its HTTP connections. The start of the block reads the credentials. It raises `OptionError` if
    they are incomplete or not supported, and `TransportError` if an exec plugin or an auth provider failed. It sends
    nothing to the cluster. The end of the block closes every HTTP connection still in use.

    Without an informer, it lists, reads and writes objects. These methods need no client of Kubernetes, and load no
    models. They send a request again only if it cannot have taken effect: after a 429 with a Retry-After header, once
    after a 401 with other credentials, and once if the connection failed, but a write only if it did not reach the
    server. After a `TransportError` whose `reached` is True, it is not known whether a write has taken effect.

    A connection belongs to the event loop in which it is entered. In another event loop or thread, and in a process
    that is forked later, each use raises a `KinformError` at the call. In such a process, the end of the block does
    nothing: the HTTP connections belong to the parent process.

    kinform reads credentials again, because they can change: a pod's token and a kubeconfig's `tokenFile`
    before each request, the credentials of an exec plugin shortly before they expire, and all of them after a 401.
    After a 401, and after a request without a response, kinform also replaces certificates that have changed.
    This closes the open streams, and they resume.
    """

    def __init__(self, source: CredentialSource) -> None:
        self.write_listeners = []
        self._source = source
        self._binding = LoopBinding(str(source))
        self._client: HttpClient | None = None
        self._api_client: ApiClient | None = None
        self._closed = False
        self._refresh: asyncio.Task[bool] | None = None
        self._target: tuple[object, ...] = ()
        self._read_at = 0.0  # monotonic time of the last reading of the credentials

    def __repr__(self) -> str:
        state = "open" if self._client else "closed" if self._closed else "not open yet"
        return f"<kinform.Connection to {self._source}, {state}>"

    @property
    def identity(self) -> object:
        """The connection itself: see `Transport.identity`."""
        return self

    @property
    def namespace(self) -> str:
        """The namespace of the kubeconfig's context, or of the pod; otherwise `"default"`.

        kinform does not use it. Use it for `Scope.namespaces`, as kubectl does without `-n`.

        Raises:
            KinformError: This is not the event loop of the connection.
            OptionError: The connection is not open.
        """
        return self._require_open().access.namespace

    @property
    def api_client(self) -> ApiClient:
        """A client of kubernetes_asyncio with the same credentials, for other calls.

        kinform makes it at the first use: this imports aiohttp and kubernetes_asyncio, which take about 15 MiB. It has
        HTTP connections of its own, without a limit, and follows redirects, as aiohttp does. It verifies certificates
        as kinform does. A call starts an exec plugin whose credentials are about to expire, but does not wait for it:
        a call with credentials that have expired fails, and a later one has the new ones. The end of the block closes
        the client.

        Raises:
            KinformError: This is not the event loop of the connection.
            OptionError: The connection is not open, or a certificate cannot be loaded.
        """
        self._require_open()
        if self._api_client is None:
            from kinform._transport.lent_client import lend_client  # imports aiohttp and kubernetes_asyncio

            self._api_client = lend_client(self._access_for_client)
        return self._api_client

    async def __aenter__(self) -> Self:
        """Reads the credentials. Sends nothing to the cluster.

        Raises:
            OptionError: The kubeconfig is incomplete or cannot be read, a certificate cannot be loaded, the proxy is
                not supported, or the connection was entered before.
            TransportError: Its exec or auth plugin failed.
        """
        if self._client or self._closed:
            raise OptionError("connect", self, "a connection that has not been entered before")
        self._binding.bind()
        access = await self._source.load()
        self._read_at = time.monotonic()
        self._target = _target_of(access)  # before the files are read, so that a later change is noticed
        self._client = self._client_for(access)
        if not access.verify:
            _log.warning("%s: the certificate of the server is not verified", self._source)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._binding.forked:
            return  # the sockets belong to the parent process
        self._binding.check()
        self._closed = True
        client, self._client = self._client, None
        if client is not None:
            client.close()  # before anything is awaited, which may be cancelled
        if self._refresh is not None:
            self._refresh.cancel()
        api_client, self._api_client = self._api_client, None
        if api_client is not None:
            await api_client.close()
        if self._refresh is not None:
            await asyncio.wait([self._refresh])  # ends an exec plugin
        await asyncio.sleep(0)  # the loop closes the sockets

    async def open(self, request: Request) -> Response:
        """See `Transport.open`.

        Raises:
            KinformError: This is not the event loop of the connection.
            OptionError: The connection is not open.
            TransportError: There was no response.
        """
        if self._renewal_due(self._require_open().access):
            await self.refresh_credentials()
        client = self._require_open()
        try:
            return await client.open(request)
        except TransportError:
            # Not only after a failed handshake: in TLS 1.3 a server refuses a client certificate after it, and many
            # servers do not say why.
            if client is self._client:
                await self._use_changed_files(client.access)
            raise

    async def refresh_credentials(self) -> bool:
        """Reads the credentials again, only once for all concurrent callers.

        Returns:
            False if there is no source to read again, or if the reading failed. kinform logs a failure.

        Raises:
            KinformError: This is not the event loop of the connection.
            OptionError: The connection is not open.
        """
        self._require_open()
        if not self._source.can_reload:
            return False
        refresh = self._start_refresh()
        await asyncio.wait([refresh])  # a caller that is cancelled leaves it to the others
        return not refresh.cancelled() and refresh.result()

    def _start_refresh(self) -> asyncio.Task[bool]:
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.create_task(self._reload())
        return self._refresh

    def _access_for_client(self) -> ClusterAccess:
        """Returns the access for a call of `api_client`, which cannot wait for a refresh."""
        access = self._require_open().access
        if self._renewal_due(access):
            self._start_refresh()
        return access

    async def _reload(self) -> bool:
        try:
            access = await self._source.load()
            await self._use(access)
        except (OptionError, TransportError, OSError, ValueError) as error:
            # The text of a ValueError that is not ours, such as one of a decoder, may quote what was read.
            why = error if isinstance(error, KinformError | OSError) else type(error).__name__
            _log.warning("%s: the credentials cannot be read again: %s", self._source, why)
            return False
        finally:
            self._read_at = time.monotonic()
        return True

    def _renewal_due(self, access: ClusterAccess) -> bool:
        if access.expires is None or time.monotonic() - self._read_at < MIN_RENEWAL_SECONDS:
            return False
        return access.expires - datetime.datetime.now(datetime.UTC) <= datetime.timedelta(seconds=RENEW_EARLY_SECONDS)

    async def _use_changed_files(self, access: ClusterAccess) -> None:
        """Loads the certificates again if a file has changed."""
        try:
            await self._use(access)
        except (OptionError, OSError) as error:
            _log.warning("%s: the certificates cannot be read again: %s", self._source, error)

    def _server_and_ca(self) -> tuple[str, bytes | None]:
        access = self._require_open().access
        if access.ca_data is not None:
            return access.server, access.ca_data.encode()
        return access.server, None if access.ca_file is None else Path(access.ca_file).read_bytes()

    async def _use(self, access: ClusterAccess) -> None:
        """Uses other credentials from the next request on.

        If the server, the proxy, a certificate or the impersonated user is another one, all connections and open
        responses are closed.
        """
        client, target = self._require_open(), _target_of(access)
        if target == self._target:
            client.access = access
            return
        self._client, self._target = self._client_for(access), target
        client.close()
        if self._api_client is not None:
            from kinform._transport.lent_client import renew_client

            await renew_client(self._api_client, access)

    def _client_for(self, access: ClusterAccess) -> HttpClient:
        try:
            return HttpClient(access)
        except (OSError, ValueError) as error:
            if isinstance(error, OptionError):
                raise
            why = f"certificates and keys that can be loaded ({type(error).__name__})"
            raise OptionError("connect.target", str(self._source), why) from error

    def _require_open(self) -> HttpClient:
        if not self._closed:  # which is the same in every event loop
            self._binding.check()
        if self._client is None:
            raise OptionError("api", self, "a connection inside its block")
        return self._client


def require_open(transport: Transport) -> None:
    """Requires that a connection is open. Other transports pass.

    Raises:
        OptionError: The connection is not open.
        KinformError: This is not its event loop.
    """
    if isinstance(transport, Connection):
        transport._require_open()


def _target_of(access: ClusterAccess) -> tuple[object, ...]:
    """Returns what open responses depend on: server, proxy, certificates, headers.

    A rotation may write new certificates to the same path, so that the time and the size of each file count.
    """
    return (
        *(access.server, access.verify, access.tls_server_name, access.proxy_url, access.headers),
        *(access.ca_data, access.certificate_data, access.key_data),
        *(_state_of(path) for path in (access.ca_file, access.certificate_file, access.key_file)),
    )


def _state_of(path: str | None) -> tuple[object, ...] | None:
    """Returns what differs after a file is written, or None if there is no such file."""
    if path is None:
        return None
    try:
        state = os.stat(path)
    except OSError:  # reported when the certificate is loaded
        return None
    return path, state.st_mtime_ns, state.st_size
