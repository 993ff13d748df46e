"""Where `connect` finds a cluster, and what it refuses."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from kinform._errors import OptionError, TransportError
from kinform._transport.api_client import as_transport
from kinform._transport.base import Request
from kinform._transport.connection import connect
from kinform._transport.credentials import InClusterSource
from tests.support.peer import CERTIFICATES, peer, tls

PODS = Request(path="/api/v1/pods", params=())


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cluster to be found, unless a test puts one there."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_PORT", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def kubeconfig(path: Path, *contexts: str, url: str = "http://127.0.0.1:1", user: Any = None, **more: object) -> Path:
    """A kubeconfig, in JSON since that is YAML; each context has a cluster and a user of its own name."""
    config = {
        "current-context": contexts[0],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in contexts],
        "clusters": [{"name": name, "cluster": {"server": f"{url}/{name}"}} for name in contexts],
        "users": [{"name": name, "user": user or {"token": f"token-of-{name}"}} for name in contexts],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config | more))
    return path


async def host_and_token(*arguments: Any, **options: Any) -> tuple[str, str | None]:
    async with connect(*arguments, **options) as api:
        configuration = api.api_client.configuration
        return configuration.host, configuration.api_key.get("BearerToken")


# --- where it looks


async def test_a_path_is_a_kubeconfig_with_its_current_context(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "one", "shop", "till")
    assert await host_and_token(path) == ("http://127.0.0.1:1/shop", "Bearer token-of-shop")
    assert await host_and_token(str(path)) == ("http://127.0.0.1:1/shop", "Bearer token-of-shop")


async def test_a_context_is_taken_by_name(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "one", "shop", "till")
    assert await host_and_token(path, context="till") == ("http://127.0.0.1:1/till", "Bearer token-of-till")


async def test_a_tilde_is_the_home_folder(tmp_path: Path) -> None:
    kubeconfig(tmp_path / "one", "shop")
    assert (await host_and_token("~/one"))[0] == "http://127.0.0.1:1/shop"


async def test_without_a_target_the_variable_wins_over_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig(tmp_path / ".kube/config", "home")
    assert (await host_and_token())[0] == "http://127.0.0.1:1/home"
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "other", "variable")))
    assert (await host_and_token())[0] == "http://127.0.0.1:1/variable"


async def test_the_variable_may_name_several_files_some_of_them_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = kubeconfig(tmp_path / "one", "shop"), kubeconfig(tmp_path / "two", "till")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'none'}:{one}::{two}")
    assert (await host_and_token(context="shop"))[0] == "http://127.0.0.1:1/shop"
    assert (await host_and_token(context="till"))[0] == "http://127.0.0.1:1/till"


async def test_a_variable_that_names_no_file_is_not_replaced_by_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig(tmp_path / ".kube/config", "home")
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


async def test_in_a_pod_it_is_the_service_account_and_its_token_is_read_for_each_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = in_cluster(tmp_path, monkeypatch)
    async with connect() as api:
        assert api.api_client.configuration.host == "https://[fd00::1]:6443"
    async with peer(tls=tls()) as server:
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


async def test_a_service_account_whose_token_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_cluster(tmp_path, monkeypatch).write_bytes(b"secret\xff")
    with pytest.raises(OptionError, match=r"token can be read \(UnicodeDecodeError\)"):
        async with connect():
            pass


async def test_a_kubeconfig_wins_over_the_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_cluster(tmp_path, monkeypatch)
    kubeconfig(tmp_path / ".kube/config", "home")
    assert (await host_and_token())[0] == "http://127.0.0.1:1/home"


def test_where_nothing_is_found_the_error_names_what_was_tried(tmp_path: Path) -> None:
    with pytest.raises(OptionError) as caught:
        connect()
    for tried in ("$KUBECONFIG (not set)", f"{tmp_path}/.kube/config", "$KUBERNETES_SERVICE_HOST"):
        assert tried in str(caught.value)


async def test_a_url_is_taken_with_its_prefix_and_a_token() -> None:
    async with peer() as server, connect(f"{server.url}/k8s/c-1/", token="t0") as api:
        (await api.open(PODS)).close()
        assert server.calls[0].path == "/k8s/c-1/api/v1/pods"
        assert server.authorizations == ["Bearer t0"]
        assert await api.refresh_credentials() is False


# --- what it refuses


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
        ({"target": "http://host?a=b"}, "target"),
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
def test_an_argument_that_means_nothing_is_refused_without_the_network(options: dict[str, Any], field: str) -> None:
    with pytest.raises(OptionError, match=f"^connect.{field}: ") as caught:
        connect(**options)
    assert caught.value.field == f"connect.{field}"
    assert caught.value.value == options[field]
    assert caught.value.allowed


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
    ],
)
def test_a_refused_credential_is_not_shown(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError) as caught:
        connect(**options)
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(caught.value.value)


async def opening_fails(path: Path, kind: type[Exception] = OptionError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        async with connect(path, **options):
            pass
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None
    return str(caught.value)


async def test_an_unknown_context_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "one", "shop", "till")
    assert "['shop', 'till']" in await opening_fails(path, context="shot")


async def test_a_missing_current_context_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "one", "shop", **{"current-context": ""})
    assert "['shop']" in await opening_fails(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "a: [secret", "contexts: secret", '{"contexts": [{}], "current-context": "secret"}']
)
async def test_a_file_that_is_no_kubeconfig_is_refused_without_its_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "one"
    path.write_text(text)
    assert str(path) in await opening_fails(path)


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
    path = kubeconfig(tmp_path / "one", "shop", **more)
    assert "'shop'" in await opening_fails(path)


async def test_a_certificate_that_is_missing_is_named(tmp_path: Path) -> None:
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority": "missing.pem"}
    path = kubeconfig(tmp_path / "one", "shop", clusters=[{"name": "shop", "cluster": cluster}])
    assert str(tmp_path / "missing.pem") in await opening_fails(path)


async def test_a_certificate_that_cannot_be_loaded_is_an_error_of_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("secret")
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority": "bad.pem"}
    path = kubeconfig(tmp_path / "one", "shop", clusters=[{"name": "shop", "cluster": cluster}])
    with pytest.raises(OptionError, match=r"connect\.target: .*certificates") as caught:
        async with connect(path):
            pass
    assert "secret" not in str(caught.value)


async def test_a_broken_auth_provider_quotes_nothing_of_the_kubeconfig(tmp_path: Path) -> None:
    user = {"auth-provider": {"name": "oidc", "config": {"client-secret": "secret", "id-token": "secret"}}}
    path = kubeconfig(tmp_path / "one", "shop", user=user)
    assert "ValueError" in await opening_fails(path, TransportError)
    user = {"auth-provider": {"name": "oidc", "config": {"refresh-token": "secret"}}}
    path = kubeconfig(tmp_path / "one", "shop", user=user)
    assert "ConfigException" in await opening_fails(path, TransportError)


# --- a connection's life


async def test_a_connection_is_a_transport_while_its_block_lasts() -> None:
    async with peer() as server:
        api = connect(server.url)
        assert as_transport(api) is api
        assert "not open yet" in repr(api)
        for use in (api.open(PODS), api.refresh_credentials()):
            with pytest.raises(OptionError, match="async with"):
                await use
        with pytest.raises(OptionError, match="async with"):
            _ = api.api_client
        async with api as entered:
            assert entered is api
            assert api.identity is api
            assert b"PodList" in b"".join([chunk async for chunk in (await api.open(PODS)).chunks()])
            with pytest.raises(OptionError, match="not been entered before"):
                await api.__aenter__()
        assert "closed" in repr(api)
        with pytest.raises(OptionError, match="async with"):
            await api.open(PODS)
        with pytest.raises(OptionError, match="not been entered before"):
            await api.__aenter__()


async def test_leaving_the_block_ends_the_answers_still_open_and_those_who_wait_for_them() -> None:
    async def hold(call: Any) -> None:
        await call.begin()
        await call.chunk(b"first")

    async with peer(hold) as server:
        async with connect(server.url) as api:
            left, waited = (await api.open(PODS)).chunks(), (await api.open(PODS)).chunks()
            assert await anext(left) == await anext(waited) == b"first"
            waiting = asyncio.ensure_future(anext(waited))
            await asyncio.sleep(0)
        for call in server.calls:
            await call.left.wait()
        for broken in (waiting, anext(left)):
            with pytest.raises(TransportError):
                await broken


async def test_connections_are_not_limited() -> None:
    async def hold(call: Any) -> None:
        await call.begin()

    async with peer(hold) as server, connect(server.url) as api:
        answers = [await api.open(PODS) for _ in range(150)]
        assert len(server.calls) == server.connections == 150
        for answer in answers:
            answer.close()


async def test_a_slow_reader_makes_the_server_wait_after_about_half_a_mib() -> None:
    sent = 0

    async def flood(call: Any) -> None:
        nonlocal sent
        await call.begin()
        while not call.left.is_set():
            await call.chunk(b"x" * 10_000)
            sent += 10_000

    async with peer(flood) as server, connect(server.url) as api:
        answer = await api.open(PODS)
        await anext(answer.chunks())
        low, high = answer._response.content.get_read_buffer_limits()  # type: ignore[attr-defined]
        assert (low, high) == (256 << 10, 512 << 10)
        own = api.api_client.rest_client.pool_manager
        assert own._read_bufsize >= 2 << 20  # kubernetes_asyncio's Watch reads by lines
        answer.close()


async def test_the_client_beside_it_is_a_full_one_over_the_same_credentials() -> None:
    from kubernetes_asyncio.client import CoreV1Api, V1PodList

    async with peer() as server, connect(server.url, token="t0") as api:
        pods = await CoreV1Api(api.api_client).list_pod_for_all_namespaces()
        assert isinstance(pods, V1PodList)
        assert server.authorizations == ["Bearer t0"]
