"""The health of a collection: whether it is a complete and recent copy."""

from __future__ import annotations

import time
from collections.abc import Sequence

from kinform._errors import KinformError
from kinform._informer.waits import degraded_keys
from kinform._listwatch.stream import Stream
from kinform._printable import listed
from kinform._stats import Health, State


def assess(
    name: str,
    streams: Sequence[Stream],
    *,
    state: State,
    running: bool,
    failure: Exception | None,
    max_age: float | None,
    allow_skipped: bool,
) -> Health:
    """Returns the health of a collection. See `Informer.health`.

    Args:
        name: The name of the collection.
        streams: Its streams.
        state: The worst state of the streams.
        running: Whether its tasks run.
        failure: The error that ended it, or None.
        max_age: Largest age of a recent copy; None: all streams must be live.
        allow_skipped: Whether a copy may lack skipped objects.
    """
    seen = [stream.last_current for stream in streams]
    times = [then for then in seen if then is not None]
    age = time.monotonic() - min(times) if times and len(times) == len(seen) else None
    failing = max(streams, key=lambda stream: (stream.error is not None, stream.failures), default=None)
    error = failing.error if failing is not None else None
    degraded = degraded_keys(streams)
    if failure is not None:
        reason = f"failed: {failure if isinstance(failure, KinformError) else type(failure).__name__}"
    elif not running:
        reason = "the informer is not running"
    elif age is None or any(stream.last_sync is None for stream in streams):
        reason = f"not synced: {state}"
    elif degraded and not allow_skipped:
        reason = f"skipped: {listed(degraded)}"
    elif max_age is None and state != "live":
        reason = state
    elif max_age is not None and age > max_age:
        reason = f"no news for {age:.0f} s: {state}"
    else:
        reason = ""
    return Health(
        ok=not reason,
        state=state,
        reason=f"{name}: {reason}" if reason else "",
        age_seconds=age,
        degraded=degraded,
        consecutive_failures=max((stream.failures for stream in streams), default=0),
        last_error=None if error is None else str(error),
    )
