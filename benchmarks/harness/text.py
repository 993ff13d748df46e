"""Figures as people read them, in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

MIB = float(1 << 20)

Row = tuple[str, str, str]
"""What a figure is called, its name in a record, and its unit: `"MiB"`, `"%"`, `"s"`, `"ms"`, `"us"` or `""`."""


def shown(value: float, unit: str) -> str:
    """A figure in its unit, without it."""
    match unit:
        case "MiB":
            return f"{value / MIB:,.1f}"
        case "%":
            return f"{value * 100:.1f}"
        case "s":
            return f"{value:.2f}"
        case "ms":
            return f"{value * 1e3:,.1f}"
        case "us":
            return f"{value * 1e6:,.2f}"
    return f"{value:,.0f}"


def rows(titles: Iterable[Row], figures: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A line a figure that is there: median, least, greatest."""
    lines = []
    for title, name, unit in titles:
        if figure := figures.get(name):
            values = "".join(f"{shown(figure[end], unit):>14}" for end in ("median", "min", "max"))
            lines.append(f"    {title:38}{values} {unit}".rstrip())
    return lines
