"""The code blocks of a Markdown page, and how the page says to test them.

A block is the text between two fences. An HTML comment `<!-- test: ... -->` on the line above a fence says how to test
the block. A `text` block that follows a code block is the expected output of that block. Runs nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_REPOSITORY = re.search(r"^repo_url: (\S+)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
assert _REPOSITORY
PROJECT_URL = _REPOSITORY[1]
"""The address of the project; mkdocs.yml has it, and the README repeats it in its links."""

_FENCE = re.compile(r"(?P<indent> *)```(?P<language>\w*)[^`]*")
_MARK = re.compile(r"<!-- test: (?P<mark>.+?) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: The file that holds it.
        line: The line of its first fence, from 1.
        language: The word after the first fence, `"python"`, or `""`.
        text: Its lines, without the indentation of the fence.
        mark: The text of the comment above it, or `""`.
        prints: The text of the `text` block that follows it, or None.
    """

    page: Path
    line: int
    language: str
    text: str
    mark: str
    prints: str | None = None

    @property
    def place(self) -> str:
        """Returns file and line, `docs/tutorial.md:12`, for messages and test names."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Returns all pages of the project, in a fixed order."""
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def blocks(page: Path) -> list[Block]:
    """Returns the blocks of a page, in order. Each fence must be closed."""
    found: list[Block] = []
    lines = page.read_text().splitlines()
    at = 0
    while at < len(lines):
        fence = _FENCE.fullmatch(lines[at])
        if fence is None:
            at += 1
            continue
        indent = fence["indent"]
        assert f"{indent}```" in lines[at + 1 :], f"{page}:{at + 1}: a fence that is not closed"
        end = lines.index(f"{indent}```", at + 1)
        text = "".join(line.removeprefix(indent) + "\n" for line in lines[at + 1 : end])
        mark = _MARK.fullmatch(lines[at - 1].strip()) if at else None
        found.append(Block(page, at + 1, fence["language"], text, mark["mark"] if mark else ""))
        at = end + 1
    return [
        Block(block.page, block.line, block.language, block.text, block.mark, _prints(block, after))
        for block, after in zip_longest(found, found[1:])
    ]


def _prints(block: Block, after: Block | None) -> str | None:
    return after.text if block.language != "text" and after is not None and after.language == "text" else None
