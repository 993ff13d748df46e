"""The code on all other pages compiles, and runs where the page says that it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.markdown import DOCS, Block, blocks, pages
from tests.docs.running import check

EXAMPLES = [
    block
    for page in pages()
    if page != DOCS / "tutorial.md"
    for block in blocks(page)
    if block.language == "python" or block.mark
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda block: block.place)
def test_an_example_does_what_the_page_says(example: Block, tmp_path: Path):
    check(example, tmp_path)


def test_the_program_of_the_readme_is_run():
    readme = [example.mark for example in EXAMPLES if example.page.name == "README.md"]
    assert any(mark.startswith("run") for mark in readme)
