"""The language of the project, as far as a program can check it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.language import files, findings
from tests.docs.markdown import ROOT


def test_the_checker_has_no_findings():
    found = list(findings(files([])))
    assert not found, f"{len(found)} findings; run: python -m tests.docs.language\n" + "\n".join(found)


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("tests.docs.language.ROOT", tmp_path)

    def check(name: str, text: str) -> list[str]:
        (tmp_path / name).write_text(text)
        return [found.partition(": ")[2] for found in findings([tmp_path / name])]

    return check


@pytest.mark.parametrize(
    ("name", "text", "finding"),
    [
        ("page.md", "A handler is told of it.\n", "'told'"),
        ("page.md", "Some words.\nWhat a program\nneeds is little.\n", "a sentence that begins with 'What'"),
        ("page.md", "- Of most objects it needs little.\n", "a sentence that begins with 'Of'"),
        ("module.py", '"""Of small collections."""\n', "begins with 'Of'"),
        ("module.py", f'"""Returns {"x" * 80}."""\n', "a first line of 89 characters"),
        ("module.py", "x = 1  # Whatever comes is kept.\n", "a sentence that begins with 'Whatever'"),
        ("module.py", "told = 1\n", "'told'"),
        ("module.py", f"def test_{'x' * 60}():\n    pass\n", "a test name of 65 characters"),
        ("module.pyx", 'def f():\n    """What it takes."""\n', "begins with 'What'"),
        ("header.h", "/* Who comes\n * second waits. */\n", "'Who comes'"),
    ],
)
def test_a_fault_is_found(check, name: str, text: str, finding: str):
    assert any(found.startswith(finding) for found in check(name, text)), check(name, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("page.md", "# What is tested\n\nWhat does a relist cost? See `told` and `who reads`.\n"),
        ("page.md", "```python\ntold = 1\n```\n"),
        ("page.md", "<!-- from the code: kinform.Scope -->\nWhat it holds.\n<!-- end -->\nText.\n"),
        ("module.py", '"""In-memory tables."""\n'),
        ("module.py", "# What to ask\nposition = file.tell()\n"),
    ],
)
def test_plain_text_is_accepted(check, name: str, text: str):
    assert not check(name, text)


def test_the_line_of_a_sentence_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tests.docs.language.ROOT", tmp_path)
    (tmp_path / "page.md").write_text("Title\n\nOne line, and the next\none ends. What is here\nis wrong.\n")
    assert [found.split(":")[1] for found in findings([tmp_path / "page.md"])] == ["4"]


def test_every_folder_of_the_project_is_checked():
    checked = {path.relative_to(ROOT).parts[0] for path in files([])}
    parts = {"kinform", "kinform_ext", "tests", "benchmarks", "tools", "docs"}
    assert parts | {"setup.py", "README.md", "CONTRIBUTING.md"} <= checked
