"""An ApiClient of kubernetes_asyncio with the credentials of a connection.

It verifies and sends the certificates of the connection's own HTTP client, whatever Python verifies by default.

Imports aiohttp and kubernetes_asyncio, about 15 MiB, so only `Connection.api_client` imports this module.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import aiohttp

from kinform._transport.access import ClusterAccess
from kinform._transport.lean_import import ApiClient, Configuration
from kinform._transport.proxy import find_proxy, format_address
from kinform._transport.tls import client_context

READ_BUFFER_BYTES = 2 << 20  # as in kubernetes_asyncio, whose Watch reads lines of at most twice this length


def lend_client(access: Callable[[], ClusterAccess]) -> ApiClient:
    """Returns a client that asks for the credentials before each request.

    Raises:
        OptionError: A certificate or a key cannot be loaded.
    """

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
    session = _make_session(access())
    _configure(configuration, access())
    api_client = ApiClient(configuration)
    _use_session(api_client, session)
    return api_client


async def renew_client(api_client: ApiClient, access: ClusterAccess) -> None:
    """Makes the client use another server, other certificates or other headers.

    Its open responses are closed.

    Raises:
        OptionError: A certificate or a key cannot be loaded.
    """
    session, before = _make_session(access), api_client.rest_client
    _configure(api_client.configuration, access)
    api_client.rest_client = type(before)(api_client.configuration)
    _use_session(api_client, session)
    await before.close()


def _configure(configuration: Configuration, access: ClusterAccess) -> None:
    """Sets the server, the proxy, and the certificates that are in files."""
    configuration.host = access.server
    configuration.verify_ssl = access.verify
    configuration.tls_server_name = access.tls_server_name
    configuration.ssl_ca_cert = access.ca_file if access.ca_data is None else None
    configuration.cert_file = access.certificate_file if access.certificate_data is None else None
    configuration.key_file = access.key_file if access.key_data is None else None
    parts = urlsplit(access.server)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    proxy = find_proxy(parts.scheme, parts.hostname or "", port, access.proxy_url)
    configuration.proxy = configuration.proxy_headers = None
    if proxy is not None:
        configuration.proxy = f"http://{format_address(proxy.host, proxy.port)}"
        if proxy.authorization is not None:
            configuration.proxy_headers = {"Proxy-Authorization": proxy.authorization}


def _make_session(access: ClusterAccess) -> aiohttp.ClientSession:
    """Returns a session with the certificates and the headers.

    It never sends a password of `.netrc`.
    """
    context = client_context(access) if urlsplit(access.server).scheme == "https" else True
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=context),
        headers=access.headers,
        trust_env=False,  # the configuration sets the proxy
        read_bufsize=READ_BUFFER_BYTES,
    )


def _use_session(api_client: ApiClient, session: aiohttp.ClientSession) -> None:
    api_client.rest_client.pool_manager.detach()  # it has no connection yet
    api_client.rest_client.pool_manager = session
