"""Compiles the paths of indexes to one program.

The program reads the values of all indexes in one walk over the bytes of an object. `Postings` runs it and holds the
values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from kinform._paths.grammar import STAR, Path, format_path
from kinform._paths.trie import Children, build_trie

NOWHERE: Final = -1
IndexNode: TypeAlias = tuple[Children, int, tuple[int, ...]]
"""Children by name, target of all other members and of all elements, and the indexes that a scalar here is a value of.
A target is the index of a node, or `NOWHERE`."""

_IndexState: TypeAlias = frozenset[tuple[int, Path]]  # index and the rest of its path


def compile_index(paths: Sequence[Path]) -> tuple[IndexNode, ...]:
    """Compiles the paths of indexes to a program. Its first node is the root.

    Raises:
        OptionError: The paths overlap too much.
    """
    start: _IndexState = frozenset(enumerate(paths))
    return tuple(
        (children, other, tuple(sorted(index for index, path in state if not path)))
        for state, children, other in build_trie("indexes", list(map(format_path, paths)), start, _names, _follow)
    )


def _names(state: _IndexState) -> set[str]:
    return {step for _, path in state for step in path[:1] if isinstance(step, str)}


def _follow(state: _IndexState, step: str | None) -> _IndexState | int:
    return frozenset((index, path[1:]) for index, path in state if path and path[0] in (step, STAR)) or NOWHERE
