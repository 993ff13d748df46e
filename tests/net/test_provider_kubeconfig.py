"""The auth providers of a kubeconfig, which save their renewed tokens."""

from __future__ import annotations

import base64
import errno
import json
import logging
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from kinform._transport.access import ClusterAccess
from kinform._transport.credentials import KubeconfigSource
from tests.support.kubeconfig import write_contexts
from tests.support.loops import on_each_loop

# From Python 3.12 on, kubernetes_asyncio uses deprecated functions.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")


async def load(*paths: Path) -> ClusterAccess:
    return await KubeconfigSource(os.pathsep.join(map(str, paths)), None).load()


def authorization(access: ClusterAccess) -> str | None:
    return None if access.authorization is None else access.authorization()


def gcp_user(folder: Path, token: str) -> dict[str, Any]:
    """Returns a user whose provider prints a token that expires in the past."""
    answer = folder / "answer"
    answer.write_text(json.dumps({"credential": {"access_token": token, "token_expiry": "2020-01-01T00:00:00Z"}}))
    return {"auth-provider": {"name": "gcp", "config": {"cmd-path": "/bin/cat", "cmd-args": str(answer)}}}


@on_each_loop
async def test_a_renewed_token_of_a_provider_is_saved(tmp_path: Path) -> None:
    user = gcp_user(tmp_path, "t1") | {"as": "jane"}
    cluster = {"name": "shop", "cluster": {"server": "https://127.0.0.1:1", "tls-server-name": "name"}}
    path = write_contexts(tmp_path / "one", "shop", user=user, clusters=[cluster])
    access = await load(path)
    assert authorization(access) == "Bearer t1"
    assert (access.tls_server_name, access.headers) == ("name", (("Impersonate-User", "jane"),))
    assert "access-token: t1" in path.read_text()
    (tmp_path / "answer").unlink()
    user["auth-provider"]["config"] |= {"access-token": "t2", "expiry": "2120-01-01T00:00:00Z"}
    assert authorization(await load(write_contexts(path, "shop", user=user))) == "Bearer t2"


async def test_a_file_that_is_listed_twice_is_saved_once(tmp_path: Path) -> None:
    path = write_contexts(tmp_path / "one", "shop", user=gcp_user(tmp_path, "t1"))
    assert authorization(await load(path, path)) == "Bearer t1"
    assert "access-token: t1" in path.read_text()


async def test_a_valid_oidc_token_is_used(tmp_path: Path) -> None:
    claims = base64.b64encode(json.dumps({"exp": 4_000_000_000}).encode()).decode().rstrip("=")
    token = f"e30.{claims}.x"
    user = {"auth-provider": {"name": "oidc", "config": {"id-token": token}}}
    assert authorization(await load(write_contexts(tmp_path / "one", "shop", user=user))) == f"Bearer {token}"


async def test_a_saved_kubeconfig_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = write_contexts(tmp_path / "target", "shop", user=gcp_user(tmp_path, "t1"))
    path.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(path)
    with path.open() as opened:
        assert authorization(await load(link)) == "Bearer t1"
        assert "t1" not in opened.read()  # a program that reads it sees one state
    assert "access-token: t1" in path.read_text()
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["answer", "link", "target"]


async def test_a_save_keeps_what_others_wrote_meanwhile(tmp_path: Path) -> None:
    path = write_contexts(tmp_path / "one", "shop", user=gcp_user(tmp_path, "t1"))
    (tmp_path / "two").write_text(path.read_text().replace("{", '{"preferences": {"by": "others"}, ', 1))
    (tmp_path / "get").write_text(f"mv {tmp_path}/two {path}; cat {tmp_path}/answer")
    config = {"cmd-path": "/bin/sh", "cmd-args": str(tmp_path / "get")}
    write_contexts(path, "shop", user={"auth-provider": {"name": "gcp", "config": config}})
    assert authorization(await load(path)) == "Bearer t1"
    assert "by: others" in path.read_text()
    assert "access-token: t1" in path.read_text()


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EPERM])
async def test_a_file_that_cannot_be_replaced_is_overwritten(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    path = write_contexts(tmp_path / "one", "shop", user=gcp_user(tmp_path, "t1"), comment="x" * 10_000)
    file = path.stat().st_ino
    monkeypatch.setattr(os, "replace", refuse)
    for token in ("t1", "t2"):
        gcp_user(tmp_path, token)
        assert authorization(await load(path)) == f"Bearer {token}"
        assert f"access-token: {token}" in path.read_text()
        assert len(yaml.safe_load(path.read_text())["comment"]) == 10_000
    assert path.stat().st_ino == file
    assert sorted(os.listdir(tmp_path)) == ["answer", "one"]


def fail_to_sync(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


async def test_a_token_that_cannot_be_saved_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_contexts(tmp_path / "one", "shop", user=gcp_user(tmp_path, "secret"))
    before = path.read_text()
    monkeypatch.setattr(os, "fsync", fail_to_sync)
    with caplog.at_level(logging.WARNING, logger="kinform"):
        assert authorization(await load(path)) == "Bearer secret"
    assert "a renewed token cannot be saved: No space left on device" in caplog.text
    assert "secret" not in caplog.text
    assert path.read_text() == before
    assert sorted(os.listdir(tmp_path)) == ["answer", "one"]


@pytest.mark.parametrize(
    ("text", "why"),
    [("{", "the file is no longer valid"), ("users: []", "its user is no longer in the file")],
)
async def test_a_user_that_has_gone_meanwhile_is_not_saved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, why: str
) -> None:
    gcp_user(tmp_path, "t1")
    path = tmp_path / "one"
    (tmp_path / "get").write_text(f"printf %s '{text}' > {path}; cat {tmp_path}/answer")
    config = {"cmd-path": "/bin/sh", "cmd-args": str(tmp_path / "get")}
    write_contexts(path, "shop", user={"auth-provider": {"name": "gcp", "config": config}})
    assert authorization(await load(path)) == "Bearer t1"
    assert f"a renewed token cannot be saved: {why}" in caplog.text
    assert path.read_text() == text
