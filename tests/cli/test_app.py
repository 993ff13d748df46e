"""Tests of the program itself: help, version, usage errors and a missing extra."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

import kinform
from kinform.__main__ import EXTRA
from kinform.cli import _app, _exit_codes
from tests.cli.running import run


async def test_help_names_the_commands() -> None:
    ended = await run("--help")
    assert ended.code == 0
    for command in _app.COMMANDS:
        assert f"\n  {command} " in ended.out
    assert ended.err == ""


def test_help_lists_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert _app.run(["--help"]) == 0
    _, _, listed = " ".join(capsys.readouterr().out.split()).partition("Exit codes: ")
    codes = {value for name, value in vars(_exit_codes).items() if name.isupper() and isinstance(value, int)}
    assert {int(code) for code in re.findall(r"\b\d+\b", listed)} - {401, 403} == codes | {0}


async def test_version_is_printed() -> None:
    ended = await run("--version")
    assert ended.code == 0
    assert ended.out == f"kinform {kinform.__version__}\n"


async def test_an_exit_code_reaches_the_shell() -> None:
    ended = await run("watch", "pods")
    assert ended.code == 64
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("command", _app.COMMANDS)
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _app.run([command, "--help"]) == 0
    assert f"Usage: kinform {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Usage"),
        (("fly",), "fly"),
        (("watch",), "RESOURCE"),
        (("watch", "v1/pods", "-n", "shop", "-A"), "-n and -A"),
        (("watch", "v1/pods", "-o", "yaml"), "yaml"),
        (
            ("watch", "v1/pods", "--server", "http://127.0.0.1:1", "--kubeconfig", "x"),
            "--kubeconfig and --server cannot be used together",
        ),
        (("watch", "v1/pods", "--server", "127.0.0.1:1"), "'127.0.0.1:1' is not a URL"),
        (("watch", "v1/pods", "--timeout", "0"), "--timeout"),
        (("watch", "v1/pods", "--kubeconfig", "/does/not/exist"), "/does/not/exist"),
        (("watch", "a b", "--server", "http://127.0.0.1:1"), 'RESOURCE: "a b" is not valid: expected pods'),
        (("watch", "a/b/c/d", "--server", "http://127.0.0.1:1"), 'RESOURCE: "a/b/c/d" is not valid: expected pods'),
        (
            ("watch", "v1/pods", "--context", "mine", "--server", "http://127.0.0.1:1"),
            "--context and --server cannot be used together",
        ),
        (("demo", "--pods", "0"), "--pods"),
        (("demo", "--context", "mine"), "--kubeconfig"),
        (("demo", "--kubeconfig", "/does/not/exist"), "no such file: /does/not/exist"),
        (("demo", "--kubeconfig", sys.executable, "--updates", "5"), "--updates and --kubeconfig"),
    ],
)
def test_usage_errors_exit_with_64(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _app.run(arguments) == 64
    out, err = capsys.readouterr()
    assert message in err
    assert out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("v1/pods", "-n", "Shop"), '--namespace: "Shop" is not valid: expected a name of a-z'),
        (("v1/pods", "-l", "app in (a"), '--selector: "app in (a" is not valid'),
        (("v1/pods", "--field-selector", "a"), '--field-selector: "a" is not valid'),
        (("v1/pods", "--drop", "spec..env"), "at character 6"),
        (("v1/pods", "--drop", "metadata.name"), '--drop: "metadata.name" is not valid'),
    ],
)
def test_an_invalid_option_is_a_usage_error_in_one_line(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _app.run(["watch", "--server", "http://127.0.0.1:1", "--timeout", "5", *arguments]) == 64
    out, err = capsys.readouterr()
    assert message in err
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.parametrize("missing", ["click", "rich"])
async def test_a_missing_extra_is_reported_in_one_line(missing: str) -> None:
    without = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *rest: None if name == {missing!r} else find(name, *rest)\n"
        "from kinform.__main__ import main\n"
        "main()\n"
    )
    ended = await run(program=("-c", without))
    assert ended.code == 69
    assert ended.err == (
        f"kinform: the command line needs {missing}, of the extra kinform[cli]: python -m pip install {missing}\n"
    )
    assert ended.out == ""


def test_the_hint_names_the_packages_of_the_extra() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extra = project["optional-dependencies"]["cli"]
    assert tuple(requirement.partition(">=")[0] for requirement in extra) == EXTRA
