"""The reader of a store: reads complete states, from any thread, and decodes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any, Generic, TypeVar

import msgspec

from kinform._errors import OptionError
from kinform._objects import Meta, decode_object
from kinform._paths.conflicts import check_type
from kinform._selectors import parse_label_selector, required_labels
from kinform._store.contents import StoreContents
from kinform._store.writer import Writer
from kinform_ext._table import Ids

T = TypeVar("T")


class Store(Generic[T]):
    """Reads a collection, from any thread. Each call sees one complete state.

    Keys are `"namespace/name"`, or `"name"` for cluster-scoped objects.
    """

    def __init__(self, contents: StoreContents, type: type[T]) -> None:
        self._contents = contents
        self._index_numbers = {name: number for number, name in enumerate(contents.indexes)}
        self._index_of_path = {path: number for number, path in enumerate(contents.indexes.values())}
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(type)

    def __len__(self) -> int:
        return len(self._contents.table)

    def __contains__(self, key: object) -> bool:
        return key in self._contents.table

    def __getitem__(self, key: str) -> T:
        """Returns the object, newly decoded.

        Raises:
            KeyError: The store has no object with this key.
            DecodeError: The object does not fit the type of the store.
        """
        raw = self._contents.table.raw(key)
        if raw is None:
            raise KeyError(key)
        return decode_object(self._decoder, key, raw)

    def __iter__(self) -> Iterator[str]:
        return self.keys()

    def get(self, key: str) -> T | None:
        """Returns the object, newly decoded, or None if the store does not have it.

        Raises:
            DecodeError: The object does not fit the type of the store.
        """
        raw = self._contents.table.raw(key)
        return None if raw is None else decode_object(self._decoder, key, raw)

    def raw(self, key: str) -> bytes | None:
        """Returns the pruned JSON of the object, or None if the store does not have it.

        `apiVersion` and `kind` come first.
        """
        return self._contents.table.raw(key)

    def meta(self, key: str) -> Meta | None:
        """Returns identity and version of the object, without decoding it.

        None if the store does not have it.
        """
        found = self._contents.table.meta(key)
        return None if found is None else Meta(*found)

    def keys(self, namespace: str | None = None) -> Iterator[str]:
        """Iterates over the keys that the store has at the time of the call.

        Args:
            namespace: Only keys of this namespace. None: all.
        """
        return self._contents.table.ids(namespace).keys()

    def items(self, namespace: str | None = None, *, label_selector: str = "") -> Iterator[tuple[str, T]]:
        """Iterates over the keys and objects that the store has at the time of the call.

        Later writes do not affect the iteration. Objects that are replaced or deleted during the iteration stay in
        memory until the iterator has passed them, or until your program releases the iterator.

        Args:
            namespace: Only objects of this namespace. None: all.
            label_selector: Only objects whose labels match. If the selector is `app=web`, for example, and the store
                has an index of `metadata.labels.app`, only the objects with `app=web` are decoded.

        Raises:
            OptionError: The selector is not valid.
            DecodeError: The iterator reached an object that does not fit the type of the store.
        """
        matches = parse_label_selector(label_selector, field="label_selector") if label_selector else None
        table, ids = self._contents.table, self._matching_ids(namespace, label_selector)
        found = ((table.key_of(id), table.raw_of(id)) for id in ids)
        return (
            (key, decode_object(self._decoder, key, raw))
            for key, raw in found
            if matches is None or matches(_labels(key, raw))
        )

    def index(self, name: str, value: str) -> list[T]:
        """Returns the objects that have this value in the index, sorted by key.

        All objects come from the same state.

        Raises:
            OptionError: The store has no index of this name.
            DecodeError: An object does not fit the type of the store.
        """
        table = self._contents.table
        ids = table.index_ids(self._index_number(name), value)
        found = [(key := table.key_of(id), decode_object(self._decoder, key, table.raw_of(id))) for id in ids]
        return [each for _, each in sorted(found, key=itemgetter(0))]

    def index_keys(self, name: str, value: str) -> list[str]:
        """Returns the sorted keys of the objects that have this value in the index.

        Raises:
            OptionError: The store has no index of this name.
        """
        return sorted(self._contents.table.index_keys(self._index_number(name), value))

    def index_values(self, name: str) -> list[str]:
        """Returns all values in the index, sorted. Each occurs in at least one object.

        Raises:
            OptionError: The store has no index of this name.
        """
        return sorted(self._contents.table.index_values(self._index_number(name)))

    @property
    def stale(self) -> int:
        """Number of objects in an old version, because a newer version was skipped."""
        return self._contents.table.stale

    def _matching_ids(self, namespace: str | None, label_selector: str) -> Ids:
        for label, value in required_labels(label_selector) if self._index_of_path else ():
            number = self._index_of_path.get(("metadata", "labels", label))
            if number is not None:
                return self._contents.table.index_ids(number, value, namespace)
        return self._contents.table.ids(namespace)

    def _index_number(self, name: str) -> int:
        number = self._index_numbers.get(name)
        if number is None:
            known = " or ".join(map(repr, self._index_numbers))
            raise OptionError("index", name, known or "no name, because the store has no indexes")
        return number


class _Metadata(msgspec.Struct, gc=False):
    labels: dict[str, str] | None = None


class _ObjectLabels(msgspec.Struct, gc=False):
    metadata: _Metadata


_labels_decoder = msgspec.json.Decoder(_ObjectLabels)


def _labels(key: str, raw: bytes) -> dict[str, str]:
    return decode_object(_labels_decoder, key, raw).metadata.labels or {}


def store(*, type: type[Any] = dict, indexes: Mapping[str, str] = {}, name: str = "store") -> tuple[Writer, Store[Any]]:
    """Makes an empty store and returns its writer and its reader.

    Args:
        type: The type that objects are decoded to: `dict`, or any type that msgspec decodes to.
        indexes: Maps the name of each index to the path of the field by which the index finds objects.
        name: Name of the collection in messages.

    Raises:
        OptionError: No object decodes to the type, a name of an index is empty, or a path is not valid.
    """
    check_type(type, None)
    contents = StoreContents(name, indexes)
    return Writer(contents), Store(contents, type)
