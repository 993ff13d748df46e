"""What the two ends of a store share: the table, its codec and its indexes; and what they take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from kinform._paths.grammar import parse
from kinform._paths.index_program import compile_index
from kinform._stats import MemoryUsage
from kinform_ext._postings import Postings
from kinform_ext._table import Table
from kinform_ext._version import Version

# Objects whose values are read between two turns of the loop: about a millisecond's worth.
SLICE: Final = 128


class StoreContents:
    """What writer and readers share.

    Attributes:
        name: What the collection is called in messages.
        table: The objects.
        codec: What makes them small.
        indexes: The paths of the indexes by their names; in the table they go by their numbers in this order.
    """

    def __init__(self, name: str, indexes: Mapping[str, str]) -> None:
        self.name = name
        self._paths = dict(indexes)
        self.indexes = {name: parse(path, field=f"indexes[{name!r}]") for name, path in indexes.items()}
        self.table = Table(Postings(compile_index(list(self.indexes.values()))) if indexes else None)
        from kinform._codec.codec import (
            Codec,  # and zstandard: nearly a megabyte, which a process without a store can spare
        )

        self.codec = Codec(self.table)

    def fresh(self) -> StoreContents:
        """Others, empty, of the same name and with the same indexes."""
        return StoreContents(self.name, self._paths)

    def reindex(self) -> Iterator[None]:
        """Reads the values of all that is held, in slices: what came by `Table.load` is under no value before.

        What is written in between is right at all times; readers of an index miss what was not reached yet.
        """
        at = 0 if self.indexes else -1
        while at >= 0:
            at = self.table.reindex(at, SLICE)
            yield

    def versions(self) -> Iterator[Version]:
        """Returns the records of all objects of one state, that at the call."""
        return (self.table.version_of(id) for id in self.table.ids())

    def adopt(self, other: StoreContents) -> None:
        """Takes over the table and the codec of another one, which is not used any more."""
        self.table, self.codec = other.table, other.codec

    def memory_usage(self) -> MemoryUsage:
        """Returns what the store takes now, in bytes."""
        stats = self.table.stats()
        dictionary_bytes = self.codec.dictionary_bytes
        index_bytes = 0 if self.table.postings is None else self.table.postings.__sizeof__()
        return MemoryUsage(
            objects=stats["objects"],
            pruned_bytes=stats["pruned_bytes"],
            held_bytes=stats["mapped_bytes"] + stats["map_bytes"] + dictionary_bytes + index_bytes,
            mapped_bytes=stats["mapped_bytes"],
            map_bytes=stats["map_bytes"],
            dictionary_bytes=dictionary_bytes,
            index_bytes=index_bytes,
            dead_bytes=stats["dead_bytes"],
            limbo_bytes=stats["limbo_bytes"],
        )
