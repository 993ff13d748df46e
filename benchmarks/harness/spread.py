"""Statistics over rounds: median, minimum and maximum."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping


def spread(values: Iterable[float]) -> dict[str, float]:
    """Returns median, minimum and maximum."""
    ordered = sorted(values)
    return {"median": statistics.median(ordered), "min": ordered[0], "max": ordered[-1]}


def spreads(rounds: list[Mapping[str, float | None]]) -> dict[str, dict[str, float]]:
    """Returns the spread of each figure that every round has."""
    known = [name for name in rounds[0] if all(each.get(name) is not None for each in rounds)]
    return {name: spread(value for each in rounds if (value := each[name]) is not None) for name in known}
