"""The contents of a store, shared by writer and readers: table and indexes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from kinform._paths.index_program import parse_indexes
from kinform._stats import MemoryUsage
from kinform._store.expectations import Expectations, Expected
from kinform._store.indexes import Indexes
from kinform._store.turns import Turns
from kinform_ext._table import Table, Version

HELD_PARTS: Final = ("mapped_bytes", "map_bytes", "coder_bytes")
OTHER_PARTS: Final = ("cached_bytes", "dead_bytes", "limbo_bytes", "hidden_bytes", "shared_bytes")


class StoreContents:
    """The table of a store and its indexes.

    Args:
        name: Name of the collection, for messages.
        indexes: Name of each index that exists from the start, and its path.

    Attributes:
        name: Name of the collection, for messages.
        table: The objects.
        turns: The turns of the threads that read and write.
        indexes: The indexes of the table.
        expectations: Own writes that readers see, although they are not in the table yet.

    Raises:
        OptionError: A name is empty, or a path is not valid or cannot lead to a value.
    """

    def __init__(self, name: str, indexes: Mapping[str, str]) -> None:
        self.name = name
        self.table = Table()
        self.turns = Turns()
        self.indexes = Indexes(self.table)
        self.expectations = Expectations(name)
        self.indexes.add_users(parse_indexes(indexes).values())
        for _ in self.indexes.update():  # no slices: the table is empty
            pass

    def empty_copy(self) -> StoreContents:
        """Makes empty contents with the same name and the same indexes."""
        copy = StoreContents(self.name, {})
        copy.indexes = self.indexes.empty_copy(copy.table)
        return copy

    def expected(self, key: str) -> Expected | None:
        """Returns the own write that readers see in place of what the table has, or None."""
        expectations = self.expectations
        return expectations.get(self.table, key) if expectations.entries else None

    def versions(self) -> Iterator[Version]:
        """Returns the versions of all objects that the store has at the time of the call."""
        return (self.table.version_of(id) for id in self.table.ids())

    def owners(self) -> Iterator[str]:
        """Returns the owners of all objects that the store has now.

        See `Table.owners_of`. An owner of several objects may come several times.
        """
        return self.table.ids().owners()

    def adopt(self, other: StoreContents) -> None:
        """Takes over the table of other contents, which must not be used afterwards."""
        self.table, self.indexes = other.table, other.indexes

    def memory_usage(self) -> MemoryUsage:
        """Returns the memory that the store takes now."""
        stats = self.table.stats()
        index_bytes = 0 if self.table.postings is None else self.table.postings.__sizeof__()
        return MemoryUsage(
            pruned_bytes=stats["pruned_bytes"],
            held_bytes=sum(stats[part] for part in HELD_PARTS) + index_bytes,
            index_bytes=index_bytes,
            **{part: stats[part] for part in (*HELD_PARTS, *OTHER_PARTS)},
        )
