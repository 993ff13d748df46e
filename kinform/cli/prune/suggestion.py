"""The paths that a `Prune` can drop: large ones, and those that change often.

Knows nothing of what a program reads: the user removes the lines of fields that it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kinform import OptionError, Prune
from kinform._paths.grammar import Path, format_path
from kinform.cli.prune.path_sizes import PathSize

LARGE = 0.03
"""The part of all bytes from which on a path is large."""
OFTEN = 0.25
"""The part of the updates from which on a path changes often."""
EXPLAINED = 0.4
"""If the large paths below a path have this part of its bytes, they are suggested instead."""
MIN_STEPS = 2
"""`spec` and `status` as a whole are no suggestions."""


def suggest(paths: Iterable[PathSize], total: int, changes: Mapping[Path, float]) -> list[PathSize]:
    """Returns the paths to drop, the largest first.

    Args:
        paths: The paths of the collection, each before those below it.
        total: The bytes of all objects.
        changes: For each path, the part of the updates in which it, or a path below it, changes.
    """
    candidates = [each for each in paths if each.bytes >= LARGE * total or changes.get(each.path, 0.0) >= OFTEN]
    chosen: list[PathSize] = []
    for each in candidates:
        if len(each.path) < MIN_STEPS or not _may_be_dropped(each.path):
            continue
        if any(_is_below(each.path, other.path) for other in chosen):
            continue
        below = [other for other in candidates if _is_child(other.path, each.path, candidates)]
        if sum(other.bytes for other in below) < EXPLAINED * each.bytes:
            chosen.append(each)
    return sorted(chosen, key=lambda each: -each.bytes)


def _is_below(path: Path, above: Path) -> bool:
    return len(path) > len(above) and path[: len(above)] == above


def _is_child(path: Path, above: Path, candidates: Iterable[PathSize]) -> bool:
    """Returns whether no candidate lies between two paths."""
    return _is_below(path, above) and not any(
        _is_below(path, each.path) and _is_below(each.path, above) for each in candidates
    )


def _may_be_dropped(path: Path) -> bool:
    try:
        Prune(drop=[format_path(path)])
    except OptionError:
        return False
    return True
