"""The program itself: help, version, usage, and what it says where the extra is not installed."""

from __future__ import annotations

import asyncio
import sys

import pytest

from kinform.cli import _app
from tests.cli.running import run


async def test_help_names_the_commands() -> None:
    ended = await run("--help")
    assert ended.code == 0
    assert "demo" in ended.out
    assert "watch" in ended.out
    assert ended.err == ""


async def test_version_is_told() -> None:
    ended = await run("--version")
    assert ended.code == 0
    assert ended.out.startswith("kinform ")


async def test_an_exit_code_reaches_the_shell() -> None:
    ended = await run("watch", "pods")
    assert ended.code == 64
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("command", ["demo", "watch"])
async def test_each_command_has_help(command: str) -> None:
    ended = await run(command, "--help")
    assert ended.code == 0
    assert f"Usage: kinform {command}" in ended.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Usage"),
        (("fly",), "fly"),
        (("watch",), "RESOURCE"),
        (("watch", "v1/pods", "-n", "shop", "-A"), "-n and -A"),
        (("watch", "v1/pods", "-o", "yaml"), "yaml"),
        (("watch", "v1/pods", "--server", "http://127.0.0.1:1", "--kubeconfig", "x"), "exclude each other"),
        (("watch", "v1/pods", "--server", "127.0.0.1:1"), "URL"),
        (("watch", "v1/pods", "--timeout", "0"), "--timeout"),
        (("watch", "v1/pods", "--kubeconfig", "/does/not/exist"), "/does/not/exist"),
        (("demo", "--pods", "0"), "--pods"),
        (("demo", "--context", "mine"), "--kubeconfig"),
        (("demo", "--kubeconfig", "/does/not/exist"), "no such file"),
        (("demo", "--kubeconfig", sys.executable, "--updates", "5"), "--updates"),
    ],
)
def test_usage_errors_exit_with_64(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _app.run(arguments) == 64
    out, err = capsys.readouterr()
    assert said in err
    assert out == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pods",), "resource: 'pods' is not allowed"),
        (("v1/pods", "-n", "Shop"), "Scope.namespaces"),
        (("v1/pods", "-l", "app in (a"), "Scope.label_selector"),
        (("v1/pods", "--drop", "spec..env"), "at character 6"),
        (("v1/pods", "--drop", "metadata.name"), "Prune.drop"),
        (("v1/pods", "--context", "mine"), "connect.context"),
    ],
)
def test_an_option_that_cannot_mean_anything_is_a_usage_error_in_one_line(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _app.run(["watch", "--server", "http://127.0.0.1:1", "--timeout", "5", *arguments]) == 64
    out, err = capsys.readouterr()
    assert said in err
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.parametrize("lacking", ["click", "rich"])
async def test_without_the_extra_one_line_says_what_to_install(lacking: str) -> None:
    without = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *rest: None if name == {lacking!r} else find(name, *rest)\n"
        "from kinform.__main__ import main\n"
        "main()\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", without, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 69
    assert err.decode() == f"kinform: the command line needs {lacking}: pip install 'kinform[cli]'\n"
    assert out == b""
