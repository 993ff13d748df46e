"""The reports of an informer: its statistics, and its health.

Reads and counts; never changes anything.
"""

from __future__ import annotations

import time
from typing import Any

from kinform._checks import require_max_age
from kinform._dispatch.dispatcher import Dispatcher
from kinform._errors import KinformError
from kinform._informer.collection import Collection
from kinform._informer.handle import Handle
from kinform._informer.waits import degraded_keys
from kinform._printable import listed
from kinform._stats import Health, Stats
from kinform._store.reader import Store


def stats_of(collection: Collection, dispatcher: Dispatcher[Any], handle: Handle, store: Store[Any]) -> Stats:
    """Returns the statistics of an informer. See `Informer.stats`."""
    writer, keeper, table = collection.writer, collection.keeper, collection.contents.table
    counts = collection.counts
    return Stats(
        state=handle.state,
        collection=id(collection),
        objects=len(table),
        wire_bytes=writer.wire_bytes,
        memory=writer.memory_usage(),
        memory_limit=collection.memory_limit,
        peak_bytes=writer.peak_bytes,
        stale=table.stale,
        degraded=collection.degraded,
        undecodable=dispatcher.undecodable,
        undecodable_reads=store.undecodable_reads,
        decoded_cache=store.decoded_cache,
        expectations=len(collection.contents.expectations.entries),
        dropped_expectations=collection.contents.expectations.dropped,
        queue_depth=dispatcher.queue_depth,
        changes_depth=dispatcher.changes_depth,
        dropped_old=dispatcher.dropped_old,
        handler_errors=dispatcher.handler_errors,
        transform_errors=writer.transform_errors,
        transform_seconds=writer.transform_seconds,
        relists=dict(counts.relists),
        reconnects=counts.reconnects,
        events=dict(counts.events),
        errors=counts.errors,
        skipped=counts.skipped,
        shard_dropped=counts.other_shards,
        name_dropped=counts.other_names,
        snapshot=None if keeper is None else keeper.stats(),
        streams={namespace: stream.stats() for namespace, stream in collection.streams.copy().items()},
        namespaces=None if collection.selected is None else collection.selected.stats(),
    )


def health_of(
    collection: Collection,
    dispatcher: Dispatcher[Any],
    handle: Handle,
    *,
    max_age: float | None,
    allow_skipped: bool,
) -> Health:
    """Returns the health of an informer. See `Informer.health`.

    Args:
        collection: Its collection.
        dispatcher: Its listeners.
        handle: Its handle on the collection.
        max_age: Largest age of a recent copy; None: all streams must be live.
        allow_skipped: Whether a copy may lack skipped objects.

    Raises:
        OptionError: `max_age` is not positive.
    """
    require_max_age(max_age)
    state, failure = handle.state, dispatcher.failure
    streams = [] if state == "idle" else list(collection.streams.values())
    seen = [stream.last_current for stream in streams]
    times = [then for then in seen if then is not None]
    age = time.monotonic() - min(times) if times and len(times) == len(seen) else None
    failing = max(streams, key=lambda stream: (stream.error is not None, stream.failures), default=None)
    error = failing.error if failing is not None else None
    degraded = degraded_keys(streams)
    if dispatcher.binding.forked:
        reason = "this process was forked after the start"
    elif failure is not None:
        reason = f"failed: {failure if isinstance(failure, KinformError) else type(failure).__name__}"
    elif not handle.entered:
        reason = "the informer is not running"
    elif state == "idle":
        reason = ""
    elif age is None or any(stream.last_sync is None for stream in streams):
        reason = f"not synced: {state}"
    elif degraded and not allow_skipped:
        reason = f"skipped: {listed(degraded)}"
    elif max_age is None and state != "live":
        reason = state
    elif max_age is not None and age > max_age:
        reason = f"no event or bookmark for {age:.1f} s, more than max_age {max_age:.1f} s: {state}"
    else:
        reason = ""
    return Health(
        ok=not reason,
        state=state,
        reason=f"{collection.name}: {reason}" if reason else "",
        age_seconds=age,
        degraded=degraded,
        consecutive_failures=max((stream.failures for stream in streams), default=0),
        last_error=None if error is None else str(error),
    )
