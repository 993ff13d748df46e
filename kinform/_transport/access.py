"""The access to a cluster: its address, whom to trust, and how to authenticate.

A credential source makes it, and the HTTP client uses it. Nothing here reads a file or shows a secret.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

SERVER_URL = "http(s)://host[:port][/prefix], without user, query or fragment"


def is_server_url(url: str) -> bool:
    """Returns whether this is a `SERVER_URL`."""
    try:
        parts = urlsplit(url)
        if parts.port == 0:
            return False
    except ValueError:
        return False
    known = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    return bool(known) and url.isascii() and url.isprintable() and not any(sign in url for sign in " ?#")


SERVER_NAME = "a host name or an IP address"
_HOST_NAME = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*", re.ASCII)


def is_server_name(name: str) -> bool:
    """Returns whether this is a `SERVER_NAME`, which a certificate can have."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        return True
    try:
        ascii_name = name.encode("idna").decode()
    except UnicodeError:
        return False
    return len(ascii_name) <= 253 and _HOST_NAME.fullmatch(ascii_name) is not None


class ClusterAccess(msgspec.Struct, frozen=True, kw_only=True):
    """The address of a cluster and the credentials of one user.

    Attributes:
        server: An `http://` or `https://` URL, which may have a path prefix.
        verify: Whether the server's certificate is verified.
        ca_file: A file with the PEM certificates to trust. If it and `ca_data` are None: those of the system.
        ca_data: The same certificates as text. It has precedence.
        tls_server_name: The name in the server's certificate. None: the host in `server`.
        certificate_file: The client's certificate, a PEM file, or None.
        certificate_data: The same as text. It has precedence.
        key_file: The private key of the certificate, a PEM file.
        key_data: The same as text. It has precedence.
        proxy_url: The proxy for all requests; `""`: none. None: the environment decides.
        headers: Further headers of each request, such as those of impersonation.
        authorization: Returns the value of the Authorization header for a request, or None. May read a file, and
            raises OSError or ValueError if that fails.
        expires: When the credentials expire. None: not known.
        namespace: The namespace of the context or of the pod.
    """

    server: str
    verify: bool = True
    ca_file: str | None = None
    ca_data: str | None = None
    tls_server_name: str | None = None
    certificate_file: str | None = None
    certificate_data: str | None = None
    key_file: str | None = None
    key_data: str | None = None
    proxy_url: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    authorization: Callable[[], str | None] | None = None
    expires: datetime.datetime | None = None
    namespace: str = "default"

    def __repr__(self) -> str:
        return f"<ClusterAccess {self.server}>"
