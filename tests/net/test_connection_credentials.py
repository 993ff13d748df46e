"""Credential rotation and TLS certificates of an open connection."""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import shutil
import ssl
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kinform._connection import connection
from kinform._connection.connection import MIN_RENEWAL_SECONDS, connect
from kinform._errors import OptionError, TransportError
from kinform._transport.access import ClusterAccess
from kinform._transport.base import Request
from kinform._transport.http_client import HttpClient
from tests.support.kubeconfig import write_contexts
from tests.support.loops import on_each_loop
from tests.support.scripted_server import ReceivedRequest, scripted_server
from tests.support.tls import CERTIFICATES, server_context
from tests.support.waiting import until

PODS = Request(path="/api/v1/pods", params=())

PLUGIN = """\
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
runs = folder / "runs"
with runs.open("a") as file:
    file.write("x")
status = json.loads((folder / "status").read_text())
if status is None:
    sys.exit("no luck today")
status = {key: value.replace("#", str(len(runs.read_text()))) for key, value in status.items()}
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}))
"""


class ExecPlugin:
    """An exec plugin that counts its runs.

    `#` in the status that it prints is replaced by the number of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "plugin.py").write_text(PLUGIN)
        self.user = {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": sys.executable,
                "args": ["-SE", str(folder / "plugin.py"), str(folder)],
            }
        }

    def kubeconfig(self, url: str = "http://127.0.0.1:1") -> Path:
        return write_contexts(self.folder / "kubeconfig", "shop", url=url, user=self.user)

    def set_status(self, status: dict[str, str] | None) -> None:
        (self.folder / "status").write_text(json.dumps(status))

    @property
    def runs(self) -> int:
        return len((self.folder / "runs").read_text())


@pytest.fixture
def always_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes the minimum time between two renewals."""
    monkeypatch.setattr(connection, "MIN_RENEWAL_SECONDS", 0.0)


def seconds_from_now(seconds: float) -> str:
    """Returns an `expirationTimestamp`."""
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)).strftime("%FT%TZ")


@on_each_loop
async def test_a_token_file_is_read_for_each_request(tmp_path: Path) -> None:
    async with scripted_server() as server:
        path = write_contexts(tmp_path / "one", "shop", url=server.url, user={"tokenFile": "tokens/now"})
        (tmp_path / "tokens").mkdir()
        token = tmp_path / "tokens/now"
        token.write_text("first\n")
        async with connect(path) as api:
            (await api.open(PODS)).close()
            token.write_text("second\n")
            (await api.open(PODS)).close()
            token.unlink()
            with pytest.raises(TransportError):
                await api.open(PODS)
    assert server.authorizations == ["Bearer first", "Bearer second"]


@on_each_loop
async def test_a_token_is_preferred_to_a_token_file(tmp_path: Path) -> None:
    async with scripted_server() as server:
        user = {"token": "written", "tokenFile": str(tmp_path / "none")}
        async with connect(write_contexts(tmp_path / "one", "shop", url=server.url, user=user)) as api:
            (await api.open(PODS)).close()
    assert server.authorizations == ["Bearer written"]


@on_each_loop
async def test_refresh_reads_the_kubeconfig_again(tmp_path: Path) -> None:
    async with scripted_server() as server:
        path = write_contexts(tmp_path / "one", "shop", url=server.url, user={"token": "old"})
        async with connect(path) as api:
            write_contexts(path, "shop", url=server.url, user={"token": "new"})
            (await api.open(PODS)).close()
            assert await api.refresh_credentials() is True
            (await api.open(PODS)).close()
    assert server.authorizations == ["Bearer old", "Bearer new"]


@on_each_loop
async def test_refresh_of_a_bad_kubeconfig_keeps_old_credentials(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with scripted_server() as server:
        path = write_contexts(tmp_path / "one", "shop", url=server.url, user={"token": "old"})
        async with connect(path) as api:
            path.write_text("users: [secret")
            assert await api.refresh_credentials() is False
            (await api.open(PODS)).close()
    assert server.authorizations == ["Bearer old"]
    assert [record.name for record in caplog.records] == ["kinform.connection"]
    assert "secret" not in caplog.text


@pytest.mark.parametrize(("seconds", "runs"), [(3600, 1), (60, 1), (25, 2), (-3600, 2)])
@on_each_loop
async def test_an_exec_plugin_runs_half_a_minute_before_the_expiry(
    tmp_path: Path, seconds: float, runs: int, always_renewed: None
) -> None:
    plugin = ExecPlugin(tmp_path)
    plugin.set_status({"token": "t#", "expirationTimestamp": seconds_from_now(seconds)})
    async with scripted_server() as server, connect(plugin.kubeconfig(server.url)) as api:
        plugin.set_status({"token": "t#", "expirationTimestamp": seconds_from_now(3600)})
        for _ in range(3):
            (await api.open(PODS)).close()
    assert plugin.runs == runs
    assert server.authorizations == [f"Bearer t{runs}"] * 3


@on_each_loop
async def test_a_call_of_api_client_renews_credentials_for_later_ones(tmp_path: Path, always_renewed: None) -> None:
    plugin = ExecPlugin(tmp_path)
    plugin.set_status({"token": "t#", "expirationTimestamp": seconds_from_now(25)})
    async with scripted_server() as server, connect(plugin.kubeconfig(server.url)) as api:
        plugin.set_status({"token": "t#", "expirationTimestamp": seconds_from_now(3600)})

        async def renewed() -> bool:
            await api.api_client.call_api("/x", "GET", auth_settings=["BearerToken"], _preload_content=False)
            return server.authorizations[-1] == "Bearer t2"

        await until(renewed)
    assert plugin.runs == 2


@pytest.mark.parametrize("status", [{"token": "t#", "expirationTimestamp": "2026-01-02T03:04:05Z"}, None])
@on_each_loop
async def test_an_expired_token_does_not_run_the_plugin_each_time(
    tmp_path: Path, status: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = ExecPlugin(tmp_path)
    plugin.set_status({"token": "t#", "expirationTimestamp": seconds_from_now(-1)})
    async with scripted_server() as server, connect(plugin.kubeconfig(server.url)) as api:
        plugin.set_status(status)
        for _ in range(3):
            (await api.open(PODS)).close()
        assert plugin.runs == 1
        now = time.monotonic() + MIN_RENEWAL_SECONDS
        monkeypatch.setattr(connection, "time", SimpleNamespace(monotonic=lambda: now))
        for _ in range(3):
            (await api.open(PODS)).close()
    assert plugin.runs == 2
    assert server.authorizations == ["Bearer t1"] * 3 + ["Bearer t1" if status is None else "Bearer t2"] * 3


@on_each_loop
async def test_concurrent_refreshes_run_the_exec_plugin_once(tmp_path: Path) -> None:
    plugin = ExecPlugin(tmp_path)
    plugin.set_status({"token": "t#"})
    async with scripted_server() as server, connect(plugin.kubeconfig(server.url)) as api:
        refreshed = await asyncio.gather(*(api.refresh_credentials() for _ in range(20)))
        (await api.open(PODS)).close()
    assert refreshed == [True] * 20
    assert plugin.runs == 2
    assert server.authorizations == ["Bearer t2"]


@on_each_loop
async def test_cancel_of_one_refresh_leaves_it_to_the_others(tmp_path: Path) -> None:
    plugin = ExecPlugin(tmp_path)
    plugin.set_status({"token": "t#"})
    async with connect(plugin.kubeconfig()) as api:
        first, second = (asyncio.create_task(api.refresh_credentials()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second is True
        assert first.cancelled()


@on_each_loop
async def test_the_error_of_an_exec_plugin_contains_its_stderr(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plugin = ExecPlugin(tmp_path)
    plugin.set_status(None)
    path = plugin.kubeconfig()
    with pytest.raises(TransportError, match="no luck today"):
        async with connect(path):
            pass
    plugin.set_status({"token": "t#"})
    async with connect(path) as api:
        plugin.set_status(None)
        with caplog.at_level(logging.WARNING, logger="kinform"):
            assert await api.refresh_credentials() is False
    assert "no luck today" in caplog.text


@on_each_loop
async def test_the_error_names_a_missing_exec_plugin(tmp_path: Path) -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin"}}
    with pytest.raises(TransportError, match="no-such-plugin"):
        async with connect(write_contexts(tmp_path / "one", "shop", user=user)):
            pass


# --- certificates


@on_each_loop
async def test_refresh_exchanges_certificates_and_ends_open_streams(tmp_path: Path) -> None:
    context = server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    seen: list[str] = []

    async def respond(request: ReceivedRequest) -> None:
        certificate: Any = request.client_certificate
        seen.append(dict(field[0] for field in certificate["subject"])["commonName"])
        await request.start_chunked()
        await request.send_chunk(b"first")

    mine = tmp_path / "mine.pem"
    shutil.copy(CERTIFICATES / "first.pem", mine)
    async with scripted_server(respond, tls=context) as server:
        cluster = {"server": server.url, "certificate-authority": str(CERTIFICATES / "ca.pem")}
        path = write_contexts(
            tmp_path / "one",
            "shop",
            user={"client-certificate": "mine.pem", "client-key": "mine.pem"},
            clusters=[{"name": "shop", "cluster": cluster}],
        )
        async with connect(path) as api:
            client = api.api_client
            chunks = (await api.open(PODS)).chunks()
            assert await anext(chunks) == b"first"
            assert await api.refresh_credentials() is True  # the same certificate: nothing breaks
            second = await api.open(PODS)
            second.close()
            waiting = asyncio.ensure_future(anext(chunks))
            mine.write_bytes((CERTIFICATES / "second.pem").read_bytes() + b"\n")
            assert await api.refresh_credentials() is True
            with pytest.raises(TransportError):
                await waiting
            third = await api.open(PODS)
            third.close()
            assert api.api_client is client
    assert seen == ["first", "first", "second"]


@on_each_loop
async def test_a_changed_ca_is_read_after_a_failed_handshake(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    shutil.copy(CERTIFICATES / "first.pem", ca)  # some other certificate
    async with scripted_server(tls=server_context()) as server, connect(server.url, ca=ca) as api:
        for _ in range(2):
            with pytest.raises(TransportError, match="certificate verify failed"):
                await api.open(PODS)
        ca.write_bytes((CERTIFICATES / "ca.pem").read_bytes())
        with pytest.raises(TransportError, match="certificate verify failed"):
            await api.open(PODS)
        (await api.open(PODS)).close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@on_each_loop
async def test_a_changed_certificate_is_read_after_a_refusal(tmp_path: Path, version: ssl.TLSVersion) -> None:
    context = server_context()  # which refuses without an alert, and in TLS 1.3 after the handshake of the client
    context.verify_mode, context.minimum_version, context.maximum_version = ssl.CERT_REQUIRED, version, version
    mine = tmp_path / "mine.pem"
    shutil.copy(CERTIFICATES / "stranger.pem", mine)
    async with scripted_server(tls=context) as server:
        cluster = {"server": server.url, "certificate-authority": str(CERTIFICATES / "ca.pem")}
        user = {"client-certificate": "mine.pem", "client-key": "mine.pem"}
        path = write_contexts(tmp_path / "one", "shop", user=user, clusters=[{"name": "shop", "cluster": cluster}])
        async with connect(path) as api:
            with pytest.raises(TransportError):
                await api.open(PODS)
            mine.write_bytes((CERTIFICATES / "first.pem").read_bytes())
            with pytest.raises(TransportError):
                await api.open(PODS)
            (await api.open(PODS)).close()


@on_each_loop
async def test_a_file_that_changes_while_it_is_loaded_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = tmp_path / "ca.pem"
    shutil.copy(CERTIFICATES / "first.pem", ca)  # some other certificate

    def load(access: ClusterAccess) -> HttpClient:
        client = HttpClient(access)
        shutil.copy(CERTIFICATES / "ca.pem", ca)
        return client

    async with scripted_server(tls=server_context()) as server:
        with monkeypatch.context() as patched:
            patched.setattr("kinform._connection.connection.HttpClient", load)
            api = await connect(server.url, ca=ca).__aenter__()
        with pytest.raises(TransportError, match="certificate verify failed"):
            await api.open(PODS)
        (await api.open(PODS)).close()
        await api.__aexit__(None, None, None)


@on_each_loop
async def test_a_missing_certificate_is_an_error_at_the_start(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    shutil.copy(CERTIFICATES / "ca.pem", ca)
    api = connect("https://127.0.0.1:1", ca=ca)
    ca.unlink()
    with pytest.raises(OptionError, match=r"ca\.pem cannot be loaded"):
        await api.__aenter__()


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
@on_each_loop
async def test_a_proxy_is_refused_at_the_start(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "socks5://proxy.example")
    with pytest.raises(OptionError, match="socks5:// proxies are not supported"):
        await connect("https://api.example").__aenter__()


@on_each_loop
async def test_a_cancelled_request_leaves_the_refresh_running(tmp_path: Path, always_renewed: None) -> None:
    plugin = ExecPlugin(tmp_path)
    plugin.set_status({"token": "t#", "expirationTimestamp": seconds_from_now(10)})
    async with scripted_server() as server, connect(plugin.kubeconfig(server.url)) as api:
        plugin.set_status({"token": "t#", "expirationTimestamp": seconds_from_now(3600)})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await api.open(PODS)
        (await api.open(PODS)).close()
    assert plugin.runs == 2
    assert server.authorizations == ["Bearer t2"]


@on_each_loop
async def test_the_end_of_the_block_ends_a_refresh(tmp_path: Path) -> None:
    plugin = ExecPlugin(tmp_path)
    plugin.set_status({"token": "t#"})
    async with connect(plugin.kubeconfig()) as api:
        (tmp_path / "plugin.py").write_text("import time; time.sleep(60)")
        refreshing = asyncio.create_task(api.refresh_credentials())
        await asyncio.sleep(0.2)
    assert await refreshing is False


@on_each_loop
async def test_a_server_that_is_not_verified_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted_server(tls=server_context()) as server, connect(server.url, verify=False) as api:
        for _ in range(2):
            (await api.open(PODS)).close()
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        f"{server.url}: the certificate of the server is not verified"
    ]


@on_each_loop
async def test_the_stderr_of_a_plugin_cannot_control_a_terminal(tmp_path: Path) -> None:
    plugin = ExecPlugin(tmp_path)
    (tmp_path / "plugin.py").write_text("import sys; sys.exit('a\\n\\x1b[31mred' + 'x' * 10_000)")
    with pytest.raises(TransportError) as caught:
        async with connect(plugin.kubeconfig()):
            pass
    text = str(caught.value)
    assert r"a\n\x1b[31mred" in text
    assert text.isprintable()
    assert len(text) < 5_000


async def test_a_failed_reading_is_logged_without_foreign_texts(caplog: pytest.LogCaptureFixture) -> None:
    class Source:
        can_reload = True
        error: Exception | None = None

        async def load(self) -> ClusterAccess:
            if self.error is not None:
                raise self.error
            return ClusterAccess(server="http://127.0.0.1:1")

    source = Source()
    async with connection.Connection(source) as api:
        for error, logged in (
            (ValueError("hunter2"), "ValueError"),
            (OptionError("field", "x", "another value"), "field: 'x' is not allowed"),
            (PermissionError(13, "Permission denied", "/token"), "Permission denied: '/token'"),
        ):
            source.error = error
            assert not await api.refresh_credentials()
            assert f"the credentials cannot be read again: {logged}" in caplog.text.replace("[Errno 13] ", "")
    assert "hunter2" not in caplog.text
