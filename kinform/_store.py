"""A collection held in memory: one writes, any number read.

Several streams (one a namespace, or one for all) fill one store. A stream's new state is staged beside the one
that is read, and takes its place in one step; an object whose uid and resourceVersion did not change is carried
over as it is. Objects are kept as pruned bytes and decoded afresh for each reader.
Source: kube-runtime's reflector and store.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from kinform._errors import OptionError
from kinform._events import Meta, Object, decode
from kinform._frames import Skip
from kinform._index import Index
from kinform._selectors import parse_labels
from kinform_ext._scan import Batch

log = logging.getLogger("kinform.store")

T = TypeVar("T")
Table = dict[str, Object]
Transform = Callable[[bytes], bytes | None]


class Change(msgspec.Struct, frozen=True, gc=False):
    """A key's record before and after; None on one side where it was added or deleted."""

    key: str
    new: Object | None
    old: Object | None
    synthetic: bool = False


class _Contents:
    """What writer and readers share."""

    def __init__(self, indexes: Mapping[str, str]) -> None:
        self.tables: dict[str, Table] = {}
        self.stale: set[str] = set()
        self.indexes = {name: Index(path, field=f"indexes[{name!r}]") for name, path in indexes.items()}

    def get(self, key: str) -> Object | None:
        for table in self.tables.values():
            if found := table.get(key):
                return found
        return None

    def index(self, key: str, old: Object | None, new: Object | None) -> None:
        for index in self.indexes.values():
            index.replace(key, None if old is None else old.raw, None if new is None else new.raw)


class _Staged:
    """A state that is coming in."""

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self.table: Table = {}
        self.stale: set[str] = set()
        self.sweep = True  # what is not in it is gone; not so once an object without a known key was left out


class Writer:
    """Fills a store. All calls are made from one thread; each is atomic for readers on any thread.

    Attributes:
        listener: Called with each change after readers can see it; where it is None no change is made up.
        transform: Replaces an object's pruned bytes before they are stored, or leaves it out by None.
        transform_seconds: Time spent in `transform`.
        wire_bytes: Bytes of the objects that came, as sent.
    """

    def __init__(self, contents: _Contents) -> None:
        self._contents = contents
        self._staged: dict[str, _Staged] = {}
        self.listener: Callable[[Change], None] | None = None
        self.transform: Transform | None = None
        self.transform_seconds = 0.0
        self.wire_bytes = 0

    def begin(self, stream: str, owner: object = None) -> None:
        """A new state of this stream begins; one that was begun and not committed leaves no trace."""
        self._staged[stream] = _Staged(owner)

    def apply(self, stream: str, batch: Batch, *, initial: bool) -> None:
        """Takes a batch whole, into the state that was begun (`initial`) or into what readers see."""
        self.wire_bytes += batch.wire_bytes
        table = self._contents.tables.setdefault(stream, {})
        staged = self._staged[stream] if initial else None
        for i in range(len(batch)):
            key, raw = batch.key(i), batch.raw(i)
            deleted = batch.verb(i) == "DELETED"
            if self.transform is not None:
                transformed = self._transformed(key, raw)
                deleted = deleted or transformed is None
                raw = transformed or b""
            new = Object(batch.namespace(i), batch.name(i), batch.uid(i), batch.resource_version(i), raw)
            if staged is None:
                self._live(table, key, new, deleted=deleted)
            elif deleted:
                staged.table.pop(key, None)
                staged.stale.discard(key)
            else:
                old = table.get(key)
                staged.table[key] = old if old is not None and _same(old, new) else new
                staged.stale.discard(key)

    def skip(self, stream: str, skip: Skip, *, initial: bool) -> None:
        """Takes note of an object that was left out: its old record stays, and counts as stale.

        Where its key is unknown, the state in hand deletes nothing: any object that is missing may be the one.
        """
        table = self._contents.tables.setdefault(stream, {})
        staged = self._staged[stream] if initial else None
        old = table.get(skip.key) if skip.key is not None else None
        if skip.verb == "DELETED":
            if staged is not None and skip.key is not None:
                staged.table.pop(skip.key, None)
                staged.stale.discard(skip.key)
            elif old is not None:
                self._live(table, old.key, old, deleted=True)
        elif staged is not None and skip.key is not None:
            if old is not None:  # what came before in this very state is newer
                staged.table.setdefault(skip.key, old)
            if skip.key in staged.table:
                staged.stale.add(skip.key)
        elif staged is not None:
            staged.sweep = False
        elif old is not None:
            self._contents.stale.add(old.key)

    def commit(self, stream: str) -> None:
        """The state is complete: it takes the place of the old one in one step, then the changes are told."""
        staged = self._staged.pop(stream)
        old_table = self._contents.tables.get(stream, {})
        new_table = staged.table
        if not staged.sweep:
            kept = {key: old for key, old in old_table.items() if key not in new_table}
            log.warning("an object without a known key was left out of a list: %d missing objects stay", len(kept))
            staged.stale.update(kept)
            new_table.update(kept)
        stale = self._contents.stale
        stale.difference_update([key for key in stale if key in new_table])
        changes = list(_difference(old_table, new_table))
        self._contents.tables[stream] = new_table
        for change in changes:
            self._changed(change)
        stale.update(staged.stale)  # at last: a change of a key is the end of its staleness otherwise

    def abort(self, stream: str, owner: object = None) -> None:
        """The state that was begun will not be completed; one that another owner has begun since then goes on."""
        if (staged := self._staged.get(stream)) is not None and staged.owner is owner:
            del self._staged[stream]

    def drop(self, stream: str) -> None:
        """The stream is no longer followed: its objects go."""
        self._staged.pop(stream, None)
        for key, old in self._contents.tables.pop(stream, {}).items():
            self._changed(Change(key, None, old, synthetic=True))

    def _live(self, table: Table, key: str, new: Object, *, deleted: bool) -> None:
        old = table.get(key)
        replaced = old is not None and bool(old.uid and new.uid) and old.uid != new.uid
        if deleted:
            if old is not None and not replaced:  # a late word about a predecessor is no news
                del table[key]
                # Told is the state that the deletion came with, which may be newer than the one held;
                # a transform that leaves it out leaves no such state.
                self._changed(Change(key, None, new if new.raw else old), held=old)
            return
        if old is not None and _same(old, new):
            return
        table[key] = new
        if replaced:
            self._changed(Change(key, None, old, synthetic=True))
        self._changed(Change(key, new, None if replaced else old))

    def _changed(self, change: Change, held: Object | None = None) -> None:
        contents = self._contents
        contents.stale.discard(change.key)
        if contents.indexes:
            contents.index(change.key, held or change.old, change.new)
        if self.listener is not None:
            self.listener(change)

    def _transformed(self, key: str, raw: bytes) -> bytes | None:
        assert self.transform is not None
        begun = time.perf_counter()
        try:
            return self.transform(raw)
        except Exception as error:
            # Its message may quote the object.
            log.error("%s: transform raised %s; the object is kept untransformed", key, type(error).__name__)
            return raw
        finally:
            self.transform_seconds += time.perf_counter() - begun


def _same(old: Object, new: Object) -> bool:
    if old.uid and old.resource_version and new.uid and new.resource_version:
        return old.uid == new.uid and old.resource_version == new.resource_version
    return old.raw == new.raw  # aggregated APIs, such as metrics, have neither


def _difference(old_table: Table, new_table: Table) -> Iterator[Change]:
    for key, old in old_table.items():
        new = new_table.get(key)
        if new is None:
            yield Change(key, None, old, synthetic=True)
        elif new is not old and old.uid and new.uid and old.uid != new.uid:
            yield Change(key, None, old, synthetic=True)
            yield Change(key, new, None)
        elif new is not old:
            yield Change(key, new, old)
    for key, new in new_table.items():
        if key not in old_table:
            yield Change(key, new, None)


class Store(Generic[T]):
    """Reads a collection. From any thread; each call sees one complete state.

    Keys are `"namespace/name"`, or `"name"` for cluster-scoped objects.
    """

    def __init__(self, contents: _Contents, type: type[T]) -> None:
        self._contents = contents
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(type)

    def __len__(self) -> int:
        return sum(len(table) for table in list(self._contents.tables.values()))

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._contents.get(key) is not None

    def __getitem__(self, key: str) -> T:
        """The object, decoded afresh.

        Raises:
            KeyError: There is none of that key.
            DecodeError: It does not fit the store's type.
        """
        found = self._contents.get(key)
        if found is None:
            raise KeyError(key)
        return self._decode(found)

    def __iter__(self) -> Iterator[str]:
        return self.keys()

    def get(self, key: str) -> T | None:
        """The object, decoded afresh, or None.

        Raises:
            DecodeError: It does not fit the store's type.
        """
        found = self._contents.get(key)
        return None if found is None else self._decode(found)

    def raw(self, key: str) -> bytes | None:
        """The object's pruned JSON, `apiVersion` and `kind` first, or None."""
        found = self._contents.get(key)
        return None if found is None else found.raw

    def meta(self, key: str) -> Meta | None:
        """Who the object is, without decoding it, or None."""
        found = self._contents.get(key)
        return found and Meta(found.namespace, found.name, found.uid, found.resource_version)

    def keys(self, namespace: str | None = None) -> Iterator[str]:
        """The keys of one state, that at the call; of one namespace if named."""
        return (found.key for found in self.records() if namespace is None or found.namespace == namespace)

    def items(self, namespace: str | None = None, *, label_selector: str = "") -> Iterator[tuple[str, T]]:
        """Keys and objects of one state, that at the call, whatever is written meanwhile.

        Args:
            namespace: Only this one's.
            label_selector: Only objects whose labels match.

        Raises:
            OptionError: The selector cannot be parsed.
            DecodeError: On reaching an object that does not fit the store's type.
        """
        matches = parse_labels(label_selector, field="label_selector") if label_selector else None
        return (
            (found.key, self._decode(found))
            for found in self.records()
            if (namespace is None or found.namespace == namespace) and (matches is None or matches(_labels(found)))
        )

    def index(self, name: str, value: str) -> list[T]:
        """The objects under a value of an index, in the order of their keys.

        Raises:
            OptionError: The store has no such index.
        """
        found = (self._contents.get(key) for key in self.index_keys(name, value))
        return [self._decode(record) for record in found if record is not None]

    def index_keys(self, name: str, value: str) -> list[str]:
        """The keys under a value of an index, sorted."""
        return sorted(self._index(name).keys(value))

    def index_values(self, name: str) -> list[str]:
        """The values that an index holds at least one object for, sorted."""
        return sorted(self._index(name).values())

    def _index(self, name: str) -> Index:
        index = self._contents.indexes.get(name)
        if index is None:
            allowed = " or ".join(repr(known) for known in self._contents.indexes) or "no index: the store has none"
            raise OptionError("index", name, allowed)
        return index

    def records(self) -> list[Object]:
        """All records of one state, undecoded."""
        return [found for table in list(self._contents.tables.values()) for found in list(table.values())]

    @property
    def pruned_bytes(self) -> int:
        """Bytes of all objects held, as `raw` gives them."""
        return sum(len(found.raw) for found in self.records())

    @property
    def stale(self) -> int:
        """Objects held in an old version, because the newer one was left out."""
        return len(self._contents.stale)

    def _decode(self, found: Object) -> T:
        return decode(self._decoder, found.key, found.raw)


class _LabelsOnly(msgspec.Struct, gc=False):
    labels: dict[str, str] | None = None


class _MetadataOnly(msgspec.Struct, gc=False):
    metadata: _LabelsOnly


_read_labels = msgspec.json.Decoder(_MetadataOnly)


def _labels(found: Object) -> dict[str, str]:
    return decode(_read_labels, found.key, found.raw).metadata.labels or {}


def store(*, type: type[Any] = dict, indexes: Mapping[str, str] = {}) -> tuple[Writer, Store[Any]]:
    """Makes an empty store: the one end writes, the other reads.

    Args:
        type: What objects are decoded to: `dict`, or any type msgspec decodes to.
        indexes: Name to path of the value to find objects by.

    Raises:
        OptionError: A path cannot be parsed.
    """
    contents = _Contents(indexes)
    return Writer(contents), Store(contents, type)
