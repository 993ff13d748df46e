"""The reading end of a store: one complete state, from any thread, decoded afresh for each reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any, Generic, TypeVar

import msgspec

from kinform._errors import OptionError
from kinform._objects import Meta, decode
from kinform._selectors import equalities, parse_labels
from kinform._store.contents import StoreContents
from kinform._store.writer import Writer
from kinform_ext._table import Ids

T = TypeVar("T")


class Store(Generic[T]):
    """Reads a collection. From any thread; each call sees one complete state.

    Keys are `"namespace/name"`, or `"name"` for cluster-scoped objects.
    """

    def __init__(self, contents: StoreContents, type: type[T]) -> None:
        self._contents = contents
        self._numbers = {name: number for number, name in enumerate(contents.indexes)}
        self._paths = {path: number for number, path in enumerate(contents.indexes.values())}
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(type)

    def __len__(self) -> int:
        return len(self._contents.table)

    def __contains__(self, key: object) -> bool:
        return key in self._contents.table

    def __getitem__(self, key: str) -> T:
        """The object, decoded afresh.

        Raises:
            KeyError: There is none of that key.
            DecodeError: It does not fit the store's type.
        """
        raw = self._contents.table.raw(key)
        if raw is None:
            raise KeyError(key)
        return decode(self._decoder, key, raw)

    def __iter__(self) -> Iterator[str]:
        return self.keys()

    def get(self, key: str) -> T | None:
        """The object, decoded afresh, or None.

        Raises:
            DecodeError: It does not fit the store's type.
        """
        raw = self._contents.table.raw(key)
        return None if raw is None else decode(self._decoder, key, raw)

    def raw(self, key: str) -> bytes | None:
        """The object's pruned JSON, `apiVersion` and `kind` first, or None."""
        return self._contents.table.raw(key)

    def meta(self, key: str) -> Meta | None:
        """Who the object is, without decoding it, or None."""
        found = self._contents.table.meta(key)
        return None if found is None else Meta(*found)

    def keys(self, namespace: str | None = None) -> Iterator[str]:
        """The keys of one state, that at the call; of one namespace if named."""
        return self._contents.table.ids(namespace).keys()

    def items(self, namespace: str | None = None, *, label_selector: str = "") -> Iterator[tuple[str, T]]:
        """Keys and objects of one state, that at the call, whatever is written meanwhile.

        What is replaced or deleted in the meantime is kept until the iterator has ended, or is given up.

        Args:
            namespace: Only this one's.
            label_selector: Only objects whose labels match. Where it asks for one value of a label that an index is on,
                only the objects under that value are decompressed.

        Raises:
            OptionError: The selector cannot be parsed.
            DecodeError: On reaching an object that does not fit the store's type.
        """
        matches = parse_labels(label_selector, field="label_selector") if label_selector else None
        table, ids = self._contents.table, self._ids(namespace, label_selector)
        found = ((table.key_of(id), table.raw_of(id)) for id in ids)
        return (
            (key, decode(self._decoder, key, raw))
            for key, raw in found
            if matches is None or matches(_labels(key, raw))
        )

    def index(self, name: str, value: str) -> list[T]:
        """The objects under a value of an index, in the order of their keys; of one state, that at the call.

        Raises:
            OptionError: The store has no such index.
            DecodeError: One of them does not fit the store's type.
        """
        table = self._contents.table
        ids = table.index_ids(self._index(name), value)
        found = [(key := table.key_of(id), decode(self._decoder, key, table.raw_of(id))) for id in ids]
        return [each for _, each in sorted(found, key=itemgetter(0))]

    def index_keys(self, name: str, value: str) -> list[str]:
        """The keys under a value of an index, sorted."""
        return sorted(self._contents.table.index_keys(self._index(name), value))

    def index_values(self, name: str) -> list[str]:
        """The values that an index holds at least one object for, sorted."""
        return sorted(self._contents.table.index_values(self._index(name)))

    @property
    def stale(self) -> int:
        """Objects held in an old version, because the newer one was left out."""
        return self._contents.table.stale

    def _ids(self, namespace: str | None, label_selector: str) -> Ids:
        for label, value in equalities(label_selector) if self._paths else ():
            number = self._paths.get(("metadata", "labels", label))
            if number is not None:
                return self._contents.table.index_ids(number, value, namespace)
        return self._contents.table.ids(namespace)

    def _index(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            allowed = " or ".join(repr(known) for known in self._numbers) or "no index: the store has none"
            raise OptionError("index", name, allowed)
        return number


class _LabelsOnly(msgspec.Struct, gc=False):
    labels: dict[str, str] | None = None


class _MetadataOnly(msgspec.Struct, gc=False):
    metadata: _LabelsOnly


_read_labels = msgspec.json.Decoder(_MetadataOnly)


def _labels(key: str, raw: bytes) -> dict[str, str]:
    return decode(_read_labels, key, raw).metadata.labels or {}


def store(*, type: type[Any] = dict, indexes: Mapping[str, str] = {}, name: str = "store") -> tuple[Writer, Store[Any]]:
    """Makes an empty store: the one end writes, the other reads.

    Args:
        type: What objects are decoded to: `dict`, or any type msgspec decodes to.
        indexes: Name to path of the value to find objects by.
        name: What it holds, for messages.

    Raises:
        OptionError: A path cannot be parsed.
    """
    contents = StoreContents(name, indexes)
    return Writer(contents), Store(contents, type)
