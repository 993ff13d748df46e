"""The programs of the tutorial run as they stand, and print the shown output."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.markdown import DOCS, Block, blocks
from tests.docs.running import check

PROGRAMS = [block for block in blocks(DOCS / "tutorial.md") if block.language == "python"]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda block: block.text.splitlines()[0].removeprefix("# "))
def test_program_prints_the_output_on_the_page(program: Block, tmp_path: Path):
    check(program, tmp_path)


def test_every_program_runs_and_has_an_output():
    assert len(PROGRAMS) > 5
    for program in PROGRAMS:
        assert program.mark.startswith("run"), program.place
        assert program.prints is not None or "until" in program.mark, program.place
