"""The reading end of a store: one complete state, from any thread, decoded afresh for each reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from kinform._contents import Contents
from kinform._errors import OptionError
from kinform._events import Meta, decode
from kinform._index import Index
from kinform._selectors import parse_labels
from kinform._writer import Writer
from kinform_ext._version import Version

T = TypeVar("T")


class Store(Generic[T]):
    """Reads a collection. From any thread; each call sees one complete state.

    Keys are `"namespace/name"`, or `"name"` for cluster-scoped objects.
    """

    def __init__(self, contents: Contents, type: type[T]) -> None:
        self._adopt(contents)
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(type)

    def _adopt(self, contents: Contents) -> None:
        self._table = contents.table
        self._indexes = contents.indexes

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, key: object) -> bool:
        return key in self._table

    def __getitem__(self, key: str) -> T:
        """The object, decoded afresh.

        Raises:
            KeyError: There is none of that key.
            DecodeError: It does not fit the store's type.
        """
        raw = self._table.raw(key)
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
        raw = self._table.raw(key)
        return None if raw is None else decode(self._decoder, key, raw)

    def raw(self, key: str) -> bytes | None:
        """The object's pruned JSON, `apiVersion` and `kind` first, or None."""
        return self._table.raw(key)

    def meta(self, key: str) -> Meta | None:
        """Who the object is, without decoding it, or None."""
        found = self._table.meta(key)
        return None if found is None else Meta(*found)

    def keys(self, namespace: str | None = None) -> Iterator[str]:
        """The keys of one state, that at the call; of one namespace if named."""
        return self._table.ids(namespace).keys()

    def items(self, namespace: str | None = None, *, label_selector: str = "") -> Iterator[tuple[str, T]]:
        """Keys and objects of one state, that at the call, whatever is written meanwhile.

        What is replaced or deleted in the meantime is kept until the iterator has ended, or is given up.

        Args:
            namespace: Only this one's.
            label_selector: Only objects whose labels match.

        Raises:
            OptionError: The selector cannot be parsed.
            DecodeError: On reaching an object that does not fit the store's type.
        """
        matches = parse_labels(label_selector, field="label_selector") if label_selector else None
        found = ((self._table.key_of(id), self._table.raw_of(id)) for id in self._table.ids(namespace))
        return (
            (key, decode(self._decoder, key, raw))
            for key, raw in found
            if matches is None or matches(_labels(key, raw))
        )

    def versions(self) -> Iterator[Version]:
        """All objects of one state, that at the call, as they are held."""
        return (self._table.version_of(id) for id in self._table.ids())

    def index(self, name: str, value: str) -> list[T]:
        """The objects under a value of an index, in the order of their keys.

        Raises:
            OptionError: The store has no such index.
        """
        found = ((key, self._table.raw(key)) for key in self.index_keys(name, value))
        return [decode(self._decoder, key, raw) for key, raw in found if raw is not None]

    def index_keys(self, name: str, value: str) -> list[str]:
        """The keys under a value of an index, sorted."""
        return sorted(self._index(name).keys(value))

    def index_values(self, name: str) -> list[str]:
        """The values that an index holds at least one object for, sorted."""
        return sorted(self._index(name).values())

    @property
    def stale(self) -> int:
        """Objects held in an old version, because the newer one was left out."""
        return self._table.stale

    def _index(self, name: str) -> Index:
        index = self._indexes.get(name)
        if index is None:
            allowed = " or ".join(repr(known) for known in self._indexes) or "no index: the store has none"
            raise OptionError("index", name, allowed)
        return index


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
    contents = Contents(name, indexes)
    return Writer(contents), Store(contents, type)
