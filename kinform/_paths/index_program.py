"""Paths of indexes, merged into one program that reads the values of an object in one walk over its bytes.

As `_paths` merges what prunes: one deterministic trie by subset construction, so that the walk never follows two
branches. Holds no values: `Postings` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from kinform._errors import OptionError
from kinform._paths.grammar import STAR, Path
from kinform._paths.prune_program import MAX_NODES

NOWHERE: Final = -1
Node: TypeAlias = tuple[tuple[tuple[bytes, int], ...], int, tuple[int, ...]]
"""Children by name, what all other members and all elements lead to, and the indexes that a scalar here is a value of;
where they lead to is the number of a node, or `NOWHERE`."""

_State: TypeAlias = frozenset[tuple[int, Path]]  # what is left of each index's path


def compile_index(paths: Sequence[Path]) -> tuple[Node, ...]:
    """Merges the paths of indexes, numbered as they come, into a program; its first node is the root.

    Raises:
        OptionError: They multiply each other to too much.
    """
    start: _State = frozenset(enumerate(paths))
    found = {start: 0}
    program: list[Node] = []
    queue = [start]
    for state in queue:
        if len(queue) > MAX_NODES:
            raise OptionError("indexes", MAX_NODES, "paths that overlap less: their [*] multiply each other")

        def number(step: str | None, state: _State = state) -> int:
            target = frozenset(_after(state, step))
            if target and target not in found:
                found[target] = len(queue)
                queue.append(target)
            return found[target] if target else NOWHERE

        names = sorted({step for _, path in state for step in path[:1] if isinstance(step, str)})
        children = tuple((name.encode(), number(name)) for name in names)
        program.append((children, number(None), tuple(sorted(index for index, path in state if not path))))
    return tuple(program)


def _after(state: _State, step: str | None) -> Iterable[tuple[int, Path]]:
    return ((index, path[1:]) for index, path in state if path and path[0] in (step, STAR))
