"""Exec plugins: what they get, what they give, and how they end."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

import kinform
import kinform.testing
from kinform._errors import OptionError, TransportError
from kinform._transport import exec_plugin
from kinform._transport.access import ClusterAccess
from kinform._transport.credentials import KubeconfigSource
from tests.support.kubeconfig import write_contexts
from tests.support.loops import on_each_loop
from tests.support.tls import CERTIFICATES
from tests.support.waiting import until

V1 = "client.authentication.k8s.io/v1"
SAVE_INFO = 'printf %s "$KUBERNETES_EXEC_INFO"'


def kubeconfig(folder: Path, script: str, user: Any = None, cluster: Any = None, **fields: object) -> KubeconfigSource:
    """Returns the source of a kubeconfig whose exec plugin is a shell script."""
    plugin = {"apiVersion": V1, "command": "/bin/sh", "args": ["-c", script, "plugin"]} | fields
    cluster = {"server": "https://127.0.0.1:1/"} | (cluster or {})
    path = write_contexts(
        folder / "one",
        "shop",
        user=(user or {}) | {"exec": plugin},
        clusters=[{"name": "shop", "cluster": cluster}],
    )
    return KubeconfigSource(str(path), None)


async def load(folder: Path, script: str, user: Any = None, cluster: Any = None, **fields: object) -> ClusterAccess:
    return await kubeconfig(folder, script, user, cluster, **fields).load()


def printing(status: object, version: str = V1, **fields: object) -> str:
    """Returns a script that prints an ExecCredential."""
    return (
        f"cat <<'END'\n{json.dumps({'apiVersion': version, 'kind': 'ExecCredential', 'status': status} | fields)}\nEND"
    )


async def error_of(folder: Path, script: str, **fields: object) -> str:
    with pytest.raises(TransportError, match="getting credentials failed: exec plugin") as caught:
        await load(folder, script, **fields)
    assert not caught.value.reached
    assert "secret" not in str(caught.value)
    return str(caught.value)


def authorization(access: ClusterAccess) -> str | None:
    return None if access.authorization is None else access.authorization()


def runs(pid: int) -> bool:
    """Returns whether a process exists and is not waiting to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def pids_in(path: Path, count: int) -> list[int]:
    """Waits until a plugin has written the process ids of itself and its children."""
    async with asyncio.timeout(10):
        while len(pids := read_pids(path)) < count:
            await asyncio.sleep(0.005)
    return pids


def read_pids(path: Path) -> list[int]:
    return [int(word) for word in path.read_text().split()] if path.exists() else []


async def until_ended(pids: list[int]) -> None:
    async with asyncio.timeout(10):
        while any(runs(pid) for pid in pids):
            await asyncio.sleep(0.005)


# --- what a plugin gets


@on_each_loop
async def test_a_plugin_gets_arguments_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "outer")
    monkeypatch.setenv("FROM_BOTH", "outer")
    script = (
        f'echo "$FROM_OUTSIDE $FROM_BOTH $1" > {tmp_path}/seen; printf %s "$KUBERNETES_EXEC_INFO" > {tmp_path}/info; '
    )
    env = [{"name": "FROM_BOTH", "value": "inner"}, {"name": "KUBERNETES_EXEC_INFO", "value": "x"}]
    args = ["-c", script + printing({"token": "t0"}), "plugin", 7]
    assert authorization(await load(tmp_path, "", args=args, env=env)) == "Bearer t0"
    assert (tmp_path / "seen").read_text() == "outer inner 7\n"
    info = json.loads((tmp_path / "info").read_text())
    assert info == {"apiVersion": V1, "kind": "ExecCredential", "spec": {"interactive": False}}


@on_each_loop
async def test_a_plugin_gets_the_cluster_if_it_asks(tmp_path: Path) -> None:
    script = f"{SAVE_INFO} > {tmp_path}/info; {printing({'token': 't0'})}"
    cluster = {
        "certificate-authority": str(CERTIFICATES / "ca.pem"),
        "tls-server-name": "name",
        "proxy-url": "http://proxy:3128",
        "disable-compression": True,
        "extensions": [
            {"name": "other", "extension": 1},
            {"name": "client.authentication.k8s.io/exec", "extension": {"audience": ["a", 1, None]}},
        ],
    }
    await load(tmp_path, script, cluster=cluster, provideClusterInfo=True)
    assert json.loads((tmp_path / "info").read_text())["spec"] == {
        "interactive": False,
        "cluster": {
            "server": "https://127.0.0.1:1",
            "tls-server-name": "name",
            "certificate-authority-data": base64.b64encode((CERTIFICATES / "ca.pem").read_bytes()).decode(),
            "proxy-url": "http://proxy:3128",
            "disable-compression": True,
            "config": {"audience": ["a", 1, None]},
        },
    }
    data = base64.b64encode(b"text").decode()
    cluster = {"certificate-authority-data": data, "insecure-skip-tls-verify": True}
    await load(tmp_path, script, cluster=cluster, provideClusterInfo=True)
    described = json.loads((tmp_path / "info").read_text())["spec"]["cluster"]
    assert described == {
        "server": "https://127.0.0.1:1",
        "certificate-authority-data": data,
        "insecure-skip-tls-verify": True,
    }


@on_each_loop
async def test_a_command_path_is_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    plugin = tmp_path / "bin/plugin"
    plugin.parent.mkdir()
    plugin.write_text(f"#!/bin/sh\n{printing({'token': 't0'})}\n")
    plugin.chmod(0o700)
    assert authorization(await load(tmp_path, "", command="./bin/plugin", args=None)) == "Bearer t0"


@on_each_loop
async def test_a_plugin_has_no_terminal(tmp_path: Path) -> None:
    script = f"cat; (: </dev/tty) 2>/dev/null && exit 3; {printing({'token': 't0'})}"
    assert authorization(await load(tmp_path, script, interactiveMode="IfAvailable")) == "Bearer t0"


# --- what a plugin gives


@on_each_loop
async def test_a_plugin_may_give_a_client_certificate(tmp_path: Path) -> None:
    user = {"client-certificate": str(CERTIFICATES / "first.pem"), "token": "unused"}
    status = {"clientCertificateData": "certificate", "clientKeyData": "key"}
    access = await load(tmp_path, printing(status), user)
    assert (access.certificate_data, access.key_data, authorization(access)) == ("certificate", "key", None)
    assert access.certificate_file is None
    access = await load(tmp_path, printing(status | {"token": "t1"}), user)
    assert (access.certificate_data, authorization(access)) == ("certificate", "Bearer t1")


@on_each_loop
async def test_a_token_of_a_plugin_keeps_the_users_certificate(tmp_path: Path) -> None:
    user = {"client-certificate": str(CERTIFICATES / "first.pem"), "token": "unused", "as": "jane"}
    access = await load(tmp_path, printing({"token": "t1"}), user)
    assert access.certificate_file == str(CERTIFICATES / "first.pem")
    assert authorization(access) == "Bearer t1"
    assert access.headers == (("Impersonate-User", "jane"),)


@pytest.mark.parametrize("stamp", ["2030-01-02T03:04:05Z", "2030-01-02T04:04:05+01:00", "2030-01-02T03:04:05"])
@on_each_loop
async def test_a_plugin_gives_the_expiration(tmp_path: Path, stamp: str) -> None:
    access = await load(tmp_path, printing({"token": "t0", "expirationTimestamp": stamp}))
    assert access.expires == datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha1"])
@on_each_loop
async def test_three_versions_are_accepted(tmp_path: Path, version: str) -> None:
    version = f"client.authentication.k8s.io/{version}"
    access = await load(tmp_path, printing({"token": "t0"}, version), apiVersion=version)
    assert authorization(access) == "Bearer t0"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo secret", "is not an ExecCredential with a status"),
        (r"printf 'secret\377'", "is not an ExecCredential with a status"),
        (":", "is not an ExecCredential with a status"),
        (printing(None), "is not an ExecCredential with a status"),
        (printing({"token": ["secret"]}), "is not an ExecCredential with a status"),
        (printing({"token": "secret", "expirationTimestamp": "secret"}), "is not an ExecCredential with a status"),
        (printing({"token": "secret"}, version="secret"), f"is not an ExecCredential of {V1}"),
        (printing({"token": "secret"}, kind="Secret"), f"is not an ExecCredential of {V1}"),
        (printing({}), "neither a token nor a client certificate"),
        (printing({"token": "secret\r\nsecret: 1"}), "a token that is not"),
        (printing({"clientCertificateData": "secret"}), "without a key"),
        (printing({"token": "secret", "clientKeyData": "secret"}), "without a certificate"),
    ],
)
@on_each_loop
async def test_an_invalid_output_is_not_shown(tmp_path: Path, script: str, why: str) -> None:
    assert why in await error_of(tmp_path, script)


# --- refused plugins


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"apiVersion": "secret"}, "`exec.apiVersion`"),
        ({"apiVersion": None}, "`exec.apiVersion`"),
        ({"command": None}, "`exec.command`"),
        ({"args": "secret"}, "a list in `exec.args`"),
        ({"args": ["secret\0"]}, "text (in quotes if YAML takes it for something else) in `exec.args`"),
        ({"env": [{"value": "secret"}]}, "`exec.env.name`"),
        ({"env": [{"name": "secret=", "value": "secret"}]}, "`exec.env.name`"),
        ({"interactiveMode": "Always"}, "Never or IfAvailable"),
        ({"interactiveMode": "secret"}, "Never or IfAvailable"),
        ({"provideClusterInfo": "secret"}, "true or false in `exec.provideClusterInfo`"),
    ],
)
async def test_an_invalid_plugin_is_not_run(tmp_path: Path, fields: Any, field: str) -> None:
    with pytest.raises(OptionError, match=r"^connect\.target: ") as caught:
        await load(tmp_path, f"touch {tmp_path}/ran", **fields)
    assert field in str(caught.value)
    assert "the user of context 'shop'" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@on_each_loop
async def test_a_missing_command_comes_with_its_hint(tmp_path: Path) -> None:
    text = await error_of(tmp_path, "", command="no-such-plugin", installHint="Get it at example.com.\n")
    assert text.endswith("exec plugin no-such-plugin: No such file or directory. Get it at example.com.")
    text = await error_of(tmp_path, "", command="no\n\x1b[31m", installHint="Get it\n\x1b[31m" + "x" * 2000)
    assert text.isprintable()
    assert r"exec plugin no\n\x1b[31m: No such file or directory. Get it \x1b[31mxxx" in text
    assert len(text) < 1500
    text = await error_of(tmp_path, "", command="./one")
    assert text.endswith(f"exec plugin {tmp_path}/one: Permission denied")


# --- how a plugin ends


@on_each_loop
async def test_the_error_has_the_beginning_of_stderr(tmp_path: Path) -> None:
    script = r"printf 'no luck\377 ' >&2; head -c 300000 /dev/zero | tr '\0' x >&2; exit 7"
    text = await error_of(tmp_path, script)
    assert "it returned 7. no luck\ufffd xxx" in text
    assert len(text) < 700
    assert "it returned -9" in await error_of(tmp_path, "kill -9 $$")


@on_each_loop
async def test_a_plugin_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_plugin, "TIMEOUT_SECONDS", 0.3)
    script = f"trap '' TERM; sleep 60 & echo $$ $! > {tmp_path}/pids; wait; sleep 60"
    assert "it did not end within 0.3 s" in await error_of(tmp_path, script)
    await until_ended(await pids_in(tmp_path / "pids", 2))


@pytest.mark.parametrize("delay", ["", "sleep 0.1; "])  # cancelled while it starts, or while it runs
@on_each_loop
async def test_a_cancelled_load_kills_the_plugin(tmp_path: Path, delay: str) -> None:
    loading = asyncio.create_task(load(tmp_path, f"{delay}sleep 60 & echo $$ $! > {tmp_path}/pids; wait"))
    pids = await pids_in(tmp_path / "pids", 2)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    await until_ended(pids)


@on_each_loop
async def test_a_plugin_that_prints_too_much_is_killed(tmp_path: Path) -> None:
    text = await error_of(tmp_path, f"echo $$ > {tmp_path}/pids; exec yes")
    assert f"printed more than {exec_plugin.MAX_OUTPUT_BYTES} bytes" in text
    await until_ended(await pids_in(tmp_path / "pids", 1))
    more = "head -c 900000 /dev/zero | tr '\\0' ' '; "
    assert authorization(await load(tmp_path, more + printing({"token": "t0"}))) == "Bearer t0"


@on_each_loop
async def test_a_child_that_holds_the_pipes_is_not_awaited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_plugin, "PIPE_SECONDS", 0.1)
    script = f"sleep 60 & echo $! > {tmp_path}/pids; {printing({'token': 't0'})}"
    async with asyncio.timeout(10):
        assert authorization(await load(tmp_path, script)) == "Bearer t0"
    [pid] = await pids_in(tmp_path / "pids", 1)
    assert runs(pid)  # as a browser, it is not the plugin's
    os.kill(pid, signal.SIGKILL)


async def test_a_stream_goes_on_after_a_plugin_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_plugin, "TIMEOUT_SECONDS", 0.3)
    run = tmp_path / "run"
    run.write_text(printing({"token": "t1"}))
    options = kinform.WatchOptions(backoff=kinform.Backoff(initial=0.02, maximum=0.1, refused=0.1))
    async with kinform.testing.Server(token="t1") as server:
        server.generate("v1/pods", 3)
        kubeconfig(tmp_path, f". {run}", cluster={"server": server.url})
        async with (
            kinform.connect(tmp_path / "one") as api,
            kinform.Informer(api, "v1/pods", options=options) as pods,
        ):
            await pods.synced(timeout=10)
            run.write_text(f"sleep 60 & echo $$ $! > {tmp_path}/pids; wait")
            server.token = "t2"
            server.disconnect()
            await until_ended(await pids_in(tmp_path / "pids", 2))
            await until(lambda: pods.state == "unauthorized")
            run.write_text(printing({"token": "t2"}))
            server.generate("v1/pods", 1)
            await until(lambda: len(pods.store) == 4)
            assert pods.state == "live"
            (tmp_path / "pids").unlink()
            run.write_text(f"sleep 60 & echo $$ $! > {tmp_path}/pids; wait")
            monkeypatch.setattr(exec_plugin, "TIMEOUT_SECONDS", 60.0)
            server.token = "t3"
            server.disconnect()
            pids = await pids_in(tmp_path / "pids", 2)
        assert not any(map(runs, pids))  # none outlives the block
