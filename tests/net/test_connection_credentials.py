"""Credentials that rotate while a connection is open, and certificates."""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import shutil
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest

from kinform._errors import TransportError
from kinform._transport.connection import connect
from tests.net.test_connection import PODS, kubeconfig
from tests.support.peer import CERTIFICATES, Call, peer, tls

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


class Plugin:
    """An exec plugin that counts its runs; `#` in what it answers is the run's number."""

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
        return kubeconfig(self.folder / "kubeconfig", "shop", url=url, user=self.user)

    def answers(self, status: dict[str, str] | None) -> None:
        (self.folder / "status").write_text(json.dumps(status))

    @property
    def runs(self) -> int:
        return len((self.folder / "runs").read_text())


def within(seconds: float) -> str:
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)).strftime("%FT%TZ")


async def test_a_token_file_is_read_for_each_request_beside_its_kubeconfig(tmp_path: Path) -> None:
    async with peer() as server:
        path = kubeconfig(tmp_path / "one", "shop", url=server.url, user={"tokenFile": "tokens/now"})
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


async def test_a_token_in_the_kubeconfig_overrules_its_token_file(tmp_path: Path) -> None:
    async with peer() as server:
        user = {"token": "written", "tokenFile": str(tmp_path / "none")}
        async with connect(kubeconfig(tmp_path / "one", "shop", url=server.url, user=user)) as api:
            (await api.open(PODS)).close()
    assert server.authorizations == ["Bearer written"]


async def test_after_a_401_the_kubeconfig_is_read_again(tmp_path: Path) -> None:
    async with peer() as server:
        path = kubeconfig(tmp_path / "one", "shop", url=server.url, user={"token": "old"})
        async with connect(path) as api:
            kubeconfig(path, "shop", url=server.url, user={"token": "new"})
            (await api.open(PODS)).close()
            assert await api.refresh_credentials() is True
            (await api.open(PODS)).close()
    assert server.authorizations == ["Bearer old", "Bearer new"]


async def test_a_kubeconfig_that_went_bad_leaves_the_old_credentials_and_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with peer() as server:
        path = kubeconfig(tmp_path / "one", "shop", url=server.url, user={"token": "old"})
        async with connect(path) as api:
            path.write_text("users: [secret")
            assert await api.refresh_credentials() is False
            (await api.open(PODS)).close()
    assert server.authorizations == ["Bearer old"]
    assert [record.name for record in caplog.records] == ["kinform.connection"]
    assert "secret" not in caplog.text


async def test_an_exec_plugin_runs_once_while_its_token_lasts(tmp_path: Path) -> None:
    plugin = Plugin(tmp_path)
    plugin.answers({"token": "t#", "expirationTimestamp": within(3600)})
    async with peer() as server, connect(plugin.kubeconfig(server.url)) as api:
        for _ in range(3):
            (await api.open(PODS)).close()
    assert plugin.runs == 1
    assert server.authorizations == ["Bearer t1"] * 3


async def test_an_exec_plugin_runs_again_when_its_token_has_expired(tmp_path: Path) -> None:
    plugin = Plugin(tmp_path)
    plugin.answers({"token": "t#", "expirationTimestamp": within(10)})
    async with peer() as server, connect(plugin.kubeconfig(server.url)) as api:
        plugin.answers({"token": "t#", "expirationTimestamp": within(3600)})
        for _ in range(2):
            (await api.open(PODS)).close()
    assert plugin.runs == 2
    assert server.authorizations == ["Bearer t2"] * 2


async def test_all_streams_that_meet_a_401_at_once_run_the_exec_plugin_once(tmp_path: Path) -> None:
    plugin = Plugin(tmp_path)
    plugin.answers({"token": "t#"})
    async with peer() as server, connect(plugin.kubeconfig(server.url)) as api:
        refreshed = await asyncio.gather(*(api.refresh_credentials() for _ in range(20)))
        (await api.open(PODS)).close()
    assert refreshed == [True] * 20
    assert plugin.runs == 2
    assert server.authorizations == ["Bearer t2"]


async def test_cancelling_one_of_them_leaves_the_refresh_to_the_others(tmp_path: Path) -> None:
    plugin = Plugin(tmp_path)
    plugin.answers({"token": "t#"})
    async with connect(plugin.kubeconfig()) as api:
        first, second = (asyncio.create_task(api.refresh_credentials()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second is True
        assert first.cancelled()


async def test_an_exec_plugin_that_fails_is_an_error_with_its_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plugin = Plugin(tmp_path)
    plugin.answers(None)
    path = plugin.kubeconfig()
    with pytest.raises(TransportError, match="no luck today"):
        async with connect(path):
            pass
    plugin.answers({"token": "t#"})
    async with connect(path) as api:
        plugin.answers(None)
        with caplog.at_level(logging.WARNING, logger="kinform"):
            assert await api.refresh_credentials() is False
    assert "no luck today" in caplog.text


async def test_an_exec_plugin_that_is_not_installed_is_named(tmp_path: Path) -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin"}}
    with pytest.raises(TransportError, match="no-such-plugin"):
        async with connect(kubeconfig(tmp_path / "one", "shop", user=user)):
            pass


# --- certificates


async def test_an_https_url_is_verified_by_the_systems_certificates() -> None:
    async with peer(tls=tls()) as server, connect(server.url) as api:
        with pytest.raises(TransportError, match="certificate verify failed") as caught:
            await api.open(PODS)
        assert not caught.value.reached


@pytest.mark.parametrize("options", [{"ca": CERTIFICATES / "ca.pem"}, {"verify": False}])
async def test_an_https_url_is_verified_by_the_ca_given_or_not_at_all(options: dict[str, Any]) -> None:
    async with peer(tls=tls()) as server, connect(server.url, **options) as api:
        answer = await api.open(PODS)
        assert answer.status == 200
        answer.close()


async def test_client_certificates_are_exchanged_after_a_401_and_open_streams_break_off(tmp_path: Path) -> None:
    context = tls()
    context.verify_mode = ssl.CERT_REQUIRED
    seen: list[str] = []

    async def answer(call: Call) -> None:
        certificate: Any = call.certificate
        seen.append(dict(field[0] for field in certificate["subject"])["commonName"])
        await call.begin()
        await call.chunk(b"first")

    mine = tmp_path / "mine.pem"
    shutil.copy(CERTIFICATES / "first.pem", mine)
    async with peer(answer, tls=context) as server:
        cluster = {"server": server.url, "certificate-authority": str(CERTIFICATES / "ca.pem")}
        path = kubeconfig(
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
