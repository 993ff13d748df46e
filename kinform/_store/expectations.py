"""Own writes that the streams of a store have not brought yet.

A program that has written an object has the server's answer before the stream has the event. Until then, readers see
the answer in place of the older version in the table. Handlers and `changes()` know only of the table.

An expectation ends when its stream has reached its resourceVersion: the table has the version then, or a newer one, or
the object is gone or out of scope. If the stream has skipped the version, the table has an older one, and the
expectation stays. It ends after `EXPECT_SECONDS` in any case.

The entries are replaced, never changed, so that a reader in another thread sees one set of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from kinform._objects import Meta
from kinform._printable import printable
from kinform._resource_versions import is_at_least
from kinform._sharding import ShardSet
from kinform._throttled_log import ThrottledLog
from kinform_ext._table import Table

log = logging.getLogger("kinform.store")

EXPECT_SECONDS: Final = 300.0
MAX_EXPECTED: Final = 1000
MAX_EXPECTED_BYTES: Final = 16 << 20

_RESOURCE_VERSION = 3  # in the tuple that `Table.meta` returns


class Expected(msgspec.Struct, frozen=True, gc=False):
    """An own write.

    Attributes:
        meta: Identity and version of the object.
        raw: Its pruned JSON; None if readers must not see an object: the scope or the transform excludes it.
        stream: The stream that will bring it.
        deadline: Time at which it ends, as `time.monotonic` returns it.
    """

    meta: Meta
    raw: bytes | None
    stream: str
    deadline: float


class Expectations:
    """The own writes that readers of a store see.

    Args:
        name: Name of the collection, for messages.

    Attributes:
        entries: By key, the oldest first.
        dropped: Number of entries that ended before their stream had reached them.
    """

    def __init__(self, name: str) -> None:
        self.entries: Mapping[str, Expected] = {}
        self.dropped = 0
        self._name = name
        self._log = ThrottledLog(log)

    def add(self, table: Table, expected: Expected) -> None:
        """Adds an entry, unless readers see this version or a newer one already."""
        key = expected.meta.key
        before = self.entries.get(key)
        if is_in_table(table, expected) or (before is not None and _is_at_least(before, expected)):
            return
        entries = {**{other: each for other, each in self.entries.items() if other != key}, key: expected}
        size = sum(len(each.raw or b"") for each in entries.values())
        while len(entries) > 1 and (len(entries) > MAX_EXPECTED or size > MAX_EXPECTED_BYTES):
            oldest = entries.pop(next(iter(entries)))
            size -= len(oldest.raw or b"")
            self._report(oldest, f"more than {MAX_EXPECTED} writes, or than {MAX_EXPECTED_BYTES >> 20} MiB, wait")
        self.entries = entries

    def release(self, table: Table, stream: str, resource_version: str) -> None:
        """Ends the entries that a stream has reached, after the table has its changes."""

        def stays(expected: Expected) -> bool:
            reached = expected.stream == stream and is_at_least(resource_version, expected.meta.resource_version)
            return not reached or not (is_in_table(table, expected) or table.meta(expected.meta.key) is None)

        self._keep(stays)

    def expire(self, now: float) -> None:
        """Ends the entries whose deadline has passed."""
        for expected in self.entries.values():
            if expected.deadline < now:
                self._report(expected, f"the stream did not reach it in {EXPECT_SECONDS:.0f} s")
        self._keep(lambda expected: expected.deadline >= now)

    def discard(self, stream: str) -> None:
        """Ends the entries of a stream that is not followed any more."""
        self._keep(lambda expected: expected.stream != stream)

    def retain(self, stream: str, shards: ShardSet) -> None:
        """Ends the entries of a stream that are in other shards."""
        self._keep(lambda expected: expected.stream != stream or shards.has(expected.meta.uid))

    def get(self, table: Table, key: str) -> Expected | None:
        """Returns what readers see in place of the version in the table, or None."""
        expected = self.entries.get(key)
        return None if expected is None or is_in_table(table, expected) else expected

    def newer(self, table: Table) -> dict[str, Expected]:
        """Returns the entries that are newer than the versions in the table."""
        return {key: expected for key, expected in self.entries.items() if not is_in_table(table, expected)}

    def _keep(self, stays: Callable[[Expected], bool]) -> None:
        entries = {key: expected for key, expected in self.entries.items() if stays(expected)}
        if len(entries) < len(self.entries):
            self.entries = entries

    def _report(self, expected: Expected, why: str) -> None:
        self.dropped += 1
        what = f"{printable(expected.meta.key)} at resourceVersion {printable(expected.meta.resource_version)}"
        self._log.warning("dropped", f"{self._name}: expected object dropped: {what}: {why}")


def is_in_table(table: Table, expected: Expected) -> bool:
    """Returns whether a table has this version of the object, or a newer one."""
    meta = table.meta(expected.meta.key)
    return meta is not None and is_at_least(meta[_RESOURCE_VERSION], expected.meta.resource_version)


def _is_at_least(one: Expected, other: Expected) -> bool:
    return is_at_least(one.meta.resource_version, other.meta.resource_version)
