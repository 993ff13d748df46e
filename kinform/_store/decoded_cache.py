"""A cache of decoded objects for one reader, by their last use.

Needs no lock: each step is one operation of a C type on strings, and the order of entries need not be exact.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import Generic

from kinform._decoding import T
from kinform._stats import DecodedCacheStats


class DecodedCache(Generic[T]):
    """Keeps the objects that were read last, one for each key.

    An object is valid for one version: see `Table.identity_of`. Versions without an identity are not kept.

    Args:
        size: Number of objects to keep.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[str, tuple[bytes, T]] = OrderedDict()
        self._hits = 0
        self._misses = 0

    def get(self, key: str, identity: bytes) -> T | None:
        """Returns the object of this version, or None."""
        entry = self._entries.get(key)
        if entry is None or entry[0] != identity:
            self._misses += 1
            return None
        self._hits += 1
        with suppress(KeyError):  # another thread has dropped it just now
            self._entries.move_to_end(key)
        return entry[1]

    def put(self, key: str, identity: bytes, found: T) -> None:
        """Keeps the object of this version instead of another one of the key."""
        if not identity:
            return
        self._entries.pop(key, None)
        self._entries[key] = (identity, found)
        with suppress(KeyError):  # other threads drop entries, too
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def stats(self) -> DecodedCacheStats:
        """Returns the current counts."""
        return DecodedCacheStats(objects=len(self._entries), hits=self._hits, misses=self._misses)
