"""Compiles the paths of a `Prune` to the program that the scanner runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

import msgspec

from kinform._errors import OptionError
from kinform._paths.grammar import STAR, Path, Star, format_path, parse
from kinform._paths.known_fields import kind_of
from kinform._paths.trie import Children, build_trie

KEEP: Final = -1
DROP: Final = -2
PruneNode: TypeAlias = tuple[Children, int, bool, int]
"""Children by name, target of all other members and of all elements, True if a scalar here is kept, keep_last or 0.
A target is the index of a node, `KEEP` or `DROP`."""
Program: TypeAlias = tuple[PruneNode, ...]
"""Nodes of a trie. The first is the root."""

MANDATORY: Final[tuple[Path, ...]] = (
    ("kind",),
    ("apiVersion",),
    ("metadata", "name"),
    ("metadata", "namespace"),
    ("metadata", "uid"),
    ("metadata", "resourceVersion"),
)
"""Fields that no program drops."""


def compile_prune(drop: Iterable[str], keep: Iterable[str], keep_last: Mapping[str, int]) -> Program | None:
    """Compiles paths to a program that applies `keep` first, then `drop`.

    A scalar in the middle of a path is kept under `drop`, and dropped under `keep`. Objects and lists on the way to a
    path are kept, even if they become empty. An empty `keep` keeps everything.

    Returns:
        The program, or None if it would prune nothing.

    Raises:
        OptionError: A path is not valid, a `drop` path covers a mandatory field, a `keep_last` path is not that of a
            list, a number is below 1, or the paths overlap too much.
    """
    drops = frozenset(map(_parse_drop, drop))
    keeps = frozenset(parse(text, field="Prune.keep") for text in keep)
    lasts = frozenset((_parse_keep_last(text), _check_count(n)) for text, n in keep_last.items())
    if not (drops or keeps or lasts):
        return None
    start = _PruneState(keeps.union(MANDATORY) if keeps else None, drops, lasts)

    def names(state: _PruneState) -> set[str]:
        return state.names() | ({"metadata"} if state is start else set())

    def follow(state: _PruneState, step: str | None) -> _PruneState | int:
        target = state.after(step)
        # The scanner requires a node for the metadata: it holds mandatory fields.
        return target if state is start and step == "metadata" else target.end() or target

    paths = sorted(format_path(path) for path in drops.union(keeps, (path for path, _ in lasts)))
    return tuple(
        (children, other, state.keeps is None, state.last())
        for state, children, other in build_trie("Prune", paths, start, names, follow)
    )


def intersection(left: Iterable[str], right: Iterable[str]) -> list[str]:
    """Returns the paths of what two lists of valid `keep` paths have in common.

    They are never empty, which would keep everything: without a common path, they name a field that is always kept.
    """
    ours, theirs = (frozenset(parse(text, field="Prune.keep") for text in each) for each in (left, right))
    found = {both for a in ours for b in theirs if (both := _meet(a, b)) is not None}
    return sorted(format_path(path) for path in found or MANDATORY[2:3])


def _meet(a: Path, b: Path) -> Path | None:
    """Returns the path of what two paths both keep, or None."""
    both = list[str | Star]()
    for x, y in zip(a, b, strict=False):
        if x is not y and x != y and STAR not in (x, y):
            return None
        both.append(y if x is STAR else x)
    return (*both, *a[len(both) :], *b[len(both) :])


class _PruneState(msgspec.Struct, frozen=True):
    """Rest of each path at a place in an object. An empty path ends here."""

    keeps: frozenset[Path] | None  # None: keep everything
    drops: frozenset[Path]
    lasts: frozenset[tuple[Path, int]]

    def names(self) -> set[str]:
        """Returns the names that paths continue with."""
        paths = [*(self.keeps or ()), *self.drops, *(path for path, _ in self.lasts)]
        return {path[0] for path in paths if path and path[0] is not STAR}

    def after(self, step: str | None) -> _PruneState:
        """Returns the state after a step. None is a step that no path names."""
        keeps = None if self.keeps is None else frozenset(_after(self.keeps, step))
        return _PruneState(
            None if keeps is None or () in keeps else keeps,
            frozenset(_after(self.drops, step)),
            frozenset((path[1:], n) for path, n in self.lasts if path and path[0] in (step, STAR)),
        )

    def end(self) -> int:
        """Returns `DROP` or `KEEP` if all below is dropped or kept, else 0."""
        if () in self.drops or self.keeps == frozenset():
            return DROP
        return KEEP if self.keeps is None and not self.drops and not self.lasts else 0

    def last(self) -> int:
        """Returns `keep_last` of a list here, or 0."""
        return min((n for path, n in self.lasts if not path), default=0)


def _after(paths: Iterable[Path], step: str | None) -> Iterator[Path]:
    return (path[1:] for path in paths if path and path[0] in (step, STAR))


def _parse_drop(text: str) -> Path:
    path = parse(text, field="Prune.drop")
    for field in MANDATORY:
        if len(path) <= len(field) and all(a in (b, STAR) for a, b in zip(path, field, strict=False)):
            raise OptionError("Prune.drop", text, f"a path that does not cover {format_path(field)}")
    return path


def _parse_keep_last(text: str) -> Path:
    path = parse(text, field="Prune.keep_last")
    kind = kind_of(path)
    if kind not in (None, "a list"):
        raise OptionError("Prune.keep_last", text, f"the path of a list: {format_path(path)} is {kind}")
    return path


def _check_count(n: int) -> int:
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise OptionError("Prune.keep_last", n, "a number of elements, at least 1")
    return n
