"""The report in a terminal, or as plain lines in a pipe."""

from __future__ import annotations

import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kinform.cli.audit.report import Report
from kinform.cli.audit.sections import ROWS, Section, headline, sections

PIPE_WIDTH = 140
"""Characters of a line in a pipe."""


def print_report(report: Report) -> None:
    """Prints all sections to standard output."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    console.print(Text(f"{report.cluster}, {report.taken_at}, read in {report.seconds:.1f} s"))
    console.print(Text("; ".join(f"{value} {name}" for name, value in headline(report))))
    for section in sections(report):
        _print(console, section)


def _print(console: Console, section: Section) -> None:
    console.print()
    console.print(Text(section.title, style="bold"))
    console.print(Text(section.text, style="dim"))
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(section.head):
        is_number = any(row[place].value is not None for row in section.rows)
        table.add_column(Text(name), justify="right" if is_number else "left", overflow="fold", no_wrap=is_number)
    for row in section.rows[:ROWS]:
        table.add_row(*(Text(cell.text) for cell in row))
    console.print(table)
    if (rest := len(section.rows) - ROWS) > 0:
        console.print(Text(f"and {rest} more rows: --json and --html have all of them", style="dim"))
