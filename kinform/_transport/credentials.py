"""Credential sources: a URL, kubeconfig files, or the service account of a pod.

A source sets the server's address, the token and the certificates. Look here for:

- token rotation: a `tokenFile` and a pod's token are read for each request, an exec plugin runs again when
  its token expires, and `load` reads everything again. `connection.Connection` calls `load` after a 401.
- a TLS certificate that is not accepted: a source sets the CA to trust (`ssl_ca_cert`), whether to verify
  (`verify_ssl`) and the client certificate (`cert_file`, `key_file`).

Sends nothing itself; an exec plugin or an auth provider may. Never shows a credential or the text of a
kubeconfig in an error: kubernetes_asyncio's own messages quote both.

Source: kubernetes_asyncio's `config`; client-go's loading rules for `$KUBECONFIG`.
"""

from __future__ import annotations

import datetime
import logging
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from kinform._errors import OptionError, TransportError
from kinform._transport.lean_import import Configuration

if TYPE_CHECKING:
    from kubernetes_asyncio.config.kube_config import KubeConfigLoader, KubeConfigMerger

# Shared with `connection`: one logger for all that happens to a connection (docs/reference/logs.md).
_log = logging.getLogger("kinform.connection")

_HIDDEN = "(not shown)"
_EXPIRY_MARGIN = datetime.timedelta(seconds=30)


class CredentialSource(Protocol):
    """A source of a cluster's address and credentials.

    `str()` names it and contains no secret.

    Attributes:
        can_reload: Whether another `load` may give other credentials.
    """

    can_reload: bool

    async def load(self, configuration: Configuration) -> None:
        """Sets host, credentials and certificates.

        Sets nothing if it raises OptionError or TransportError.
        """

    def expired(self) -> bool:
        """Returns whether the credentials are known to have expired."""


def find_source(
    target: str | os.PathLike[str] | None,
    *,
    context: str | None,
    token: str | None,
    ca: str | os.PathLike[str] | None,
    verify: bool,
) -> CredentialSource:
    """Returns the source for the arguments of `connect`.

    Raises:
        OptionError: See `connect`.
    """
    if context is not None and (not isinstance(context, str) or not context):
        raise OptionError("connect.context", context, "the name of a context, or None")
    if not isinstance(verify, bool):
        raise OptionError("connect.verify", verify, "True or False")
    if target is not None and not isinstance(target, str | os.PathLike):
        raise OptionError("connect.target", target, "the path of a kubeconfig, an http(s):// URL, or None")
    path = None if target is None else os.fspath(target)
    if path is not None and "://" in path:
        return _url_source(path, context, token, ca, verify)
    for field, value, default in (("token", token, None), ("ca", ca, None), ("verify", verify, True)):
        if value is not default:
            shown = _HIDDEN if field == "token" else value
            raise OptionError(f"connect.{field}", shown, f"{default}, unless the target is an http(s):// URL")
    if path is None:
        return _default_source(context)
    path = os.path.expanduser(path)
    if not os.path.isfile(path) or os.pathsep in path:
        raise OptionError("connect.target", target, "the path of an existing kubeconfig, or an http(s):// URL")
    return KubeconfigSource(path, context)


def _url_source(
    url: str, context: str | None, token: str | None, ca: str | os.PathLike[str] | None, verify: bool
) -> UrlSource:
    allowed = "http(s)://host[:port][/prefix], without user, query or fragment"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # such a URL may contain a password, too
        raise OptionError("connect.target", _HIDDEN if "@" in url else url, allowed) from None
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
            raise OptionError("connect.verify", verify, "True, since `ca` names the certificates to trust")
        try:
            ssl.create_default_context(cafile=os.fspath(ca))
        except (OSError, TypeError):
            raise OptionError("connect.ca", ca, "the path of a file with PEM certificates") from None
    return UrlSource(url.rstrip("/"), token, None if ca is None else os.fspath(ca), verify)


def _is_token(token: object) -> bool:
    return isinstance(token, str) and token.isascii() and token.isprintable() and token != "" and " " not in token


def _default_source(context: str | None) -> CredentialSource:
    """Returns the source for `target=None`; see `connect` for the order."""
    listed = os.environ.get("KUBECONFIG", "")
    home = os.path.expanduser("~/.kube/config")
    paths = listed or home
    if any(os.path.isfile(os.path.expanduser(path)) for path in paths.split(os.pathsep) if path):
        return KubeconfigSource(paths, context)
    in_cluster = InClusterSource()
    missing = in_cluster.missing()
    if not missing:
        if context is not None:
            raise OptionError("connect.context", context, "None, since there is only a pod's service account")
        return in_cluster
    tried = f"$KUBECONFIG ({listed}: no such file)" if listed else f"$KUBECONFIG (not set), {home} (no such file)"
    raise OptionError("connect.target", None, f"a path or URL, since there is neither {tried} nor {missing}")


class UrlSource:
    """A URL, with a token that does not rotate or none."""

    can_reload = False

    def __init__(self, url: str, token: str | None, ca: str | None, verify: bool) -> None:
        self._url = url
        self._token = token
        self._ca = ca
        self._verify = verify

    def __str__(self) -> str:
        return self._url

    def expired(self) -> bool:
        return False

    async def load(self, configuration: Configuration) -> None:
        configuration.host = self._url
        configuration.verify_ssl = self._verify
        configuration.ssl_ca_cert = self._ca
        if self._token is not None:
            configuration.api_key["BearerToken"] = f"Bearer {self._token}"


class InClusterSource:
    """The service account that Kubernetes mounts into a pod.

    Source: client-go's `InClusterConfig`.
    """

    can_reload = True
    folder = Path("/var/run/secrets/kubernetes.io/serviceaccount")

    def __str__(self) -> str:
        return "the cluster of this pod"

    def missing(self) -> str:
        """Describes the variables and files that this process lacks; empty in a pod."""
        names = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")
        missing = [f"${name}" for name in names if not os.environ.get(name)]
        paths = (self.folder / "token", self.folder / "ca.crt")
        missing += [str(path) for path in paths if not path.is_file()]
        return f"a pod's service account (missing: {', '.join(missing)})" if missing else ""

    def expired(self) -> bool:
        return False  # the token is read for each request

    async def load(self, configuration: Configuration) -> None:
        if missing := self.missing():
            raise OptionError("connect.target", None, missing)
        set_token = _token_file_hook(self.folder / "token")
        try:
            set_token(configuration)
        except (OSError, ValueError) as error:
            allowed = f"a service account whose token can be read ({type(error).__name__})"
            raise OptionError("connect.target", None, allowed) from None
        configuration.refresh_api_key_hook = set_token
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        configuration.host = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        configuration.ssl_ca_cert = str(self.folder / "ca.crt")


class KubeconfigSource:
    """A kubeconfig, or several merged; each `load` reads the files again."""

    can_reload = True

    def __init__(self, paths: str, context: str | None) -> None:
        self._paths = paths
        self._context = context
        self._expiry: datetime.datetime | None = None

    def __str__(self) -> str:
        return f"kubeconfig {self._paths}" + (f", context {self._context}" if self._context else "")

    def expired(self) -> bool:
        return self._expiry is not None and datetime.datetime.now(datetime.UTC) >= self._expiry - _EXPIRY_MARGIN

    async def load(self, configuration: Configuration) -> None:
        # Imported here: a pod needs neither this nor the YAML parser, 1.5 MiB together.
        from kubernetes_asyncio.config import kube_config

        merger, context = self._merge_files(kube_config.KubeConfigMerger)

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
            raise self._load_error(error) from None
        self._expiry = getattr(loader, "exec_plugin_expiry", None)
        token_file = _token_file(merger, loader)
        configuration.refresh_api_key_hook = None if token_file is None else _token_file_hook(token_file)

    def _merge_files(self, merge: type[KubeConfigMerger]) -> tuple[KubeConfigMerger, str]:
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
            chosen = _find_entry(merged, "contexts", context)["context"].value
            server = _find_entry(merged, "clusters", chosen["cluster"])["cluster"]["server"]
            if "user" in chosen or server.startswith("https:"):
                _find_entry(merged, "users", chosen["user"])["user"]
        except Exception:
            allowed = f"a kubeconfig with a cluster, its server and a user for context {context!r}"
            raise OptionError("connect.target", self._paths, allowed) from None
        return merger, context

    def _load_error(self, error: Exception) -> OptionError | TransportError:
        # Only these texts are known to name files and programs but no contents of the kubeconfig.
        text = str(error) if type(error).__name__ == "ConfigException" else ""
        if text.startswith("File does not exist"):
            return OptionError("connect.target", self._paths, f"a kubeconfig whose files exist; {text}")
        if text.startswith("exec: process returned") or isinstance(error, OSError):
            return TransportError(f"{self}: getting credentials failed: {(text or str(error))[:500]}", reached=False)
        return TransportError(f"{self}: getting credentials failed: {type(error).__name__}", reached=False)


def _token_file(merger: KubeConfigMerger, loader: KubeConfigLoader) -> Path | None:
    """Returns the `tokenFile` of the user, or None if its token is not from there."""
    context: Any = loader.current_context
    merged: dict[str, Any] = merger.config.value if merger.config else {}
    if "user" not in context["context"]:
        return None
    user = _find_entry(merged, "users", context["context"]["user"])
    credentials = user["user"].value
    if not credentials.get("tokenFile") or any(credentials.get(name) for name in ("token", "exec", "auth-provider")):
        return None
    return Path(user.path).parent / str(credentials["tokenFile"])


def _find_entry(merged: dict[str, Any], kind: str, name: str) -> Any:
    return next(entry for entry in merged[kind] if entry["name"] == name)


def _token_file_hook(path: Path) -> Callable[[Configuration], None]:
    """Returns a `refresh_api_key_hook`, which the client calls before each request."""

    def set_token(configuration: Configuration) -> None:
        configuration.api_key["BearerToken"] = f"Bearer {path.read_text().strip()}"

    return set_token


def certificate_file_states(configuration: Configuration) -> list[tuple[str, int, int]]:
    """Returns path, mtime in ns and size of each certificate file in use.

    Another result means other certificates: a rotation may write new ones to the same path.
    """
    files = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    states = ((path, os.stat(path)) for path in files if path)
    return [(path, state.st_mtime_ns, state.st_size) for path, state in states]
