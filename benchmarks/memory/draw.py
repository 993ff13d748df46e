"""The plot of each mode's heap over time, drawn from the records only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.harness.text import MIB

TITLES = {"sync": "first sync", "relist": "relist, all changed"}


def draw(records: list[dict[str, Any]], file: Path) -> None:
    """Writes the plot: a panel for each phase, with all modes.

    Args:
        records: The records of `benchmarks.memory.measure`.
        file: The file to write; its name decides the format.
    """
    from matplotlib.figure import Figure  # takes a second to import

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    axes = figure.subplots(1, len(TITLES), sharey=True)
    for panel, (phase, title) in zip(axes, TITLES.items(), strict=True):
        for record in records:
            points = record["timeline"][phase]
            panel.plot([when for when, _ in points], [size / MIB for _, size in points], label=record["mode"])
        panel.set(title=title, xlabel="seconds, while memray records", yscale="log")
        panel.yaxis.set_major_formatter("{x:,g}")
        panel.grid(alpha=0.3)
    axes[0].set_ylabel("heap, MiB")
    axes[-1].legend()
    about = records[0]
    figure.suptitle(f"{about['objects']:,} {about['kind']}: heap of {len(records)} programs that follow one collection")
    figure.savefig(file, dpi=120)
