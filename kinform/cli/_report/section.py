"""The parts of a report, the same for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kinform._printable import printable
from kinform.cli._rows import quantity

MAX_BARS = 10
"""The largest number of bars in a chart."""
MAX_TEXT = 400
"""The largest number of characters in a cell."""


class Cell(msgspec.Struct, frozen=True):
    """A cell of a table.

    Attributes:
        text: The text.
        value: The number by which rows are sorted; None: the text is.
    """

    text: str
    value: float | None = None


class Bar(msgspec.Struct, frozen=True):
    """A bar of a chart.

    Attributes:
        label: The name.
        value: The length of the bar.
        text: The value in words.
        is_ours: True for kinform.
    """

    label: str
    value: float
    text: str
    is_ours: bool = False


class Section(msgspec.Struct, frozen=True):
    """A section of a report.

    Attributes:
        title: The heading.
        text: The meaning of the table, and advice.
        head: The columns of the table; empty: no table.
        rows: The rows of the table.
        bars: A chart; empty: none.
        code: Lines to copy; `""`: none.
    """

    title: str
    text: str
    head: list[str] = []
    rows: list[list[Cell]] = []
    bars: list[Bar] = []
    code: str = ""


class Document(msgspec.Struct, frozen=True):
    """A whole report.

    Attributes:
        title: The heading.
        subtitle: The command, and the time.
        headline: The most important numbers: the value, and its name.
        sections: The sections.
    """

    title: str
    subtitle: str
    headline: list[tuple[str, str]]
    sections: list[Section]


def text_cell(value: str) -> Cell:
    """A cell with a text, which may come from the server."""
    return Cell(printable(value, MAX_TEXT))


def count_cell(number: int) -> Cell:
    """A cell with a number."""
    return Cell(f"{number:,}", number)


def size_cell(number: int | None) -> Cell:
    """A cell with bytes; None: unknown."""
    return Cell("-", -1) if number is None else Cell(quantity(number), number)


def share_cell(part: float) -> Cell:
    """A cell with a percentage."""
    return Cell(f"{100 * part:.1f} %" if part < 0.1 else f"{100 * part:.0f} %", part)


def size_bars(values: Iterable[tuple[str, int]]) -> list[Bar]:
    """A chart of bytes, the largest first."""
    largest = sorted(values, key=lambda each: -each[1])[:MAX_BARS]
    return [Bar(printable(label), value, quantity(value)) for label, value in largest if value]
