"""Parses the paths of indexes, and compiles them to one program.

The program reads the values of all indexes in one walk over the bytes of an object. `Postings` runs it and holds the
values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from kinform._errors import OptionError
from kinform._paths.grammar import STAR, Path, did_you_mean, format_path, parse
from kinform._paths.known_fields import kind_of
from kinform._paths.trie import Children, build_trie

NOWHERE: Final = -1
IndexNode: TypeAlias = tuple[Children, int, tuple[int, ...]]
"""Children by name, target of all other members and of all elements, and the indexes that a scalar here is a value of.
A target is the index of a node, or `NOWHERE`."""

_IndexState: TypeAlias = frozenset[tuple[int, Path]]  # index and the rest of its path


def parse_indexes(indexes: Mapping[str, str]) -> dict[str, Path]:
    """Parses the path of each index.

    Raises:
        OptionError: The argument is not a mapping, a name is empty, or a path is not valid or cannot lead to a scalar.
            The message names the index and the path.
    """
    if not isinstance(indexes, Mapping):
        raise OptionError("indexes", indexes, 'a dict from name to path, like {"node": "spec.nodeName"}')
    return {_check_name(name): _parse_index(name, text) for name, text in indexes.items()}


def _check_name(name: str) -> str:
    if not isinstance(name, str) or not name:
        raise OptionError("indexes", name, 'a name that is not empty, as in {"node": "spec.nodeName"}')
    return name


def _parse_index(name: str, text: str) -> Path:
    field = f"indexes[{name!r}]"
    path = parse(text, field=field)
    kind = kind_of(path)
    if kind in ("an object", "a list"):
        values = (*path, STAR)
        hint = did_you_mean(values if kind_of(values) == "a scalar" else None)
        raise OptionError(field, text, f"the path of strings, numbers or booleans{hint}: {format_path(path)} is {kind}")
    return path


def compile_index(paths: Mapping[int, Path]) -> tuple[IndexNode, ...]:
    """Compiles the paths of indexes to a program. Its first node is the root.

    Args:
        paths: The path of each index, by the number of the index.

    Raises:
        OptionError: The paths overlap too much.
    """
    start: _IndexState = frozenset(paths.items())
    shown = list(map(format_path, paths.values()))
    return tuple(
        (children, other, tuple(sorted(index for index, path in state if not path)))
        for state, children, other in build_trie("indexes", shown, start, _names, _follow)
    )


def _names(state: _IndexState) -> set[str]:
    return {step for _, path in state for step in path[:1] if isinstance(step, str)}


def _follow(state: _IndexState, step: str | None) -> _IndexState | int:
    return frozenset((index, path[1:]) for index, path in state if path and path[0] in (step, STAR)) or NOWHERE
