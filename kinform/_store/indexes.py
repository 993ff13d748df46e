"""The indexes of a store: added and dropped while it is written and read.

Readers that index by the same path share an index, whatever their names for it. An index has a number, which the table
knows it by, and which is never used again. New writes are indexed from the start of a build; the objects that were
there before follow, a slice at a time. Readers get the index when it is complete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import Final

from kinform._paths.index_program import IndexNode, IndexPath, compile_index
from kinform_ext._table import Postings, Table

BUILD_BYTES: Final = 256 << 10  # of JSON, indexed in one slice: about 1 ms
PURGE_IDS: Final = 10_000  # removed from dropped indexes in one slice: about 1 ms


class Indexes:
    """The indexes of one table, and their users.

    Args:
        table: The table.
        numbers: Gives the numbers of new indexes.

    Attributes:
        complete: The number of each index that readers can use, by path. It is replaced, never changed.
    """

    def __init__(self, table: Table, numbers: Iterator[int] | None = None) -> None:
        self.complete: Mapping[IndexPath, int] = {}
        self._table = table
        self._numbers = count() if numbers is None else numbers
        self._indexed: Mapping[IndexPath, int] = {}  # complete or not: what new writes are indexed by
        self._users = Counter[IndexPath]()

    def add_users(self, paths: Iterable[IndexPath]) -> None:
        """Counts a user of each path. `update` builds the indexes that are missing."""
        self._users.update(paths)

    def remove_users(self, paths: Iterable[IndexPath]) -> None:
        """Counts a user less of each path. `update` frees the indexes that have no user."""
        self._users.subtract(paths)
        self._users = +self._users

    def update(self) -> Iterator[None]:
        """Frees the indexes that have no user, then builds those that are missing.

        Yields after each slice. Writes may come between two slices, but no other update. If the caller stops early, the
        next update frees what was built.

        Raises:
            OptionError: The paths of all indexes overlap too much.
        """
        used = {path: number for path, number in self.complete.items() if path in self._users}
        wanted = used | {path: next(self._numbers) for path in self._users if path not in used}
        program = _compiled(wanted)  # may raise, so that nothing has changed
        self.complete = used
        if self._indexed.keys() - used.keys():
            self._load(used, _compiled(used))
            while self._table.postings is not None and self._table.postings.purge(PURGE_IDS):
                yield
            if not used:
                self._table.use_postings(None)
        if wanted.keys() - used.keys():
            self._load(wanted, program)
            at, end = 0, self._table.ids_end
            while (at := self._table.reindex(at, end, BUILD_BYTES)) >= 0:
                yield
            self.complete = wanted

    def _load(self, indexed: Mapping[IndexPath, int], program: Sequence[IndexNode]) -> None:
        self._indexed = indexed
        if self._table.postings is None:
            self._table.use_postings(Postings(program))
        else:
            self._table.postings.load(program)

    def empty_copy(self, table: Table) -> Indexes:
        """Makes the indexes of another, empty table, with the same paths and users."""
        copy = Indexes(table, self._numbers)
        copy.follow(self)
        for _ in copy.update():
            pass
        return copy

    def follow(self, other: Indexes) -> None:
        """Takes over the users of other indexes. `update` has to follow."""
        self._users = other._users.copy()


def values_of(path: IndexPath, raw: bytes | None) -> list[str]:
    """Returns the values that an object has in an index; None has none."""
    if raw is None:
        return []
    postings = Postings(_program_of(path))
    postings.put(0, raw)
    return postings.values(0)


@lru_cache(maxsize=16)
def _program_of(path: IndexPath) -> Sequence[IndexNode]:
    return compile_index({0: path})


def _compiled(numbers: Mapping[IndexPath, int]) -> Sequence[IndexNode]:
    return compile_index({number: path for path, number in numbers.items()})
