"""Connections with the Configuration of the synchronous Kubernetes client."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Callable
from typing import Any

import pytest

import kinform
import kinform.sync
from kinform._transport.client_configuration import ClientConfigurationSource
from kinform.testing import Unauthorized
from tests.net.informers import quick
from tests.support.http_proxy import http_proxy
from tests.support.tls import CERTIFICATES, tls_front
from tests.sync.programs import until

PODS = "v1/pods"
CA = str(CERTIFICATES / "ca.pem")
SECRET = "hunter2"

Configure = Callable[..., Any]


class Configuration:
    """The attributes and methods of the client's Configuration that kinform reads."""

    def __init__(self) -> None:
        self.host = "http://localhost"
        self.api_key: dict[str, str] = {}
        self.api_key_prefix: dict[str, str] = {}
        self.refresh_api_key_hook: Callable[[Any], None] | None = None
        self.verify_ssl = True
        self.ssl_ca_cert = self.cert_file = self.key_file = self.tls_server_name = self.assert_hostname = None
        self.proxy = self.no_proxy = self.proxy_headers = None

    def auth_settings(self) -> dict[str, Any]:
        if "authorization" not in self.api_key:
            return {}
        if self.refresh_api_key_hook is not None:
            self.refresh_api_key_hook(self)
        prefix = self.api_key_prefix.get("authorization", "")
        value = f"{prefix} {self.api_key['authorization']}".strip()
        return {"BearerToken": {"type": "api_key", "in": "header", "key": "authorization", "value": value}}


@pytest.fixture(params=["object", "kubernetes"])
def configure(request: pytest.FixtureRequest) -> Configure:
    """Returns a function that makes a Configuration with these attributes.

    The tests run with an object of the tests, and with the client if it is installed.
    """
    made: Any = Configuration
    if request.param == "kubernetes":
        made = pytest.importorskip("kubernetes.client").Configuration

    def configure(host: str, **attributes: Any) -> Any:
        configuration = made()
        configuration.host = host
        for name, value in attributes.items():
            assert hasattr(configuration, name), name
            setattr(configuration, name, value)
        return configuration

    return configure


def follow(configuration: Any) -> int:
    """Returns the number of pods."""
    with (
        kinform.sync.connect(configuration=configuration) as api,
        kinform.sync.Informer(api, PODS, options=quick()) as pods,
    ):
        pods.synced(timeout=10)
        return len(pods.store)


@pytest.mark.parametrize(("key", "prefix"), [(f"Bearer {SECRET}", {}), (SECRET, {"authorization": "Bearer"})])
async def test_the_api_key_is_sent_with_its_prefix(server, configure, key, prefix):
    server.generate(PODS, 3)
    server.token = SECRET
    configuration = configure(server.url, api_key={"authorization": key}, api_key_prefix=prefix)
    assert await asyncio.to_thread(follow, configuration) == 3


async def test_an_api_key_that_changes_is_sent_with_the_next_request(server, on_server, configure):
    server.token = "old"
    configuration = configure(server.url, api_key={"authorization": "Bearer old"})

    def rotate() -> None:
        server.token = "new"
        server.disconnect()

    def program() -> None:
        with (
            kinform.sync.connect(configuration=configuration) as api,
            kinform.sync.Informer(api, PODS, options=quick()) as pods,
        ):
            pods.synced(timeout=10)
            configuration.api_key["authorization"] = "Bearer new"
            on_server(rotate)
            on_server(server.generate, PODS, 2)
            until(lambda: len(pods.store) == 2)

    await asyncio.to_thread(program)


async def test_the_hook_renews_the_api_key_in_another_thread(server, on_server, configure):
    threads: list[str] = []
    tokens = ["first", "second"]
    server.token = "first"

    def hook(configuration: Any) -> None:
        threads.append(threading.current_thread().name)
        configuration.api_key["authorization"] = f"Bearer {server.token}"

    configuration = configure(server.url, api_key={"authorization": "Bearer expired"}, refresh_api_key_hook=hook)

    def rotate() -> None:
        server.token = tokens[1]
        server.disconnect()

    def program() -> None:
        with (
            kinform.sync.connect(configuration=configuration) as api,
            kinform.sync.Informer(api, PODS, options=quick()) as pods,
        ):
            pods.synced(timeout=10)
            on_server(server.disconnect)
            on_server(server.generate, PODS, 1)
            until(lambda: len(pods.store) == 1)
            assert len(threads) == 1  # for three requests
            on_server(rotate)
            on_server(server.generate, PODS, 1)
            until(lambda: len(pods.store) == 2)

    await asyncio.to_thread(program)
    assert len(threads) >= 2
    assert "kinform event loop" not in threads


async def test_a_hook_that_raises_is_named_without_its_text(server, configure):
    def hook(configuration: Any) -> None:
        raise LookupError(SECRET)

    configuration = configure(server.url, api_key={"authorization": "x"}, refresh_api_key_hook=hook)
    with pytest.raises(kinform.TransportError, match="the refresh_api_key_hook raised LookupError") as caught:
        await asyncio.to_thread(follow, configuration)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("hook", [None, lambda configuration: None])
async def test_an_api_key_that_is_no_header_is_refused_without_it(server, configure, hook):
    configuration = configure(server.url, api_key={"authorization": f"{SECRET}\u00e4"}, refresh_api_key_hook=hook)
    with pytest.raises(kinform.OptionError, match=r"^configuration\.api_key: .*expected printable ASCII") as caught:
        await asyncio.to_thread(follow, configuration)
    assert SECRET not in repr(caught.value)


async def test_an_api_key_that_becomes_wrong_is_named_in_the_error(server, configure):
    configuration = configure(server.url, api_key={"authorization": "x"})

    def program() -> None:
        with kinform.sync.connect(configuration=configuration) as api:
            configuration.api_key["authorization"] = f"{SECRET}\n{SECRET}"
            with pytest.raises(kinform.TransportError, match=r"cannot be read .configuration\.api_key: ") as caught:
                api.get(PODS, "shop/web-0")
            assert SECRET not in str(caught.value)

    await asyncio.to_thread(program)


async def test_a_refused_api_key_is_an_error_of_the_wait(server, configure):
    server.fault(Unauthorized(), on="list", times=50)
    server.fault(Unauthorized(), on="watch", times=50)
    with pytest.raises(kinform.UnauthorizedError):
        await asyncio.to_thread(follow, configure(server.url, api_key={"authorization": "Bearer x"}))


async def test_certificates_are_those_of_the_configuration(server, configure):
    server.generate(PODS, 3)
    own = {"cert_file": str(CERTIFICATES / "first.pem"), "key_file": str(CERTIFICATES / "first.pem")}
    async with tls_front(server.url) as url:
        assert await asyncio.to_thread(follow, configure(url, ssl_ca_cert=CA)) == 3
        assert await asyncio.to_thread(follow, configure(url, ssl_ca_cert=CA, **own)) == 3
        assert await asyncio.to_thread(follow, configure(url, verify_ssl=False)) == 3
        assert await asyncio.to_thread(follow, configure(url, verify_ssl=False, assert_hostname=False)) == 3
        for wrong in (
            {"ssl_ca_cert": str(CERTIFICATES / "other-ca.pem")},
            {"ssl_ca_cert": CA, "tls_server_name": "other.example"},
        ):
            with pytest.raises(TimeoutError, match="certificate verify failed"):
                await asyncio.to_thread(follow_briefly, configure(url, **wrong))


def follow_briefly(configuration: Any) -> None:
    with (
        kinform.sync.connect(configuration=configuration) as api,
        kinform.sync.Informer(api, PODS, options=quick()) as pods,
    ):
        pods.synced(timeout=1)


async def test_the_proxy_is_that_of_the_configuration(server, configure, monkeypatch):
    server.generate(PODS, 3)
    encoded = base64.b64encode(f"user:{SECRET}@%".encode()).decode()
    async with tls_front(server.url) as url, http_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        through = {"ssl_ca_cert": CA, "proxy": f"http://{proxy.address}"}
        headers = {"proxy-authorization": f"Basic {encoded}"}
        assert await asyncio.to_thread(follow, configure(url, **through, proxy_headers=headers)) == 3
        assert f"Proxy-Authorization: Basic {encoded}" in proxy.heads[0]
        count = len(proxy.heads)
        assert await asyncio.to_thread(follow, configure(url, **through, no_proxy="x.example, 127.0.0.1")) == 3
        assert await asyncio.to_thread(follow, configure(url, ssl_ca_cert=CA, proxy=None)) == 3
        assert len(proxy.heads) == count


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("api.example", True),
        (".example", True),
        (" .api.example,x", True),
        ("*", True),
        ("", False),
        ("pi.example", False),
    ],
)
async def test_no_proxy_excludes_hosts_as_in_the_client(configure, no_proxy, direct):
    configuration = configure("https://api.example:6443", proxy="http://proxy:1", no_proxy=no_proxy)
    access = await ClientConfigurationSource(configuration).load()
    assert access.proxy_url == ("" if direct else "http://proxy:1")
    rest = pytest.importorskip("kubernetes.client.rest")
    if hasattr(rest, "should_bypass_proxies"):
        assert rest.should_bypass_proxies(configuration.host, no_proxy) == direct


UNSUPPORTED = {
    "configuration.host": {"host": "localhost"},
    "configuration.assert_hostname": {"assert_hostname": False},
    "configuration.tls_server_name": {"tls_server_name": "not a name"},
    "configuration.proxy": {"proxy": f"socks5://user:{SECRET}@proxy:1"},
    "configuration.proxy_headers": {"proxy": "http://proxy:1", "proxy_headers": {"proxy-authorization": SECRET}},
}


@pytest.mark.parametrize("field", UNSUPPORTED)
async def test_an_unsupported_setting_raises_and_is_named(configure, field):
    configuration = configure(**({"host": "https://api.example"} | UNSUPPORTED[field]))
    with pytest.raises(kinform.OptionError, match=f"^{field}: ") as caught:
        kinform.sync.connect(configuration=configuration)
    assert SECRET not in str(caught.value)


async def test_proxy_headers_that_are_not_base64_raise_an_option_error(configure):
    headers = {"proxy-authorization": f"Basic {SECRET}"}
    with pytest.raises(kinform.OptionError, match=r"^configuration\.proxy_headers: ") as caught:
        kinform.sync.connect(
            configuration=configure("https://api.example", proxy="http://proxy:1", proxy_headers=headers)
        )
    assert SECRET not in str(caught.value)


async def test_only_a_configuration_of_the_sync_client_is_accepted(configure):
    async def hook(configuration: Any) -> None: ...

    asynchronous = configure("https://api.example", refresh_api_key_hook=hook)
    for wrong in (42, Configuration, asynchronous, {"api_key": SECRET}):
        with pytest.raises(kinform.OptionError, match=r"of the synchronous client") as caught:
            kinform.sync.connect(configuration=wrong)
        assert SECRET not in str(caught.value)
    for other in ({"target": "https://api.example"}, {"token": SECRET}, {"verify": False}, {"context": "c"}):
        with pytest.raises(kinform.OptionError, match=r"^connect\.configuration: .* no other argument") as caught:
            kinform.sync.connect(configuration=configure("https://api.example"), **other)
        assert SECRET not in str(caught.value)


async def test_a_configuration_that_becomes_invalid_raises(server, configure):
    configuration = configure(server.url)
    api = kinform.sync.connect(configuration=configuration)
    assert repr(api) == f"<kinform.sync.Connection to the configuration for {server.url}, not open yet>"
    configuration.host = "nowhere"

    def program() -> None:
        with pytest.raises(kinform.OptionError, match=r"^configuration\.host"), api:
            pytest.fail("entered")

    await asyncio.to_thread(program)


async def test_the_client_reads_a_kubeconfig_for_kinform(cluster):
    config, client = pytest.importorskip("kubernetes.config"), pytest.importorskip("kubernetes.client")
    await cluster.create("a")
    configuration = client.Configuration()
    config.load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)

    def program() -> list[str]:
        scope = kinform.Scope(namespaces=[cluster.namespace])
        with (
            kinform.sync.connect(configuration=configuration) as api,
            kinform.sync.Informer(api, cluster.resource, scope=scope) as configs,
        ):
            configs.synced(timeout=20)
            return list(configs.store)

    assert f"{cluster.namespace}/a" in await asyncio.to_thread(program)
