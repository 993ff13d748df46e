"""HTTP proxies: which proxy a request goes through, and CONNECT.

The variables are those of Go's `net/http`: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, where the lower-case form has
precedence, as in curl. `ALL_PROXY` has no effect, as in Go. Never shows a password.

Source: golang.org/x/net/http/httpproxy; RFC 9110, section 9.3.6 (CONNECT).
"""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import ssl
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from kinform._errors import OptionError
from kinform._printable import NOT_SHOWN, printable
from kinform._transport.http1 import Http1Connection
from kinform._transport.tls_transport import start_tls

MAX_CHALLENGES = 1000
"""Characters of a Proxy-Authenticate header that are read."""
MAX_SCHEMES = 100
"""Characters of the names of authentication schemes that an error shows."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_QUOTED = re.compile(r'"(\\.|[^"\\])*"')
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Proxy(msgspec.Struct, frozen=True):
    """An HTTP proxy.

    Attributes:
        host: Its host name or IP address.
        port: Its port.
        authorization: The value of the Proxy-Authorization header, or None.
    """

    host: str
    port: int
    authorization: str | None = None

    def __repr__(self) -> str:
        return f"<Proxy {format_address(self.host, self.port)}>"


class ProxyError(OSError):
    """The proxy did not open a connection to the server."""


def find_proxy(scheme: str, host: str, port: int, proxy_url: str | None) -> Proxy | None:
    """Returns the proxy for a server, or None if requests go to the server itself.

    Args:
        scheme: `"http"` or `"https"`.
        host: The server's host name or IP address, without brackets.
        port: The server's port.
        proxy_url: The proxy for all requests; `""`: none. None: the environment decides.

    Raises:
        OptionError: The URL of the proxy is malformed, or its scheme is not `http`.
    """
    if proxy_url == "":
        return None
    if proxy_url is not None:
        return parse_proxy(proxy_url, "kubeconfig.proxy-url")
    upper = f"{scheme.upper()}_PROXY"
    variable = upper.lower() if os.environ.get(upper.lower()) else upper
    url = os.environ.get(variable)
    no_proxy = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
    if not url or not _uses_proxy(host, port, no_proxy):
        return None
    if variable == "HTTP_PROXY" and os.environ.get("REQUEST_METHOD"):
        # In a CGI program it is the header `Proxy` of the request: https://go.dev/s/cgihttpproxy
        raise OptionError(variable, NOT_SHOWN, "no such variable in a CGI program, where a client can set it")
    return parse_proxy(url, variable)


def format_address(host: str, port: int) -> str:
    """Returns `host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_proxy(url: str, source: str) -> Proxy:
    """Returns the proxy of a URL. The scheme may be missing.

    Args:
        url: `http://[user[:password]@]host[:port]`.
        source: The variable or the field of the URL, for an error.

    Raises:
        OptionError: The URL is malformed, or its scheme is not `http`.
    """
    allowed = "http://[user:password@]host[:port]"
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
        host = parts.hostname
        (host or "").encode("idna")
        user, password = (unquote(part or "", errors="strict") for part in (parts.username, parts.password))
    except ValueError:  # its message may contain a password
        raise OptionError(source, _shown(url), allowed) from None
    rest = parts.path + parts.query + parts.fragment
    if not host or port == 0 or "@" in rest or not url.isprintable() or " " in url or ":" in user:
        raise OptionError(source, _shown(url), allowed)
    if parts.scheme != "http":
        raise OptionError(source, _without_user(parts), f"{allowed}; {parts.scheme}:// proxies are not supported")
    authorization = None
    if parts.username is not None:
        authorization = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    return Proxy(host, 80 if port is None else port, authorization)


def _shown(url: str) -> str:
    return NOT_SHOWN if "@" in url else url


def _without_user(parts: SplitResult) -> str:
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


# --- NO_PROXY


def _uses_proxy(host: str, port: int, no_proxy: str) -> bool:
    """Returns whether a server is reached through a proxy. Loopback never is."""
    host = _to_ascii(host.lower())
    address = _parse_address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return False
    return not is_excluded(host, port, no_proxy)


def is_excluded(host: str, port: int, no_proxy: str) -> bool:
    """Returns whether NO_PROXY covers a server, so that no proxy is used for it."""
    host = _to_ascii(host.lower())
    address = _parse_address(host)
    entries = [entry.strip().lower() for entry in no_proxy.split(",")]
    return any(entry == "*" or _matches(entry, host, port, address) for entry in entries if entry)


def _matches(entry: str, host: str, port: int, address: _Address | None) -> bool:
    """Returns whether an entry of NO_PROXY covers this server.

    An entry is a network (`10.0.0.0/8`), an IP address or a domain, the latter two also with a port. A domain covers
    its subdomains. `.domain` and `*.domain` cover the subdomains only.
    """
    base, _, bits = entry.partition("/")
    if bits.isdecimal() and _parse_address(base) is not None:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:  # more bits than the address has
            return False
    name, entry_port = _split_port(entry)
    if not name or entry_port not in ("", str(port)):
        return False
    listed = _parse_address(name)
    if address is not None or listed is not None:
        return address == listed
    domain = name.removeprefix("*.").removeprefix(".")
    subdomain = host.endswith(f".{_to_ascii(domain)}")
    return subdomain or (domain == name and host == _to_ascii(domain))


def _split_port(entry: str) -> tuple[str, str]:
    """Splits `name:port` or `[address]:port`. An address alone may contain colons."""
    name, _, port = entry.rpartition(":")
    if name.startswith("[") and name.endswith("]"):
        return name[1:-1], port
    return (entry, "") if entry.count(":") != 1 else (name, port)


def _parse_address(host: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _to_ascii(name: str) -> str:
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name


# --- CONNECT


async def connect_through(
    connection: Http1Connection, proxy: Proxy, host: str, port: int, context: ssl.SSLContext, server_name: str
) -> None:
    """Opens a TLS connection to a server through a proxy.

    Waits without a deadline. If it raises or is cancelled, the connection is closed.

    Args:
        connection: A connection to the proxy. Afterwards it is one to the server.
        proxy: The proxy.
        host: The server's host name or IP address.
        port: The server's port.
        context: The TLS context for the server.
        server_name: The name in the server's certificate.

    Raises:
        ProxyError: The proxy refused, or did not answer with HTTP.
        SSLError: The TLS handshake with the server failed.
    """
    try:
        await _connect(connection, proxy, format_address(host, port))
        assert connection.transport is not None
        transport = await start_tls(connection.transport, connection, context, server_name)
    except BaseException:
        connection.close()
        raise
    connection.upgrade(transport)


async def _connect(connection: Http1Connection, proxy: Proxy, server: str) -> None:
    lines = [f"CONNECT {server} HTTP/1.1", f"Host: {server}", "User-Agent: kinform"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    where = format_address(proxy.host, proxy.port)
    try:
        head = await connection.request("\r\n".join([*lines, "", ""]).encode(), bodiless=True)
    except OSError as error:
        raise ProxyError(f"the proxy {where} did not answer CONNECT: {error}") from error
    if head.status == 407:
        raise ProxyError(f"the proxy {where} {_describe_407(proxy, head.headers.get('proxy-authenticate', ''))} (407)")
    if not 200 <= head.status < 300:
        raise ProxyError(f"the proxy {where} refused a connection to {server}: {head.status}")


def _describe_407(proxy: Proxy, challenges: str) -> str:
    """Describes what a proxy requires.

    Args:
        proxy: The proxy.
        challenges: The value of its Proxy-Authenticate header (RFC 9110, section 11.6.1).
    """
    parts = _QUOTED.sub("", challenges[:MAX_CHALLENGES]).split(",")
    words = [part.split(maxsplit=1)[0] for part in parts if part.strip()]
    schemes = [word for word in words if _SCHEME.fullmatch(word)]  # else a parameter of the scheme before
    if schemes and "basic" not in (scheme.lower() for scheme in schemes):
        return f"requires {printable(' or '.join(schemes), MAX_SCHEMES)} authentication, and kinform has only Basic"
    return "does not accept the user and password" if proxy.authorization else "requires a user and password"
