"""Objects, their revisions and their history, as in etcd and the watch cache.

All collections share one revision counter. A write goes to the history of its collection and to every open watch. A
past state is the current one without the later writes. Uses neither sockets nor a clock: timestamps are derived from
the revision, so that the same seed gives the same bytes.
"""

from __future__ import annotations

import random
import uuid
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from kinform.testing._encoding import encode_body
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.random_values import NAME_ALPHABET, NOW, timestamp
from kinform.testing._resources import BUILT_IN, ServedResource, parse_name
from kinform.testing._selectors import FieldTerm, Requirement
from kinform.testing._shards import ShardRange

EventType = Literal["ADDED", "MODIFIED", "DELETED"]
_CACHED_STATES = 8
"""Past states of a collection that are cached for the pages of a LIST."""


class Compacted(Exception):
    """The requested revision is older than the history."""


class _Labels(msgspec.Struct):
    labels: dict[str, str] = {}


class _OnlyLabels(msgspec.Struct):
    metadata: _Labels


_LABELS_DECODER = msgspec.json.Decoder(_OnlyLabels)


class Record:
    """An object at one revision, as the bytes that are sent. Immutable."""

    __slots__ = ("_labels", "body", "key", "name", "namespace", "revision", "uid")

    def __init__(self, namespace: str, name: str, uid: str, revision: int, body: bytes) -> None:
        self.key = f"{namespace}/{name}" if namespace else name
        self.namespace = namespace
        self.name = name
        self.uid = uid
        self.revision = revision
        self.body = body
        self._labels: dict[str, str] | None = None

    def decode(self) -> Object:
        """Returns a new copy as JSON values."""
        obj: Object = msgspec.json.decode(self.body)
        return obj

    def labels(self) -> Mapping[str, str]:
        """Returns the object's labels."""
        if self._labels is None:
            self._labels = _LABELS_DECODER.decode(self.body).metadata.labels
        return self._labels


_NAME = ("metadata", "name")


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """The objects of a collection that a request selects."""

    namespace: str = ""
    labels: tuple[Requirement, ...] = ()
    fields: tuple[FieldTerm, ...] = ()
    shards: tuple[ShardRange, ...] = ()

    @property
    def has_selector(self) -> bool:
        """True with a label or field selector: pages do not count the rest then."""
        return bool(self.labels or self.fields)

    def matches(self, record: Record) -> bool:
        """Returns whether the object is selected."""
        if self.namespace and record.namespace != self.namespace:
            return False
        if self.shards and not any(each.matches(record.uid, record.namespace) for each in self.shards):
            return False
        if self.labels and not all(requirement.matches(record.labels()) for requirement in self.labels):
            return False
        # Names first, without decoding: many clients ask for one object of many.
        if any((record.name == term.value) != term.equal for term in self.fields if term.path == _NAME):
            return False
        return not self.fields or self._matches_fields(record.decode())

    def _matches_fields(self, obj: Object) -> bool:
        return all(term.matches(obj) for term in self.fields)


class Write(msgspec.Struct, frozen=True, gc=False):
    """A write. `new` of a DELETED is the last state with the revision of the deletion."""

    type: EventType
    revision: int
    key: str
    old: Record | None
    new: Record


class StoredCollection:
    """The objects of a resource, and the history of their latest writes.

    Attributes:
        writes: The history, oldest first.
        revision: The revision of the latest write.
        oldest: The oldest revision whose state is known.
        listeners: Called with each write.
    """

    def __init__(self, resource: ServedResource, revision: int, history: int) -> None:
        self.resource = resource
        self.records: dict[str, Record] = {}
        self.writes: deque[Write] = deque()
        self.revision = revision
        self.oldest = revision
        self.listeners: dict[Callable[[Write], None], None] = {}
        self._history = history
        self._sorted: list[Record] | None = []
        self._states: dict[int, list[Record]] = {}

    def apply(self, write: Write) -> None:
        """Stores a write and notifies every listener."""
        if self._sorted:
            self._cache_state(self.revision, self._sorted)
        if write.type == "DELETED":
            del self.records[write.key]
        else:
            self.records[write.key] = write.new
        self._sorted = None
        self.revision = write.revision
        self.writes.append(write)
        if len(self.writes) > self._history:
            self.oldest = self.writes.popleft().revision
        for listener in tuple(self.listeners):
            listener(write)

    def _cache_state(self, revision: int, state: list[Record]) -> None:
        self._states[revision] = state
        while len(self._states) > _CACHED_STATES:
            del self._states[next(iter(self._states))]

    def record(self, key: str) -> Record:
        """Returns the object with this key; KeyError if it does not exist."""
        record = self.records.get(key)
        if record is None:
            raise KeyError(f"{self.resource.name} has no {key}")
        return record

    def current(self) -> list[Record]:
        """Returns all objects, ordered by key. The list is never changed afterwards."""
        if self._sorted is None:
            self._sorted = sorted(self.records.values(), key=_key)
        return self._sorted

    def at(self, revision: int) -> list[Record]:
        """Returns all objects at a revision, ordered by key.

        Raises:
            Compacted: The history does not reach back to it.
        """
        if revision < self.oldest:
            raise Compacted
        if revision >= self.revision:
            return self.current()
        later = []
        for write in reversed(self.writes):
            if write.revision <= revision:
                revision = write.revision
                break
            later.append(write)
        else:
            revision = self.oldest
        state = self._states.get(revision)
        if state is None:
            records = dict(self.records)
            for write in later:
                if write.old is None:
                    del records[write.key]
                else:
                    records[write.key] = write.old
            state = sorted(records.values(), key=_key)
            self._cache_state(revision, state)
        return state

    def since(self, revision: int) -> list[Write]:
        """Returns the writes after a revision, oldest first.

        Raises:
            Compacted: The history does not reach back to it.
        """
        if revision < self.oldest:
            raise Compacted
        later = []
        for write in reversed(self.writes):
            if write.revision <= revision:
                break
            later.append(write)
        later.reverse()
        return later

    def compact(self, revision: int) -> None:
        """Drops the history. `revision` is the current one."""
        self.writes.clear()
        self._states.clear()
        self.oldest = revision


def _key(record: Record) -> str:
    return record.key


def start_at(records: list[Record], key: str) -> int:
    """Returns the index of the first record whose key is at least `key`."""
    return bisect_left(records, key, key=_key)


class Storage:
    """The collections, and the revision that they share."""

    def __init__(self, *, seed: int = 0, revision: int = 1000, history: int = 50_000) -> None:
        self.revision = revision
        self.history = history
        self.collections: dict[str, StoredCollection] = {}
        self._random = random.Random(f"uid {seed}")
        for resource in BUILT_IN:
            self.add(resource)

    def add(self, resource: ServedResource) -> StoredCollection:
        """Adds an empty collection."""
        collection = StoredCollection(resource, self.revision, self.history)
        self.collections[resource.name] = collection
        return collection

    def collection(self, name: str) -> StoredCollection:
        """Returns the collection of a resource such as `"v1/pods"`.

        Raises:
            ValueError: The name is malformed.
            KeyError: The server does not serve the resource.
        """
        parse_name(name)
        try:
            return self.collections[name]
        except KeyError:
            raise KeyError(f"{name} is not served: call register() first for a custom resource") from None

    def put(self, collection: StoredCollection, obj: Mapping[str, Any]) -> Record:
        """Creates or replaces the object with this namespace and name."""
        new = self.build(collection, obj, self.revision + 1)
        old = collection.records.get(new.key)
        self.revision += 1
        collection.apply(Write("ADDED" if old is None else "MODIFIED", self.revision, new.key, old, new))
        return new

    def build(self, collection: StoredCollection, obj: Mapping[str, Any], revision: int) -> Record:
        """Returns the object as a write of this revision stores it, without storing it."""
        resource = collection.resource
        metadata, namespace, name = self._identify(resource, obj)
        old = collection.records.get(f"{namespace}/{name}" if namespace else name)
        if old is None:
            uid = metadata.get("uid") or str(uuid.UUID(int=self._random.getrandbits(128), version=4))
            created = metadata.get("creationTimestamp") or time_of(revision)
        else:
            uid = old.uid
            created = old.decode()["metadata"]["creationTimestamp"]
        metadata.update(name=name, uid=uid, resourceVersion=str(revision), creationTimestamp=created)
        if namespace:
            metadata["namespace"] = namespace
        set_defaults(resource, metadata)
        body = encode_body(resource, {**obj, "metadata": metadata})
        return Record(namespace, name, uid, revision, body)

    def is_unchanged(self, collection: StoredCollection, old: Record, obj: Mapping[str, Any]) -> bool:
        """Returns whether a write of the object would only change the revision."""
        metadata = dict(obj["metadata"])
        old_metadata = old.decode()["metadata"]
        metadata.update({field: old_metadata[field] for field in ("uid", "resourceVersion", "creationTimestamp")})
        set_defaults(collection.resource, metadata)
        return encode_body(collection.resource, {**obj, "metadata": metadata}) == old.body

    def _identify(self, resource: ServedResource, obj: Mapping[str, Any]) -> tuple[Object, str, str]:
        """Returns a copy of the metadata, the namespace and the name."""
        given = obj.get("metadata")
        if not isinstance(given, Mapping):
            raise ValueError(f"metadata of an object of {resource.name} must be a mapping")
        metadata = dict(given)
        name = metadata.get("name")
        if not name and metadata.get("generateName"):
            name = f"{metadata['generateName']}{''.join(self._random.choices(NAME_ALPHABET, k=5))}"
        if not isinstance(name, str) or not name or "/" in name:
            raise ValueError(f"metadata.name of an object of {resource.name} must be a string without '/', not empty")
        namespace = metadata.get("namespace") or ""
        if resource.namespaced:
            namespace = namespace or "default"
        elif namespace:
            raise ValueError(f"metadata.namespace must not be set: {resource.name} is cluster-scoped")
        return metadata, namespace, name

    def delete(self, collection: StoredCollection, key: str) -> Record:
        """Deletes an object; KeyError if it does not exist."""
        old = collection.record(key)
        self.revision += 1
        last = old.decode()
        last["metadata"]["resourceVersion"] = str(self.revision)
        body = encode_body(collection.resource, last)
        new = Record(old.namespace, old.name, old.uid, self.revision, body)
        collection.apply(Write("DELETED", self.revision, key, old, new))
        return new

    def compact(self) -> None:
        """Drops all history. Uses a revision, so that every earlier one is too old."""
        self.revision += 1
        for collection in self.collections.values():
            collection.compact(self.revision)


def set_defaults(resource: ServedResource, metadata: Object) -> None:
    """Completes the metadata of an object with a name, as a server does at each write.

    A namespace has a label with its name, whatever the client sends. Source: KEP-2161.
    """
    if resource.name == "v1/namespaces":
        metadata["labels"] = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata["name"]}


def time_of(revision: int) -> str:
    """Returns the timestamp of a revision: `NOW` and a second per revision."""
    return timestamp(NOW + revision)
