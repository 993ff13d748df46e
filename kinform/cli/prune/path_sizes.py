"""Bytes of JSON by path, summed over the objects of a collection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from kinform._paths.grammar import STAR, Path

MAX_NAMES = 200
"""The largest number of names below a path that are counted separately. The others are counted as one, `[*]`."""


class PathSize(msgspec.Struct, frozen=True):
    """A path of a collection.

    Attributes:
        path: The path.
        objects: The number of objects that have it.
        bytes: The size of its JSON in all objects, with its name.
    """

    path: Path
    objects: int
    bytes: int


class _Node:
    """The sums of a path, and the paths below it."""

    __slots__ = ("below", "bytes", "last", "objects")

    def __init__(self) -> None:
        self.bytes = self.objects = 0
        self.last = -1  # the number of the last object that had it
        self.below: dict[Any, _Node] = {}

    def child(self, step: Any) -> _Node:
        if (found := self.below.get(step)) is None:
            found = self.below.setdefault(step if len(self.below) < MAX_NAMES else STAR, _Node())
        return found


class PathSizes:
    """Sums of bytes by path.

    Attributes:
        objects: The number of objects.
    """

    def __init__(self) -> None:
        self.objects = 0
        self._root = _Node()
        self._managed_fields = self._root.child("metadata").child("managedFields")

    @property
    def bytes(self) -> int:
        """The size of all objects in compact JSON."""
        return self._root.bytes

    def add(self, obj: dict[str, Any]) -> None:
        """Adds an object."""
        self._add(self._root, obj, 0)
        self.objects += 1

    def _add(self, node: _Node, value: object, name_bytes: int) -> int:
        """Adds a value to a path, and returns its size with its name."""
        size = name_bytes
        if node is self._managed_fields:  # only the server reads what is in it
            size += len(msgspec.json.encode(value))
        elif isinstance(value, dict):
            size += 2 + max(0, len(value) - 1)
            for name, below in value.items():
                size += self._add(node.child(name), below, len(msgspec.json.encode(name)) + 1)
        elif isinstance(value, list):
            size += 2 + max(0, len(value) - 1)
            for element in value:
                size += self._add(node.child(STAR), element, 0)
        else:
            size += len(msgspec.json.encode(value))
        node.bytes += size
        if node.last != self.objects:
            node.last = self.objects
            node.objects += 1
        return size

    def largest(self, least: float) -> Iterator[PathSize]:
        """Yields the paths with at least this part of all bytes.

        A path comes before those below it, and the largest first. The elements of a list that have paths below them are
        not listed themselves: they are as large as the list.
        """
        yield from self._largest(self._root, (), least * self._root.bytes)

    def _largest(self, node: _Node, path: Path, least: float) -> Iterator[PathSize]:
        for step, below in sorted(node.below.items(), key=lambda each: -each[1].bytes):
            if below.objects and below.bytes >= least:
                if step is not STAR:
                    yield PathSize((*path, step), below.objects, below.bytes)
                yield from self._largest(below, (*path, step), least)


def changed_paths(old: object, new: object, path: Path = ()) -> Iterator[Path]:
    """Yields the paths at which two versions of a value differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**old, **new}:
            yield from changed_paths(old.get(name), new.get(name), (*path, name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for before, after in zip(old, new, strict=True):
            yield from changed_paths(before, after, (*path, STAR))
    elif old != new:
        yield path
