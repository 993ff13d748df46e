"""Feeds: the keys that an informer adds to a work queue.

Keys of the start and of a resync have a low priority, so that they do not delay those of live changes. Never sends a
request.
Source: controller-runtime's `source.Kind` and `handler.EnqueueRequestsFromMapFunc`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from kinform._dispatch.changes import Changes
from kinform._dispatch.invoke import TimeSlice
from kinform._dispatch.queue import Entry
from kinform._error_places import cause_of
from kinform._errors import OptionError
from kinform._events import Added, Deleted, Synced, Updated
from kinform._informer.informer import Informer
from kinform._printable import printable, type_of
from kinform._throttled_log import ThrottledLog, function_name
from kinform.controllers._queue.work_queue import WorkQueue
from kinform.controllers._reconcile.owners import Owners
from kinform.controllers._reconcile.predicates import Predicate

log = logging.getLogger("kinform.controllers")

LOW_PRIORITY = -100
"""The priority of keys that no live change has caused."""
BATCH_CHANGES = 64
"""Changes that a feed takes at a time."""

Mapper = Callable[[Added[Any] | Updated[Any] | Deleted[Any]], Iterable[str]]
"""Takes a change of a watched object, and returns the keys to reconcile."""


class Feed(Protocol):
    """Adds keys to the queue."""

    informer: Informer[Any]

    async def run(self, queue: WorkQueue[str]) -> None:
        """Adds the keys of all objects, then those of changes, until it is cancelled."""
        ...


class KeyFeed:
    """Adds the key of each changed object, as the store changes.

    Args:
        informer: The informer.
    """

    def __init__(self, informer: Informer[Any]) -> None:
        self.informer = informer
        self._queue: WorkQueue[str] | None = None
        self._present: deque[Iterator[str]] = deque()
        self._pushed = asyncio.Event()

    async def run(self, queue: WorkQueue[str]) -> None:
        """Adds the keys of all objects, then those of changes, until it is cancelled."""
        self._queue = queue
        time_slice = TimeSlice()
        await self._attach()
        try:
            while True:
                await self._pushed.wait()
                self._pushed.clear()
                while self._present:
                    for key in self._present.popleft():
                        self._add(key, LOW_PRIORITY)
                        await time_slice.end()
        finally:
            self._present.clear()
            await self._detach()

    async def _attach(self) -> None:
        self.informer._add_key_listener(self)

    async def _detach(self) -> None:
        self.informer._remove_key_listener(self)

    def _add(self, key: str, priority: int = 0) -> None:
        assert self._queue is not None
        self._queue.add(key, priority=priority)

    def changed(self, keys: Iterable[str]) -> None:
        """Adds the keys of changed objects at once."""
        for key in keys:
            self._add(key)

    def present(self, keys: Iterator[str]) -> None:
        """Adds the keys of objects that have not changed, little by little."""
        self._present.append(keys)
        self._pushed.set()


class OwnedFeed(KeyFeed):
    """Adds the keys of the owners of each changed object, before and after the change.

    Args:
        informer: The informer of the owned objects.
        owners: Finds the keys of the owners.
    """

    def __init__(self, informer: Informer[Any], owners: Owners) -> None:
        super().__init__(informer)
        self._owners = owners

    async def _attach(self) -> None:
        await self.informer._add_owner_listener(self)

    async def _detach(self) -> None:
        await self.informer._remove_owner_listener(self)

    def _add(self, key: str, priority: int = 0) -> None:
        owner = self._owners.key_of(key)
        if owner is not None:
            super()._add(owner, priority)


class ChangeFeed:
    """Adds the keys that a function returns for each change.

    Args:
        informer: The informer.
        name: The name of the controller, for the log.
    """

    def __init__(self, informer: Informer[Any], name: str) -> None:
        self.informer = informer
        self._name = name
        self._log = ThrottledLog(log)

    async def run(self, queue: WorkQueue[str]) -> None:
        """Adds the keys of all objects, then those of changes, until it is cancelled."""
        changes = self.informer.changes()
        try:
            live = False
            while entries := await changes.take(BATCH_CHANGES):
                for entry in entries:
                    if entry.kind == "synced":
                        live = True
                        continue
                    priority = self._priority(entry, live=live)
                    for key in self._keys(changes, entry):
                        queue.add(key, priority=priority)
                self._taken(changes)
        finally:
            changes.close()

    def _keys(self, changes: Changes[Any], entry: Entry) -> Iterable[str]:
        raise NotImplementedError

    def _priority(self, entry: Entry, *, live: bool) -> int:
        return 0 if live and not _is_resync(entry) else LOW_PRIORITY

    def _taken(self, changes: Changes[Any]) -> None:
        """Handles that the changes that were taken are in the queue."""

    def _failed(self, function: Callable[..., Any], key: str, error: BaseException) -> None:
        name = function_name(function)
        why = error if isinstance(error, OptionError) else cause_of(error, function)
        message = f"{self._name}: {name} failed at {self.informer.name} {printable(key)}: {why}"
        self._log.exception(f"{name} {id(function)}", message, error)


class FilteredFeed(ChangeFeed):
    """Adds the key of each object that a predicate has accepted.

    Additions, deletions and resyncs always count, and so does an update whose old version is unknown.

    Args:
        informer: The informer.
        name: The name of the controller, for the log.
        predicate: The predicate for updates; None: all count.
    """

    def __init__(self, informer: Informer[Any], name: str, predicate: Predicate | None) -> None:
        super().__init__(informer, name)
        self._predicate = predicate

    def _keys(self, changes: Changes[Any], entry: Entry) -> Iterable[str]:
        predicate = self._predicate
        if predicate is not None and entry.new is not None and entry.old is not None and not _is_resync(entry):
            try:
                if not predicate(entry.old.raw(), entry.new.raw()):
                    return ()
            except Exception as error:
                self._failed(predicate, entry.key, error)
        return (entry.key,)


class MappedFeed(ChangeFeed):
    """Adds the keys that a function of the user returns for each change.

    Args:
        informer: The watched informer.
        name: The name of the controller, for the log.
        mapper: The function.
    """

    def __init__(self, informer: Informer[Any], name: str, mapper: Mapper) -> None:
        super().__init__(informer, name)
        self._mapper = mapper

    def _keys(self, changes: Changes[Any], entry: Entry) -> Iterable[str]:
        change = changes.decode(entry)
        if change is None or isinstance(change, Synced):
            return ()
        try:
            found = self._mapper(change)
            keys = () if isinstance(found, str) else tuple(found)
            if isinstance(found, str) or not all(isinstance(key, str) for key in keys):
                raise OptionError("watches", type_of(found), "a function that returns an iterable of keys")
        except Exception as error:
            self._failed(self._mapper, entry.key, error)
            return ()
        return keys


def _is_resync(entry: Entry) -> bool:
    return entry.new is not None and entry.new is entry.old
