"""Keys by a value found in each object, read from its pruned bytes.

A path with `[*]` gives an object several values. A value that no object has is not remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from kinform._paths import STAR, Path, parse


class Index:
    """One index of a store. Values are strings; a number or a boolean is known by its JSON text."""

    def __init__(self, path: str, *, field: str) -> None:
        self._path = parse(path, field=field)
        self._postings: dict[str, set[str]] = {}

    def replace(self, key: str, old: bytes | None, new: bytes | None) -> None:
        """An object's bytes changed from `old` to `new`; None on the side where there was or is none."""
        before = self._read(old) if old is not None else set()
        after = self._read(new) if new is not None else set()
        for value in before - after:
            posting = self._postings[value]
            posting.discard(key)
            if not posting:
                del self._postings[value]
        for value in after - before:
            self._postings.setdefault(value, set()).add(key)

    def keys(self, value: str) -> set[str]:
        """The keys of the objects that have this value."""
        return self._postings.get(value, set())

    def values(self) -> list[str]:
        """All values that some object has."""
        return list(self._postings)

    def _read(self, raw: bytes) -> set[str]:
        try:
            found = _walk(msgspec.json.decode(raw), self._path)
            return {value if isinstance(value, str) else msgspec.json.encode(value).decode() for value in found}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return set()  # what cannot be decoded is found by its key alone


def _walk(value: Any, path: Path) -> Iterator[str | int | float | bool]:
    if not path:
        if isinstance(value, str | int | float):
            yield value
        return
    head, rest = path[0], path[1:]
    if head is STAR:
        for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from _walk(child, rest)
    elif isinstance(value, dict) and head in value:
        yield from _walk(value[head], rest)
