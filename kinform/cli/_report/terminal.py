"""The report in a terminal, or as plain lines in a pipe."""

from __future__ import annotations

import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kinform.cli._report.section import Document, Section

PIPE_WIDTH = 140
"""Characters of a line in a pipe."""
MAX_ROWS = 20
"""The largest number of rows of a table."""


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
        table.add_row(*(Text(cell.text) for cell in row))
    console.print(table)
    if (rest := len(section.rows) - MAX_ROWS) > 0:
        console.print(Text(f"and {rest} more rows: --json and --html have all of them", style="dim"))
