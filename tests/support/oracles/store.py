"""The oracle of the store: its objects and changes, computed with plain dicts.

Written from the documented behaviour of the store. Shares no code with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

# kind, key, new resourceVersion, old resourceVersion, synthetic
ExpectedChange = tuple[str, str, str | None, str | None, bool]


class StoreOracle:
    """Takes the same input as a store's writer, as decoded objects."""

    def __init__(self) -> None:
        self._streams: dict[str, dict[str, Any]] = {}
        self._changes: list[ExpectedChange] = []

    def apply_events(self, stream: str, events: list[tuple[str, Any]]) -> None:
        """Applies watch events, each a type and an object."""
        objects = self._streams.setdefault(stream, {})
        for event_type, new in events:
            old = objects.get(_key(new))
            if event_type == "DELETED":
                if old is not None and _uid(old) == _uid(new):
                    del objects[_key(new)]
                    self._changes.append(("deleted", _key(new), None, _version(new), False))
            else:
                objects[_key(new)] = new
                self._record(old, new)

    def relist(self, stream: str, objects: list[Any]) -> None:
        """Replaces all objects of a stream."""
        old_objects = self._streams.get(stream, {})
        new_objects = {_key(listed): listed for listed in objects}
        self._streams[stream] = new_objects
        for key in old_objects.keys() | new_objects.keys():
            self._record(old_objects.get(key), new_objects.get(key))

    def _record(self, old: Any, new: Any) -> None:
        if old is not None and new is not None and _uid(old) == _uid(new):
            if _version(old) != _version(new):
                self._changes.append(("updated", _key(new), _version(new), _version(old), False))
            return
        if old is not None:
            self._changes.append(("deleted", _key(old), None, _version(old), True))
        if new is not None:
            self._changes.append(("added", _key(new), _version(new), None, False))

    def take_changes(self) -> list[ExpectedChange]:
        """Returns the changes since the last call."""
        changes, self._changes = self._changes, []
        return changes

    def objects(self, stream: str) -> list[tuple[str, Any]]:
        """Returns the objects of a stream with their keys."""
        return list(self._streams.get(stream, {}).items())

    def state(self) -> dict[str, Any]:
        """Returns the objects of all streams by key."""
        return {key: found for objects in self._streams.values() for key, found in objects.items()}

    def index(self, values: Callable[[Any], Iterator[str]]) -> dict[str, list[str]]:
        """Returns the sorted keys for each value that `values` gives for an object."""
        keys: dict[str, list[str]] = {}
        for key, found in sorted(self.state().items()):
            for value in set(values(found)):
                keys.setdefault(value, []).append(key)
        return keys


def _key(found: Any) -> str:
    return f"{found['metadata']['namespace']}/{found['metadata']['name']}"


def _uid(found: Any) -> Any:
    return found["metadata"]["uid"]


def _version(found: Any) -> Any:
    return found["metadata"]["resourceVersion"]
