"""A model of a table: dicts of records, compared as a whole.

Written from the specified behaviour; it shares no code with the table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from kinform._paths.grammar import parse
from kinform._paths.index_program import compile_index
from kinform_ext._scan import Batch
from kinform_ext._table import Change, Dump, Loader, Postings, Table, Version
from tests.core.wire import events

INDEXES = ("spec.nodeName", "spec.containers[*].image")


def indexed() -> Table:
    """Returns a table with an index for each of `INDEXES`."""
    return Table(Postings(compile_index(dict(enumerate(parse(path, field="indexes") for path in INDEXES)))))


def reload(table: Table, into: Table, *, piece: int = 5000) -> Table:
    """Loads a dump of a table into an empty one, and returns that.

    The streams keep their numbers.
    """
    return load(Dump(table), into, piece=piece)


def load(dump: Dump, into: Table, *, piece: int = 5000) -> Table:
    """Loads a dump as `reload` does."""
    streams = {number: number for number in range(8)}
    loader = Loader(into, streams, 1 << 30)
    while data := dump.read(piece):
        start = 0
        while start < len(data):
            start = loader.load(data, start, piece)
    loader.finish()
    return into


class Record(NamedTuple):
    namespace: str
    name: str
    uid: str
    rv: str
    raw: bytes

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def values(self) -> tuple[set[str], set[str]]:
        """The values under each of `INDEXES`."""
        spec = json.loads(self.raw).get("spec", {})
        node, images = spec.get("nodeName"), [each.get("image") for each in spec.get("containers", ())]
        return {node} if isinstance(node, str) else set(), {image for image in images if isinstance(image, str)}

    def same(self, other: Record) -> bool:
        if self.uid and self.rv and other.uid and other.rv:
            return (self.uid, self.rv) == (other.uid, other.rv)
        return self.raw == other.raw

    def succeeds(self, other: Record) -> bool:
        """Returns whether it is another object of the same name."""
        return bool(self.uid and other.uid) and self.uid != other.uid


class Stream:
    def __init__(self) -> None:
        self.seen: dict[str, Record] = {}
        self.stale: set[str] = set()
        self.known: dict[str, Record] = {}  # by the changes that a listener got
        self.staged: dict[str, Record] | None = None
        self.stale_next: set[str] = set()

    def begin(self) -> None:
        self.staged, self.stale_next = {}, set()

    def abort(self) -> None:
        self.staged = None

    def commit(self, sweep_missing: bool) -> None:
        assert self.staged is not None
        if not sweep_missing:
            missing = {key: old for key, old in self.seen.items() if key not in self.staged}
            self.staged |= missing
            self.stale_next |= missing.keys()
        self.seen, self.stale, self.staged = self.staged, self.stale_next, None

    def stage(self, verb: str, new: Record) -> None:
        assert self.staged is not None
        self.stale_next.discard(new.key)
        if verb == "DELETED":
            self.staged.pop(new.key, None)
        else:
            old, before = self.seen.get(new.key), self.staged.get(new.key)
            if old is not None and old.same(new):
                self.staged[new.key] = old
            elif before is None or not (before.same(new) and new.uid and new.rv):
                self.staged[new.key] = new

    def live(self, verb: str, new: Record) -> None:
        old = self.seen.get(new.key)
        if verb == "DELETED":
            if old is not None and not new.succeeds(old):
                del self.seen[new.key]
                self.stale.discard(new.key)
        else:
            self.stale.discard(new.key)
            if old is None or not old.same(new):
                self.seen[new.key] = new

    def skip(self, key: str) -> bool:
        if self.staged is None:
            if key in self.seen:
                self.stale.add(key)
            return key in self.seen
        if key not in self.staged and key in self.seen:
            self.staged[key] = self.seen[key]
        if key in self.staged:
            self.stale_next.add(key)
        return key in self.staged

    def take_keys(self, keys: Iterable[str]) -> None:
        """Applies the keys of changes: the listener reads the store."""
        for key in keys:
            if key in self.seen:
                self.known[key] = self.seen[key]
            else:
                self.known.pop(key, None)

    def take(self, changes: Iterable[Change]) -> None:
        """Applies changes to what a listener knows; each must follow from that."""
        for change in changes:
            old = self.known.get(change.key)
            assert (change.old is None) == (old is None), change
            if change.new is None:
                assert not change.synthetic or record_of(change.old) == old, change
                del self.known[change.key]
            else:
                new = record_of(change.new)
                assert old is None or (record_of(change.old) == old and not new.succeeds(old)), change
                assert old is None or not old.same(new)
                self.known[change.key] = new


def record_of(found: Version) -> Record:
    return Record(found.namespace, found.name, found.uid, found.resource_version, found.raw())


def records(batch: Batch) -> list[tuple[str, Record]]:
    return [
        (
            batch.verb(i),
            Record(batch.namespace(i), batch.name(i), batch.uid(i), batch.resource_version(i), batch.raw(i)),
        )
        for i in range(len(batch))
    ]


def meta(record: Record) -> tuple[str, str, str, str]:
    return record[:4]


def scanned(pairs: list[tuple[str, dict[str, Any]]]) -> tuple[Batch, list[tuple[str, Record]]]:
    batch = events(pairs)
    return batch, records(batch)
