"""The code in a Markdown page: its blocks, where they stand, and what the page says about them.

A block is what stands between fences. An HTML comment `<!-- test: ... -->` on the line above a fence says how the
block is to be tested, and a `text` block that comes next after a code block holds what that prints. Runs nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"(?P<indent> *)```(?P<language>\w*)[^`]*")
_MARK = re.compile(r"<!-- test: (?P<mark>.+?) -->")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: The file it stands in.
        line: The line of its first fence, from 1.
        language: What follows the fence, `"python"`, or `""`.
        text: Its lines, without the indentation of the fence.
        mark: What the comment above it says, or `""`.
        prints: The text of the `text` block that comes next, or None.
    """

    page: Path
    line: int
    language: str
    text: str
    mark: str
    prints: str | None = None

    @property
    def place(self) -> str:
        """`docs/tutorial.md:12`, for messages and test names."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """All pages of the project, in a fixed order."""
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order; a fence that is not closed is an AssertionError."""
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
