"""What the two ends of a store share: the table, its codec and its indexes; and what they take."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kinform._codec import Codec
from kinform._index import Index
from kinform_ext._table import Table


class Held(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a store takes, in bytes, as the system sees it.

    Attributes:
        objects: Objects that readers see.
        pruned_bytes: Their JSON, as `raw` gives it.
        held_bytes: All that is kept for them: mapped, maps and dictionaries.
        mapped_bytes: Mapped from the system for their records.
        map_bytes: Key map, ids, names of namespaces.
        dictionary_bytes: What decompression and compression need.
        dead_bytes: Of the mapped ones, those that wait to be used again.
        limbo_bytes: Of the mapped ones, those that only running iterations still read.
    """

    objects: int
    pruned_bytes: int
    held_bytes: int
    mapped_bytes: int
    map_bytes: int
    dictionary_bytes: int
    dead_bytes: int
    limbo_bytes: int


class Contents:
    """What writer and readers share."""

    def __init__(self, name: str, indexes: Mapping[str, str]) -> None:
        self.name = name
        self._paths = dict(indexes)
        self.table = Table()
        self.codec = Codec(self.table)
        self.indexes = {name: Index(path, field=f"indexes[{name!r}]") for name, path in indexes.items()}

    def fresh(self) -> Contents:
        """Others, empty, of the same name and with the same indexes."""
        return Contents(self.name, self._paths)

    def held(self) -> Held:
        """What it takes now."""
        stats = self.table.stats()
        dictionary_bytes = self.codec.dictionary_bytes
        return Held(
            objects=stats["objects"],
            pruned_bytes=stats["pruned_bytes"],
            held_bytes=stats["mapped_bytes"] + stats["map_bytes"] + dictionary_bytes,
            mapped_bytes=stats["mapped_bytes"],
            map_bytes=stats["map_bytes"],
            dictionary_bytes=dictionary_bytes,
            dead_bytes=stats["dead_bytes"],
            limbo_bytes=stats["limbo_bytes"],
        )
