"""A series of equal events, and the Event that the server gets. Sends nothing.

Source: `Event` of k8s.io/api/events/v1 and its validation.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from kinform._errors import OptionError
from kinform.controllers._identity import Identity
from kinform.controllers._leases.lease import micro_time

MAX_NOTE_BYTES: Final = 1024
_CUT: Final = "..."
_OF_METADATA: Final = ("PartialObjectMetadata", "meta.k8s.io/v1")  # kind and apiVersion of every object
_MAX_NAME: Final = 253 - 17  # a dot and a time follow
_SUBDOMAIN: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")


class Regarding(NamedTuple):
    """The object that an event is about."""

    apiVersion: str
    kind: str
    namespace: str
    name: str
    uid: str

    @classmethod
    def of(cls, identity: Identity) -> Regarding:
        """Returns the reference to an object.

        Raises:
            OptionError: It has no apiVersion or no kind, or those of all metadata.
        """
        for field, value, allowed in (
            ("kind", identity.kind, 'the kind, like "Widget", which objects of Scope(metadata_only=True) do not have'),
            ("apiVersion", identity.apiVersion, 'the apiVersion, like "example.com/v1"'),
        ):
            if not value or value in _OF_METADATA:
                raise OptionError(f"regarding.{field}", value, allowed)
        metadata = identity.metadata
        return cls(
            identity.apiVersion or "",
            identity.kind or "",
            metadata.namespace or "",
            metadata.name or "",
            metadata.uid or "",
        )


class EventSeries:
    """An event and its repetitions, which are one Event of the server.

    Attributes:
        regarding: The object that it is about.
        key: The key of the Event.
        count: The events so far.
        seen: The time of the last one, by the clock of the event loop.
        written: The count that the server has; 0: none.
        written_at: When it was written, by the clock of the event loop.
        waits: It waits for a write.
    """

    __slots__ = ("_event", "_observed", "count", "key", "regarding", "seen", "waits", "written", "written_at")

    def __init__(
        self,
        regarding: Regarding,
        reporter: tuple[str, str],
        type: str,
        reason: str,
        action: str,
        note: str,
        now: float,
    ) -> None:
        namespace = regarding.namespace or "default"
        stem = regarding.name
        if len(stem) > _MAX_NAME or not _SUBDOMAIN.fullmatch(stem):
            stem = "event"
        name = f"{stem}.{_unique_time():x}"
        self.regarding = regarding
        self.key = f"{namespace}/{name}"
        self.count, self.written, self.waits = 1, 0, False
        self.seen = self.written_at = now
        self._observed = _wall_time()
        self._event = {
            "kind": "Event",
            "metadata": {"namespace": namespace, "name": name},
            "eventTime": self._observed,
            "reportingController": reporter[0],
            "reportingInstance": reporter[1],
            "action": action,
            "reason": reason,
            "regarding": {field: value for field, value in regarding._asdict().items() if value},
            "note": _cut(note),
            "type": type,
        }

    def repeat(self, now: float) -> None:
        """Counts a repetition."""
        self.count += 1
        self.seen, self._observed = now, _wall_time()

    def body(self) -> dict[str, Any]:
        """Returns the Event."""
        if self.count == 1:
            return self._event
        return {**self._event, "series": {"count": self.count, "lastObservedTime": self._observed}}


def _wall_time() -> str:
    return micro_time(datetime.now(UTC))


_last = 0


def _unique_time() -> int:
    """Returns the present time in nanoseconds, larger than before."""
    global _last
    _last = max(_last + 1, time.time_ns())
    return _last


def _cut(note: str) -> str:
    encoded = note.encode("utf-8", "replace")
    if len(encoded) <= MAX_NOTE_BYTES:
        return encoded.decode()
    return encoded[: MAX_NOTE_BYTES - len(_CUT)].decode("utf-8", "ignore") + _CUT
