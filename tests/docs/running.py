"""Runs a block of code as a reader of the page would.

Programs run in this process, by name `__main__`, so that hundreds of imports are not paid for each of them; what
reads the environment or ends by Ctrl-C runs in a process of its own.
"""

from __future__ import annotations

import ast
import io
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType

from tests.docs.markdown import ROOT, Block

SECONDS = 30

_UNTIL = re.compile(r'run with a kubeconfig until "(?P<word>.+)"')


def check(block: Block, folder: Path) -> None:
    """Compiles a block and, where the page says how to run it, runs it and compares what it prints."""
    compile(block.text, block.place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    until = _UNTIL.fullmatch(block.mark)
    if block.mark == "run":
        _run(block, block.text)
    elif block.mark == "run with a cluster":
        inside = textwrap.indent(block.text, " " * 12)
        _run(block, _BEFORE + inside + _AFTER)
    elif block.mark == "run with pytest":
        _run_pytest(_save(block, folder), folder)
    elif until is not None:
        _run_until(until["word"], _save(block, folder), folder)
    else:
        assert not block.mark, f"{block.place}: nobody knows how to {block.mark!r}"


# A fragment of a program is run as the inside of one, with `server` and `api` as the page says.
_BEFORE = """\
import asyncio
import kinform, kinform.testing
import msgspec
async def main():
    async with kinform.testing.Server() as server:
        for place in ("shop", "till"):
            server.generate("v1/pods", 5, namespace=place)
            server.put("v1/namespaces", {"metadata": {"name": place}})
        async with kinform.connect(server.url) as api:
"""
_AFTER = "\nasyncio.run(main())\n"


def _save(block: Block, folder: Path) -> str:
    path = folder / "test_block.py"
    path.write_text(block.text)
    return str(path)


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def _run(block: Block, program: str) -> None:
    said = io.StringIO()
    # A module of its own: decorators and msgspec look up names by it.
    module = ModuleType("__main__")
    before, sys.modules["__main__"] = sys.modules["__main__"], module
    try:
        with redirect_stdout(said):
            exec(compile(program, block.place, "exec"), vars(module))
    finally:
        sys.modules["__main__"] = before
    if block.prints is not None:
        assert said.getvalue() == block.prints, f"{block.place} prints something else:\n{said.getvalue()}"


def _run_pytest(tests: str, folder: Path) -> None:
    scope = "asyncio_default_fixture_loop_scope=function"
    plugins = ["-p", "pytest_asyncio.plugin", "-p", "no:cacheprovider"]
    options = ["-q", *plugins, "-c", os.devnull, "-W", "error", "-o", scope]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, tests],
        cwd=folder,
        env=_environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _run_until(word: str, script: str, folder: Path) -> None:
    """Reads until a line begins with the word, then presses Ctrl-C."""
    with simulator(folder, "--pods", "20") as kubeconfig, _program([script], folder, KUBECONFIG=kubeconfig) as program:
        assert program.stdout is not None
        lines = []
        for line in program.stdout:
            lines.append(line)
            if line.startswith(word):
                break
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=SECONDS)
    told = "".join(lines)
    assert any(line.startswith(word) for line in lines), f"{told}{errors}"
    assert "KeyboardInterrupt" in errors, errors


@contextmanager
def simulator(folder: Path, *options: str) -> Iterator[str]:
    """The path of a kubeconfig for a simulator in a process of its own."""
    kubeconfig = str(folder / "kubeconfig")
    arguments = ["-m", "kinform.testing", "--kubeconfig", kubeconfig, "--until-stdin-closes", *options]
    with _program(arguments, folder) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("http://")
        yield kubeconfig
        server.communicate(timeout=SECONDS)


@contextmanager
def _program(arguments: list[str], folder: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A Python program that does not outlive the block."""
    command, pipe = [sys.executable, *arguments], subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, env=_environment(**environment), stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as program:
        try:
            yield program
        finally:
            program.kill()
