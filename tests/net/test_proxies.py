"""Proxies: the choice of one, and requests through it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from kinform._errors import OptionError, TransportError
from kinform._transport.access import ClusterAccess
from kinform._transport.base import Request
from kinform._transport.http1 import Http1Connection
from kinform._transport.http_client import HttpClient
from kinform._transport.proxy import Proxy, ProxyError, connect_through, find_proxy
from kinform._transport.tls import client_context
from tests.support.http_proxy import ESTABLISHED, HttpProxy, http_proxy
from tests.support.loops import on_each_loop
from tests.support.scripted_server import ScriptedServer, scripted_server
from tests.support.tls import CERTIFICATES, server_context
from tests.support.transports import call

PODS = Request(path="/api/v1/pods", params=())
SECRET = "hunter2"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "REQUEST_METHOD")


@pytest.fixture(autouse=True)
def without_proxy_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


# --- the environment


def test_without_variables_there_is_no_proxy() -> None:
    assert find_proxy("https", "api.example", 443, None) is None


def test_a_variable_applies_to_its_scheme_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://secure:1")
    assert find_proxy("http", "api.example", 80, None) is None
    monkeypatch.setenv("HTTP_PROXY", "http://plain:2")
    assert find_proxy("https", "api.example", 443, None) == Proxy("secure", 1)
    assert find_proxy("http", "api.example", 80, None) == Proxy("plain", 2)


def test_lower_case_variables_have_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "upper:1")
    monkeypatch.setenv("https_proxy", "lower:2")
    assert find_proxy("https", "api.example", 443, None) == Proxy("lower", 2)
    monkeypatch.setenv("NO_PROXY", "api.example")
    assert find_proxy("https", "api.example", 443, None) is None
    monkeypatch.setenv("no_proxy", "other.example")
    assert find_proxy("https", "api.example", 443, None) == Proxy("lower", 2)


def test_empty_lower_case_variables_count_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "")
    monkeypatch.setenv("HTTPS_PROXY", "upper:1")
    monkeypatch.setenv("no_proxy", "")
    assert find_proxy("https", "api.example", 443, None) == Proxy("upper", 1)
    monkeypatch.setenv("NO_PROXY", "api.example")
    assert find_proxy("https", "api.example", 443, None) is None


def test_all_proxy_has_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy:1")
    monkeypatch.setenv("all_proxy", "http://proxy:1")
    assert find_proxy("https", "api.example", 443, None) is None


def test_http_proxy_in_a_cgi_program_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUEST_METHOD", "GET")
    monkeypatch.setenv("HTTPS_PROXY", "proxy:1")
    monkeypatch.setenv("HTTP_PROXY", f"http://{SECRET}:1")
    assert find_proxy("https", "api.example", 443, None) == Proxy("proxy", 1)
    with pytest.raises(OptionError, match=r"HTTP_PROXY: .* CGI") as caught:
        find_proxy("http", "api.example", 80, None)
    assert SECRET not in str(caught.value)
    monkeypatch.setenv("http_proxy", "proxy:2")  # a header of the request cannot set it
    assert find_proxy("http", "api.example", 80, None) == Proxy("proxy", 2)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_direct(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy:1")
    assert find_proxy("https", host, 443, None) is None


def test_proxy_url_has_precedence_over_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "environment:1")
    monkeypatch.setenv("NO_PROXY", "*")
    assert find_proxy("https", "127.0.0.1", 443, "http://kubeconfig:2") == Proxy("kubeconfig", 2)
    assert find_proxy("https", "api.example", 443, "") is None


# --- NO_PROXY

LIST = (
    "shop.example, .sub.example,*.star.example ,port.example:8443,192.0.2.1,192.0.2.2:8443,198.51.100.77/30,"
    "2001:db8::1,[2001:db8::2]:8443,2001:db8:1::5/64,,:443,Upper.Example,münchen.example,xn--fsq092h.example,"
    "10.0.0.0/33,10.1.0.0/255.255.0.0,*bare.example"
)
DIRECT = [
    ("shop.example", 443),
    ("SHOP.example", 443),
    ("a.shop.example", 443),
    ("a.b.shop.example", 1),
    ("a.sub.example", 443),
    ("a.star.example", 443),
    ("port.example", 8443),
    ("a.port.example", 8443),
    ("192.0.2.1", 443),
    ("192.0.2.1", 1),
    ("::ffff:192.0.2.1", 443),
    ("192.0.2.2", 8443),
    ("198.51.100.76", 443),
    ("198.51.100.79", 443),
    ("2001:db8::1", 443),
    ("2001:0DB8:0::1", 443),
    ("2001:db8::2", 8443),
    ("2001:db8:1::ffff", 443),
    ("upper.example", 443),
    ("xn--mnchen-3ya.example", 443),
    ("a.münchen.example", 443),
    ("示例.example", 443),
]
PROXIED = [
    ("myshop.example", 443),
    ("shop.example.com", 443),
    ("example", 443),
    ("sub.example", 443),
    ("star.example", 443),
    ("astar.example", 443),
    ("port.example", 443),
    ("192.0.2.3", 443),
    ("192.0.2.11", 443),
    ("192.0.2.2", 443),
    ("198.51.100.75", 443),
    ("198.51.100.80", 443),
    ("2001:db8::11", 443),
    ("2001:db8::2", 443),
    ("2001:db8:2::5", 443),
    ("10.0.0.1", 443),
    ("10.1.0.1", 443),
    ("localhost.example.com", 443),
    ("a.localhost", 443),
    ("bare.example", 443),
    ("a.bare.example", 443),
    ("fe80::1%eth0.shop.example", 443),
]


@pytest.mark.parametrize(("host", "port"), DIRECT)
def test_no_proxy_covers(monkeypatch: pytest.MonkeyPatch, host: str, port: int) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy:1")
    monkeypatch.setenv("NO_PROXY", LIST)
    assert find_proxy("https", host, port, None) is None


@pytest.mark.parametrize(("host", "port"), PROXIED)
def test_no_proxy_does_not_cover(monkeypatch: pytest.MonkeyPatch, host: str, port: int) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy:1")
    monkeypatch.setenv("NO_PROXY", LIST)
    assert find_proxy("https", host, port, None) == Proxy("proxy", 1)


@pytest.mark.parametrize("host", ["api.example", "192.0.2.1", "2001:db8::1"])
def test_a_star_in_no_proxy_covers_everything(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy:1")
    monkeypatch.setenv("NO_PROXY", "other.example, *")
    assert find_proxy("https", host, 443, None) is None


# --- the URL of a proxy

GOOD = {
    "http://proxy:3128": ("proxy", 3128, None),
    "http://proxy:3128/": ("proxy", 3128, None),
    "http://Proxy.Example": ("proxy.example", 80, None),
    "HTTP://proxy": ("proxy", 80, None),
    "proxy": ("proxy", 80, None),
    "proxy:3128": ("proxy", 3128, None),
    "192.0.2.1:3128": ("192.0.2.1", 3128, None),
    "http://[2001:db8::1]:3128": ("2001:db8::1", 3128, None),
    "http://user:password@proxy:3128": ("proxy", 3128, "user:password"),
    "user:password@proxy:3128": ("proxy", 3128, "user:password"),
    "http://user@proxy": ("proxy", 80, "user:"),
    "http://user:@proxy": ("proxy", 80, "user:"),
    "http://us%20er:p%40ss%3Aw%2F%C3%A9@proxy": ("proxy", 80, "us er:p@ss:w/é"),
    "http://user:pass@word@proxy": ("proxy", 80, "user:pass@word"),
}
BAD = [
    "http://",
    "://proxy",
    "http://:3128",
    "http://proxy:port",
    "http://proxy:0",
    "http://proxy:65536",
    "http://[2001:db8::1",
    "http://pro xy:3128",
    " proxy:3128",
    "proxy:3128\n",
    "http://pro\nxy:3128",
    f"http://{'a' * 64}:3128",
    f"http://user:{SECRET}@proxy:port",
    f"http://user:{SECRET}@",
    f"http://user:{SECRET}/@proxy:3128",
    f"http://user:12#{SECRET}@proxy:3128",
    f"http://user:12?{SECRET}@proxy:3128",
    f"http://user%3A:{SECRET}@proxy:3128",
    f"http://user:{SECRET}%FF@proxy:3128",
    f"http://user:{SECRET}@[proxy:3128",
]


@pytest.mark.parametrize(("url", "parts"), GOOD.items())
def test_a_proxy_url_gives_host_port_and_credentials(url: str, parts: tuple[str, int, str | None]) -> None:
    host, port, credentials = parts
    authorization = credentials and "Basic " + base64.b64encode(credentials.encode()).decode()
    proxy = find_proxy("https", "api.example", 443, url)
    assert proxy == Proxy(host, port, authorization)
    assert "Basic" not in repr(proxy)


@pytest.mark.parametrize("url", BAD)
def test_a_malformed_proxy_url_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    with pytest.raises(OptionError, match=r"^kubeconfig\.proxy-url: .* expected http://") as caught:
        find_proxy("https", "api.example", 443, url)
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(OptionError, match=r"^HTTPS_PROXY: ") as other:
        find_proxy("https", "api.example", 443, None)
    for error in (caught.value, other.value):
        assert SECRET not in f"{error} {error.value}"
        assert error.__suppress_context__ or error.__context__ is None


@pytest.mark.parametrize("scheme", ["https", "socks5", "socks5h", "ftp"])
def test_another_scheme_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("https_proxy", f"{scheme}://user:{SECRET}@proxy:1080")
    with pytest.raises(OptionError, match=f"^https_proxy: '{scheme}://proxy:1080' .* {scheme}:// proxies are not") as e:
        find_proxy("https", "api.example", 443, None)
    assert SECRET not in str(e.value)


# --- requests


@asynccontextmanager
async def tls_server() -> AsyncIterator[tuple[ScriptedServer, tuple[str, int]]]:
    """Runs a TLS server; yields its address, too."""
    async with scripted_server(tls=server_context()) as server:
        yield server, address_of(server)


def address_of(server: ScriptedServer) -> tuple[str, int]:
    parts = urlsplit(server.url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def access_through(proxy: HttpProxy, server: str, user: str = "") -> ClusterAccess:
    url = f"http://{user}{proxy.address}"
    return ClusterAccess(server=server, proxy_url=url, ca_file=str(CERTIFICATES / "ca.pem"))


@on_each_loop
async def test_an_https_request_goes_through_a_tunnel() -> None:
    async with tls_server() as (server, address), http_proxy() as proxy:
        client = HttpClient(access_through(proxy, server.url))
        reply = await call(client, "GET", "/api/v1/pods")
        again = await call(client, "GET", "/api/v1/pods")
        client.close()
    assert (reply.status, again.status) == (200, 200)
    where = f"{address[0]}:{address[1]}"
    assert proxy.heads == [[f"CONNECT {where} HTTP/1.1", f"Host: {where}", "User-Agent: kinform"]]
    assert len(server.requests) == 2
    assert "proxy-authorization" not in server.requests[0].headers


@on_each_loop
async def test_the_server_name_is_that_of_the_server_behind_the_tunnel() -> None:
    async with tls_server() as (_, address), http_proxy(target=address) as proxy:
        client = HttpClient(access_through(proxy, "https://api.example:6443"))
        with pytest.raises(TransportError, match=r"api\.example:6443 through the proxy .*certificate verify failed"):
            await client.open(PODS)
        client.close()
        await proxy.wait_until_closed()
    assert proxy.heads[0][0] == "CONNECT api.example:6443 HTTP/1.1"


@on_each_loop
async def test_connect_has_brackets_around_an_ipv6_address() -> None:
    async with tls_server() as (_, address), http_proxy(target=address) as proxy:
        client = HttpClient(access_through(proxy, "https://[2001:db8::1]:6443"))
        with pytest.raises(TransportError, match="certificate verify failed"):
            await client.open(PODS)
        client.close()
    assert proxy.heads[0][:2] == ["CONNECT [2001:db8::1]:6443 HTTP/1.1", "Host: [2001:db8::1]:6443"]


@on_each_loop
async def test_credentials_go_to_the_proxy_only() -> None:
    async with tls_server() as (server, _), http_proxy() as proxy:
        client = HttpClient(access_through(proxy, server.url, "us%65r:p%40ss@"))
        await call(client, "GET", "/api/v1/pods")
        client.close()
    assert proxy.heads[0][3] == "Proxy-Authorization: Basic dXNlcjpwQHNz"
    assert "proxy-authorization" not in server.requests[0].headers


@on_each_loop
async def test_an_http_request_has_an_absolute_target() -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    async with http_proxy(response) as proxy:
        client = HttpClient(access_through(proxy, "http://api.example:8080/prefix", "user:pass@"))
        reply = await call(client, "GET", "/api/v1/pods", params=(("limit", "1"),))
        client.close()
    assert reply.body == b"{}"
    assert proxy.heads[0][0] == "GET http://api.example:8080/prefix/api/v1/pods?limit=1 HTTP/1.1"
    assert "Host: api.example:8080" in proxy.heads[0]
    assert "Proxy-Authorization: Basic dXNlcjpwYXNz" in proxy.heads[0]


REFUSALS = {
    b"HTTP/1.1 502 hunter2\r\nContent-Length: 9\r\n\r\nhunter2\r\n": "refused a connection to .*: 502",
    b"HTTP/1.1 403 hunter2\r\n\r\n": "refused a connection to .*: 403",
    b"HTTP/1.1 302 Found\r\nLocation: http://hunter2\r\n\r\n": "refused a connection to .*: 302",
    b"hunter2\r\n\r\n": "did not answer CONNECT: the response is malformed",
    b"SSH-2.0-hunter2\r\n": "did not answer CONNECT: the response is malformed",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: hunter2\r\nConnection: Upgrade\r\n\r\n": "did not answer CONNECT",
    b"HTTP/1.1 200 O": "did not answer CONNECT: the server closed",
    b"": "did not answer CONNECT: the server closed",
}


@pytest.mark.parametrize(("response", "message"), REFUSALS.items())
@on_each_loop
async def test_a_refused_tunnel_is_a_clear_error(response: bytes, message: str) -> None:
    hang_up = not response.endswith(b"\n")
    async with http_proxy(response, tunnel=False, hang_up=hang_up) as proxy:
        client = HttpClient(access_through(proxy, "https://api.example"))
        with pytest.raises(TransportError, match=f"the proxy {proxy.address} {message}") as caught:
            await client.open(PODS)
        assert not caught.value.reached
        assert SECRET not in str(caught.value)
        client.close()
        await proxy.wait_until_closed()


WITH_BASIC = (
    "",
    'Basic realm="x"',
    f'Negotiate a==, bAsIc realm="a, {SECRET} \\"b", charset="UTF-8"',
    "=",
    "N\xff",
    '"',
    '"\\"' * 9_000,
)
WITHOUT_BASIC = {
    "Negotiate": "Negotiate",
    f'Digest realm="Basic, Basic", nonce={SECRET}, NTLM, Negotiate': "Digest or NTLM or Negotiate",
    ", ".join(["Negotiate"] * 1_000): "Negotiate or Negotiate or ",
}


async def refused_with(proxy_authenticate: str, user: str) -> str:
    """Returns the error of a proxy that answers CONNECT with 407."""
    refusal = f"HTTP/1.1 407 Authenticate\r\nProxy-Authenticate: {proxy_authenticate}\r\nContent-Length: 0\r\n\r\n"
    async with http_proxy(refusal.encode("latin-1"), tunnel=False) as proxy:
        client = HttpClient(access_through(proxy, "https://api.example", user))
        with pytest.raises(TransportError, match=r"\(407\)$") as caught:
            await client.open(PODS)
        client.close()
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("challenges", WITH_BASIC, ids=range(len(WITH_BASIC)))
@pytest.mark.parametrize(("user", "message"), [("", "requires a"), (f"user:{SECRET}@", "does not accept the")])
@on_each_loop
async def test_a_407_tells_whether_a_password_was_sent(user: str, message: str, challenges: str) -> None:
    assert f"{message} user and password (407)" in await refused_with(challenges, user)


@pytest.mark.parametrize(("challenges", "schemes"), WITHOUT_BASIC.items(), ids=range(len(WITHOUT_BASIC)))
async def test_a_407_without_basic_names_what_is_required(challenges: str, schemes: str) -> None:
    for user in ("", f"user:{SECRET}@"):
        error = await refused_with(challenges, user)
        assert f"requires {schemes}" in error
        assert error.endswith(" authentication, and kinform has only Basic (407)")
        assert len(error) < 300
        assert error.isprintable()


@on_each_loop
@pytest.mark.parametrize(
    "response", [b"HTTP/1.1 201 Created\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"]
)
async def test_any_2xx_opens_a_tunnel(response: bytes) -> None:
    async with tls_server() as (server, address), http_proxy(response, target=address) as proxy:
        client = HttpClient(access_through(proxy, server.url))
        assert (await call(client, "GET", "/api/v1/pods")).status == 200
        client.close()


@on_each_loop
async def test_bytes_after_the_head_of_the_proxy_close_the_tunnel() -> None:
    async with http_proxy(ESTABLISHED + b"hunter2", tunnel=False) as proxy:
        client = HttpClient(access_through(proxy, "https://api.example"))
        with pytest.raises(TransportError) as caught:
            await client.open(PODS)
        assert SECRET not in str(caught.value)
        client.close()
        await proxy.wait_until_closed()


@pytest.mark.parametrize("response", [None, b"HTTP/1.1 200 OK\r\n", ESTABLISHED])
@on_each_loop
async def test_cancel_closes_the_connection_to_the_proxy(response: bytes | None) -> None:
    # A proxy that says nothing, one that sends half a head, and a server that stays silent behind the tunnel.
    async with (
        scripted_server() as silent,
        http_proxy(response, tunnel=response == ESTABLISHED, target=address_of(silent)) as proxy,
    ):
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Http1Connection, "127.0.0.1", proxy.port)
        context = client_context(access_through(proxy, "https://api.example"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await connect_through(
                    connection, Proxy("127.0.0.1", proxy.port), "api.example", 443, context, "api.example"
                )
        assert connection.closed
        await proxy.wait_until_closed()


@on_each_loop
async def test_a_closed_connection_is_an_error_of_the_proxy() -> None:
    async with http_proxy() as proxy:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Http1Connection, "127.0.0.1", proxy.port)
        connection.close()
        context = client_context(access_through(proxy, "https://api.example"))
        with pytest.raises(ProxyError):
            await connect_through(connection, Proxy("127.0.0.1", 1), "api.example", 443, context, "api.example")


@on_each_loop
async def test_an_unreachable_proxy_is_named() -> None:
    client = HttpClient(ClusterAccess(server="https://api.example", proxy_url="http://127.0.0.1:1"))
    with pytest.raises(TransportError, match=r"api\.example:443 through the proxy 127\.0\.0\.1:1: ") as caught:
        await client.open(PODS)
    assert not caught.value.reached
    client.close()
