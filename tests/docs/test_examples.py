"""The code on all other pages compiles, and runs where the page says how."""

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
def test_example_runs_as_the_page_says(example: Block, tmp_path: Path):
    check(example, tmp_path)


def test_first_example_of_the_readme_is_a_program_of_12_lines():
    readme = [example for example in EXAMPLES if example.page.name == "README.md"]
    assert readme[0].mark.startswith("run with a kubeconfig")
    assert len(readme[0].text.splitlines()) <= 12
