"""A connection to one cluster: where it is, who asks, and the ApiClient that does.

Holds `connect` and the three places that credentials come from: a URL, kubeconfig files, the service account
of a pod. Never touches the network before the block is entered, and never shows a credential or the text of
a kubeconfig in an error: kubernetes_asyncio's own messages quote both.

Source: kubernetes_asyncio's `config`; client-go's loading rules for `$KUBECONFIG`.
"""

from __future__ import annotations

import asyncio
import copy
import datetime
import logging
import os
import ssl
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import urlsplit

import aiohttp

from kinform._errors import OptionError, TransportError
from kinform._transport.api_client import CHUNK_BYTES, ApiClientTransport, Response
from kinform._transport.base import Request
from kinform._transport.lean_import import ApiClient, Configuration
from kinform._worker_thread import give_back

if TYPE_CHECKING:
    from kubernetes_asyncio.config.kube_config import KubeConfigLoader, KubeConfigMerger

_log = logging.getLogger("kinform.connection")

TLS_BYTES = 32 << 10  # read at once: two records

_EXPIRY_MARGIN = datetime.timedelta(seconds=30)

_HIDDEN = "(not shown)"


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
        return Connection(_at_url(place, context, token, ca, verify))
    for field, value, default in (("token", token, None), ("ca", ca, None), ("verify", verify, True)):
        if value is not default:
            shown = _HIDDEN if field == "token" else value
            raise OptionError(f"connect.{field}", shown, f"{default}, unless the target is an http(s):// URL")
    if place is None:
        return Connection(_found(context))
    path = os.path.expanduser(place)
    if not os.path.isfile(path) or os.pathsep in path:
        raise OptionError("connect.target", target, "the path of an existing kubeconfig, or an http(s):// URL")
    return Connection(_Kubeconfig(path, context))


class Connection:
    """One cluster, one user; made by `connect`. Open inside its `async with` block, once.

    It is a `Transport`, so informers take it as it is, any number of them: connections are not limited.
    Leaving the block closes every connection still in use.

    Credentials that rotate are read again: a pod's token and a kubeconfig's `tokenFile` as they change, an
    exec plugin's when they expire, everything after a 401. Certificates are exchanged after a 401; streams
    still open then break off and resume.
    """

    def __init__(self, source: _Source) -> None:
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
        give_back()  # what the imports left behind, nearly a megabyte
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


class _Source(Protocol):
    """Where a cluster's address and credentials come from. `str()` names it and holds no secret."""

    reloads: bool

    async def load(self, configuration: Configuration) -> None:
        """Sets host and credentials; sets nothing where it raises OptionError or TransportError."""

    def due(self) -> bool:
        """Whether the credentials are known to have expired."""


def _at_url(url: str, context: str | None, token: str | None, ca: str | os.PathLike[str] | None, verify: bool) -> _Url:
    allowed = "http(s)://host[:port][/prefix], without user, query or fragment"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise OptionError("connect.target", url, allowed) from None
    if parts.username is not None or parts.password is not None:
        raise OptionError("connect.target", _HIDDEN, allowed)
    known = parts.scheme in ("http", "https") and parts.hostname and port != 0
    if not known or parts.query or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise OptionError("connect.target", url, allowed)
    if context is not None:
        raise OptionError("connect.context", context, "None, since the target is a URL")
    if token is not None and not _is_token(token):
        raise OptionError("connect.token", _HIDDEN, "a bearer token: printable ASCII without spaces, or None")
    if parts.scheme == "http" and (ca is not None or not verify):
        field, value = ("ca", ca) if ca is not None else ("verify", verify)
        raise OptionError(f"connect.{field}", value, "the default, since the target is not https")
    if ca is not None:
        if not verify:
            raise OptionError("connect.verify", verify, "True, since `ca` says what to trust")
        try:
            ssl.create_default_context(cafile=os.fspath(ca))
        except (OSError, TypeError):
            raise OptionError("connect.ca", ca, "the path of a file with PEM certificates") from None
    return _Url(url.rstrip("/"), token, None if ca is None else os.fspath(ca), verify)


def _is_token(token: object) -> bool:
    return isinstance(token, str) and token.isascii() and token.isprintable() and token != "" and " " not in token


def _found(context: str | None) -> _Source:
    """What None stands for."""
    listed = os.environ.get("KUBECONFIG", "")
    home = os.path.expanduser("~/.kube/config")
    paths = listed or home
    if any(os.path.isfile(os.path.expanduser(path)) for path in paths.split(os.pathsep) if path):
        return _Kubeconfig(paths, context)
    in_cluster = _InCluster()
    if not in_cluster.missing():
        if context is not None:
            raise OptionError("connect.context", context, "None, since there is only a pod's service account")
        return in_cluster
    tried = f"$KUBECONFIG ({listed}: no such file)" if listed else f"$KUBECONFIG (not set), {home} (no such file)"
    raise OptionError(
        "connect.target", None, f"a path or URL, since there is neither {tried} nor {in_cluster.missing()}"
    )


class _Url:
    """A URL and, with luck, a token that lasts."""

    reloads = False

    def __init__(self, url: str, token: str | None, ca: str | None, verify: bool) -> None:
        self._url = url
        self._token = token
        self._ca = ca
        self._verify = verify

    def __str__(self) -> str:
        return self._url

    def due(self) -> bool:
        return False

    async def load(self, configuration: Configuration) -> None:
        configuration.host = self._url
        configuration.verify_ssl = self._verify
        configuration.ssl_ca_cert = self._ca
        if self._token is not None:
            configuration.api_key["BearerToken"] = f"Bearer {self._token}"


class _InCluster:
    """The service account that Kubernetes mounts into a pod, as client-go's `InClusterConfig` reads it."""

    reloads = True
    folder = Path("/var/run/secrets/kubernetes.io/serviceaccount")

    def __str__(self) -> str:
        return "the cluster of this pod"

    def missing(self) -> str:
        """What a pod has and this process lacks, or nothing."""
        names = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")
        lacks = [f"${name}" for name in names if not os.environ.get(name)]
        paths = (self.folder / "token", self.folder / "ca.crt")
        lacks += [str(path) for path in paths if not path.is_file()]
        return f"a pod's service account (no {', no '.join(lacks)})" if lacks else ""

    def due(self) -> bool:
        return False  # the token is read for each request

    async def load(self, configuration: Configuration) -> None:
        if missing := self.missing():
            raise OptionError("connect.target", None, missing)
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        configuration.host = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        configuration.ssl_ca_cert = str(self.folder / "ca.crt")
        read = _reads(self.folder / "token")
        try:
            read(configuration)
        except (OSError, ValueError) as error:
            allowed = f"a service account whose token can be read ({type(error).__name__})"
            raise OptionError("connect.target", None, allowed) from None
        configuration.refresh_api_key_hook = read


class _Kubeconfig:
    """One kubeconfig or several merged, read anew each time."""

    reloads = True

    def __init__(self, paths: str, context: str | None) -> None:
        self._paths = paths
        self._context = context
        self._expiry: datetime.datetime | None = None

    def __str__(self) -> str:
        return f"kubeconfig {self._paths}" + (f", context {self._context}" if self._context else "")

    def due(self) -> bool:
        return self._expiry is not None and datetime.datetime.now(datetime.UTC) >= self._expiry - _EXPIRY_MARGIN

    async def load(self, configuration: Configuration) -> None:
        # Here and not above: a pod needs neither this nor the YAML parser, 1.5 MiB together.
        from kubernetes_asyncio.config import kube_config

        merger, context = self._read(kube_config.KubeConfigMerger)

        def persist(_: object) -> None:
            try:
                merger.save_changes()  # an OIDC provider may accept a refresh token once only
            except OSError as error:
                _log.warning("%s: a renewed token cannot be saved: %s", self, error.strerror)

        loader = kube_config.KubeConfigLoader(
            config_dict=merger.config,
            config_base_path=None,
            active_context=context,
            config_persister=persist,
        )
        try:
            await loader.load_and_set(configuration)
        except Exception as error:
            raise self._refused(error) from None
        self._expiry = getattr(loader, "exec_plugin_expiry", None)
        token_file = _token_file(merger, loader)
        configuration.refresh_api_key_hook = None if token_file is None else _reads(token_file)

    def _read(self, merge: type[KubeConfigMerger]) -> tuple[KubeConfigMerger, str]:
        try:
            merger = merge(self._paths)
            merged: dict[str, Any] = merger.config.value if merger.config else {}
            names = [entry["name"] for entry in merged["contexts"]]
        except Exception as error:
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}" if mark is not None else ""
            allowed = f"kubeconfig files that exist and can be read ({type(error).__name__}{where})"
            raise OptionError("connect.target", self._paths, allowed) from None
        context = self._context or merged.get("current-context")
        if not context:
            allowed = f"the name of a context, since {self._paths} sets no current-context; it has {names}"
            raise OptionError("connect.context", self._context, allowed)
        if context not in names:
            raise OptionError("connect.context", context, f"a context of {self._paths}, which has {names}")
        try:
            chosen = _named(merged, "contexts", context)["context"].value
            server = _named(merged, "clusters", chosen["cluster"])["cluster"]["server"]
            if "user" in chosen or server.startswith("https:"):
                _named(merged, "users", chosen["user"])["user"]
        except Exception:
            allowed = f"a kubeconfig with a cluster, its server and a user for context {context!r}"
            raise OptionError("connect.target", self._paths, allowed) from None
        return merger, context

    def _refused(self, error: Exception) -> OptionError | TransportError:
        # Only these texts are known to name files and programs, and nothing out of the kubeconfig.
        text = str(error) if type(error).__name__ == "ConfigException" else ""
        if text.startswith("File does not exist"):
            return OptionError("connect.target", self._paths, f"a kubeconfig whose files exist; {text}")
        if text.startswith("exec: process returned") or isinstance(error, OSError):
            return TransportError(f"{self}: getting credentials failed: {(text or str(error))[:500]}", reached=False)
        return TransportError(f"{self}: getting credentials failed: {type(error).__name__}", reached=False)


def _token_file(merger: KubeConfigMerger, loader: KubeConfigLoader) -> Path | None:
    """The `tokenFile` of the user in use, if that is where the token came from."""
    context: Any = loader.current_context
    merged: dict[str, Any] = merger.config.value if merger.config else {}
    if "user" not in context["context"]:
        return None
    user = _named(merged, "users", context["context"]["user"])
    held = user["user"].value
    if not held.get("tokenFile") or any(held.get(other) for other in ("token", "exec", "auth-provider")):
        return None
    return Path(user.path).parent / str(held["tokenFile"])


def _named(merged: dict[str, Any], kind: str, name: str) -> Any:
    return next(entry for entry in merged[kind] if entry["name"] == name)


def _reads(path: Path) -> Any:
    """A hook for `Configuration.refresh_api_key_hook`, which is called before each request."""

    def read(configuration: Configuration) -> None:
        configuration.api_key["BearerToken"] = f"Bearer {path.read_text().strip()}"

    return read


def _certificates(configuration: Configuration) -> list[tuple[str, int, int]]:
    """What tells one set of certificate files from another: the same path may hold a new certificate."""
    files = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    states = ((path, os.stat(path)) for path in files if path)
    return [(path, state.st_mtime_ns, state.st_size) for path, state in states]
