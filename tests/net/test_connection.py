"""connect() and Connection: targets, refused arguments, open and close."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import kinform
from kinform._connection.connection import connect
from kinform._errors import OptionError, TransportError
from kinform._transport.adapter import as_transport
from kinform._transport.base import Request
from kinform._transport.credentials import InClusterSource
from tests.support.kubeconfig import write_contexts
from tests.support.loops import on_each_loop
from tests.support.scripted_server import ReceivedRequest, scripted_server
from tests.support.tls import CERTIFICATES, server_context

PODS = Request(path="/api/v1/pods", params=())


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hides every cluster of the machine that runs the tests."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_PORT", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


async def host_and_token(*arguments: Any, **options: Any) -> tuple[str, str | None]:
    async with connect(*arguments, **options) as api:
        configuration = api.api_client.configuration
        return configuration.host, configuration.api_key.get("BearerToken")


# --- the target


async def test_a_path_is_a_kubeconfig_with_its_current_context(tmp_path: Path) -> None:
    path = write_contexts(tmp_path / "one", "shop", "till")
    assert await host_and_token(path) == ("http://127.0.0.1:1/shop", "Bearer token-of-shop")
    assert await host_and_token(str(path)) == ("http://127.0.0.1:1/shop", "Bearer token-of-shop")


async def test_a_context_is_selected_by_name(tmp_path: Path) -> None:
    path = write_contexts(tmp_path / "one", "shop", "till")
    assert await host_and_token(path, context="till") == ("http://127.0.0.1:1/till", "Bearer token-of-till")


@pytest.mark.parametrize(("namespace", "expected"), [("shop", "shop"), (None, "default"), ("", "default")])
async def test_the_namespace_is_that_of_the_context(tmp_path: Path, namespace: str | None, expected: str) -> None:
    context = {"name": "one", "context": {"cluster": "one", "user": "one", "namespace": namespace}}
    async with connect(write_contexts(tmp_path / "one", "one", contexts=[context])) as api:
        assert api.namespace == expected
    with pytest.raises(OptionError, match="a connection inside its"):
        api.namespace  # noqa: B018


async def test_the_namespace_is_that_of_the_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_cluster(tmp_path, monkeypatch)
    for text, expected in ((None, "default"), (b"", "default"), (b"\xff", "default"), (b"shop\n", "shop")):
        if text is not None:
            (tmp_path / "namespace").write_bytes(text)
        async with connect() as api:
            assert api.namespace == expected


async def test_a_tilde_is_expanded_to_the_home_folder(tmp_path: Path) -> None:
    write_contexts(tmp_path / "one", "shop")
    assert (await host_and_token("~/one"))[0] == "http://127.0.0.1:1/shop"


async def test_the_default_prefers_kubeconfig_to_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_contexts(tmp_path / ".kube/config", "home")
    assert (await host_and_token())[0] == "http://127.0.0.1:1/home"
    monkeypatch.setenv("KUBECONFIG", str(write_contexts(tmp_path / "other", "variable")))
    assert (await host_and_token())[0] == "http://127.0.0.1:1/variable"


async def test_kubeconfig_may_name_several_files_some_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = write_contexts(tmp_path / "one", "shop"), write_contexts(tmp_path / "two", "till")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'none'}:{one}::{two}")
    assert (await host_and_token(context="shop"))[0] == "http://127.0.0.1:1/shop"
    assert (await host_and_token(context="till"))[0] == "http://127.0.0.1:1/till"


async def test_kubeconfig_without_a_file_does_not_fall_back_to_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_contexts(tmp_path / ".kube/config", "home")
    monkeypatch.setenv("KUBECONFIG", "/none/such")
    with pytest.raises(OptionError, match=r"\$KUBECONFIG \(/none/such: no such file\)"):
        connect()


def in_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "ca.crt").write_bytes((CERTIFICATES / "ca.pem").read_bytes())
    token = tmp_path / "token"
    token.write_text("first\n")
    monkeypatch.setattr(InClusterSource, "folder", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    return token


@on_each_loop
async def test_a_service_account_token_is_read_for_each_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = in_cluster(tmp_path, monkeypatch)
    async with connect() as api:
        assert api.api_client.configuration.host == "https://[fd00::1]:6443"
    async with scripted_server(tls=server_context()) as server:
        host, port = server.url.removeprefix("https://").split(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        async with connect() as api:
            (await api.open(PODS)).close()
            token.write_text("second")
            (await api.open(PODS)).close()
            assert await api.refresh_credentials() is True
            token.unlink()
            assert await api.refresh_credentials() is False
            with pytest.raises(TransportError):
                await api.open(PODS)
    assert server.authorizations == ["Bearer first", "Bearer second"]


async def test_a_service_account_with_unreadable_token_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_cluster(tmp_path, monkeypatch).write_bytes(b"secret\xff")
    with pytest.raises(OptionError, match=r"token can be read \(CredentialError\)"):
        async with connect():
            pass


async def test_a_kubeconfig_is_preferred_to_the_service_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_cluster(tmp_path, monkeypatch)
    write_contexts(tmp_path / ".kube/config", "home")
    assert (await host_and_token())[0] == "http://127.0.0.1:1/home"


def test_the_error_lists_every_place_that_was_tried(tmp_path: Path) -> None:
    with pytest.raises(OptionError) as caught:
        connect()
    for tried in ("$KUBECONFIG (not set)", f"{tmp_path}/.kube/config", "$KUBERNETES_SERVICE_HOST"):
        assert tried in str(caught.value)


@on_each_loop
async def test_a_url_keeps_its_path_prefix_and_sends_the_token() -> None:
    async with scripted_server() as server, connect(f"{server.url}/k8s/c-1/", token="t0") as api:
        (await api.open(PODS)).close()
        assert server.requests[0].path == "/k8s/c-1/api/v1/pods"
        assert server.authorizations == ["Bearer t0"]
        assert await api.refresh_credentials() is False


# --- refused arguments and kubeconfigs


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"target": 3}, "target"),
        ({"target": "/none/such"}, "target"),
        ({"target": "localhost:8080"}, "target"),
        ({"target": "/"}, "target"),
        ({"target": "ftp://host"}, "target"),
        ({"target": "http://"}, "target"),
        ({"target": "http://host:99999"}, "target"),
        ({"target": "http://ho st"}, "target"),
        ({"target": "http://host", "context": "a"}, "context"),
        ({"target": "http://host", "ca": "/x"}, "ca"),
        ({"target": "http://host", "verify": False}, "verify"),
        ({"target": "https://host", "ca": "/none/such"}, "ca"),
        ({"target": "https://host", "ca": __file__}, "ca"),
        ({"target": "https://host", "ca": 3}, "ca"),
        ({"target": "https://host", "ca": CERTIFICATES / "ca.pem", "verify": False}, "verify"),
        ({"verify": 0}, "verify"),
        ({"context": ""}, "context"),
        ({"context": 3}, "context"),
        ({"ca": CERTIFICATES / "ca.pem"}, "ca"),
        ({"verify": False}, "verify"),
    ],
)
def test_a_meaningless_argument_is_refused_without_io(options: dict[str, Any], field: str) -> None:
    with pytest.raises(OptionError, match=f"^connect.{field}: ") as caught:
        connect(**options)
    assert caught.value.field == f"connect.{field}"
    assert caught.value.value == options[field]
    assert caught.value.allowed


@pytest.mark.parametrize("address", ["localhost:8080", "10.0.0.1:443/prefix", "[::1]:6443", "my-api.example:6443"])
def test_an_address_without_a_scheme_gets_a_hint(address: str) -> None:
    with pytest.raises(OptionError) as caught:
        connect(address)
    assert str(caught.value).endswith(f"; did you mean http://{address} or https://{address}?")
    for path in ("/none/such", "a.yaml:b.yaml", "./host:80", "user@host:80"):
        with pytest.raises(OptionError) as caught:
            connect(path)
        assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"target": "https://host", "token": "secret secret"},
        {"target": "https://host", "token": "secret\n"},
        {"target": "https://host", "token": b"secret"},
        {"token": "secret"},
        {"target": "https://me:secret@host"},
        {"target": "https://secret@host"},
        {"target": "https://me:secret@host:port"},
        {"target": "https://me:secret@[host"},
        {"target": "https://host?token=secret"},
        {"target": "https://host#secret"},
    ],
)
def test_a_refused_credential_is_not_shown(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError) as caught:
        connect(**options)
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(caught.value.value)


async def error_of_opening(path: Path, kind: type[Exception] = OptionError, **options: Any) -> str:
    """Opens a connection that must fail, and returns the text of the error."""
    with pytest.raises(kind) as caught:
        async with connect(path, **options):
            pass
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None
    return str(caught.value)


async def test_the_error_of_an_unknown_context_lists_the_known(tmp_path: Path) -> None:
    path = write_contexts(tmp_path / "one", "shop", "till")
    assert "['shop', 'till']" in await error_of_opening(path, context="shot")


async def test_the_error_of_a_missing_context_lists_the_known(tmp_path: Path) -> None:
    path = write_contexts(tmp_path / "one", "shop", **{"current-context": ""})
    assert "['shop']" in await error_of_opening(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "a: [secret", "contexts: secret", '{"contexts": [{}], "current-context": "secret"}']
)
async def test_an_invalid_kubeconfig_is_refused_without_its_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "one"
    path.write_text(text)
    assert str(path) in await error_of_opening(path)


@pytest.mark.parametrize(
    "more",
    [
        {"clusters": []},
        {"clusters": [{"name": "shop", "cluster": {}}]},
        {"clusters": [{"name": "shop", "cluster": {"proxy-url": "secret"}}]},
        {"contexts": [{"name": "shop", "context": {"user": "secret"}}]},
        {"contexts": [{"name": "shop", "context": {"cluster": "shop", "user": "secret"}}]},
        {"users": [{"name": "shop"}]},
    ],
)
async def test_a_context_without_a_usable_cluster_is_refused(tmp_path: Path, more: Any) -> None:
    path = write_contexts(tmp_path / "one", "shop", **more)
    assert "'shop'" in await error_of_opening(path)


async def test_the_error_names_a_missing_certificate(tmp_path: Path) -> None:
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority": "missing.pem"}
    path = write_contexts(tmp_path / "one", "shop", clusters=[{"name": "shop", "cluster": cluster}])
    assert str(tmp_path / "missing.pem") in await error_of_opening(path)


async def test_an_invalid_certificate_is_an_error_of_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("secret")
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority": "bad.pem"}
    path = write_contexts(tmp_path / "one", "shop", clusters=[{"name": "shop", "cluster": cluster}])
    with pytest.raises(OptionError, match=r"connect\.target: .*certificates") as caught:
        async with connect(path):
            pass
    assert "secret" not in str(caught.value)


async def test_the_error_of_an_auth_provider_shows_no_kubeconfig_text(tmp_path: Path) -> None:
    user = {"auth-provider": {"name": "oidc", "config": {"client-secret": "secret", "id-token": "secret"}}}
    path = write_contexts(tmp_path / "one", "shop", user=user)
    assert "ValueError" in await error_of_opening(path, TransportError)
    user = {"auth-provider": {"name": "oidc", "config": {"refresh-token": "secret"}}}
    path = write_contexts(tmp_path / "one", "shop", user=user)
    assert "ConfigException" in await error_of_opening(path, TransportError)


# --- open and close


async def test_a_closed_connection_is_the_error_in_any_loop() -> None:
    async with scripted_server() as server, connect(server.url) as api:
        pass

    async def use() -> None:
        with pytest.raises(OptionError, match="closed> is not allowed; expected a connection inside its block"):
            await api.open(PODS)

    await use()
    await asyncio.to_thread(asyncio.run, use())


@on_each_loop
async def test_a_connection_is_a_transport_inside_its_block() -> None:
    async with scripted_server() as server:
        api = connect(server.url)
        assert as_transport(api) is api
        assert "not open yet" in repr(api)
        for use in (api.open, lambda _: api.refresh_credentials()):
            with pytest.raises(OptionError, match="a connection inside its block"):
                await use(PODS)
        with pytest.raises(OptionError, match="a connection inside its block"):
            _ = api.api_client
        async with api as entered:
            assert entered is api
            assert api.identity is api
            assert b"PodList" in b"".join([chunk async for chunk in (await api.open(PODS)).chunks()])
            with pytest.raises(OptionError, match="not been entered before"):
                await api.__aenter__()
        assert "closed" in repr(api)
        with pytest.raises(OptionError, match="a connection inside its block"):
            await api.open(PODS)
        with pytest.raises(OptionError, match="not been entered before"):
            await api.__aenter__()


@on_each_loop
async def test_the_end_of_the_block_wakes_readers() -> None:
    async def hold(request: ReceivedRequest) -> None:
        await request.start_chunked()
        await request.send_chunk(b"first")

    async with scripted_server(hold) as server:
        async with connect(server.url) as api:
            unread, awaited = (await api.open(PODS)).chunks(), (await api.open(PODS)).chunks()
            assert await anext(unread) == await anext(awaited) == b"first"
            waiting = asyncio.ensure_future(anext(awaited))
            await asyncio.sleep(0)
        for request in server.requests:
            await request.disconnected.wait()
        for broken in (waiting, anext(unread)):
            with pytest.raises(TransportError):
                await broken


@on_each_loop
async def test_connections_are_not_limited() -> None:
    async def hold(request: ReceivedRequest) -> None:
        await request.start_chunked()

    async with scripted_server(hold) as server, connect(server.url) as api:
        responses = [await api.open(PODS) for _ in range(150)]
        assert len(server.requests) == server.connections == 150
        for response in responses:
            response.close()


@pytest.mark.parametrize("state", ["not open yet", "closed"])
async def test_nothing_starts_with_a_connection_that_is_not_open(server, state):
    api = kinform.connect(server.url)
    if state == "closed":
        async with api:
            pass
    factory = kinform.Factory(api)
    factory.informer("v1/pods")
    makers = (kinform.Informer(api, "v1/pods"), kinform.Informer(api, "v1/pods", start="lazy"), factory)
    for block in (*makers, kinform.OnDemand(api, "v1/pods")):
        for _ in range(2):
            with pytest.raises(kinform.OptionError, match=f"{state}.*; expected a connection inside its block"):
                await block.__aenter__()
