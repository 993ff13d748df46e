"""Calls the transform of a user, which may raise, cancel or return anything."""

from __future__ import annotations

import asyncio
import logging
import time

import msgspec

from kinform._error_places import cause_of
from kinform._options import Transform
from kinform._printable import printable
from kinform._throttled_log import ThrottledLog, function_name

log = logging.getLogger("kinform.store")


class Transformer:
    """Transforms the objects of one collection, and counts its failures.

    Args:
        name: Name of the collection, for messages.

    Attributes:
        function: The transform, or None.
        seconds: Seconds spent in it.
        errors: Objects that were not transformed, because it raised or returned something else.
    """

    def __init__(self, name: str) -> None:
        self.function: Transform | None = None
        self.seconds = 0.0
        self.errors = 0
        self._name = name
        self._log = ThrottledLog(log)

    def transform(self, key: str, raw: bytes) -> bytes | None:
        """Returns the bytes to store, or None to store nothing."""
        if self.function is None:
            return raw
        start = time.perf_counter()
        try:
            found = self.function(raw)
            if found is not None:
                _require_json_object(found)
            return found
        except (Exception, asyncio.CancelledError) as error:  # a function that awaits nothing is not cancelled
            self._report(self.function, key, error)
            return raw
        finally:
            self.seconds += time.perf_counter() - start

    def _report(self, function: Transform, key: str, error: BaseException) -> None:
        self.errors += 1
        why = str(error) if isinstance(error, _NotJsonObjectError) else f"raised {cause_of(error, function)}"
        what = f"transform {function_name(function)} {why}"
        message = f"{self._name}: {what} for {printable(key)}; the object is stored without it"
        self._log.exception("transform", message, error)


class _JsonObject(msgspec.Struct):
    """Decodes from every JSON object, and keeps nothing of it."""


_json_object = msgspec.json.Decoder(_JsonObject)


class _NotJsonObjectError(Exception):
    """The result of a transform cannot be stored."""


def _require_json_object(found: object) -> None:
    if type(found) is not bytes:
        raise _NotJsonObjectError(f"returned {type(found).__name__}, not bytes or None,")
    try:
        _json_object.decode(found)
    except (msgspec.DecodeError, RecursionError):
        raise _NotJsonObjectError("returned bytes that are no JSON object") from None
