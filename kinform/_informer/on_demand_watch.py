"""Watches of single objects, which keep answers of a cache current.

A watch has the field selector `metadata.name`, so the server sends events of this object alone. It starts with the
object itself, or from the resourceVersion of an answer. If it cannot be resumed, the stream requests the object again.
Source: the watch-based manager of Secrets and ConfigMaps in the kubelet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Literal

import msgspec

from kinform._errors import KinformError
from kinform._events import Applied, Init, InitDone, Skipped
from kinform._listwatch.pages import name_selector
from kinform._listwatch.stream import Stream
from kinform._spec import CollectionSpec
from kinform._throttled_log import ThrottledLog
from kinform._transport.base import Transport
from kinform_ext._scan import Batch

End = Literal["lost", "refused"]


class ObjectWatch:
    """Follows one object until the watch ends, or until `stop`.

    Args:
        transport: The transport to the cluster.
        spec: The collection.
        key: The key of the object.
        resource_version: The resourceVersion from which the watch starts; `""`: it starts with the state of the object.
        throttled_log: The log of all watches of a cache, which often fail together.
        on_events: Called with each batch of events.
        on_state: Called with the object, or None without one, when its state has come in: at the start, or if the watch
            could not be resumed.
        on_end: Called once, when the watch ends by itself. `"lost"`: a change could not be read. `"refused"`: the
            server does not accept the watch, or a request for the first state failed.

    Attributes:
        key: The key of the object.
        started: The time of the start. Each state is at least as new.
        first_state: Has the result True after the first state has come in, and False if it does not come.
        is_refused: The server does not accept the watch.
        last_read: Time of the last read of the object.
    """

    def __init__(
        self,
        transport: Transport,
        spec: CollectionSpec,
        key: str,
        resource_version: str,
        *,
        throttled_log: ThrottledLog,
        on_events: Callable[[Batch], None],
        on_state: Callable[[ObjectWatch, Batch | None], None],
        on_end: Callable[[ObjectWatch, End], None],
    ) -> None:
        namespace, _, name = key.rpartition("/")
        scope = msgspec.structs.replace(spec.scope, field_selector=name_selector(spec.scope, name))
        self.key = key
        self.started = self.last_read = time.monotonic()
        self.first_state: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if resource_version:
            self._settle(arrived=True)
        self._stream = Stream(
            transport,
            msgspec.structs.replace(spec, scope=scope),
            namespace=namespace,
            resource_version=resource_version,
            throttled_log=throttled_log,
        )
        self._log = throttled_log
        self._on_events = on_events
        self._on_state = on_state
        self._on_end = on_end
        self.is_refused = False
        self._state_bookmark: float | None = None  # says only that a state is complete
        self._stream.on_progress = self._check_failures
        self._task = asyncio.create_task(self._run(), name=f"kinform watch of {self._stream.name}")

    @property
    def current_at(self) -> float:
        """The last time at which the server said that it had sent all changes.

        It says so by bookmarks, about once a minute. An event is no such statement: after a lost connection, others may
        follow.
        """
        seen = self._stream.last_bookmark
        return float("-inf") if seen is None or seen == self._state_bookmark else seen

    @property
    def error(self) -> KinformError | None:
        """The last failure, or None since the last progress."""
        return self._stream.error

    def stop(self) -> asyncio.Task[None]:
        """Ends the watch without a call of `on_end`. Returns the task to wait for."""
        self._stream.on_progress = _do_nothing
        self._settle(arrived=False)
        self._task.cancel()
        return self._task

    def _settle(self, *, arrived: bool) -> None:
        if not self.first_state.done():
            self.first_state.set_result(arrived)

    async def _run(self) -> None:
        end: End = "refused"
        try:
            end = await self._follow()
        except Exception as error:
            # The text of an error that is not ours, such as a bug of a transport, may quote anything.
            why = error if isinstance(error, KinformError) else type(error).__name__
            self._log.warning("failed", f"{self._stream.name}: the watch failed: {why}")
        self._stream.on_progress = _do_nothing
        self._settle(arrived=False)
        self._on_end(self, end)

    async def _follow(self) -> End:
        found: Batch | None = None  # by a state that comes in
        async with aclosing(self._stream.steps()) as steps:
            async for step in steps:
                match step:
                    case Applied(batch) if any(batch.key(i) != self.key for i in range(len(batch))):
                        return "refused"  # the server does not know the field selector
                    case Applied(batch, False):
                        self._on_events(batch)
                    case Applied(batch, True):
                        found = batch
                    case Init():
                        found = None
                    case InitDone():
                        self._state_bookmark = self._stream.last_bookmark
                        self._on_state(self, found)
                        self._settle(arrived=True)
                        found = None
                    case Skipped():
                        return "lost"
                del step  # the next one may be hours away
        return "refused"

    def _check_failures(self) -> None:
        # It would ask again and again; and the cache has its own answer to a failure before the first state.
        self.is_refused = self._stream.refusals > 0
        if self.is_refused or (self._stream.failures and not self.first_state.done()):
            self.stop()
            self._on_end(self, "refused")


def _do_nothing() -> None: ...
