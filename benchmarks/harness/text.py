"""Figures formatted for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

MIB = float(1 << 20)

Column = tuple[str, str, str]
"""A title, the figure's name in a record, and its unit.

The unit is `"MiB"`, `"KiB"`, `"%"`, `"s"`, `"ms"`, `"us"`, `"/s"` or `""`.
"""

UNITS = {"us": "µs"}
"""How a unit is written, if not by its name."""
TITLE_WIDTH = 62
"""Characters of a title in a terminal."""


def shown(value: float, unit: str) -> str:
    """Formats a figure in its unit, without the unit."""
    match unit:
        case "MiB":
            return f"{value / MIB:,.1f}"
        case "KiB":
            return f"{value / 1024:,.1f}"
        case "%":
            return f"{value * 100:.1f}"
        case "s":
            return f"{value:.2f}"
        case "ms":
            return f"{value * 1e3:,.1f}"
        case "us":
            return f"{value * 1e6:,.2f}"
        case "/s":
            return f"{value:,.2f}"
    return f"{value:,.0f}"


def rows(columns: Iterable[Column], figures: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Formats a line for each figure that exists: median, minimum, maximum."""
    lines = []
    for title, name, unit in columns:
        if figure := figures.get(name):
            values = "".join(f"{shown(figure[end], unit):>14}" for end in ("median", "min", "max"))
            lines.append(f"    {title:{TITLE_WIDTH}}{values} {UNITS.get(unit, unit)}".rstrip())
    return lines


def nanoseconds(value: float) -> str:
    """Formats nanoseconds, with one decimal below 100."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
