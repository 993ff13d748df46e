"""The program that the scanner prunes by: all paths of a `Prune` merged into one trie.

`compile_prune` merges the paths by subset construction into a deterministic trie, so that the scanner never follows
two branches. Reads no object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from kinform._errors import OptionError
from kinform._paths.grammar import STAR, Path, parse

KEEP: Final = -1
DROP: Final = -2
Node: TypeAlias = tuple[tuple[tuple[bytes, int], ...], int, bool, int]
"""Children by name, what all other members and all elements lead to, whether a scalar here stays, keep_last or 0."""
Program: TypeAlias = tuple[Node, ...]
"""Nodes; the first is the root. Where they lead to: the index of a node, `KEEP` or `DROP`."""

MANDATORY: Final[tuple[Path, ...]] = (
    ("kind",),
    ("apiVersion",),
    ("metadata", "name"),
    ("metadata", "namespace"),
    ("metadata", "uid"),
    ("metadata", "resourceVersion"),
)
"""What outlives any program."""

MAX_NODES: Final = 10_000


def compile_prune(drop: Iterable[str], keep: Iterable[str], keep_last: Mapping[str, int]) -> Program | None:
    """Merges paths into a program. `keep` comes first, then `drop`.

    On its way to a path, a scalar stays under `drop` and goes under `keep`; containers stay, even if nothing in them
    does. No `keep` at all keeps everything.

    Returns:
        The program, or None where there is nothing to do.

    Raises:
        OptionError: A path that cannot be parsed, a `drop` that would take a mandatory field, a number below 1.
    """
    drops = frozenset(_droppable(text) for text in drop)
    keeps = frozenset(parse(text, field="Prune.keep") for text in keep)
    lasts = frozenset((parse(text, field="Prune.keep_last"), _number(n)) for text, n in keep_last.items())
    if not (drops or keeps or lasts):
        return None
    start = _State(keeps.union(MANDATORY) if keeps else None, drops, lasts)
    found = {start: 0}
    program: list[Node] = []
    queue = [start]
    for state in queue:
        if len(queue) > MAX_NODES:
            raise OptionError("Prune", MAX_NODES, "paths that overlap less: their [*] multiply each other")

        def index(step: str | None, state: _State = state) -> int:
            target = state.after(step)
            if step != "metadata" or state is not start:
                if () in target.drops or target.keeps == frozenset():
                    return DROP
                if target.keeps is None and not target.drops and not target.lasts:
                    return KEEP
            if target not in found:
                found[target] = len(queue)
                queue.append(target)
            return found[target]

        names = sorted(state.names() | ({"metadata"} if state is start else set()))
        children = tuple((name.encode(), index(name)) for name in names)
        program.append((children, index(None), state.keeps is None, state.last()))
    return tuple(program)


class _State(NamedTuple):
    """What is left of each path at some place in an object; an empty path has arrived."""

    keeps: frozenset[Path] | None  # None: all
    drops: frozenset[Path]
    lasts: frozenset[tuple[Path, int]]

    def names(self) -> set[str]:
        paths = [*(self.keeps or ()), *self.drops, *(path for path, _ in self.lasts)]
        return {path[0] for path in paths if path and path[0] is not STAR}

    def after(self, step: str | None) -> _State:
        keeps = None if self.keeps is None else frozenset(_after(self.keeps, step))
        return _State(
            None if keeps is None or () in keeps else keeps,
            frozenset(_after(self.drops, step)),
            frozenset((path[1:], n) for path, n in self.lasts if path and path[0] in (step, STAR)),
        )

    def last(self) -> int:
        return min((n for path, n in self.lasts if not path), default=0)


def _after(paths: Iterable[Path], step: str | None) -> Iterator[Path]:
    return (path[1:] for path in paths if path and path[0] in (step, STAR))


def _droppable(text: str) -> Path:
    path = parse(text, field="Prune.drop")
    for field in MANDATORY:
        if len(path) <= len(field) and all(a in (b, STAR) for a, b in zip(path, field, strict=False)):
            raise OptionError("Prune.drop", text, f"a path that leaves {'.'.join(map(str, field))} where it is")
    return path


def _number(n: int) -> int:
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise OptionError("Prune.keep_last", n, "a number of elements, at least 1")
    return n
