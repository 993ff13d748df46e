"""`python -m tests.docs.language [PATH ...]`: checks that the project is written in plain technical English.

Checks three things that a program can check: the first line of each docstring, words that stand for a vague idea where
a standard term exists, and the length of test names. Prints a line for each finding.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.docs.markdown import ROOT

FOLDERS = ("kinform", "kinform_ext", "tests", "benchmarks", "docs")
ENDINGS = {".py", ".pyx", ".pxi", ".pyi", ".pxd", ".h", ".md"}
EXCEPT = {Path("tests/docs/language.py"), Path("docs/explanation/decisions.md")}

MAX_SUMMARY = 80
MAX_TEST_NAME = 60

# A docstring begins with a verb, or with a noun of the field and its article.
_NO_BEGINNING = """
    after all another as at before besides between beyond by each every everything from here how if
    in it its likewise more most no nobody none not nothing of on one only or same so some such that
    then there these they this those to under up what whatever when where whether which while who
    whoever whose why with within without
"""

# What to write instead stands beside each.
VAGUE = {
    r"told|tells?|telling|untold": "report, notify, state, or log",
    r"lets? go|letting go": "release",
    r"so many|so much": "a number, or the name of the parameter",
    r"nobody|whoever|whosoever|somebody": "the subject: the caller, a listener, a reader",
    r"(?-i:is none|are none)|is no use|no use": "does not exist, or is not valid",
    r"besides?": "next to, or in addition to",
    r"as much again": "twice as much",
    r"is no news": "is ignored",
    r"what is held|who reads|who writes|who comes": "the objects in the store; the reader; the writer",
    r"begun|by and by|thereof|therein|thence|hence|thereupon|whereupon|aloud": "plain words",
}
_VAGUE = [(re.compile(rf"(?<![\w`])(?:{words})(?![\w`])", re.IGNORECASE), instead) for words, instead in VAGUE.items()]


def findings(paths: list[Path]) -> Iterator[str]:
    """All findings in these files, as `file:line: text`."""
    for path in paths:
        text = path.read_text()
        name = path.relative_to(ROOT)
        for line, found in _in(path, text):
            yield f"{name}:{line}: {found}"


def files(names: list[str]) -> list[Path]:
    """The files to check below these paths; all of the project where none is given."""
    found = []
    for name in names or [*FOLDERS, *(path.name for path in ROOT.glob("*.md"))]:
        path = (ROOT / name).resolve()
        found += sorted(path.rglob("*")) if path.is_dir() else [path]
    return [path for path in found if path.suffix in ENDINGS and path.relative_to(ROOT) not in EXCEPT]


def _in(path: Path, text: str) -> Iterator[tuple[int, str]]:
    if path.suffix == ".md":
        yield from _prose(enumerate(_without_code(text), 1))
        return
    yield from _prose(enumerate(text.splitlines(), 1))
    if path.suffix in (".py", ".pyi"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                line = getattr(node, "lineno", 1)
                yield from ((line, found) for found in summary(ast.get_docstring(node)))
                if getattr(node, "name", "").startswith("test_") and len(node.name) > MAX_TEST_NAME:  # type: ignore[union-attr]
                    yield line, f"a test name of {len(node.name)} characters: {node.name}"  # type: ignore[union-attr]
    elif path.suffix in (".pyx", ".pxi"):
        for match in re.finditer(r'^[ ]*"""(.*)$', text, re.MULTILINE):
            if match[1]:
                line = text.count("\n", 0, match.start()) + 1
                yield from ((line, found) for found in summary(match[1].removesuffix('"""')))


def summary(docstring: str | None) -> Iterator[str]:
    """What is wrong with the first line of a docstring."""
    if not docstring:
        return
    first = docstring.splitlines()[0].strip()
    if len(first) > MAX_SUMMARY:
        yield f"a first line of {len(first)} characters: {first}"
    word = re.match(r"[A-Za-z']*", first)
    if word and word[0].lower() in _NO_BEGINNING.split():
        yield f"begins with {word[0]!r}, not with a verb or a noun: {first}"


def _prose(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        for pattern, instead in _VAGUE:
            if found := pattern.search(line):
                yield number, f"{found[0]!r}; write {instead}: {line.strip()}"


def _without_code(text: str) -> Iterator[str]:
    inside = False
    for line in text.splitlines():
        fence = line.lstrip().startswith("```")
        yield "" if inside or fence else line
        inside ^= fence


if __name__ == "__main__":
    found = list(findings(files(sys.argv[1:])))
    print("\n".join(found))
    print(f"{len(found)} findings", file=sys.stderr)
    sys.exit(bool(found))
