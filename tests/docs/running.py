"""Runs a code block as a reader of the page would.

Programs run in this process, as the module `__main__`, so that each is spared hundreds of imports. A program that reads
the environment or ends by Ctrl-C runs in a process of its own, next to a simulator on a thread of this one.
"""

from __future__ import annotations

import ast
import asyncio
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType

import kinform.testing
from tests.docs.markdown import ROOT, Block
from tests.support.tls import CERTIFICATES

SECONDS = 30

_UNTIL = re.compile(r'run with a kubeconfig until "(?P<word>.+)"')


def check(block: Block, folder: Path) -> None:
    """Compiles a block, runs it if the page says how, and compares its output."""
    if block.language == "python":
        compile(block.text, block.place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    until = _UNTIL.fullmatch(block.mark)
    if block.mark == "run":
        _run(block, block.text)
    elif block.mark == "run with a cluster":
        inside = textwrap.indent(block.text, " " * 12)
        _run(block, _BEFORE + inside + _AFTER)
    elif block.mark == "run with a TLS cluster":
        inside = textwrap.indent(block.text, " " * 12)
        _run(block, _BEFORE_TLS + inside + _AFTER)
    elif block.mark == "load as a kubeconfig":
        _load_kubeconfig(block, folder)
    elif block.mark == "run with pytest":
        _run_pytest(_save(block, folder), folder)
    elif block.mark == "run with a kubeconfig":
        _run_to_its_end(block, folder)
    elif until is not None:
        _run_until(until["word"], _save(block, folder), folder)
    else:
        assert not block.mark, f"{block.place}: {block.mark!r} is not a way to run a block"


# A fragment of a program runs as the inside of this one, with `server` and `api` as the page says.
_BEFORE = """\
import asyncio
import kinform, kinform.testing
import msgspec
async def main():
    async with kinform.testing.Server() as server:
        for namespace in ("shop", "billing"):
            server.generate("v1/pods", 5, namespace=namespace)
            server.put("v1/namespaces", {"metadata": {"name": namespace}})
        async with kinform.connect(server.url) as api:
"""
_BEFORE_TLS = """\
import asyncio
import kinform, kinform.testing
from tests.support.tls import CERTIFICATES, tls_front
async def main():
    ca = CERTIFICATES / "ca.pem"
    async with kinform.testing.Server() as server:
        server.generate("v1/pods", 10)
        async with tls_front(server.url) as url:
"""
_AFTER = "\nasyncio.run(main())\n"


def _load_kubeconfig(block: Block, folder: Path) -> None:
    """Connects with each context of a kubeconfig. Makes the files that it names."""
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(block.text)
    for name, source in (("ca.pem", "ca.pem"), ("agent.pem", "first.pem"), ("agent-key.pem", "first.pem")):
        shutil.copy(CERTIFICATES / source, folder / name)
    plugin = folder / "get-token"
    plugin.write_text(_PLUGIN)
    plugin.chmod(0o700)

    async def enter(context: str) -> None:
        async with kinform.connect(kubeconfig, context=context):
            pass

    contexts = re.findall(r"^contexts:\n((?:  .*\n)+)", block.text, re.MULTILINE)
    names = re.findall(r"\bname: (\S+?),", contexts[0])
    assert names, f"{block.place}: no context"
    for name in names:
        asyncio.run(enter(name))


_PLUGIN = """\
#!/bin/sh
echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t"}}'
"""


def _save(block: Block, folder: Path) -> str:
    path = folder / "test_block.py"
    path.write_text(block.text)
    return str(path)


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def _run(block: Block, program: str) -> None:
    output = io.StringIO()
    # A module of its own: decorators and msgspec look up names by it.
    module = ModuleType("__main__")
    before, sys.modules["__main__"] = sys.modules["__main__"], module
    try:
        with redirect_stdout(output):
            exec(compile(program, block.place, "exec", dont_inherit=True), vars(module))
    finally:
        sys.modules["__main__"] = before
    if block.prints is not None:
        assert output.getvalue() == block.prints, f"{block.place} prints something else:\n{output.getvalue()}"


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


def _run_to_its_end(block: Block, folder: Path) -> None:
    """Runs a program until it ends. It must print nothing to standard error."""
    program = _save(block, folder)
    with simulator(folder) as kubeconfig:
        done = subprocess.run(
            [sys.executable, "-W", "error", program],
            cwd=folder,
            env=_environment(KUBECONFIG=kubeconfig),
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    assert (done.returncode, done.stderr) == (0, ""), f"{block.place}: {done.stderr}"
    if block.prints is not None:
        assert done.stdout == block.prints, f"{block.place} prints something else:\n{done.stdout}"


def _run_until(word: str, script: str, folder: Path) -> None:
    """Reads lines until one begins with the word, then sends Ctrl-C."""
    with simulator(folder) as kubeconfig, _program([script], folder, KUBECONFIG=kubeconfig) as program:
        assert program.stdout is not None
        lines = []
        for line in program.stdout:
            lines.append(line)
            if line.startswith(word):
                break
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=SECONDS)
    output = "".join(lines)
    assert any(line.startswith(word) for line in lines), f"{output}{errors}"
    assert "KeyboardInterrupt" in errors, errors


@contextmanager
def simulator(folder: Path, *, pods: int = 20) -> Iterator[str]:
    """Yields the path of a kubeconfig for a simulator on another thread."""
    kubeconfig, serving, failures = folder / "kubeconfig", threading.Event(), []
    loop, over = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with kinform.testing.Server() as server:
            server.generate("v1/pods", pods)
            server.write_kubeconfig(kubeconfig)
            serving.set()
            await over.wait()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(serve())
        except BaseException as error:
            failures.append(error)
        finally:
            serving.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert serving.wait(SECONDS)
        assert not failures, failures
        yield str(kubeconfig)
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(over.set)
        thread.join(SECONDS)
    assert not failures, failures


@contextmanager
def _program(arguments: list[str], folder: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Yields a Python program that is killed at the end of the block."""
    command, pipe = [sys.executable, *arguments], subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, env=_environment(**environment), stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as program:
        try:
            yield program
        finally:
            program.kill()
