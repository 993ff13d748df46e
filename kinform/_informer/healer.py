"""Fetches the skipped objects of a stream, or relists if their keys are unknown.

An answer is written only if it is certain that it is not older than the store: the stream has reached its
resourceVersion, and no event of this object arrived since the request. Later changes are left to the watch.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Iterable

from kinform._errors import KinformError, MemoryLimitError, StatusError
from kinform._informer.covering_writer import CoveringWriter
from kinform._listwatch.fetch import fetch
from kinform._listwatch.stream import Stream
from kinform._printable import printable
from kinform._resource_versions import is_reached
from kinform._spec import CollectionSpec
from kinform._stats import UNKNOWN_KEYS
from kinform._store.writer import Writer
from kinform._transport.base import Transport

log = logging.getLogger("kinform.informer")


class Healer:
    """Heals one stream into a store. One request at a time.

    Args:
        transport: The transport to the cluster.
        spec: The collection.
        stream: The stream.
        writer: The writer of its store.
    """

    def __init__(
        self, transport: Transport, spec: CollectionSpec, stream: Stream, writer: Writer | CoveringWriter
    ) -> None:
        self._transport = transport
        self._spec = spec
        self._stream = stream
        self._writer = writer
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = math.inf
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    def update(self) -> None:
        """Plans the next request. Call it after each progress of the stream."""
        due = self._stream.healing.due
        if self._task is None and due != self._timer_due and not self._stopped:
            self._arm(due, due - time.monotonic())

    def restore(self, degraded: Iterable[str]) -> None:
        """Takes over the skipped keys of a snapshot, and plans their requests."""
        for known in degraded:
            key = None if known == UNKNOWN_KEYS else known
            self._stream.healing.skip(key, time.monotonic(), initial=False)
        self.update()

    def stop(self) -> list[asyncio.Task[None]]:
        """Cancels everything. Returns the tasks to wait for."""
        self._stopped = True
        self._arm(math.inf, math.inf)
        if self._task is None:
            return []
        self._task.cancel()
        return [self._task]

    def _arm(self, due: float, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        loop = asyncio.get_running_loop()
        self._timer = None if due == math.inf else loop.call_later(max(0.0, seconds), self._fire)

    def _fire(self) -> None:
        stream, now = self._stream, time.monotonic()
        if stream.healing.in_state:  # a new complete state may heal all
            self._arm(self._timer_due, self._spec.options.backoff.initial)
            return
        self._arm(math.inf, math.inf)
        key = stream.healing.next_key(now)
        if key is None:
            stream.relist()
        else:
            self._task = asyncio.create_task(self._heal(key), name=f"kinform heals {stream.name}")

    async def _heal(self, key: str) -> None:
        stream, healing = self._stream, self._stream.healing
        attempt = healing.attempt(key)
        at_least = 0.0
        try:
            shards = stream.shards
            found = await fetch(self._transport, self._spec, key, name=stream.name, shards=shards)
            reached = not healing.in_state and is_reached(found.resource_version, stream.resource_version)
            if healing.attempt(key) == attempt and reached and stream.shards is shards:
                self._writer.heal(stream.namespace, key, found.batch)
                healing.receive(key, initial=False)
        except MemoryLimitError as error:
            stream.fail(error)
        except KinformError as error:
            at_least = (error.retry_after or 0.0) if isinstance(error, StatusError) else 0.0
            stream.report(error)
        except Exception as error:
            # The text of an error that is not ours, such as a bug of a transport, may quote anything.
            log.error("%s: a fetch of %s failed: %s", stream.name, printable(key), type(error).__name__)
        finally:
            self._task = None
            healing.fail(key, time.monotonic(), at_least)  # no effect if the key is healed
            if not self._stopped:
                stream.on_progress()
