"""Counts of the requests and the events of streams.

They only grow, also when a stream ends. Several streams may share one `StreamCounts`. Streams count for each batch of
objects, never for each object.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

RelistReason = Literal["expired", "failing", "not_found", "no_resource_version", "requested"]
"""Why a complete state replaces a watch. docs/reference/metrics.md explains each."""

WatchEventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
"""The type of a watch event, as the server sends it."""


def _no_relists() -> dict[RelistReason, int]:
    return dict.fromkeys(get_args(RelistReason), 0)


def _no_events() -> dict[WatchEventType, int]:
    return dict.fromkeys(get_args(WatchEventType), 0)


class StreamCounts(msgspec.Struct):
    """Counts of one stream, or of all streams of a collection.

    Attributes:
        relists: Number of complete states that replaced a watch, by reason.
        reconnects: Number of watches that were requested again.
        events: Number of events of watches, by type. Objects of a complete state and skipped objects do not count.
        errors: Number of errors from which the streams recovered. Includes skipped objects.
        skipped: Number of skipped objects.
        other_shards: Number of objects of other shards that were dropped.
        other_names: Number of objects with other names that were dropped.
    """

    relists: dict[RelistReason, int] = msgspec.field(default_factory=_no_relists)
    reconnects: int = 0
    events: dict[WatchEventType, int] = msgspec.field(default_factory=_no_events)
    errors: int = 0
    skipped: int = 0
    other_shards: int = 0
    other_names: int = 0

    def count_batch(self, verbs: tuple[int, int, int]) -> None:
        """Counts the objects of a batch of a watch: ADDED, MODIFIED, DELETED."""
        events = self.events
        added, modified, deleted = verbs
        events["ADDED"] += added
        events["MODIFIED"] += modified
        events["DELETED"] += deleted
