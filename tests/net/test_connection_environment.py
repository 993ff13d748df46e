"""The environment and redirects, which must not lead a connection elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

import kinform
from kinform import OptionError, connect
from tests.support.scripted_server import ReceivedRequest, scripted_server
from tests.support.transports import PODS


@pytest.mark.parametrize("login_of", ["default", "machine 127.0.0.1"])
@pytest.mark.parametrize("token", [None, "right"])
async def test_a_connection_never_reads_netrc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, login_of: str, token: str | None
) -> None:
    (tmp_path / ".netrc").write_text(f"{login_of} login me password hunter2\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    async with scripted_server() as server, connect(server.url, token=token) as api:
        (await api.open(PODS)).close()
    assert server.authorizations == [None if token is None else "Bearer right"]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
@pytest.mark.parametrize("url", ["http://[", "://", "http://me:hunter2@host:port", "127.0.0.1:1:2", "socks5://host"])
async def test_a_malformed_proxy_is_an_error_at_the_start(monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> None:
    monkeypatch.setenv(name, url)
    with pytest.raises(OptionError, match=f"^{name}: ") as caught:
        async with connect("http://api.example.com"):
            pass
    assert "hunter2" not in str(caught.value)


async def test_an_informer_never_follows_a_redirect() -> None:
    async with scripted_server() as other:

        async def redirect(request: ReceivedRequest) -> None:
            await request.respond(302, b"", Location=other.url + request.path)

        options = kinform.WatchOptions(backoff=kinform.Backoff(initial=0.01, maximum=0.02))
        async with scripted_server(redirect) as server, connect(server.url, token="right") as api:
            async with kinform.Informer(api, "v1/pods", options=options) as pods:
                with pytest.raises(TimeoutError, match=r"v1/pods: retrying \(watch v1/pods: the server answered 302\)"):
                    await pods.synced(timeout=0.3)
        assert server.requests
        assert not other.requests
