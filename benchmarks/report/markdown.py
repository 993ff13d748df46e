"""Figures, tables and templates in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.harness.text import UNITS, shown

Figure = Mapping[str, float]

PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replaces each `{{name}}`, and joins the blank lines around empty values."""
    return re.sub(r"\n{3,}", "\n\n", PLACEHOLDER.sub(lambda found: values[found[1]], template))


def complete(template: str, values: Mapping[str, str]) -> str:
    """Fills a page, without each section that has an empty value.

    A section is the text from a heading of any level below the first to the next.
    """
    sections = re.split(r"^(?=##)", template, flags=re.MULTILINE)
    return fill("".join(each for each in sections if all(values[name] for name in PLACEHOLDER.findall(each))), values)


def cell(figure: float | Figure | None, unit: str) -> str:
    """Formats the median with the largest distance of a round from it.

    A distance that is shown as zero is left out. None is a dash.
    """
    if figure is None:
        return "-"
    if not isinstance(figure, Mapping):
        return shown(figure, unit)
    spread = shown(max(figure["max"] - figure["median"], figure["median"] - figure["min"]), unit)
    median = shown(figure["median"], unit)
    return median if float(spread.replace(",", "")) == 0 else f"{median} ±{spread}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1) -> str:
    """Formats a table: text in the first columns, figures in the others."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * texts}{'---:|' * (len(head) - texts)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def heading(title: str, unit: str) -> str:
    """Formats the heading of a column, with its unit."""
    return f"{title}, {UNITS.get(unit, unit)}" if unit else title


def bullets(lines: Iterable[str]) -> str:
    """Formats a list."""
    return "\n".join(f"- {line}" for line in lines)


def ratio(value: float) -> str:
    """Formats a ratio with two or three significant digits."""
    return f"{value:,.0f}" if value >= 20 else f"{value:.1f}" if value >= 2 else f"{value:.2f}"
