"""The objects of a store, decoded for one reader."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, Literal

import msgspec

from kinform._checks import require_integer
from kinform._decoding import T, decode_object, make_decoder
from kinform._errors import DecodeError
from kinform._printable import printable
from kinform._selectors import LabelMatch
from kinform._store.decoded_cache import DecodedCache
from kinform._store.turns import Turns
from kinform._throttled_log import ThrottledLog
from kinform_ext._table import Table

log = logging.getLogger("kinform.store")

OnUndecodable = Literal["raise", "skip"]


class ObjectDecoder(Generic[T]):
    """Decodes objects to a type.

    Args:
        name: Name of the collection, for messages.
        type: The type that objects are decoded to.
        cached: Number of decoded objects to keep for further reads; None: none.
        turns: The turns of the threads that read and write.

    Attributes:
        cache: The decoded objects that are kept, or None.
        undecodable_reads: Number of objects that were left out, because they do not fit the type.
    """

    def __init__(self, name: str, type: type[T], cached: int | None, turns: Turns) -> None:
        if cached is not None:
            require_integer("decoded_cache", cached, 1, "a positive number of objects, or None")
        self.cache: DecodedCache[T] | None = None if cached is None else DecodedCache(cached)
        self._name = name
        self._give_way = turns.give_way
        self._decoder = make_decoder(type)
        self._log = ThrottledLog(log)
        self.undecodable_reads = 0

    def get(self, table: Table, key: str) -> T | None:
        """Returns the object that a table has under a key, or None."""
        self._give_way()
        if self.cache is None:
            raw = table.raw(key)
            return None if raw is None else decode_object(self._decoder, key, raw)
        identity = table.identity(key)
        if identity is None:
            return None
        found = self.cache.get(key, identity)
        if found is None and (read := table.identity_and_raw(key)):  # both of one version
            found = decode_object(self._decoder, key, read[1])
            self.cache.put(key, read[0], found)
        return found

    def of_id(self, table: Table, id: int, key: str, raw: bytes | None = None) -> T:
        """Returns the object of a version, which must be pinned.

        Args:
            table: The table.
            id: The version.
            key: Its key.
            raw: Its JSON, if the caller has it.
        """
        self._give_way()
        if self.cache is None:
            return decode_object(self._decoder, key, table.raw_of(id) if raw is None else raw)
        identity = table.identity_of(id)
        found = self.cache.get(key, identity)
        if found is None:
            found = decode_object(self._decoder, key, table.raw_of(id) if raw is None else raw)
            self.cache.put(key, identity, found)
        return found

    def of_raw(self, key: str, raw: bytes) -> T:
        """Returns the object of JSON that is not in a table."""
        return decode_object(self._decoder, key, raw)

    def of_all(
        self,
        table: Table,
        ids: Iterable[int],
        instead: Mapping[str, bytes | None],
        matches: LabelMatch | None,
        on_undecodable: OnUndecodable,
    ) -> Iterator[tuple[str, T]]:
        """Iterates over keys and objects.

        Args:
            table: The table.
            ids: The versions. Each must be pinned until the next one is requested.
            instead: JSON that takes the place of the version of a key, and comes last; None: no object does.
            matches: Only objects whose labels match.
            on_undecodable: See `Store.items`.
        """

        def read_id(id: int) -> tuple[str, T] | None:
            key, raw = table.key_of(id), None
            if key in instead:
                return None
            try:
                if matches is not None and not matches(_labels(key, raw := table.raw_of(id))):
                    return None
                return key, self.of_id(table, id, key, raw)
            except Exception as error:  # code of the type, such as `__post_init__`, may raise anything
                if on_undecodable == "raise":
                    raise
                self._report_undecodable(key, error)
                return None

        def read_raw(key: str) -> tuple[str, T] | None:
            raw = instead[key]
            try:
                if raw is None or (matches is not None and not matches(_labels(key, raw))):
                    return None
                return key, self.of_raw(key, raw)
            except Exception as error:
                if on_undecodable == "raise":
                    raise
                self._report_undecodable(key, error)
                return None

        yield from filter(None, map(read_id, ids))  # holds no decoded object while it waits
        yield from filter(None, map(read_raw, instead))

    def _report_undecodable(self, key: str, error: Exception) -> None:
        self.undecodable_reads += 1
        # The text of an error that is not ours may quote anything.
        why = str(error) if isinstance(error, DecodeError) else f"{printable(key)}: {type(error).__name__}"
        self._log.warning("undecodable", f"{self._name}: object skipped: {why}")


class _Labels(msgspec.Struct, gc=False):
    labels: dict[str, str] | None = None


class _ObjectLabels(msgspec.Struct, gc=False):
    metadata: _Labels | None = None


_labels_decoder = msgspec.json.Decoder(_ObjectLabels)


def _labels(key: str, raw: bytes) -> dict[str, str]:
    metadata = decode_object(_labels_decoder, key, raw).metadata
    return (metadata and metadata.labels) or {}
