"""What a store should hold and tell, in the plainest terms: dicts of decoded objects, compared whole.

Written from the behaviours, not from the store: it shares no code with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Told = tuple[str, str, str | None, str | None, bool]


class StoreOracle:
    """Takes what a writer takes, as decoded objects."""

    def __init__(self) -> None:
        self._streams: dict[str, dict[str, Any]] = {}
        self._told: list[Told] = []

    def live(self, stream: str, pairs: list[tuple[str, Any]]) -> None:
        held = self._streams.setdefault(stream, {})
        for verb, new in pairs:
            old = held.get(_key(new))
            if verb == "DELETED":
                if old is not None and _uid(old) == _uid(new):
                    del held[_key(new)]
                    self._told.append(("deleted", _key(new), None, _rv(new), False))
            else:
                held[_key(new)] = new
                self._tell(old, new)

    def relist(self, stream: str, objects: list[Any]) -> None:
        old_state = self._streams.get(stream, {})
        new_state = {_key(found): found for found in objects}
        self._streams[stream] = new_state
        for key in old_state.keys() | new_state.keys():
            self._tell(old_state.get(key), new_state.get(key))

    def _tell(self, old: Any, new: Any) -> None:
        if old is not None and new is not None and _uid(old) == _uid(new):
            if _rv(old) != _rv(new):
                self._told.append(("updated", _key(new), _rv(new), _rv(old), False))
            return
        if old is not None:
            self._told.append(("deleted", _key(old), None, _rv(old), True))
        if new is not None:
            self._told.append(("added", _key(new), _rv(new), None, False))

    def changes(self) -> list[Told]:
        changes, self._told = self._told, []
        return changes

    def objects(self, stream: str) -> list[tuple[str, Any]]:
        return list(self._streams.get(stream, {}).items())

    def state(self) -> dict[str, Any]:
        return {key: found for held in self._streams.values() for key, found in held.items()}

    def index(self, values: Callable[[Any], Iterator[str]]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key, each in sorted(self.state().items()):
            for value in set(values(each)):
                found.setdefault(value, []).append(key)
        return found


def _key(found: Any) -> str:
    return f"{found['metadata']['namespace']}/{found['metadata']['name']}"


def _uid(found: Any) -> str:
    return found["metadata"]["uid"]


def _rv(found: Any) -> str:
    return found["metadata"]["resourceVersion"]
