"""The inventory: counts and sizes of each collection and of each namespace.

Takes the JSON of one object at a time, and keeps numbers of it. Its memory grows with the number of namespaces, by a
few hundred bytes for each, but not with the number of objects.
"""

from __future__ import annotations

import heapq
from array import array
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from kinform.cli.audit.report import Conditions, Growth, NamespaceShare

LARGEST = 10
"""The number of namespaces that are named."""
LONG_CONDITIONS = 20
"""Conditions arrays with more entries are long: built-in types have at most 9."""
NO_FIELDS = b"null"


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    namespace: str = ""
    creation_timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    managed_fields: msgspec.Raw = msgspec.Raw(NO_FIELDS)


class _Object(msgspec.Struct, frozen=True):
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    status: msgspec.Raw = msgspec.Raw(NO_FIELDS)


class _Status(msgspec.Struct, frozen=True):
    conditions: msgspec.Raw = msgspec.Raw(NO_FIELDS)


_OBJECT = msgspec.json.Decoder(_Object)
_METADATA = msgspec.json.Decoder(_Metadata)
_STATUS = msgspec.json.Decoder(_Status)
_ENTRIES = msgspec.json.Decoder(list[msgspec.Raw])
_MANAGED_FIELDS_KEY = len(b',"managedFields":')


class Namespaces:
    """Sums over all collections, for each namespace."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._objects = array("q")
        self._bytes = array("q")

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, namespace: str) -> int:
        """Returns the number of a namespace. The first one has 0."""
        if (number := self._numbers.get(namespace)) is None:
            number = self._numbers[namespace] = len(self._numbers)
            self._objects.append(0)
            self._bytes.append(0)
        return number

    def add(self, objects: array[int], sizes: array[int]) -> None:
        """Adds the sums of a collection, in the order of the numbers."""
        for number, count in enumerate(objects):
            self._objects[number] += count
            self._bytes[number] += sizes[number]

    def largest(self, objects: array[int] | None = None, sizes: array[int] | None = None) -> list[NamespaceShare]:
        """Returns the namespaces with most bytes, of one collection or of all."""
        objects = self._objects if objects is None else objects
        sizes = self._bytes if sizes is None else sizes
        numbers = heapq.nlargest(LARGEST, range(len(sizes)), key=sizes.__getitem__)
        names = list(self._numbers)
        return [NamespaceShare(names[number], objects[number], sizes[number]) for number in numbers if objects[number]]


class Inventory:
    """Counts and sizes of one collection.

    Args:
        namespaces: The sums over all collections, to which `finish` adds this one.
        now: The time of the audit.

    Attributes:
        objects: The number of objects.
        wire_bytes: The size of their JSON.
        pruned_bytes: The same without `managedFields`.
        metadata_bytes: The size of their metadata without `managedFields`.
        malformed: The number of objects that could not be read.
    """

    def __init__(self, namespaces: Namespaces, now: datetime) -> None:
        self.objects = self.wire_bytes = self.pruned_bytes = self.metadata_bytes = self.malformed = 0
        self._namespaces = namespaces
        self._counts, self._sizes = array("q"), array("q")
        self._limits = [now - timedelta(days=days) for days in (1, 7, 30)]
        self._recent = [0, 0, 0]
        self._longest, self._longest_key = 0, ""
        self._long = self._conditions_bytes = 0

    def add(self, raw: bytes) -> None:
        """Adds an object."""
        self.objects += 1
        self.wire_bytes += len(raw)
        try:
            found = _OBJECT.decode(raw)
            metadata = _METADATA.decode(found.metadata)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.malformed += 1
            self.pruned_bytes += len(raw)
            return
        managed = memoryview(metadata.managed_fields).nbytes
        managed = 0 if managed == len(NO_FIELDS) else managed + _MANAGED_FIELDS_KEY
        self.pruned_bytes += len(raw) - managed
        self.metadata_bytes += memoryview(found.metadata).nbytes - managed
        self._add_to_namespace(metadata.namespace, len(raw))
        if created := metadata.creation_timestamp:
            for place, limit in enumerate(self._limits):
                self._recent[place] += created >= limit
        self._add_conditions(found.status, metadata)

    def _add_to_namespace(self, namespace: str, size: int) -> None:
        number = self._namespaces.number(namespace)
        if number >= len(self._counts):
            missing = bytes(8 * (number + 1 - len(self._counts)))
            self._counts.frombytes(missing)
            self._sizes.frombytes(missing)
        self._counts[number] += 1
        self._sizes[number] += size

    def _add_conditions(self, status: msgspec.Raw, metadata: _Metadata) -> None:
        try:
            conditions = _STATUS.decode(status).conditions
            entries = len(_ENTRIES.decode(conditions))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # no conditions, or something else of that name
        self._conditions_bytes += memoryview(conditions).nbytes
        self._long += entries > LONG_CONDITIONS
        if entries > self._longest:
            self._longest = entries
            self._longest_key = f"{metadata.namespace}/{metadata.name}" if metadata.namespace else metadata.name

    @property
    def growth(self) -> Growth:
        """The number of recent objects."""
        return Growth(*self._recent)

    @property
    def namespaces(self) -> int:
        """The number of namespaces that have objects."""
        return sum(map(bool, self._counts))

    @property
    def conditions(self) -> Conditions | None:
        """Long conditions arrays; None if all are short."""
        if not self._long:
            return None
        return Conditions(self._longest, self._longest_key, self._long, LONG_CONDITIONS, self._conditions_bytes)

    def finish(self) -> list[NamespaceShare]:
        """Adds the sums to those of all collections, and returns the largest namespaces."""
        self._namespaces.add(self._counts, self._sizes)
        return self._namespaces.largest(self._counts, self._sizes)
