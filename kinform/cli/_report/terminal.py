"""The report in a terminal, or as plain lines in a pipe."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from kinform.cli._report.section import Document, Section

PIPE_WIDTH = 140
"""Characters of a line in a pipe."""
MAX_ROWS = 20
"""The largest number of rows of a table."""


class _CellText:
    """A text whose long words break after dots and slashes, if the column is narrow."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        least = max(map(cell_len, re.split(r"[\s./]", self._text)))
        return Measurement(least, cell_len(self._text)).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield Text("\n".join(self._lines(options.max_width)))

    def _lines(self, width: int) -> Iterator[str]:
        line = ""
        for word in re.split(r"(?<=\s)", self._text):
            fits = cell_len(word.rstrip()) <= width
            for part in [word] if fits else re.split(r"(?<=[./])", word):
                if line and cell_len((line + part).rstrip()) > width:
                    yield line.rstrip()
                    line = ""
                line += part
        yield line.rstrip()


def print_document(document: Document) -> None:
    """Prints a report to standard output."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    console.print(Text(f"{document.title}, {document.subtitle}"))
    console.print(Text("; ".join(f"{value} {name}" for value, name in document.headline)))
    for section in document.sections:
        _print(console, section)


def _print(console: Console, section: Section) -> None:
    console.print()
    console.print(Text(section.title, style="bold"))
    console.print(Text(section.text, style="dim"))
    if section.head:
        _print_table(console, section)
    if section.code:
        console.print(Text(f"\n{section.code}"), soft_wrap=True)


def _print_table(console: Console, section: Section) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(section.head):
        is_number = any(row[place].value is not None for row in section.rows)
        table.add_column(Text(name), justify="right" if is_number else "left", overflow="fold", no_wrap=is_number)
    for row in section.rows[:MAX_ROWS]:
        table.add_row(*(Text(cell.text) if cell.value is not None else _CellText(cell.text) for cell in row))
    console.print(table)
    if (rest := len(section.rows) - MAX_ROWS) > 0:
        console.print(Text(f"and {rest} more rows: --json and --html have all of them", style="dim"))
