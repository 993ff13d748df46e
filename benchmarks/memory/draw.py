"""The time line of each mode's heap, drawn from the records of a measurement alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MIB = float(1 << 20)
TITLES = {"sync": "first sync", "relist": "a relist in which all has changed"}


def draw(records: list[dict[str, Any]], file: Path) -> None:
    """Writes a PNG, or what else the file's name asks for: the phases side by side, all modes in each.

    Args:
        records: What `benchmarks.memory.measure` returned, or was read back from what was told.
        file: Where to write.
    """
    from matplotlib.figure import Figure  # a second to load, for nothing if only figures are wanted

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    axes = figure.subplots(1, len(TITLES), sharey=True)
    for panel, (phase, title) in zip(axes, TITLES.items(), strict=True):
        for record in records:
            points = record["timeline"][phase]
            panel.plot([when for when, _ in points], [size / MIB for _, size in points], label=record["mode"])
        panel.set(title=title, xlabel="seconds, under memray", yscale="log")
        panel.grid(alpha=0.3)
    axes[0].set_ylabel("heap, MiB")
    axes[-1].legend()
    about = records[0]
    figure.suptitle(f"{about['objects']:,} {about['kind']}: one collection, retold in {len(records)} ways")
    figure.savefig(file, dpi=120)
