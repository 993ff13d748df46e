"""An ApiClient of kubernetes_asyncio with the credentials of a connection.

Imports aiohttp and kubernetes_asyncio, about 15 MiB, so only `Connection.api_client` imports this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from kinform._transport.access import ClusterAccess
from kinform._transport.lean_import import ApiClient, Configuration
from kinform._transport.proxy import find_proxy, format_address


def lend_client(access: Callable[[], ClusterAccess]) -> ApiClient:
    """Returns a client that asks for the credentials before each request."""

    def authorize(configuration: Configuration) -> None:
        authorization = access().authorization
        value = None if authorization is None else authorization()
        if value is None:
            configuration.api_key.pop("BearerToken", None)
        else:
            configuration.api_key["BearerToken"] = value

    configuration = Configuration()
    configuration.connection_pool_maxsize = 0  # no limit: each watch occupies a connection
    configuration.refresh_api_key_hook = authorize
    with suppress(OSError, ValueError):  # the client asks again before its first request
        authorize(configuration)
    with _files_of(access(), configuration):
        api_client = ApiClient(configuration)
    _prepare_session(api_client, access())
    return api_client


async def renew_client(api_client: ApiClient, access: ClusterAccess) -> None:
    """Makes the client use another server, other certificates or other headers.

    Its open responses are closed.
    """
    before = api_client.rest_client
    with _files_of(access, api_client.configuration):
        api_client.rest_client = type(before)(api_client.configuration)
    _prepare_session(api_client, access)
    await before.close()


def _prepare_session(api_client: ApiClient, access: ClusterAccess) -> None:
    session = api_client.rest_client.pool_manager
    session._trust_env = False  # else it sends a password of `.netrc`; the configuration sets the proxy
    session.headers.extend(access.headers)  # the client's own default headers cannot have a name twice


@contextmanager
def _files_of(access: ClusterAccess, configuration: Configuration) -> Iterator[None]:
    """Sets the server and the certificates.

    Inline certificates are in files during the block, in which they are loaded.
    """
    configuration.host = access.server
    configuration.verify_ssl = access.verify
    configuration.tls_server_name = access.tls_server_name
    parts = urlsplit(access.server)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    proxy = find_proxy(parts.scheme, parts.hostname or "", port, access.proxy_url)
    configuration.proxy = configuration.proxy_headers = None
    if proxy is not None:
        configuration.proxy = f"http://{format_address(proxy.host, proxy.port)}"
        if proxy.authorization is not None:
            configuration.proxy_headers = {"Proxy-Authorization": proxy.authorization}
    with TemporaryDirectory(prefix="kinform-") as folder:

        def path(name: str, data: str | None, file: str | None) -> str | None:
            if data is None:
                return file
            made = Path(folder, name)
            made.touch(mode=0o600)
            made.write_text(data)
            return str(made)

        configuration.ssl_ca_cert = path("ca", access.ca_data, access.ca_file)
        configuration.cert_file = path("certificate", access.certificate_data, access.certificate_file)
        configuration.key_file = path("key", access.key_data, access.key_file)
        yield
