"""Credential source: a `Configuration` of the synchronous Kubernetes client.

Reads the attributes of the Configuration, and never changes them. The client calls its `refresh_api_key_hook` before
each request; kinform calls it in a thread, because it may block, and at most once a minute.

Source: `configuration.py` and `rest.py` of the package `kubernetes`.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import inspect
import ssl
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import msgspec

from kinform._errors import OptionError, TransportError
from kinform._printable import NOT_SHOWN, type_of
from kinform._transport.access import SERVER_NAME, SERVER_URL, ClusterAccess, is_server_name, is_server_url
from kinform._transport.proxy import is_excluded, parse_proxy

HOOK_SECONDS = 90.0
"""Seconds for which the credentials of a hook are used. They are read again 30 s earlier."""


class ClientConfiguration(Protocol):
    """A `kubernetes.client.Configuration`, for type checkers."""

    @property
    def host(self) -> Any: ...

    @property
    def verify_ssl(self) -> Any: ...

    def auth_settings(self) -> Any: ...


class ClientConfigurationSource:
    """A Configuration. Each `load` reads its attributes again.

    Args:
        configuration: The Configuration.

    Raises:
        OptionError: It is not a Configuration, or has a setting that kinform does not support.
    """

    can_reload = True

    def __init__(self, configuration: ClientConfiguration) -> None:
        known = all(hasattr(configuration, name) for name in ("host", "verify_ssl", "auth_settings"))
        hook = getattr(configuration, "refresh_api_key_hook", None)
        if isinstance(configuration, type) or not known or inspect.iscoroutinefunction(hook):
            allowed = "a Configuration of the synchronous client, such as kubernetes.client.Configuration()"
            raise OptionError("connect.configuration", type_of(configuration), allowed)
        self._configuration: Any = configuration
        self._access()

    def __str__(self) -> str:
        return f"the configuration for {self._configuration.host}"

    async def load(self) -> ClusterAccess:
        access = self._access()
        if getattr(self._configuration, "refresh_api_key_hook", None) is None:
            self._authorization()  # a wrong key is an error now, not at the first request
            return msgspec.structs.replace(access, authorization=self._authorization)
        try:
            value = await asyncio.to_thread(self._authorization)
        except OptionError:
            raise
        except Exception as error:  # the hook may raise anything, with a secret in the text
            text = f"{self}: the refresh_api_key_hook raised {type(error).__name__}"
            raise TransportError(text, reached=False) from None
        expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=HOOK_SECONDS)
        return msgspec.structs.replace(access, authorization=lambda: value, expires=expires)

    def _authorization(self) -> str | None:
        """Returns the value of the Authorization header. Calls the hook.

        Raises:
            OptionError: The key cannot be sent in a header.
        """
        for setting in self._configuration.auth_settings().values():
            if setting["in"] == "header" and setting["key"].lower() == "authorization" and setting["value"]:
                value: str = setting["value"].strip()
                if not value.isascii() or not value.isprintable():
                    raise OptionError("configuration.api_key", NOT_SHOWN, "printable ASCII characters")
                return value
        return None

    def _access(self) -> ClusterAccess:
        server = self._configuration.host
        if not isinstance(server, str) or not is_server_url(server):
            hides = not isinstance(server, str) or "@" in server or "?" in server
            raise OptionError("configuration.host", NOT_SHOWN if hides else server, SERVER_URL)
        verify = bool(self._configuration.verify_ssl)
        ca_data, ca_file = self._get("ca_cert_data") or None, self._get("ssl_ca_cert") or None
        if ca_data is not None and ca_file is not None:
            raise OptionError("configuration.ssl_ca_cert", ca_file, "None, since there is ca_cert_data")
        if verify and self._get("assert_hostname") is False:
            raise OptionError("configuration.assert_hostname", False, "None or True, or tls_server_name instead")
        server_name = self._get("tls_server_name") or None
        if server_name is not None and not is_server_name(server_name):
            raise OptionError("configuration.tls_server_name", server_name, SERVER_NAME)
        return ClusterAccess(
            server=server.rstrip("/"),
            verify=verify,
            ca_file=ca_file,
            ca_data=ssl.DER_cert_to_PEM_cert(ca_data) if isinstance(ca_data, bytes) else ca_data,
            tls_server_name=server_name,
            certificate_file=self._get("cert_file") or None,
            key_file=self._get("key_file") or None,
            proxy_url=self._proxy_url(server),
        )

    def _proxy_url(self, server: str) -> str:
        """Returns the URL of the proxy, with user and password; `""`: no proxy."""
        proxy, parts = self._get("proxy"), urlsplit(server)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        # The client ignores a dot at the beginning: `.example.com` covers `example.com`, too.
        no_proxy = ",".join(entry.strip().lstrip(".") for entry in (self._get("no_proxy") or "").split(","))
        if not proxy or is_excluded(parts.hostname or "", port, no_proxy):
            return ""
        parse_proxy(proxy, "configuration.proxy")
        if not (headers := self._get("proxy_headers")):
            return str(proxy)
        (name, value), *others = headers.items()
        scheme, _, encoded = value.partition(" ")
        allowed = "only the basic authentication of the proxy, from urllib3.make_headers(proxy_basic_auth=...)"
        if others or name.lower() != "proxy-authorization" or scheme.lower() != "basic":
            raise OptionError("configuration.proxy_headers", NOT_SHOWN, allowed)
        try:
            user, _, password = base64.b64decode(encoded).decode("latin-1").partition(":")
        except ValueError:
            raise OptionError("configuration.proxy_headers", NOT_SHOWN, allowed) from None
        scheme, _, address = proxy.rpartition("://")
        return f"{scheme or 'http'}://{quote(user, safe='')}:{quote(password, safe='')}@{address.rpartition('@')[2]}"

    def _get(self, name: str) -> Any:
        """Returns an attribute, or None if this version of the client lacks it."""
        return getattr(self._configuration, name, None)
