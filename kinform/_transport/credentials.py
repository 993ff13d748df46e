"""Credential sources: a URL, kubeconfig files, or the service account of a pod.

A source gives the server's address, the token and the certificates. Look here for:

- token rotation: a `tokenFile` and a pod's token are read for each request, and `load` reads everything again, which
  runs an exec plugin. `connection.Connection` calls `load` before the credentials expire, and after a 401.
- a TLS certificate that is not accepted: a source says which CA to trust, whether to verify, and which client
  certificate to send.

Sends nothing itself; an exec plugin or an auth provider may. Never shows a credential or a value of a kubeconfig in an
error.

Source: client-go's `rest.InClusterConfig`, and its loading rules for `$KUBECONFIG`.
"""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kinform._errors import OptionError, TransportError
from kinform._printable import NOT_SHOWN
from kinform._transport.access import SERVER_URL, ClusterAccess, is_server_url
from kinform._transport.authorization import TOKEN, bearer_token, is_token, token_file

if TYPE_CHECKING:
    from kinform._transport.kubeconfig import Context


class CredentialSource(Protocol):
    """A source of a cluster's address and credentials.

    `str()` names it and contains no secret.

    Attributes:
        can_reload: Whether another `load` may give other credentials.
    """

    can_reload: bool

    async def load(self) -> ClusterAccess:
        """Reads address, certificates and credentials.

        Raises:
            OptionError: The files are incomplete, or not valid.
            TransportError: An exec plugin or an auth provider failed, or a token file cannot be read.
        """
        ...


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
            shown = NOT_SHOWN if field == "token" else value
            raise OptionError(f"connect.{field}", shown, f"{default}, unless the target is an http(s):// URL")
    if path is None:
        return _default_source(context)
    path = os.path.expanduser(path)
    if not os.path.isfile(path) or os.pathsep in path:
        address = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[\w.-]+):\d{1,5}(/.*)?", path)
        hint = f"; did you mean http://{path} or https://{path}?" if address else ""
        raise OptionError("connect.target", target, f"the path of an existing kubeconfig, or an http(s):// URL{hint}")
    return KubeconfigSource(path, context)


def _url_source(
    url: str, context: str | None, token: str | None, ca: str | os.PathLike[str] | None, verify: bool
) -> UrlSource:
    if not is_server_url(url):
        is_secret = "@" in url or "?" in url or "#" in url  # it may contain a password or a token
        raise OptionError("connect.target", NOT_SHOWN if is_secret else url, SERVER_URL)
    if context is not None:
        raise OptionError("connect.context", context, "None, since the target is a URL")
    if token is not None and not is_token(token):
        raise OptionError("connect.token", NOT_SHOWN, f"{TOKEN}, or None")
    if url.lower().startswith("http:") and (ca is not None or not verify):
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

    async def load(self) -> ClusterAccess:
        return ClusterAccess(
            server=self._url,
            verify=self._verify,
            ca_file=self._ca,
            authorization=None if self._token is None else bearer_token(self._token),
        )


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

    async def load(self) -> ClusterAccess:
        if missing := self.missing():
            raise OptionError("connect.target", None, missing)
        authorization = token_file(self.folder / "token")
        try:
            authorization()
        except (OSError, ValueError) as error:
            allowed = f"a service account whose token can be read ({type(error).__name__})"
            raise OptionError("connect.target", None, allowed) from None
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        return ClusterAccess(
            server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
            ca_file=str(self.folder / "ca.crt"),
            authorization=authorization,
            namespace=self._namespace(),
        )

    def _namespace(self) -> str:
        try:
            return (self.folder / "namespace").read_text(encoding="utf-8").strip() or "default"
        except (OSError, ValueError):
            return "default"


class KubeconfigSource:
    """A kubeconfig, or several merged; each `load` reads the files again."""

    can_reload = True

    def __init__(self, paths: str, context: str | None) -> None:
        self._paths = paths
        self._context = context

    def __str__(self) -> str:
        return f"kubeconfig {self._paths}" + (f", context {self._context}" if self._context else "")

    async def load(self) -> ClusterAccess:
        # Imported here: a pod needs neither this nor the YAML parser.
        from kinform._transport.kubeconfig import Kubeconfig

        context = Kubeconfig(self._paths).context(self._context)
        try:
            return await _add_credentials(context, context.access())
        except OptionError:
            raise
        except (OSError, ValueError) as error:
            text = f"{self}: getting credentials failed: {str(error)[:500]}"
            raise TransportError(text, reached=False) from None


async def _add_credentials(context: Context, access: ClusterAccess) -> ClusterAccess:
    """Asks the auth provider, runs the exec plugin, or reads the token file once.

    An auth provider has precedence over an exec plugin, and that over a token, as in kubernetes_asyncio.
    """
    provider, plugin = context.user.section("auth-provider"), context.user.section("exec")
    if provider is not None and provider.text("name") in ("gcp", "oidc"):
        from kinform._transport.provider_kubeconfig import ask_provider

        return await ask_provider(context, access)
    if plugin is not None:
        from kinform._transport.exec_plugin import run_plugin

        return await run_plugin(plugin, context.cluster, access)
    if access.authorization is not None:
        access.authorization()  # a missing token file is an error now, not at the first request
    elif provider is not None and access.certificate_file is None and access.certificate_data is None:
        raise provider.error("name", "gcp or oidc")
    return access
