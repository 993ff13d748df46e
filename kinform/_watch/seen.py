"""Remembers the objects of which a program has had events.

Takes memory for each object: about 200 bytes to drop repetitions, and its last event to compare it with a list.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kinform._errors import ProtocolError
from kinform._watch.events import WatchEvent
from kinform_ext._scan import Batch, Scanner


class Seen:
    """The last event of each object, by uid, or by key for an object without uid.

    Args:
        drop_repeated: True: `admit` refuses an event if the object has not changed since the last one.
        keep: True: keep the bytes of events, for `compare`.
    """

    def __init__(self, *, drop_repeated: bool, keep: bool) -> None:
        self._drop_repeated = drop_repeated
        self._keep = keep
        self._events: dict[str, tuple[str, bytes]] = {}

    def admit(self, event: WatchEvent) -> bool:
        """Notes an event. Returns whether the program gets it."""
        type, version, key = event["type"], event.resource_version, event.uid or event.key
        if type == "DELETED":
            self._events.pop(key, None)
            return True
        if type not in ("ADDED", "MODIFIED") or not key:
            return True
        known = self._events.get(key)
        if self._drop_repeated and known is not None and version and known[0] == version:
            return False
        self._events[key] = (version, event.line if self._keep else b"")
        return True

    def compare(self, listed: Listed) -> list[bytes]:
        """Returns the lines of events that lead from the known objects to those of a list.

        Deletions come first: an object may have been created again under the same name.
        """
        missing = [line for key, (_, line) in self._events.items() if key not in listed.objects]
        lines = [_line_of("DELETED", msgspec.json.decode(line)["object"], synthetic=True) for line in missing]
        for key, (version, raw) in listed.objects.items():
            known = self._events.get(key)
            if known is None or known[0] != version:
                lines.append(_line_of("ADDED" if known is None else "MODIFIED", msgspec.Raw(raw)))
        return lines


def _line_of(type: str, obj: Any, **fields: bool) -> bytes:
    return msgspec.json.encode({"type": type, "object": obj, **fields})


class Listed:
    """The objects of a LIST, which arrives in pages and chunks.

    Attributes:
        objects: The resourceVersion and the JSON of each object, by uid, or by key for an object without uid.
        resource_version: That of the list.
        token: The token of the next page, or `""` after the last one.
    """

    def __init__(self) -> None:
        self.objects: dict[str, tuple[str, bytes]] = {}
        self.resource_version = ""
        self.token = ""
        self._scanner = _scanner()

    def feed(self, chunk: bytes) -> None:
        """Adds the next bytes of a page.

        Raises:
            ProtocolError: This is not a list, or one of its objects cannot be read.
        """
        try:
            found = self._scanner.feed(chunk)
        except ValueError as error:
            raise ProtocolError(f"Malformed list: {error}") from None
        for part in found:
            if isinstance(part, Batch):
                for i in range(len(part)):
                    self.objects[part.uid(i) or part.key(i)] = (part.resource_version(i), part.raw(i))
            elif part[0] == "LIST_END":
                self.resource_version, self.token = part[4], part[5]
            else:
                raise ProtocolError("Malformed list: an object cannot be read")

    def end_page(self) -> None:
        """Ends a page.

        Raises:
            ProtocolError: The page is not complete.
        """
        try:
            self._scanner.finish()
        except ValueError as error:
            raise ProtocolError(f"Malformed list: {error}") from None
        self._scanner = _scanner()


def _scanner() -> Scanner:
    return Scanner("list", max_object_bytes=1 << 30)
