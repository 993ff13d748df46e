"""What memray wrote of one process, read: how large its heap was and when, who held it, how often it asked.

Heap is what was asked of the allocator or mapped, touched or not: an arena of Python's or a slab of kinform's counts
whole. Flame graphs are memray's own.
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
"""In a time line of one phase."""

FREES = {memray.AllocatorType.FREE, memray.AllocatorType.MUNMAP, memray.AllocatorType.PYMALLOC_FREE}


def heap(capture: Path, phases: dict[str, Phase]) -> dict[str, Any]:
    """The heap of a process that went through the phases.

    Returns:
        `figures`: `heap.peak` is exact; the peak of each phase and what was held after it are of the time line.
        `timeline`: for each phase points of seconds and bytes. `holders` and `sites`: of the peak. `held_by`: of what
        was there in the end.
    """
    with memray.FileReader(capture) as reader:
        snapshots = [(found.time / 1000, found.heap) for found in reader.get_memory_snapshots()]
        figures: dict[str, float] = {"heap.peak": reader.metadata.peak_memory}
        lines = dict[str, list[list[float]]]()
        for name, (begun, end) in phases.items():
            points = [(when - begun, size) for when, size in snapshots if begun <= when <= end]
            figures[f"heap.{name}_peak"] = max(size for _, size in points)
            figures[f"heap.{name}_held"] = points[-1][1]
            lines[name] = thinned(points)
        at_peak = list(reader.get_high_watermark_allocation_records(merge_threads=True))
        in_the_end = list(reader.get_leaked_allocation_records(merge_threads=True))
        held = {
            "holders": holders(at_peak),
            "sites": sites(at_peak),
            "held_by": holders(in_the_end),
        }
    return {"figures": figures, "timeline": lines, **held}


def thinned(points: list[tuple[float, int]]) -> list[list[float]]:
    """At most so many points, each the largest of those that it stands for: no peak is lost."""
    step = -(-len(points) // POINTS)
    groups = (points[at : at + step] for at in range(0, len(points), step))
    return [[round(when, 3), size] for when, size in (max(group, key=lambda point: point[1]) for group in groups)]


def allocations(capture: Path) -> int:
    """How often something was allocated."""
    count = 0
    with memray.FileReader(capture) as reader:
        for record in reader.get_allocation_records():
            if record.allocator not in FREES:
                count += record.n_allocations
    return count


def flame_graphs(capture: Path, folder: Path, name: str) -> None:
    """Writes two: of the peak, and one in which a time can be chosen."""
    for file, options in ((f"{name}.html", []), (f"{name}-temporal.html", ["--temporal"])):
        command = [sys.executable, "-m", "memray", "flamegraph", *options, "-f", "-o", str(folder / file), str(capture)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
