"""Shards: parts of a collection of about equal size, by a hash of the uid.

The values of the hash, FNV-1a with 64 bits, are divided into ranges of equal size, one for each shard. A server with
the feature gate `ShardedListAndWatch` sends only the objects of the ranges that a request names. Others ignore this
parameter, and the scanner drops the objects of other shards.
Source: KEP-5866, server-side sharded list and watch.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final, Protocol, runtime_checkable

import msgspec

from kinform_ext._scan import shard_of

MAX_SHARDS: Final = 1024
"""The most shards of a collection."""

MAX_RANGES: Final = 32
"""The most ranges in a request: some proxies refuse URLs of more than 8 KiB."""

_HASHES = 1 << 64


@runtime_checkable
class ShardSource(Protocol):
    """Gives the shards that a scope follows, and changes them.

    Attributes:
        name: The name in logs and errors, which follows "shards of".
    """

    name: str

    @property
    def entered(self) -> bool:
        """True while it gives changes. An informer does not start before."""
        ...

    @property
    def current(self) -> ShardSet:
        """The shards now. Their number never changes."""
        ...

    def subscribe(self, listener: Callable[[ShardSet], None]) -> Callable[[], None]:
        """Calls a function with each new value of `current`, in the event loop.

        Returns:
            A function that ends it.
        """
        ...


def is_about_selector(message: str) -> bool:
    """Returns whether the message of a refusal is about `shardSelector`.

    The message of kube-apiserver 1.36 begins with "invalid shard selector". Its selectors are calls of `shardRange`.
    """
    text = message.lower().replace(" ", "")
    return "shardselector" in text or "shardrange" in text


class ShardSet(msgspec.Struct, frozen=True, gc=False):
    """A set of shards of a collection.

    Attributes:
        count: Number of shards of the collection.
        indices: Those of this set: 0 to count - 1.
    """

    count: int
    indices: frozenset[int]

    def has(self, uid: str) -> bool:
        """Returns whether the object with this uid is in one of the shards."""
        return shard_of(uid, self.count) in self.indices

    def mask(self) -> bytes:
        """Returns one byte for each shard, 1 for those of the set, as for the scanner."""
        return bytes(index in self.indices for index in range(self.count))

    def selector(self) -> str:
        """Returns the value of `shardSelector` in a request.

        It may select more: a range contains the hashes between two shards if more than `MAX_RANGES` would be needed,
        and an empty set becomes the range of one hash, as a selector needs a range.
        """
        ranges: list[tuple[int, int]] = []
        for index in sorted(self.indices):
            start, end = self._start(index), self._start(index + 1)
            if ranges and ranges[-1][1] == start:
                start = ranges.pop()[0]
            ranges.append((start, end))
        while len(ranges) > MAX_RANGES:
            gaps = [after[0] - before[1] for before, after in pairwise(ranges)]
            at = gaps.index(min(gaps))
            ranges[at : at + 2] = [(ranges[at][0], ranges[at + 1][1])]
        return " || ".join(
            f"shardRange(object.metadata.uid, '0x{start:016x}', '0x{end:016x}')" for start, end in ranges or [(0, 1)]
        )

    def _start(self, index: int) -> int:
        return -(-index * _HASHES // self.count)  # the smallest hash for which hash * count >> 64 is the index
