"""The objects, their revisions and their history, as etcd and the watch cache hold them together.

One revision counter for everything; each write is a Change that goes to the history of its collection and
to every open watch. A state of the past is the present with the newer changes undone. No sockets, no clock:
timestamps follow from the revision, so that a seed gives the same bytes every time.
"""

from __future__ import annotations

import datetime
import random
import uuid
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from kinform.testing._encoding import Object, encode_body
from kinform.testing._resources import BUILT_IN, Resource, parse_name
from kinform.testing._selectors import FieldTerm, Requirement

Verb = Literal["ADDED", "MODIFIED", "DELETED"]
_EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_VIEWS = 8


class Compacted(Exception):
    """The revision asked for is older than the history that is kept."""


class _Meta(msgspec.Struct):
    labels: dict[str, str] = {}


class _Labelled(msgspec.Struct):
    metadata: _Meta


_LABELLED = msgspec.json.Decoder(_Labelled)


class Record:
    """One object at one revision, kept as the bytes that go on the wire. Never changes."""

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
        """The body as JSON values, anew each time."""
        decoded: Object = msgspec.json.decode(self.body)
        return decoded

    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        if self._labels is None:
            self._labels = _LABELLED.decode(self.body).metadata.labels
        return self._labels


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which objects of a collection a request is about."""

    namespace: str = ""
    labels: tuple[Requirement, ...] = ()
    fields: tuple[FieldTerm, ...] = ()

    @property
    def filters(self) -> bool:
        """Whether a selector is set: then nobody knows how many items remain."""
        return bool(self.labels or self.fields)

    def takes(self, record: Record) -> bool:
        """Whether the object is meant."""
        if self.namespace and record.namespace != self.namespace:
            return False
        if self.labels and not all(requirement.matches(record.labels()) for requirement in self.labels):
            return False
        return not self.fields or self._fields_match(record.decode())

    def _fields_match(self, obj: Object) -> bool:
        return all(term.matches(obj) for term in self.fields)


class Change(msgspec.Struct, frozen=True, gc=False):
    """One write. `new` of a DELETED is the last state with the deletion's revision."""

    verb: Verb
    revision: int
    key: str
    old: Record | None
    new: Record


class Collection:
    """All objects of one resource, with their recent past."""

    def __init__(self, resource: Resource, revision: int, history: int) -> None:
        self.resource = resource
        self.records: dict[str, Record] = {}
        self.changes: deque[Change] = deque()
        self.changed = revision
        self.floor = revision
        self.sinks: dict[Callable[[Change], None], None] = {}
        self._history = history
        self._sorted: list[Record] | None = []
        self._views: dict[int, list[Record]] = {}

    def apply(self, change: Change) -> None:
        """Takes a change in and tells every open watch."""
        if self._sorted:
            self._keep_view(self.changed, self._sorted)
        if change.verb == "DELETED":
            del self.records[change.key]
        else:
            self.records[change.key] = change.new
        self._sorted = None
        self.changed = change.revision
        self.changes.append(change)
        if len(self.changes) > self._history:
            self.floor = self.changes.popleft().revision
        for sink in tuple(self.sinks):
            sink(change)

    def _keep_view(self, revision: int, view: list[Record]) -> None:
        self._views[revision] = view
        while len(self._views) > _VIEWS:
            del self._views[next(iter(self._views))]

    def present(self) -> list[Record]:
        """All objects by key. The list is the caller's to read: it is replaced, never changed."""
        if self._sorted is None:
            self._sorted = sorted(self.records.values(), key=_key)
        return self._sorted

    def at(self, revision: int) -> list[Record]:
        """All objects by key as they were at a revision; Compacted where that is no longer known."""
        if revision < self.floor:
            raise Compacted
        if revision >= self.changed:
            return self.present()
        undone = []
        for change in reversed(self.changes):
            if change.revision <= revision:
                revision = change.revision
                break
            undone.append(change)
        else:
            revision = self.floor
        view = self._views.get(revision)
        if view is None:
            state = dict(self.records)
            for change in undone:
                if change.old is None:
                    del state[change.key]
                else:
                    state[change.key] = change.old
            view = sorted(state.values(), key=_key)
            self._keep_view(revision, view)
        return view

    def since(self, revision: int) -> list[Change]:
        """The changes after a revision, oldest first; Compacted where some are no longer known."""
        if revision < self.floor:
            raise Compacted
        newer = []
        for change in reversed(self.changes):
            if change.revision <= revision:
                break
            newer.append(change)
        newer.reverse()
        return newer

    def forget(self, revision: int) -> None:
        """Drops the history up to a revision that is the present."""
        self.changes.clear()
        self._views.clear()
        self.floor = revision


def _key(record: Record) -> str:
    return record.key


def start_at(records: list[Record], key: str) -> int:
    """Where in a sorted list the first key at or after `key` stands."""
    return bisect_left(records, key, key=_key)


class Storage:
    """Every collection, and the revision that they share."""

    def __init__(self, *, seed: int = 0, revision: int = 1000, history: int = 50_000) -> None:
        self.revision = revision
        self.compacted = 0
        self.history = history
        self.collections: dict[str, Collection] = {}
        self._random = random.Random(f"uid {seed}")
        for resource in BUILT_IN:
            self.add(resource)

    def add(self, resource: Resource) -> Collection:
        """Begins to serve a resource."""
        collection = Collection(resource, self.revision, self.history)
        self.collections[resource.name] = collection
        return collection

    def collection(self, name: str) -> Collection:
        """The collection of a resource's name; ValueError where it is malformed, KeyError where unknown."""
        parse_name(name)
        try:
            return self.collections[name]
        except KeyError:
            raise KeyError(f"{name} is not served; register() a custom resource first") from None

    def put(self, collection: Collection, obj: Mapping[str, Any]) -> Record:
        """Creates or replaces the object of that namespace and name."""
        resource = collection.resource
        metadata, namespace, name = self._identify(resource, obj)
        old = collection.records.get(f"{namespace}/{name}" if namespace else name)
        self.revision += 1
        if old is None:
            uid = metadata.get("uid") or str(uuid.UUID(int=self._random.getrandbits(128), version=4))
            created = metadata.get("creationTimestamp") or self.now()
        else:
            uid = old.uid
            created = old.decode()["metadata"]["creationTimestamp"]
        metadata.update(name=name, uid=uid, resourceVersion=str(self.revision), creationTimestamp=created)
        if namespace:
            metadata["namespace"] = namespace
        body = encode_body(resource, {**obj, "metadata": metadata})
        new = Record(namespace, name, uid, self.revision, body)
        verb: Verb = "ADDED" if old is None else "MODIFIED"
        collection.apply(Change(verb, self.revision, new.key, old, new))
        return new

    def same(self, collection: Collection, old: Record, obj: Mapping[str, Any]) -> bool:
        """Whether writing the object would change nothing but the revision."""
        metadata = dict(obj["metadata"])
        kept = old.decode()["metadata"]
        metadata.update({field: kept[field] for field in ("uid", "resourceVersion", "creationTimestamp")})
        return encode_body(collection.resource, {**obj, "metadata": metadata}) == old.body

    def _identify(self, resource: Resource, obj: Mapping[str, Any]) -> tuple[Object, str, str]:
        given = obj.get("metadata")
        if not isinstance(given, Mapping):
            raise ValueError(f"an object of {resource.name} needs metadata")
        metadata = dict(given)
        name = metadata.get("name")
        if not name and metadata.get("generateName"):
            name = f"{metadata['generateName']}{''.join(self._random.choices('bcdfghjklmnpqrstvwxz2456789', k=5))}"
        if not isinstance(name, str) or not name or "/" in name:
            raise ValueError(f"an object of {resource.name} needs a metadata.name")
        namespace = metadata.get("namespace") or ""
        if resource.namespaced:
            namespace = namespace or "default"
        elif namespace:
            raise ValueError(f"{resource.name} is cluster-scoped: metadata.namespace has no place in it")
        return metadata, namespace, name

    def delete(self, collection: Collection, key: str) -> Record:
        """Deletes an object; KeyError where there is none."""
        old = collection.records.get(key)
        if old is None:
            raise KeyError(f"{collection.resource.name} has no {key}")
        self.revision += 1
        last = old.decode()
        last["metadata"]["resourceVersion"] = str(self.revision)
        body = encode_body(collection.resource, last)
        new = Record(old.namespace, old.name, old.uid, self.revision, body)
        collection.apply(Change("DELETED", self.revision, key, old, new))
        return new

    def compact(self) -> None:
        """Forgets all history. Takes a revision for itself, so that each one given out before is too old."""
        self.revision += 1
        self.compacted = self.revision
        for collection in self.collections.values():
            collection.forget(self.revision)

    def now(self) -> str:
        """The time of the present revision: a second for each."""
        return timestamp(self.revision)


def timestamp(second: int) -> str:
    """A time in the cluster's own calendar, which begins with 2026."""
    return (_EPOCH + datetime.timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")
