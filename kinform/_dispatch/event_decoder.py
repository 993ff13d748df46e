"""Decodes queue entries to events.

No other module decodes waiting records to the user's type. Counts and logs the objects that cannot be decoded. Holds
no record.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Generic

from kinform._decoding import T, decode_object, make_decoder
from kinform._dispatch.queue import Entry
from kinform._errors import DecodeError
from kinform._events import Added, Deleted, Event, Synced, Updated
from kinform._printable import printable
from kinform._throttled_log import ThrottledLog
from kinform_ext._table import Version

log = logging.getLogger("kinform.informer")

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

    def __call__(self, entry: Entry) -> Event[T] | None:
        """Returns the event, or None for an object that cannot be decoded."""
        try:
            match entry.kind, entry.new, entry.old:
                case "synced", _, _:
                    return Synced()
                case "added", Version() as new, _:
                    return Added(entry.key, self._decode(new))
                case "updated", Version() as new, old:
                    found = self._decode(new)
                    return Updated(entry.key, found, found if old is new else self._decode_old(old))
                case "deleted", _, Version() as old:
                    return Deleted(entry.key, self._decode(old), entry.synthetic)
        except DecodeError as error:
            self._skip(str(error))
        except _ERRORS_OF_A_TYPE as error:  # they may quote anything
            self._skip(f"{printable(entry.key)}: {type(error).__name__}")
        return None

    def _skip(self, why: str) -> None:
        self.undecodable += 1
        self._log.warning("undecodable", f"{self._name}: event skipped: {why}")

    def _decode(self, version: Version) -> T:
        return decode_object(self._decoder, version.key, version.raw())

    def _decode_old(self, old: Version | None) -> T | None:
        try:
            return None if old is None else self._decode(old)
        except _ERRORS_OF_A_TYPE:
            return None
