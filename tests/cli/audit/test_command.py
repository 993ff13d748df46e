"""`kinform audit` as a process: its output, its files and its exit codes."""

from __future__ import annotations

import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kinform.testing import Forbidden, Server
from tests.cli.running import run

SECRET = "c3dvcmRmaXNo"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server() as server:
        server.generate("v1/pods", 30)
        server.put("v1/secrets", {"metadata": {"name": "s", "namespace": "shop"}, "data": {"password": SECRET}})
        yield server


async def audit(server: Server, *arguments: str) -> tuple[int, str, str]:
    ended = await run("audit", "--server", server.url, "--lease-seconds", "0", *arguments)
    return ended.code, ended.out, ended.err


async def test_a_pipe_gets_plain_tables(server: Server) -> None:
    code, out, err = await audit(server)
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert "v1/pods" in out
    assert "One copy of everything" in out
    assert max(map(len, out.splitlines())) <= 140


async def test_json_is_one_object(server: Server) -> None:
    code, out, err = await audit(server, "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert {each["resource"]: each["objects"] for each in report["collections"]}["v1/pods"] == 30


async def test_no_output_has_object_contents(server: Server, tmp_path: Path) -> None:
    page = tmp_path / "audit.html"
    outputs = [await audit(server), await audit(server, "--json"), await audit(server, "--html", str(page))]
    for code, out, err in outputs:
        assert code == 0
        assert SECRET not in out + err
    assert SECRET not in page.read_text()


async def test_an_existing_file_is_not_overwritten(server: Server, tmp_path: Path) -> None:
    page = tmp_path / "audit.html"
    page.write_text("mine")
    code, _, err = await audit(server, "--html", str(page))
    assert code == 64
    assert "exists: expected a new file" in err
    assert page.read_text() == "mine"


async def test_a_missing_folder_is_an_error_before_the_survey(server: Server, tmp_path: Path) -> None:
    code, _, err = await audit(server, "--html", str(tmp_path / "missing" / "audit.html"))
    assert code == 64
    assert "expected a new file in an existing folder" in err
    assert not server.requests


async def test_a_page_replaces_neither_tables_nor_json(server: Server, tmp_path: Path) -> None:
    for number, (arguments, printed) in enumerate([((), "v1/pods"), (("--json",), '"resource":"v1/pods"')]):
        page = tmp_path / f"{number}.html"
        code, out, err = await audit(server, *arguments, "--html", str(page))
        assert (code, err) == (0, f"kinform: the report is in {page}\n")
        assert printed in out
        assert page.exists()


async def test_the_page_is_readable_by_its_owner_only(server: Server, tmp_path: Path) -> None:
    page = tmp_path / "audit.html"
    assert (await audit(server, "--html", str(page)))[0] == 0
    assert stat.S_IMODE(page.stat().st_mode) == 0o600


async def test_without_any_right_the_exit_code_is_denied(server: Server) -> None:
    for resource in server.resources:
        server.fault(Forbidden(), resource=resource, times=None)
    code, out, err = await audit(server)
    assert (code, out) == (77, "")
    assert err.startswith("kinform: nothing can be read: ")


async def test_an_unreachable_server_is_unavailable() -> None:
    ended = await run("audit", "--server", "http://127.0.0.1:9")
    assert ended.code == 69
    assert ended.out == ""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--server", "x"], "is not a URL"),
        (["--server", "http://x", "--context", "y"], "cannot be used together"),
        (["--lease-seconds", "-1"], "--lease-seconds"),
    ],
)
async def test_wrong_options_are_usage_errors(arguments: list[str], text: str) -> None:
    ended = await run("audit", *arguments)
    assert ended.code == 64
    assert text in ended.err
