"""The metrics of informers, as data.

`ROWS` and `SHARED_ROWS` hold all of them. docs/reference/metrics.md is generated from it.
Source: "Metric and label naming" of the Prometheus documentation; for the choice, the reflector metrics of client-go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args

import msgspec
from prometheus_client import Metric

from kinform import Health, Stats
from kinform._stats import State
from kinform.prometheus._sources import InformerSource

NAMES: tuple[str, str] = ("resource", "informer")
"""The labels that identify an informer."""

STATES: tuple[State, ...] = get_args(State)

Values = float | Mapping[Any, float] | None
"""One value; with a label, one for each of its values. None: there is no value now."""


class Row(msgspec.Struct, frozen=True):
    """A metric of an informer.

    Attributes:
        name: Its name; a counter has `_total` at the end.
        type: `"counter"` or `"gauge"`.
        help: The text that Prometheus shows for it.
        read: Reads its value from the statistics and the health of an informer.
        label: The label in addition to those of the informer, or `""`.
    """

    name: str
    type: Literal["counter", "gauge"]
    help: str
    read: Callable[[Stats, Health], Values]
    label: str = ""


def _state(stats: Stats, health: Health) -> Values:
    return {state: float(state == stats.state) for state in STATES}


def _store_bytes(stats: Stats, health: Health) -> Values:
    memory = stats.memory
    return {
        "records": memory.mapped_bytes,
        "map": memory.map_bytes,
        "coder": memory.coder_bytes,
        "indexes": memory.index_bytes,
    }


def _queue_depth(stats: Stats, health: Health) -> Values:
    return {"handlers": stats.queue_depth, "changes": sum(stats.changes_depth)}


def _cache_reads(stats: Stats, health: Health) -> Values:
    cache = stats.decoded_cache
    return None if cache is None else {"hit": cache.hits, "miss": cache.misses}


# fmt: off
ROWS: tuple[Row, ...] = (
    Row("kinform_healthy", "gauge", "1 if the store is a complete and recent copy: `health().ok`.",
        lambda stats, health: health.ok),
    Row("kinform_state", "gauge", "1 for the worst state of the streams, 0 for all other states.", _state, "state"),
    Row("kinform_lag_seconds", "gauge",
        "Seconds since the store was last known to be a current copy. Absent before the first copy.",
        lambda stats, health: health.age_seconds),
    Row("kinform_consecutive_failures", "gauge", "Failures in a row without progress, of the worst stream.",
        lambda stats, health: health.consecutive_failures),
    Row("kinform_queue_depth", "gauge", "Events and keys that wait for handlers or for readers of `changes()`.",
        _queue_depth, "queue"),
    Row("kinform_handler_errors_total", "counter", "Calls of handlers that raised.",
        lambda stats, health: stats.handler_errors),
    Row("kinform_undecodable_total", "counter",
        "Events that were not dispatched, because an object does not fit the type.",
        lambda stats, health: stats.undecodable),
    Row("kinform_undecodable_reads_total", "counter",
        'Objects that reads with on_undecodable="skip" left out. Each read counts.',
        lambda stats, health: stats.undecodable_reads),
    Row("kinform_decoded_cache_reads_total", "counter",
        "Objects that reads took from the cache of decoded objects (hit) or decoded (miss). Absent without a cache.",
        _cache_reads, "result"),
)
"""The metrics of an informer alone."""

SHARED_ROWS: tuple[Row, ...] = (
    Row("kinform_degraded_objects", "gauge",
        "Skipped objects that were not received since. For each stream at most 101.",
        lambda stats, health: len(stats.degraded)),
    Row("kinform_store_objects", "gauge", "Objects in the store.", lambda stats, health: stats.objects),
    Row("kinform_store_stale_objects", "gauge",
        "Objects that the store has in an old version, because a newer version was skipped.",
        lambda stats, health: stats.stale),
    Row("kinform_store_bytes", "gauge", "Memory of the store. The sum over `kind` is what the memory limit applies to.",
        _store_bytes, "kind"),
    Row("kinform_store_peak_bytes", "gauge", "Largest memory of the store during the last complete state.",
        lambda stats, health: stats.peak_bytes),
    Row("kinform_store_limit_bytes", "gauge", "The memory limit of the store. Absent without a limit.",
        lambda stats, health: stats.memory_limit),
    Row("kinform_store_pruned_bytes", "gauge", "Size of the pruned JSON of the objects, before the encoding.",
        lambda stats, health: stats.memory.pruned_bytes),
    Row("kinform_received_bytes_total", "counter", "Bytes of all objects received, as the server sent them.",
        lambda stats, health: stats.wire_bytes),
    Row("kinform_events_total", "counter", "Events of watches, without skipped objects.",
        lambda stats, health: stats.events, "type"),
    Row("kinform_reconnects_total", "counter", "Watches requested again: the last one ended, failed or was refused.",
        lambda stats, health: stats.reconnects),
    Row("kinform_relists_total", "counter", "Complete states that replaced a watch.",
        lambda stats, health: stats.relists, "reason"),
    Row("kinform_errors_total", "counter", "Errors from which the streams recovered. Includes skipped objects.",
        lambda stats, health: stats.errors),
    Row("kinform_skipped_total", "counter", "Objects that were skipped, because they are malformed or oversized.",
        lambda stats, health: stats.skipped),
    Row("kinform_transform_errors_total", "counter", "Objects that were stored without the transformation.",
        lambda stats, health: stats.transform_errors),
    Row("kinform_transform_seconds_total", "counter", "Seconds spent in `transform`.",
        lambda stats, health: stats.transform_seconds),
    Row("kinform_snapshot_writes_total", "counter", "Successful writes of the snapshot. Absent without a snapshot.",
        lambda stats, health: None if stats.snapshot is None else stats.snapshot.writes),
    Row("kinform_snapshot_failures_total", "counter", "Failed writes of the snapshot. Absent without a snapshot.",
        lambda stats, health: None if stats.snapshot is None else stats.snapshot.failures),
    Row("kinform_snapshot_bytes", "gauge", "Size of the snapshot at its last write. Absent without a snapshot.",
        lambda stats, health: None if stats.snapshot is None else stats.snapshot.file_bytes),
    Row("kinform_snapshot_age_seconds", "gauge",
        "Seconds since the last write of the snapshot. Absent before the first.",
        lambda stats, health: None if stats.snapshot is None else stats.snapshot.seconds_since_write),
)
"""The metrics of streams and store, which informers of a factory may share. Only the first of these has them."""
# fmt: on


def families(informers: Iterable[tuple[tuple[str, str], InformerSource]]) -> Iterable[Metric]:
    """Returns all metrics, with the samples of these informers.

    Args:
        informers: The values of `NAMES` for each informer, and the informer.
    """
    metrics = {row: Metric(row.name.removesuffix("_total"), row.help, row.type) for row in (*ROWS, *SHARED_ROWS)}
    collections: set[int] = set()
    for values, informer in informers:
        labels = dict(zip(NAMES, values, strict=True))
        stats, health = informer.stats(), informer.health()
        for row in ROWS if stats.collection in collections else metrics:
            found = row.read(stats, health)
            if isinstance(found, Mapping):
                for value, number in found.items():
                    metrics[row].add_sample(row.name, {**labels, row.label: value}, float(number))
            elif found is not None:
                metrics[row].add_sample(row.name, labels, float(found))
        collections.add(stats.collection)
    return metrics.values()
