"""Decodes queue entries to events.

No other module decodes waiting records to the user's type. Counts and logs the objects that cannot be decoded. Holds
no record: each reader holds its `Kept`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Generic

from kinform._decoding import T, decode_object, make_decoder
from kinform._dispatch.queue import Entry
from kinform._errors import DecodeError
from kinform._events import Added, Change, Deleted, Synced, Updated
from kinform._printable import printable
from kinform._throttled_log import ThrottledLog
from kinform_ext._table import Version

log = logging.getLogger("kinform.informer")

Kept = dict[str, Version]
"""By key, the last version that a reader got of an object, if its later versions were skipped: they cannot be decoded.

The deletion of the object comes with this version. It is the `old` of the next version that can be decoded.
"""

# Code of a type, such as `__post_init__`, awaits nothing. So a CancelledError from it is not a cancellation.
_ERRORS_OF_A_TYPE = (Exception, asyncio.CancelledError)


class EventDecoder(Generic[T]):
    """Decodes a queue entry to an event.

    Args:
        type: The type that objects are decoded to.
        name: The name of the informer, for the log.

    Attributes:
        undecodable: Entries that were skipped, because an object did not fit the type.
    """

    def __init__(self, type: type[T], name: str) -> None:
        self._decoder = make_decoder(type)
        self._name = name
        self._log = ThrottledLog(log)
        self.undecodable = 0

    def __call__(self, entry: Entry, kept: Kept) -> Change[T] | None:
        """Returns the event, or None for an object that cannot be decoded.

        Args:
            entry: The entry.
            kept: The versions that this reader has got of objects whose later versions were skipped. Changed here.
        """
        last = kept.get(entry.key) if kept else None
        try:
            match entry.kind, entry.new, entry.old:
                case "synced", _, _:
                    return Synced()
                case "added", Version() as new, _:
                    found = self._decode(new)
                    _forget(kept, entry.key)
                    return Added(entry.key, found)
                case "updated", Version() as new, old:
                    found = self._decode(new)
                    _forget(kept, entry.key)
                    return Updated(entry.key, found, found if old is new else self._decode_first(old, last))
                case "deleted", _, Version() as old:
                    _forget(kept, entry.key)
                    return Deleted(entry.key, self._decode_deleted(old, entry.read, last), entry.synthetic)
        except DecodeError as error:
            self._skip(str(error))
        except _ERRORS_OF_A_TYPE as error:  # they may quote anything
            self._skip(f"{printable(entry.key)}: {type(error).__name__}")
        before = entry.old if entry.kind == "updated" and last is None else None
        if before is not None and self._decode_first(before) is not None:
            kept[entry.key] = before
        return None

    def _skip(self, why: str) -> None:
        self.undecodable += 1
        self._log.warning("undecodable", f"{self._name}: event skipped: {why}")

    def _decode(self, version: Version) -> T:
        return decode_object(self._decoder, version.key, version.raw())

    def _decode_deleted(self, last: Version, *earlier: Version | None) -> T:
        """Decodes the last version, or else one that the reader has got.

        So it gets the deletion of each object that it knows.
        """
        try:
            return self._decode(last)
        except _ERRORS_OF_A_TYPE:
            if (found := self._decode_first(*earlier)) is None:
                raise
            return found

    def _decode_first(self, *versions: Version | None) -> T | None:
        """Returns the first of these versions that can be decoded, or None."""
        for version in versions:
            try:
                if version is not None:
                    return self._decode(version)
            except _ERRORS_OF_A_TYPE:
                continue
        return None


def _forget(kept: Kept, key: str) -> None:
    if kept:
        kept.pop(key, None)
