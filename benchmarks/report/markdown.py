"""Figures and tables as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.harness.text import shown

Figure = Mapping[str, float]


def cell(figure: Figure | None, unit: str) -> str:
    """The median, and by how much the rounds differed from it if they did; a dash where there is none."""
    if figure is None:
        return "-"
    median = shown(figure["median"], unit)
    spread = max(figure["max"] - figure["median"], figure["median"] - figure["min"])
    wide = shown(spread, unit)
    return median if float(wide.replace(",", "")) == 0 else f"{median} ±{wide}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table whose first column is text and whose others are figures."""
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def times(ratio: float) -> str:
    """A ratio as people say it."""
    return f"{ratio:,.0f}" if ratio >= 20 else f"{ratio:.1f}" if ratio >= 2 else f"{ratio:.2f}"
