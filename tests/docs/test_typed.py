"""The checker of types in documents finds errors, at their lines."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.docs.markdown import DOCS, Block
from tests.docs.typed import Program, check, missing, programs

installed = all(Path(sys.executable).with_name(name).exists() for name in ("mypy", "basedpyright"))


def test_most_pages_have_programs_with_types():
    pages = {program.block.page.name for program in programs()}
    assert {"README.md", "tutorial.md", "common-loops.md", "web-applications.md"} <= pages


def test_a_program_with_missing_imports_is_named():
    block = Block(DOCS / "index.md", 10, "python", "import nowhere, kinform\nimport other\n", "")
    assert missing(Program(block, "one", block.text, block.line), {"other"}) == ["nowhere"]


@pytest.mark.skipif(not installed, reason="not installed: mypy or basedpyright")
def test_both_checkers_report_the_line_of_the_page(tmp_path):
    text = "import kinform\n\nkinform.Scope(namespaces=7)\n"
    block = Block(DOCS / "index.md", 10, "python", text, "run")
    mypy, basedpyright = check([Program(block, "one", text, block.line)], tmp_path)
    assert mypy.startswith("mypy:\ndocs/index.md:13: error: ")
    assert "docs/index.md:13:26 - error: " in basedpyright
