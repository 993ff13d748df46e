"""The copy that handlers build, and the contradictions between their events.

Handlers are called for each key in an order that this file checks: an addition comes only for an object that does not
exist, an update and a deletion only for the object that exists, `old` is the version of the event before, and
resourceVersions never go back, even if an object is deleted and created again.
"""

from __future__ import annotations

from collections import Counter

import msgspec

EXAMPLES = 10
"""Contradictions that are kept as text."""


class Metadata(msgspec.Struct, gc=False):
    """The part of metadata that identifies a version of an object."""

    name: str
    uid: str
    resourceVersion: str
    namespace: str = ""


class Followed(msgspec.Struct, gc=False):
    """The type to which handlers get objects decoded."""

    metadata: Metadata


class HandlerCopy:
    """A copy of the collection, from the events that handlers get.

    Attributes:
        objects: Key to uid and resourceVersion.
        calls: The number of events by kind.
        without_old: Updates whose `old` is None.
        violations: The number of contradictions by kind.
        examples: The first contradictions, with their keys.
    """

    def __init__(self) -> None:
        self.objects: dict[str, tuple[str, str]] = {}
        self.calls: Counter[str] = Counter()
        self.without_old = 0
        self.violations: Counter[str] = Counter()
        self.examples: list[str] = []
        self._newest: dict[str, int] = {}

    def add(self, added: Followed) -> None:
        """Handles an addition."""
        key, version = _identify(added)
        if key in self.objects:
            self._contradict("addition of an object that exists", key)
        self._advance("add", key, version)
        self.objects[key] = version

    def update(self, old: Followed | None, new: Followed) -> None:
        """Handles an update."""
        key, version = _identify(new)
        known = self.objects.get(key)
        if known is None:
            self._contradict("update of an object that does not exist", key)
        elif known[0] != version[0]:
            self._contradict("update by another object of the same name", key)
        elif old is None:
            self.without_old += 1
        elif _identify(old) != (key, known):
            self._contradict("update from a version that is not the last one", key)
        self._advance("update", key, version, strictly=True)
        self.objects[key] = version

    def delete(self, deleted: Followed) -> None:
        """Handles a deletion."""
        key, version = _identify(deleted)
        known = self.objects.pop(key, None)
        if known is None:
            self._contradict("deletion of an object that does not exist", key)
        elif known[0] != version[0]:
            self._contradict("deletion of another object of the same name", key)
        self._advance("delete", key, version)

    def _advance(self, kind: str, key: str, version: tuple[str, str], *, strictly: bool = False) -> None:
        self.calls[kind] += 1
        number, newest = int(version[1]), self._newest.get(key, 0)
        if number < newest or (strictly and number == newest):
            self._contradict("resourceVersion that is not newer than the last one", key)
        self._newest[key] = max(number, newest)

    def _contradict(self, what: str, key: str) -> None:
        self.violations[what] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{what}: {key}")


def _identify(found: Followed) -> tuple[str, tuple[str, str]]:
    metadata = found.metadata
    key = f"{metadata.namespace}/{metadata.name}" if metadata.namespace else metadata.name
    return key, (metadata.uid, metadata.resourceVersion)
