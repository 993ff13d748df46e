"""A watch of one or several names, which keeps answers of a cache current.

The watch of one name has the field selector `metadata.name`. That of several names has a selector of the label that
every namespace has, because a field selector cannot name several objects. So the server sends events of these objects
alone. It starts with the objects themselves, or from the resourceVersion of an answer. If it cannot be resumed, the
stream requests the objects again.
Source: the watch-based manager of Secrets and ConfigMaps in the kubelet; KEP-2161 for the label.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Literal

import msgspec

from kinform._errors import KinformError
from kinform._events import Applied, Init, InitDone, Skipped
from kinform._listwatch.pages import name_selector
from kinform._listwatch.stream import Stream
from kinform._options import Resource, Scope
from kinform._resource_versions import is_at_least
from kinform._selectors import LABEL_VALUE
from kinform._spec import CollectionSpec
from kinform._throttled_log import ThrottledLog
from kinform._transport.base import Transport
from kinform_ext._scan import Batch

NAMESPACES = Resource(version="v1", plural="namespaces")  # no other resource has a label with the name of its objects
NAME_LABEL = "kubernetes.io/metadata.name"
MAX_NAMES_SIZE = 4_000  # of the names in a URL: proxies often allow 8 KiB for all of a request line

End = Literal["lost", "refused"]


class FirstState(msgspec.Struct, frozen=True):
    """The first state of a watch.

    Attributes:
        resource_version: The resourceVersion of the state; `""` without one, for a watch that starts from an answer.
        lacking: The names of a watch by label that are not in the state.
    """

    resource_version: str = ""
    lacking: frozenset[str] = frozenset()


class NamesWatch:
    """Follows objects until the watch ends, or until `stop`.

    Args:
        transport: The transport to the cluster.
        spec: The collection.
        keys: The keys of the objects. Several: names that `is_label_value` accepts.
        resource_version: The resourceVersion from which the watch starts; `""`: it starts with the state of the
            objects.
        throttled_log: The log of all watches of a cache, which often fail together.
        on_events: Called with each batch of events. It may have events of keys that were removed from `keys`.
        on_state: Called with the objects and their resourceVersion, when a state has come in: at the start, or if the
            watch could not be resumed.
        on_end: Called once, when the watch ends by itself. `"lost"`: a change could not be read. `"refused"`: the
            server does not accept the watch, or a request for the first state failed.

    Attributes:
        keys: The keys that are still in use, with the times of their last reads. The owner of the watch changes it.
        by_label: The watch has a label selector. A state that lacks a name is no proof that there is no such object.
        started: The time of the start. Each state is at least as new.
        first_state: Has the result None if the first state does not come.
        is_refused: The server does not accept the watch.
    """

    def __init__(
        self,
        transport: Transport,
        spec: CollectionSpec,
        keys: Sequence[str],
        resource_version: str,
        *,
        throttled_log: ThrottledLog,
        on_events: Callable[[NamesWatch, Batch], None],
        on_state: Callable[[NamesWatch, list[Batch], str], None],
        on_end: Callable[[NamesWatch, End], None],
    ) -> None:
        self.started = time.monotonic()
        self.keys = dict.fromkeys(keys, self.started)
        self.by_label = len(keys) > 1
        self.first_state: asyncio.Future[FirstState | None] = asyncio.get_running_loop().create_future()
        if resource_version:
            self.first_state.set_result(FirstState())
        self._names = frozenset(keys)  # that the server sends
        self._stream = Stream(
            transport,
            msgspec.structs.replace(spec, scope=_scope_of(spec.scope, keys)),
            namespace=keys[0].rpartition("/")[0],
            resource_version=resource_version,
            throttled_log=throttled_log,
        )
        self._log = throttled_log
        self._on_events = on_events
        self._on_state = on_state
        self._on_end = on_end
        self.is_refused = False
        self._state_bookmark: float | None = None  # says only that a state is complete
        self._current_before: float | None = None  # while a state comes in: its bookmarks say nothing about answers
        self._stream.on_progress = self._check_failures
        self._task = asyncio.create_task(self._run(), name=f"kinform watch of {self._stream.name}")

    @property
    def last_read(self) -> float:
        """The time of the last read of any of the objects."""
        return max(self.keys.values())

    @property
    def current_at(self) -> float:
        """The last time at which the server said that it had sent all changes.

        It says so by bookmarks, about once a minute. An event is no such statement: after a lost connection, others may
        follow.
        """
        if self._current_before is not None:
            return self._current_before
        seen = self._stream.last_bookmark
        return float("-inf") if seen is None or seen == self._state_bookmark else seen

    @property
    def resource_version(self) -> str:
        """The resourceVersion up to which all changes were passed on."""
        return self._stream.resource_version

    @property
    def has_state(self) -> bool:
        """True from the first state on.

        True from the start, if the watch starts from an answer.
        """
        return self.first_state.done() and self.first_state.result() is not None

    @property
    def error(self) -> KinformError | None:
        """The last failure, or None since the last progress."""
        return self._stream.error

    def overlooked(self, key: str, resource_version: str) -> bool:
        """Returns whether the first state lacks an object that existed.

        Then the object does not have the label.

        Args:
            key: The key of the object.
            resource_version: A resourceVersion of the object.
        """
        state = self.first_state.result() if self.first_state.done() else None
        return state is not None and key in state.lacking and is_at_least(state.resource_version, resource_version)

    def stop(self) -> asyncio.Task[None]:
        """Ends the watch without a call of `on_end`. Returns the task to wait for."""
        self._stream.on_progress = _do_nothing
        self._settle(None)
        self._task.cancel()
        return self._task

    def _settle(self, state: FirstState | None) -> None:
        if not self.first_state.done():
            self.first_state.set_result(state)

    async def _run(self) -> None:
        end: End = "refused"
        try:
            end = await self._follow()
        except Exception as error:
            # The text of an error that is not ours, such as a bug of a transport, may quote anything.
            why = error if isinstance(error, KinformError) else type(error).__name__
            self._log.warning("failed", f"{self._stream.name}: the watch failed: {why}")
        self._stream.on_progress = _do_nothing
        self._settle(None)
        self._on_end(self, end)

    async def _follow(self) -> End:
        state: list[Batch] = []  # that comes in
        async with aclosing(self._stream.steps()) as steps:
            async for step in steps:
                match step:
                    case Applied(batch) if any(batch.key(i) not in self._names for i in range(len(batch))):
                        return "refused"  # the server does not know the selector
                    case Applied(batch, False):
                        self._on_events(self, batch)
                    case Applied(batch, True):
                        state.append(batch)
                    case Init():
                        self._current_before = self.current_at
                        state = []
                    case InitDone(resource_version):
                        self._take_state(state, resource_version)
                        state = []
                    case Skipped():
                        return "lost"
                del step  # the next one may be hours away
        return "refused"

    def _take_state(self, state: list[Batch], resource_version: str) -> None:
        lacking = self._names.difference(batch.key(i) for batch in state for i in range(len(batch)))
        self._settle(FirstState(resource_version, lacking if self.by_label else frozenset()))
        self._on_state(self, state, resource_version)
        self._state_bookmark, self._current_before = self._stream.last_bookmark, None

    def _check_failures(self) -> None:
        # It would ask again and again; and the cache has its own answer to a failure before the first state.
        self.is_refused = self._stream.refusals > 0
        if self.is_refused or (self._stream.failures and not self.first_state.done()):
            self.stop()
            self._on_end(self, "refused")


def is_label_value(name: str) -> bool:
    """Returns whether a label can have a name as its value.

    It can have the name of each namespace.
    """
    return bool(name) and re.fullmatch(LABEL_VALUE, name) is not None


def name_size(name: str) -> int:
    """Returns the bytes that a name takes in the URL of a watch of several."""
    return len(f"{name}%2C")


def _scope_of(scope: Scope, keys: Sequence[str]) -> Scope:
    if len(keys) == 1:
        return msgspec.structs.replace(scope, field_selector=name_selector(scope, keys[0].rpartition("/")[2]))
    selector = f"{NAME_LABEL} in ({','.join(keys)})"
    if scope.label_selector:
        selector += f",{scope.label_selector}"
    return msgspec.structs.replace(scope, label_selector=selector)


def _do_nothing() -> None: ...
