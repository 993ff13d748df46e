"""The table of decisions of a leader election, in docs/reference/controllers.md."""

from __future__ import annotations

from kinform.controllers._leases.lease import ROWS, Standing


def table() -> str:
    """Returns a row for each holder, and a column for each standing of the candidate."""
    heads = ["", *(f"candidate {standing.value}" for standing in Standing)]
    rows = [[found.value, *(step.value for step in steps)] for found, *steps in ROWS]
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
