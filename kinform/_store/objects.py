"""The objects of a store, decoded for one reader."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Generic, Literal

import msgspec

from kinform._decoding import T, decode_object, make_decoder
from kinform._errors import DecodeError
from kinform._printable import printable
from kinform._selectors import LabelMatch
from kinform._throttled_log import ThrottledLog
from kinform_ext._table import Table

log = logging.getLogger("kinform.store")

OnUndecodable = Literal["raise", "skip"]


class Objects(Generic[T]):
    """Decodes objects to a type.

    Args:
        name: Name of the collection, for messages.
        type: The type that objects are decoded to.

    Attributes:
        undecodable_reads: Number of objects that were left out, because they do not fit the type.
    """

    def __init__(self, name: str, type: type[T]) -> None:
        self._name = name
        self._decoder = make_decoder(type)
        self._log = ThrottledLog(log)
        self.undecodable_reads = 0

    def get(self, table: Table, key: str) -> T | None:
        """Returns the object that a table has under a key, or None."""
        raw = table.raw(key)
        return None if raw is None else decode_object(self._decoder, key, raw)

    def of_id(self, table: Table, id: int, key: str) -> T:
        """Returns the object of a version, which must be pinned."""
        return decode_object(self._decoder, key, table.raw_of(id))

    def of_ids(
        self,
        table: Table,
        ids: Iterable[int],
        matches: LabelMatch | None = None,
        on_undecodable: OnUndecodable = "raise",
    ) -> Iterator[tuple[str, T]]:
        """Iterates over keys and objects.

        Args:
            table: The table.
            ids: The versions. Each must be pinned until the next one is requested.
            matches: Only objects whose labels match.
            on_undecodable: See `Store.items`.
        """

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
        self.undecodable_reads += 1
        # The text of an error that is not ours may quote anything.
        why = str(error) if isinstance(error, DecodeError) else f"{printable(key)}: {type(error).__name__}"
        self._log.warning("undecodable", f"{self._name}: object skipped: {why}")


class _Metadata(msgspec.Struct, gc=False):
    labels: dict[str, str] | None = None


class _ObjectLabels(msgspec.Struct, gc=False):
    metadata: _Metadata


_labels_decoder = msgspec.json.Decoder(_ObjectLabels)


def _labels(key: str, raw: bytes) -> dict[str, str]:
    return decode_object(_labels_decoder, key, raw).metadata.labels or {}
