"""Reads a memray capture: the heap over time, its holders, and allocations.

The heap is all memory that was allocated or mapped, whether used or not: an arena of Python or a slab of kinform counts
as a whole. The flame graphs are memray's own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import memray

from benchmarks.memory.holders import holders, sites
from benchmarks.memory.runs import Phase

POINTS = 150
"""Points in the timeline of one phase."""

FREES = {memray.AllocatorType.FREE, memray.AllocatorType.MUNMAP, memray.AllocatorType.PYMALLOC_FREE}


def heap(capture: Path, phases: dict[str, Phase]) -> dict[str, Any]:
    """Reads the heap of a process in its phases.

    Returns:
        `figures`: `heap.peak` is exact; the peak of each phase and the heap after it are from the timeline.
        `timeline`: seconds and bytes for each phase. `holders` and `sites`: at the peak. `held_by`: holders at the end.
    """
    with memray.FileReader(capture) as reader:
        snapshots = [(found.time / 1000, found.heap) for found in reader.get_memory_snapshots()]
        figures: dict[str, float] = {"heap.peak": reader.metadata.peak_memory}
        timelines = dict[str, list[list[float]]]()
        for name, (start, end) in phases.items():
            points = [(when - start, size) for when, size in snapshots if start <= when <= end]
            figures[f"heap.{name}_peak"] = max(size for _, size in points)
            figures[f"heap.{name}_held"] = points[-1][1]
            timelines[name] = thinned(points)
        at_peak = list(reader.get_high_watermark_allocation_records(merge_threads=True))
        at_end = list(reader.get_leaked_allocation_records(merge_threads=True))
        parts = {"holders": holders(at_peak), "sites": sites(at_peak), "held_by": holders(at_end)}
    return {"figures": figures, "timeline": timelines, **parts}


def thinned(points: list[tuple[float, int]]) -> list[list[float]]:
    """Reduces a timeline to `POINTS` points: the largest of each group."""
    step = -(-len(points) // POINTS)
    groups = (points[at : at + step] for at in range(0, len(points), step))
    return [[round(when, 3), size] for when, size in (max(group, key=lambda point: point[1]) for group in groups)]


def allocations(capture: Path) -> int:
    """Counts the allocations."""
    count = 0
    with memray.FileReader(capture) as reader:
        for record in reader.get_allocation_records():
            if record.allocator not in FREES:
                count += record.n_allocations
    return count


def flame_graphs(capture: Path, folder: Path, name: str) -> None:
    """Writes two flame graphs: of the peak, and one with a selectable time."""
    for file, options in ((f"{name}.html", []), (f"{name}-temporal.html", ["--temporal"])):
        command = [sys.executable, "-m", "memray", "flamegraph", *options, "-f", "-o", str(folder / file), str(capture)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
