"""The report of `kinform prune`: paths and sizes, but never values.

`--json` prints these structures as they are. Sizes are bytes, times are seconds.
"""

from __future__ import annotations

import msgspec


class PathReport(msgspec.Struct, frozen=True):
    """A path of a collection.

    Attributes:
        path: The path, as `Prune` takes it.
        depth: The number of its steps.
        objects: The number of objects that have it.
        bytes: The size of its JSON in all objects, with its name.
        stored_bytes: The bytes that the store of kinform saves if it is dropped, estimated from a sample; None if it
            cannot be dropped.
        changes: The part of the updates in which it changes; None without updates.
    """

    path: str
    depth: int
    objects: int
    bytes: int
    stored_bytes: int | None
    changes: float | None


class PruneReport(msgspec.Struct, frozen=True):
    """The bytes of a collection by path.

    Attributes:
        resource: The resource, or the file.
        objects: The number of objects.
        bytes: The size of their JSON.
        stored_bytes: The memory of kinform's store for them, without pruning, estimated from a sample.
        paths: The largest paths, each before those below it.
        updates: The number of updates that were seen.
        seconds: The time of the watch.
        drop: The suggested paths to drop, empty with a type.
        keep: The paths that a type keeps, empty without one.
        pruned_bytes: The size of the JSON after the suggestion, estimated from a sample.
        pruned_stored_bytes: The memory of the store after it, estimated from a sample.
        default_stored_bytes: The memory of the store with the default of kinform, which drops `managedFields`.
        quiet_updates: The number of updates that change only fields that the suggestion drops.
    """

    resource: str
    objects: int
    bytes: int
    stored_bytes: int
    paths: list[PathReport]
    updates: int
    seconds: float
    drop: list[str]
    keep: list[str]
    pruned_bytes: int
    pruned_stored_bytes: int
    default_stored_bytes: int
    quiet_updates: int
