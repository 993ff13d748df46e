"""The reader of a store: reads complete states, from any thread, and decodes them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from operator import itemgetter
from typing import Generic, Literal, TypeVar, get_args

import msgspec

from kinform._checks import require_one_of
from kinform._decoding import DICT, T, check_type, decode_object, make_decoder
from kinform._errors import DecodeError, KinformError, OptionError
from kinform._objects import Meta
from kinform._paths.index_program import parse_indexes
from kinform._printable import printable
from kinform._selectors import LabelMatch, parse_label_selector, required_labels
from kinform._store.contents import StoreContents
from kinform._store.writer import Writer
from kinform._throttled_log import ThrottledLog
from kinform_ext._table import Ids, Table

log = logging.getLogger("kinform.store")

R = TypeVar("R")

OnUndecodable = Literal["raise", "skip"]


class Store(Generic[T]):
    """Reads a collection, from any thread. Each call sees one complete state.

    Keys are `"namespace/name"`, or `"name"` for cluster-scoped objects.
    """

    def __init__(self, contents: StoreContents, type: type[T], indexes: Mapping[str, str] = {}) -> None:
        self._contents = contents
        self._indexes = parse_indexes(indexes)
        self._decoder = make_decoder(type)
        self._log = ThrottledLog(log)
        self._undecodable_reads = 0

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

    def items(
        self,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        on_undecodable: OnUndecodable = "raise",
    ) -> Iterator[tuple[str, T]]:
        """Iterates over the keys and objects that the store has at the time of the call.

        Later writes do not affect the iteration. Objects that are replaced or deleted during the iteration stay in
        memory until the iterator has passed them, or until your program releases the iterator.

        Args:
            namespace: Only objects of this namespace. None: all.
            label_selector: Only objects whose labels match. If the selector is `app=web`, for example, and the store
                has an index of `metadata.labels.app`, only the objects with `app=web` are decoded.
            on_undecodable: `"raise"`: raise the error of an object that does not fit the type, and end the iteration.
                `"skip"`: leave out such objects. The store counts them in `undecodable_reads`, and logs one of them in
                ten minutes.

        Raises:
            OptionError: The selector or `on_undecodable` is not valid.
            DecodeError: The iterator reached an object that does not fit the type of the store.
        """
        require_one_of("on_undecodable", on_undecodable, get_args(OnUndecodable))
        matches = parse_label_selector(label_selector, field="label_selector") if label_selector else None
        return self._decoded(self._matching_ids(namespace, label_selector), matches, on_undecodable)

    def values(
        self,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        on_undecodable: OnUndecodable = "raise",
    ) -> Iterator[T]:
        """Iterates over the objects that the store has at the time of the call.

        Like `items`, but without the keys.

        Args:
            namespace: Only objects of this namespace. None: all.
            label_selector: Only objects whose labels match.
            on_undecodable: `"raise"` or `"skip"`.

        Raises:
            OptionError: The selector or `on_undecodable` is not valid.
            DecodeError: The iterator reached an object that does not fit the type of the store.
        """
        return map(itemgetter(1), self.items(namespace, label_selector=label_selector, on_undecodable=on_undecodable))

    def index(self, name: str, value: str, *, on_undecodable: OnUndecodable = "raise") -> list[T]:
        """Returns the objects that have this value in the index, sorted by key.

        All objects come from the same state.

        Args:
            name: The name of the index.
            value: The value.
            on_undecodable: `"raise"` or `"skip"`: see `items`.

        Raises:
            OptionError: The store has no index of this name, or `on_undecodable` is not valid.
            DecodeError: An object does not fit the type of the store.
        """
        require_one_of("on_undecodable", on_undecodable, get_args(OnUndecodable))
        ids = self._read_index(name, lambda table, number: table.index_ids(number, value))
        return [found for _, found in sorted(self._decoded(ids, None, on_undecodable), key=itemgetter(0))]

    def index_keys(self, name: str, value: str) -> list[str]:
        """Returns the sorted keys of the objects that have this value in the index.

        Raises:
            OptionError: The store has no index of this name.
        """
        return sorted(self._read_index(name, lambda table, number: table.index_keys(number, value)))

    def index_values(self, name: str) -> list[str]:
        """Returns all values in the index, sorted. Each occurs in at least one object.

        Raises:
            OptionError: The store has no index of this name.
        """
        return sorted(self._read_index(name, Table.index_values))

    @property
    def stale(self) -> int:
        """Number of objects in an old version, because a newer version was skipped."""
        return self._contents.table.stale

    @property
    def undecodable_reads(self) -> int:
        """Number of objects that reads left out, because they do not fit the type.

        An object counts once for each read.
        """
        return self._undecodable_reads

    def _decoded(
        self, ids: Iterable[int], matches: LabelMatch | None, on_undecodable: OnUndecodable
    ) -> Iterator[tuple[str, T]]:
        table = self._contents.table

        def read(id: int) -> tuple[str, T] | None:
            key, raw = table.key_of(id), table.raw_of(id)
            try:
                if matches is not None and not matches(_labels(key, raw)):
                    return None
                return key, decode_object(self._decoder, key, raw)
            except Exception as error:  # code of the type, such as `__post_init__`, may raise anything
                if on_undecodable == "raise":
                    raise
                self._report_undecodable(key, error)
                return None

        yield from filter(None, map(read, ids))  # holds no decoded object while it waits

    def _report_undecodable(self, key: str, error: Exception) -> None:
        self._undecodable_reads += 1
        # The text of an error that is not ours may quote anything.
        why = str(error) if isinstance(error, DecodeError) else f"{printable(key)}: {type(error).__name__}"
        self._log.warning("undecodable", f"{self._contents.name}: object skipped: {why}")

    def _matching_ids(self, namespace: str | None, label_selector: str) -> Ids:
        contents = self._contents
        complete = contents.indexes.complete
        for label, value in required_labels(label_selector) if complete else ():
            number = complete.get(("metadata", "labels", label))
            if number is not None:
                with suppress(IndexError):  # dropped just now
                    return contents.table.index_ids(number, value, namespace)
        return contents.table.ids(namespace)

    def _read_index(self, name: str, read: Callable[[Table, int], R]) -> R:
        path = self._indexes.get(name)
        if path is None:
            known = " or ".join(map(repr, self._indexes))
            raise OptionError("index", name, known or "no name, because the store has no indexes")
        number = self._contents.indexes.complete.get(path)
        if number is not None:
            with suppress(IndexError):  # dropped just now
                return read(self._contents.table, number)
        raise KinformError(f"{self._contents.name}: index {name!r} is not built yet, or its informer has stopped")


class _Metadata(msgspec.Struct, gc=False):
    labels: dict[str, str] | None = None


class _ObjectLabels(msgspec.Struct, gc=False):
    metadata: _Metadata


_labels_decoder = msgspec.json.Decoder(_ObjectLabels)


def _labels(key: str, raw: bytes) -> dict[str, str]:
    return decode_object(_labels_decoder, key, raw).metadata.labels or {}


def store(
    *,
    type: type[T] = DICT,  # type: ignore[assignment]
    indexes: Mapping[str, str] = {},
    name: str = "store",
) -> tuple[Writer, Store[T]]:
    """Makes an empty store and returns its writer and its reader.

    Args:
        type: The type that objects are decoded to: `dict`, any type that msgspec decodes to, or a model of a Kubernetes
            client, like `V1Pod`.
        indexes: Maps the name of each index to the path of the field by which the index finds objects.
        name: Name of the collection in messages.

    Raises:
        OptionError: No object decodes to the type, a name of an index is empty, or a path is not valid.
    """
    check_type(type, None)
    contents = StoreContents(name, indexes)
    return Writer(contents), Store(contents, type, indexes)
