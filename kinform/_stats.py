"""Statistics of an informer: states, counts, sizes and times.

Reading them has no effect on the informer. They answer questions that a client-go reflector cannot, such as when the
last sync or the last byte was.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from kinform._counts import RelistReason, WatchEventType

State = Literal[
    "idle",
    "starting",
    "queued",
    "stale",
    "syncing",
    "live",
    "relisting",
    "retrying",
    "unauthorized",
    "forbidden",
    "not_found",
    "failed",
    "stopped",
]

ShardFilter = Literal["server", "client"]

# Stands for skipped objects whose keys are unknown, among the keys of others.
UNKNOWN_KEYS = "(unknown keys)"

# Printed in docs/reference/states.md.
STATE_MEANINGS: dict[State, str] = {
    "idle": "The informer is lazy, and waits for its next use: it has no stream and no objects, and a read raises an "
    "error",
    "starting": "The server has not answered yet",
    "queued": "The stream waits until it may request a complete copy: see `max_concurrent_syncs` of `Factory`",
    "stale": "The server has not answered yet; the objects of a snapshot can be read",
    "syncing": "The first copy of the collection is coming in",
    "live": "The copy of the collection is complete, and changes come in",
    "relisting": "The copy is complete but old, and a new copy is coming in",
    "retrying": "The last connection failed, and kinform tries again after a wait",
    "unauthorized": "401, until the credentials are renewed",
    "forbidden": "403, until the permissions are granted",
    "not_found": "404, until the resource exists",
    "failed": "kinform gave up: a retry of the refused request cannot succeed, the store exceeds its `memory_limit`, "
    "or another error was raised",
    "stopped": "The `async with` block of the informer was left, or the iteration over a stream ended, or this process "
    "was forked after the start",
}

# From best to worst. An informer reports the worst state of its streams.
_FROM_BEST_TO_WORST: tuple[State, ...] = (
    "idle",
    "live",
    "relisting",
    "stale",
    "syncing",
    "starting",
    "queued",
    "retrying",
    "stopped",
    "not_found",
    "unauthorized",
    "forbidden",
    "failed",
)


class StreamStats(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Statistics of one stream.

    Attributes:
        state: State of the stream: `"live"`, `"forbidden"`, ...
        error: The last error; None if there was progress since. In the state `"failed"`: the error that ended the
            stream, or None if it is not one of kinform, whose text could quote an object.
        resource_version: The resourceVersion up to which the store is complete; `""` before the first complete state.
        seconds_since_byte: Seconds since the last byte arrived; None before the first.
        seconds_since_bookmark: Seconds since the last bookmark; None before the first.
        seconds_since_sync: Seconds since the last complete state; None before the first. After a start from a snapshot:
            seconds since the server accepted a watch that continues from the snapshot.
        shard_filter: `"server"` if the server sends only the objects of the shards, as far as known: it has said so, or
            no other object arrived with the last complete state or since. `"client"` if kinform drops the others. None
            without shards, and before the first object.
        degraded: Keys of skipped objects that kinform has not received since: the store lacks them or has an old
            version. At most 100 keys, then `"(unknown keys)"` if there are others.
        skipped: Number of objects that were skipped: see `SkippedError`.
        errors: Number of errors from which the stream recovered. Includes skipped objects.
    """

    state: State
    error: str | None
    resource_version: str
    seconds_since_byte: float | None
    seconds_since_bookmark: float | None
    seconds_since_sync: float | None
    shard_filter: ShardFilter | None
    degraded: list[str]
    skipped: int
    errors: int


class MemoryUsage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Memory of a store, in bytes.

    Attributes:
        pruned_bytes: Size of the pruned JSON of the objects, as `raw` returns it. Includes objects of an unfinished
            list. The store keeps it encoded. Divide it by `held_bytes` to see how much the encoding saves.
        held_bytes: Memory of this store alone: the sum of `mapped_bytes`, `map_bytes`, `coder_bytes` and
            `index_bytes`. kinform compares it with `memory_limit`. Reads and other stores do not change it.
        mapped_bytes: Resident memory pages with the encoded objects (the *records*), and the list of the blocks that
            these pages are in.
        map_bytes: The map from keys to records, the internal numbers of the records (the *ids*), and the names of
            namespaces.
        coder_bytes: Data of the coder for this store: slot lists, tables of literals, bases, and hints to find
            templates. The page "Compression" explains these terms.
        cached_bytes: Templates of this store in the cache of the process, ready for use. The cache keeps at most 1 MiB
            for all stores together. Changes with each read and write of any store. Not a part of `held_bytes`.
        index_bytes: Indexes.
        dead_bytes: Part of `mapped_bytes`: freed records whose space is not yet reused.
        limbo_bytes: Part of `mapped_bytes`: replaced or deleted records that running iterators, waiting changes or
            other records still need.
        hidden_bytes: Part of `limbo_bytes`: templates that other records need.
        shared_bytes: Buffers of the coder that all stores of the process share, without the cache. Not a part of
            `held_bytes`.
    """

    pruned_bytes: int
    held_bytes: int
    mapped_bytes: int
    map_bytes: int
    coder_bytes: int
    cached_bytes: int
    index_bytes: int
    dead_bytes: int
    limbo_bytes: int
    hidden_bytes: int
    shared_bytes: int


class NamespacesStats(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The namespaces that a `NamespaceSelector` selects, and how they are followed.

    Attributes:
        matching: Number of namespaces that match.
        own_streams: Number of those that have streams of their own.
        covered: Number of those that one stream of all namespaces covers, because there are too many.
    """

    matching: int
    own_streams: int
    covered: int


class DecodedCacheStats(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Statistics of a cache of decoded objects.

    Attributes:
        objects: Number of objects in the cache.
        hits: Number of objects that reads took from the cache.
        misses: Number of objects that reads decoded.
    """

    objects: int
    hits: int
    misses: int


def add_up(usages: Iterable[MemoryUsage]) -> MemoryUsage:
    """Returns the memory of several stores. The buffers that all share count once."""
    found = list(usages)
    sums = {field: sum(getattr(usage, field) for usage in found) for field in MemoryUsage.__struct_fields__}
    return MemoryUsage(**{**sums, "shared_bytes": max((usage.shared_bytes for usage in found), default=0)})


class SnapshotStats(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Statistics of a snapshot.

    Attributes:
        loaded: True if the informer started from the snapshot.
        refused: Why the file was refused at the start; None if it was loaded, or if there was no file.
        writes: Number of successful writes.
        failures: Number of failed writes.
        error: The last write error; None if a write succeeded since.
        file_bytes: Size of the file at the last write, in bytes; 0 before the first.
        seconds_since_write: Seconds since the last write; None before the first.
    """

    loaded: bool
    refused: str | None
    writes: int
    failures: int
    error: str | None
    file_bytes: int
    seconds_since_write: float | None


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of an informer, at the time of the call.

    Attributes:
        state: The worst state of its streams.
        collection: Identifies the streams and the store. Informers of a factory that share them have the same number.
        objects: Number of objects in the store.
        wire_bytes: Bytes of all objects received since the start, as the server sent them. Includes relists and
            updates.
        memory: Memory of the store.
        memory_limit: Largest `memory.held_bytes` that is allowed; None: no limit.
        peak_bytes: The largest `memory.held_bytes` while the last complete state was received. Measured after each
            chunk, like `memory_limit`.
        stale: Number of objects that the store has in an old version, because a newer version was skipped.
        degraded: Keys of skipped objects that kinform has not received since, of all streams: the store lacks them or
            has an old version. kinform requests them again. For each stream at most 100 keys, then `"(unknown keys)"`
            if there are others.
        undecodable: Number of events that were not dispatched, because an object does not fit the type.
        undecodable_reads: Number of objects that reads with `on_undecodable="skip"` left out. Each read counts.
        queue_depth: Number of events and keys that wait for handlers. Objects that were in the store before a handler
            was added are not counted.
        changes_depth: Number of events that wait in each `changes()`.
        dropped_old: Number of `Updated` events without `old`, because too many old versions were waiting.
        handler_errors: Number of calls of handlers that raised.
        transform_errors: Number of objects that were stored without the transformation, because `transform` raised or
            returned something else than bytes with a JSON object.
        transform_seconds: Total seconds spent in `transform`.
        relists: Number of complete states that replaced a watch, by reason: `"expired"`, `"failing"`, ... The page
            "Metrics" explains the reasons. The first complete state does not count.
        reconnects: Number of watches that were requested again, because the last one ended, failed or was refused.
        events: Number of events of watches, by type: `"ADDED"`, `"MODIFIED"`, `"DELETED"` and `"BOOKMARK"`. Objects of
            a complete state and skipped objects do not count.
        errors: Number of errors from which the streams recovered. Includes skipped objects and the streams of removed
            namespaces.
        skipped: Number of objects that were skipped. Includes the streams of removed namespaces.
        shard_dropped: Number of objects and events of other shards that arrived and were dropped. Includes the streams
            of removed namespaces. 0 if the server sends only the objects of the shards.
        name_dropped: Number of objects and events with other names that arrived and were dropped. Includes the streams
            of removed namespaces. 0 without `Scope.names`, and with one name if the server applies field selectors.
        decoded_cache: Statistics of the cache of decoded objects; None if the informer has none.
        expectations: Number of own writes that reads show before the stream has reached them: see `Informer.expect`.
        dropped_expectations: Number of own writes that reads no longer show, although the stream has not reached them.
        snapshot: Statistics of the snapshot; None if the informer has none.
        streams: Statistics of each stream, by namespace; `""` is the stream of all namespaces. With a
            `NamespaceSelector`, `"(namespaces)"` is the stream of the namespaces that match.
        namespaces: The namespaces that a `NamespaceSelector` selects; None without a selector.
    """

    state: State
    collection: int
    objects: int
    wire_bytes: int
    memory: MemoryUsage
    memory_limit: int | None
    peak_bytes: int
    stale: int
    degraded: list[str]
    undecodable: int
    undecodable_reads: int
    queue_depth: int
    changes_depth: list[int]
    dropped_old: int
    handler_errors: int
    transform_errors: int
    transform_seconds: float
    relists: dict[RelistReason, int]
    reconnects: int
    events: dict[WatchEventType, int]
    errors: int
    skipped: int
    shard_dropped: int
    name_dropped: int
    decoded_cache: DecodedCacheStats | None
    expectations: int
    dropped_expectations: int
    snapshot: SnapshotStats | None
    streams: dict[str, StreamStats]
    namespaces: NamespacesStats | None = None


class OnDemandStats(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of an `OnDemand`, at the time of the call.

    The counts are those since it was made.

    Attributes:
        objects: Number of objects in the cache.
        missing: Number of keys that are known to have no object.
        watches: Number of watches. Each has a connection, and follows one object, or several namespaces.
        hits: Number of reads that were answered without a request.
        misses: Number of other reads. Several may wait for one request.
        stale_answers: Number of reads that got an answer that is older than promised, because of `max_stale`.
        requests: Number of fetches: LISTs of an object, and watches that begin with one or several. Other watches do
            not count.
        errors: Number of those that failed. Readers got the error, or a stale answer.
        evictions: Number of answers that were removed to make room for others.
        wire_bytes: Bytes of all objects received, as the server sent them.
        memory: Memory of the objects.
    """

    objects: int
    missing: int
    watches: int
    hits: int
    misses: int
    stale_answers: int
    requests: int
    errors: int
    evictions: int
    wire_bytes: int
    memory: MemoryUsage


class FactoryStats(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of a factory, at the time of the call.

    Streams and stores that informers share count once.

    Attributes:
        state: The worst state of its informers.
        informers: Number of informers whose blocks were not left.
        collections: Number of different collections. Each has one store, and one stream or one for each namespace.
        streams: Number of streams.
        queued: Number of streams that wait because of `max_concurrent_syncs`.
        objects: Number of objects in all stores.
        wire_bytes: Bytes of all objects received since the start, as the server sent them.
        memory: Memory of all stores.
    """

    state: State
    informers: int
    collections: int
    streams: int
    queued: int
    objects: int
    wire_bytes: int
    memory: MemoryUsage


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The health of an informer, at the time of the call.

    Attributes:
        ok: True if the store is a complete and recent copy, or idle. See `Informer.health`.
        state: The worst state of the streams.
        reason: Why `ok` is False; `""` if it is True. One line, without contents of objects.
        age_seconds: Seconds since the store was last known to be a current copy: since the last complete event or
            bookmark of a watch, or the last complete state. The largest of all streams; None before the first.
        degraded: Keys of skipped objects that kinform has not received since: `Stats.degraded`.
        consecutive_failures: Failures in a row without progress. The largest of all streams.
        last_error: The last error; None if there was progress since.
    """

    ok: bool
    state: State
    reason: str
    age_seconds: float | None
    degraded: list[str]
    consecutive_failures: int
    last_error: str | None


def worst(states: Iterable[State]) -> State:
    """Returns the worst of the states, or `"starting"` if there are no states."""
    known = list(states)
    return max(known, key=_FROM_BEST_TO_WORST.index) if known else "starting"
