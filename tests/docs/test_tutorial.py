"""The tutorial is run as it stands, program by program, and prints what it says it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.markdown import DOCS, Block, blocks
from tests.docs.running import check

PROGRAMS = [block for block in blocks(DOCS / "tutorial.md") if block.language == "python"]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda block: block.text.splitlines()[0].removeprefix("# "))
def test_each_program_prints_what_the_page_shows(program: Block, tmp_path: Path):
    check(program, tmp_path)


def test_no_program_is_left_out():
    assert len(PROGRAMS) > 5
    for program in PROGRAMS:
        assert program.mark.startswith("run"), program.place
        assert program.prints is not None or "until" in program.mark, program.place
