"""Checks that the project is in plain technical English.

Run as `python -m tests.docs.language [PATH ...]`. Checks what a program can check: the first line of each docstring,
the words that sentences begin with, vague words where a standard term exists, and the length of test names. Prints a
line for each finding. Skips generated regions of documents: their text is checked where it is written. CONTRIBUTING.md
has the rules.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.docs.markdown import ROOT

FOLDERS = ("kinform", "kinform_ext", "tests", "benchmarks", "tools", "docs")
ENDINGS = {".py", ".pyx", ".pxi", ".pyi", ".pxd", ".h", ".md"}
EXCEPT = {Path("tests/docs/language.py"), Path("tests/docs/test_language.py")}

MAX_SUMMARY = 80
MAX_TEST_NAME = 60

# A docstring begins with a verb, or with a noun of the field and its article.
_NO_BEGINNING = """
    after all another as at before besides between beyond by each every everything from here how if
    in it its likewise more most no nobody none not nothing of on one only or same so some such that
    then there these they this those to under up what whatever when where whether which while who
    whoever whose why with within without
"""

# What a sentence does not begin with, unless it asks.
_INVERTED = re.compile(r"(?:^|(?<=[.!?:;] ))(?:Of|Whoever|What|Whatever|Who)\b[^.!?:;]*[.!?:;]")

# What to write instead stands next to each.
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
# Not as an attribute: a file has a method `tell`.
_ANY_VAGUE = re.compile("|".join(VAGUE).replace("(?-i:is none|are none)", "is none|are none"), re.IGNORECASE)
_VAGUE = [(re.compile(rf"(?<![\w`.])(?:{words})(?![\w`])", re.IGNORECASE), instead) for words, instead in VAGUE.items()]


class Paragraph(NamedTuple):
    """Prose of one or more lines.

    Attributes:
        line: The line that it begins in, from 1.
        text: Its lines, each without indentation and comment signs.
    """

    line: int
    text: list[str]


def findings(paths: Iterable[Path]) -> Iterator[str]:
    """Returns all findings in these files, as `file:line: text`."""
    for path in paths:
        name = path.relative_to(ROOT)
        found = _document(path.read_text()) if path.suffix == ".md" else _source(path)
        for line, what in sorted(found):
            yield f"{name}:{line}: {what}"


def files(names: list[str]) -> list[Path]:
    """Returns the files to check below these paths; without paths, all files."""
    found = []
    for name in names or [*FOLDERS, "setup.py", *(path.name for path in ROOT.glob("*.md"))]:
        path = (ROOT / name).resolve()
        found += sorted(path.rglob("*")) if path.is_dir() else [path]
    return [path for path in found if path.suffix in ENDINGS and path.relative_to(ROOT) not in EXCEPT]


def summary(docstring: str | None) -> Iterator[str]:
    """Returns what is wrong with the first line of a docstring."""
    if not docstring:
        return
    first = docstring.splitlines()[0].strip()
    if len(first) > MAX_SUMMARY:
        yield f"a first line of {len(first)} characters: {first}"
    word = re.match(r"[A-Za-z'-]*", first)
    if word and word[0].lower() in _NO_BEGINNING.split():
        yield f"begins with {word[0]!r}, not with a verb or a noun: {first}"


def inverted(paragraph: Paragraph) -> Iterator[tuple[int, str]]:
    """Returns the sentences that begin with a word that no statement begins with."""
    parts = [re.sub(r"`[^`]*`", "`code`", part) for part in paragraph.text]
    for found in _INVERTED.finditer(" ".join(parts)):
        if not found[0].endswith("?"):
            at, line = found.start(), paragraph.line
            for number, part in enumerate(parts):
                if at <= len(part):
                    line += number
                    break
                at -= len(part) + 1
            yield line, f"a sentence that begins with {found[0].split()[0]!r}: {found[0]}"


def _vague(checked: Iterable[str], lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    for number, (text, line) in enumerate(zip(checked, lines, strict=True), 1):
        if _ANY_VAGUE.search(text):
            for pattern, instead in _VAGUE:
                if found := pattern.search(text):
                    yield number, f"{found[0]!r}; write {instead}: {line.strip()}"


# Documents


def _document(text: str) -> Iterator[tuple[int, str]]:
    lines = list(_without_code(text))
    yield from _vague(lines, text.splitlines())
    for paragraph in _paragraphs(lines):
        yield from inverted(paragraph)


def _without_code(text: str) -> Iterator[str]:
    """Returns the lines of a document, with code and generated regions left empty."""
    fenced = generated = False
    for line in text.splitlines():
        fence = line.lstrip().startswith("```")
        generated |= line.startswith(("<!-- from the ", "<!-- benchmarks: "))
        yield "" if fenced or fence or generated else re.sub(r"`[^`]*`", "`code`", line)
        fenced ^= fence
        generated &= line != "<!-- end -->"


_ITEM = re.compile(r"\s*(?:[-*#|>]|\d+\.) ")


def _paragraphs(lines: Iterable[str]) -> Iterator[Paragraph]:
    """Returns the paragraphs of a document; a list item or a table row is one."""
    current: Paragraph | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip() or _ITEM.match(line):
            if current:
                yield current
            current = None
        if line.strip():
            current = current or Paragraph(number, [])
            current.text.append(_ITEM.sub("", line).strip())
    if current:
        yield current


# Sources


def _source(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_text()
    yield from _vague(text.splitlines(), text.splitlines())
    if path.suffix in (".py", ".pyi"):
        tree = ast.parse(text)
        docstrings = [*_docstrings(tree)]
        yield from _test_names(tree)
    else:
        docstrings = [*_pyx_docstrings(text)]
    comments = _c_comments(text) if path.suffix == ".h" else _hash_comments(text)
    for line, docstring, first in docstrings:
        if first:
            yield from ((line, found) for found in summary(docstring))
        for paragraph in _docstring_paragraphs(line, docstring):
            yield from (found for found in inverted(paragraph) if not (first and found[0] == line))
    for paragraph in comments:
        yield from inverted(paragraph)


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, str, bool]]:
    """Returns line, text and kind of each docstring, and of each string below a field."""
    first = set(tree.body[:1])
    for node in _statements(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first.add(node.body[0])
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value, node in first


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Returns all statements below a node; skips expressions, which is faster."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        for statement in getattr(node, name, ()):
            if isinstance(statement, ast.stmt):
                yield statement
            yield from _statements(statement)


def _pyx_docstrings(text: str) -> Iterator[tuple[int, str, bool]]:
    for match in re.finditer(r'^ *"""(.*?)"""', text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, match.start()) + 1, match[1], True


def _docstring_paragraphs(line: int, docstring: str) -> Iterator[Paragraph]:
    """Returns the paragraphs of a docstring; an entry of a section begins a new one."""
    lines = [re.sub(r"^[\w, ]+: ", "", each.strip()) for each in docstring.splitlines()]
    begins = [bool(re.match(r"\s*[\w, ]+: ", each)) for each in docstring.splitlines()]
    current: Paragraph | None = None
    for number, each in enumerate(lines):
        if current and (not each or begins[number]):
            yield current
            current = None
        if each:
            current = current or Paragraph(line + number, [])
            current.text.append(each)
    if current:
        yield current


def _test_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in _statements(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("test_") and len(node.name) > MAX_TEST_NAME:
            yield node.lineno, f"a test name of {len(node.name)} characters: {node.name}"


def _hash_comments(text: str) -> Iterator[Paragraph]:
    """Returns the comments of Python and Cython; a `#` in a string may count as one."""
    comments = []
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.search(r"(?:^|\s)# (.*)", line):
            comments.append((number, found[1], not line[: found.start()].strip()))
    yield from _joined(comments)


def _joined(comments: Iterable[tuple[int, str, bool]]) -> Iterator[Paragraph]:
    """Returns comments on consecutive lines as paragraphs."""
    current: Paragraph | None = None
    for line, text, alone in comments:
        if current and (not alone or line != current.line + len(current.text)):
            yield current
            current = None
        if alone:
            current = current or Paragraph(line, [])
            current.text.append(text)
        else:
            yield Paragraph(line, [text])
    if current:
        yield current


def _c_comments(text: str) -> Iterator[Paragraph]:
    for match in re.finditer(r"/\*(.*?)\*/", text, re.DOTALL):
        line = text.count("\n", 0, match.start()) + 1
        yield Paragraph(line, [re.sub(r"^\s*\*\s?", "", each).strip() for each in match[1].splitlines()])


if __name__ == "__main__":
    found = list(findings(files(sys.argv[1:])))
    print("\n".join(found))
    print(f"{len(found)} findings", file=sys.stderr)
    sys.exit(bool(found))
