"""Checks the types of the programs in the documents, by mypy and basedpyright.

Run as `python -m tests.docs.typed`. Writes each program that a page runs, and each one that has a file name in its
first line, into a temporary folder. A fragment becomes the inside of a function with `server` and `api`. Prints the
findings of both checkers, by the line of the page. Skips programs whose imports are not installed, and names them.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.docs.markdown import ROOT, Block, blocks, pages

_FRAGMENT = """\
import asyncio
import msgspec
import kinform, kinform.testing
async def main(server: kinform.testing.Server, api: kinform.Connection, url: str, ca: str) -> None:
"""
_NAMED = re.compile(r"# (?P<module>[a-z_]+)\.py\n")
_FINDING = re.compile(r"^\s*(?P<file>[^\s:]+\.py):(?P<line>\d+)", re.MULTILINE)

_CHECKERS = (
    ("mypy", "--strict", "--no-error-summary", "--hide-error-context"),
    ("basedpyright", "--level", "error", "--pythonpath", sys.executable),
)

_SETTINGS = """\
[tool.mypy]
mypy_path = {root!r}
[[tool.mypy.overrides]]
module = ["kubernetes.*", "kubernetes_asyncio.*", "yaml"]
ignore_missing_imports = true
[tool.basedpyright]
extraPaths = [{root!r}]
typeCheckingMode = "standard"
reportPossiblyUnboundVariable = false  # a loop that assigns runs at least once
"""


class Program(NamedTuple):
    """A program of a page, as a module.

    Attributes:
        block: The block of the page.
        module: The name of the module.
        text: The program.
        offset: The line of the page before the first line of `text`; lines of `_FRAGMENT` count.
    """

    block: Block
    module: str
    text: str
    offset: int


def programs() -> Iterator[Program]:
    """Yields the programs of all pages."""
    for page in pages():
        for block in blocks(page):
            named = _NAMED.match(block.text)
            if block.language != "python" or not (named or block.mark):
                continue
            module = named["module"] if named else "at_" + re.sub(r"\W", "_", block.place)
            if block.mark.endswith("cluster"):
                text = _FRAGMENT + textwrap.indent(block.text, " " * 4)
                yield Program(block, module, text, block.line - _FRAGMENT.count("\n"))
            else:
                yield Program(block, module, block.text, block.line)


def missing(program: Program, known: set[str]) -> list[str]:
    """Returns the imports of a program that are neither installed nor known."""
    names = set()
    for node in ast.walk(ast.parse(program.text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return sorted(name for name in names - known if importlib.util.find_spec(name) is None)


def check(found: list[Program], folder: Path) -> Iterator[str]:
    """Yields the output of each checker that has findings, by lines of the pages."""
    (folder / "pyproject.toml").write_text(_SETTINGS.format(root=str(ROOT)))
    by_name = {f"{program.module}.py": program for program in found}
    assert len(by_name) == len(found), "two programs have the same name"
    for name, program in by_name.items():
        (folder / name).write_text(program.text)

    def at_the_page(match: re.Match[str]) -> str:
        program = by_name.get(Path(match["file"]).name)
        if program is None:
            return match[0]
        return f"{program.block.page.relative_to(ROOT)}:{int(match['line']) + program.offset}"

    for name, *options in _CHECKERS:
        checker = Path(sys.executable).with_name(name)
        files = [] if name == "basedpyright" else list(by_name)
        done = subprocess.run([checker, *options, *files], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            yield f"{name}:\n{_FINDING.sub(at_the_page, done.stdout + done.stderr)}"


def main() -> int:
    """Prints the findings; returns 1 if there are any."""
    every = list(programs())
    modules = {program.module for program in every}
    found = []
    for program in every:
        if absent := missing(program, modules):
            print(f"{program.block.place}: skipped: not installed: {', '.join(absent)}")
        else:
            found.append(program)
    with tempfile.TemporaryDirectory() as folder:
        findings = list(check(found, Path(folder)))
    print("".join(findings), end="")
    print(f"{len(found)} programs: {'findings' if findings else 'no findings'}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
