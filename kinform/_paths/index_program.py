"""Parses the paths of indexes, and compiles them to one program.

The program reads the values of all indexes in one walk over the bytes of an object. `Postings` runs it and holds the
values. The index of controllers is not at the path of a scalar: its value is the owner that an object's controller
reference names, as `"Kind.group/name"`.
Source: OwnerReference of k8s.io/apimachinery, and its GetControllerOf.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, TypeAlias

from kinform._errors import OptionError
from kinform._paths.grammar import STAR, Path, Star, did_you_mean, format_path, parse
from kinform._paths.known_fields import kind_of
from kinform._paths.trie import Children, build_trie

NOWHERE: Final = -1
IndexNode: TypeAlias = tuple[Children, int, tuple[int, ...], int]
"""Children by name, target of all other members and of all elements, the indexes that a scalar here is a value of, and
the index that has the owner of a controller reference here, or `NOWHERE`. A target is the index of a node, or
`NOWHERE`."""

CONTROLLER: Final = "metadata.ownerReferences[controller]"
"""The path of the index of controllers, as users write it."""
REFERENCE_FIELDS: Final = ("apiVersion", "kind", "name", "controller")


class _Reference(enum.Enum):
    OWNER = "the owner of a controller reference"


OWNER: Final = _Reference.OWNER
OWNER_PATH: Final = ("metadata", "ownerReferences", STAR, OWNER)
IndexPath: TypeAlias = tuple[str | Star | _Reference, ...]

_IndexState: TypeAlias = frozenset[tuple[int, IndexPath]]  # index and the rest of its path


def parse_indexes(indexes: Mapping[str, str]) -> dict[str, IndexPath]:
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


def _parse_index(name: str, text: str) -> IndexPath:
    if text == CONTROLLER:
        return OWNER_PATH
    field = f"indexes[{name!r}]"
    path = parse(text, field=field)
    kind = kind_of(path)
    if kind in ("an object", "a list"):
        values = (*path, STAR)
        hint = did_you_mean(values if kind_of(values) == "a scalar" else None)
        raise OptionError(field, text, f"the path of strings, numbers or booleans{hint}: {format_path(path)} is {kind}")
    return path


def paths_read(path: IndexPath) -> list[Path]:
    """Returns the paths of the fields that an index reads."""
    plain = tuple(step for step in path if not isinstance(step, _Reference))
    return [plain] if len(plain) == len(path) else [(*plain, field) for field in REFERENCE_FIELDS]


def format_index(path: IndexPath) -> str:
    """Formats the path of an index as `parse_indexes` reads it."""
    return CONTROLLER if path == OWNER_PATH else format_path(paths_read(path)[0])


def compile_index(paths: Mapping[int, IndexPath]) -> tuple[IndexNode, ...]:
    """Compiles the paths of indexes to a program. Its first node is the root.

    Args:
        paths: The path of each index, by the number of the index.

    Raises:
        OptionError: The paths overlap too much.
    """
    start: _IndexState = frozenset(paths.items())
    shown = list(map(format_index, paths.values()))
    return tuple(
        (
            children,
            other,
            tuple(sorted(index for index, path in state if not path)),
            next((index for index, path in state if path == (OWNER,)), NOWHERE),
        )
        for state, children, other in build_trie("indexes", shown, start, _names, _follow)
    )


def _names(state: _IndexState) -> set[str]:
    return {step for _, path in state for step in path[:1] if isinstance(step, str)}


def _follow(state: _IndexState, step: str | None) -> _IndexState | int:
    return frozenset((index, path[1:]) for index, path in state if path and path[0] in (step, STAR)) or NOWHERE
