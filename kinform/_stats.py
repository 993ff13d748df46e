"""How an informer is, told without its doing anything: states, counts and ages.

Source: the questions that operators ask of a client-go reflector and cannot (its last sync, its last byte).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

State = Literal[
    "starting",
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

# Printed in docs/reference/states.md.
STATE_MEANINGS: dict[State, str] = {
    "starting": "The server has not answered yet",
    "stale": "The server has not answered yet; the objects of a snapshot can be read",
    "syncing": "The first state is coming in",
    "live": "The state is complete, and changes come in",
    "relisting": "The state is complete but old, and a new one is coming in",
    "retrying": "The last connection failed, and the next is due",
    "unauthorized": "401, until the credentials are renewed",
    "forbidden": "403, until the rights are granted",
    "not_found": "404, until the resource exists",
    "failed": "Given up: the server will never answer the request, or another error was raised",
    "stopped": "The informer was closed, or the iteration was left",
}

# From best to worst: what one stream needs to be told of before others.
_BADNESS: tuple[State, ...] = (
    "live",
    "relisting",
    "stale",
    "syncing",
    "starting",
    "retrying",
    "stopped",
    "not_found",
    "unauthorized",
    "forbidden",
    "failed",
)


class StreamStats(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How one stream is.

    Attributes:
        state: `"live"`, `"forbidden"`, ...
        error: The last failure, or None since the last progress.
        resource_version: Up to where it is complete and current.
        seconds_since_byte: Since the last byte came; None before the first. Likewise for bookmark and sync.
        skipped: Objects left out so far, because they were malformed or too large.
        errors: Failures recovered from so far, left-out objects included.
    """

    state: State
    error: str | None
    resource_version: str
    seconds_since_byte: float | None
    seconds_since_bookmark: float | None
    seconds_since_sync: float | None
    skipped: int
    errors: int


class MemoryUsage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a store takes, in bytes, as the system sees it.

    Attributes:
        objects: Objects that readers see.
        pruned_bytes: Their JSON, as `raw` gives it.
        held_bytes: All that is kept for them: mapped, maps, dictionaries and indexes.
        mapped_bytes: Mapped from the system for their records.
        map_bytes: Key map, ids, names of namespaces.
        dictionary_bytes: What decompression and compression need.
        index_bytes: What indexes take.
        dead_bytes: Of the mapped ones, those that wait to be used again.
        limbo_bytes: Of the mapped ones, those that only running iterations still read.
    """

    objects: int
    pruned_bytes: int
    held_bytes: int
    mapped_bytes: int
    map_bytes: int
    dictionary_bytes: int
    index_bytes: int
    dead_bytes: int
    limbo_bytes: int


class SnapshotStats(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How an informer's snapshot is.

    Attributes:
        loaded: The informer started from it.
        refused: Why not, where there was a file; else None.
        writes: Times it was written.
        failures: Times it could not be.
        error: The last failure, or None since it was written.
        file_bytes: Its size when it was last written.
        seconds_since_write: Since it was last written; None before that.
    """

    loaded: bool
    refused: str | None
    writes: int
    failures: int
    error: str | None
    file_bytes: int
    seconds_since_write: float | None


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """How an informer is, at the time of the call.

    Attributes:
        state: The state of the stream that is worst off.
        objects: Objects held.
        wire_bytes: Bytes of all objects that came so far, as sent.
        pruned_bytes: Bytes of the objects held, as `raw` gives them.
        held_bytes: All that is kept for them: records, maps, dictionaries and indexes.
        mapped_bytes: Of these, mapped from the system for records.
        map_bytes: Of these, the maps: keys, ids, names of namespaces.
        dictionary_bytes: Of these, what compression needs.
        index_bytes: Of these, what indexes take.
        dead_bytes: Of the mapped ones, those that wait to be used again.
        limbo_bytes: Of the mapped ones, those that only running iterations still read.
        peak_bytes: The most that was held while the last complete state came in.
        stale: Objects held in an old version, because the newer one was left out.
        undecodable: Events not told to readers, because the object did not fit the type.
        queue_depth: Events, and keys, that wait for handlers. What was there before a handler came is not counted.
        changes_depth: Events that wait in each `changes()`.
        dropped_old: `Updated` events whose old version was let go because too much was waiting.
        transform_seconds: Time spent in `transform`.
        snapshot: How its snapshot is; None where none was asked for.
        streams: By namespace, `""` for all.
    """

    state: State
    objects: int
    wire_bytes: int
    pruned_bytes: int
    held_bytes: int
    mapped_bytes: int
    map_bytes: int
    dictionary_bytes: int
    index_bytes: int
    dead_bytes: int
    limbo_bytes: int
    peak_bytes: int
    stale: int
    undecodable: int
    queue_depth: int
    changes_depth: list[int]
    dropped_old: int
    transform_seconds: float
    snapshot: SnapshotStats | None
    streams: dict[str, StreamStats]


def worst(states: Iterable[State]) -> State:
    """The state to be told of before the others; `"starting"` where there is none."""
    return max(states, key=_BADNESS.index, default="starting")
