"""Reconciles for a collection that is divided into shards.

A key that the store does not have may be of another shard. Only a deletion that this replica has seen counts as one.
Work on an object ends before its shard moves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kinform._dispatch.changes import Changes
from kinform._dispatch.queue import Entry
from kinform._errors import LeadershipLost
from kinform._informer.informer import Informer
from kinform._sharding import ShardSet
from kinform.controllers._queue.work_queue import WorkQueue
from kinform.controllers._reconcile.feeds import LOW_PRIORITY, FilteredFeed
from kinform.controllers._reconcile.predicates import Predicate
from kinform.controllers._reconcile.user_calls import Reconcile, Requeue, call
from kinform.controllers._shards.shards import Shards

RETRY_SECONDS = 1.0
"""The wait of a key without an object, while the objects of a new shard arrive."""


class ShardedCalls:
    """A `reconcile` that ignores keys of other shards.

    With `Shards`, it holds the shard of the object during the call of the user's function: the call is cancelled when
    the shard is lost or has to move, and the shard moves only when the call has ended.

    Args:
        informer: The informer of the objects to reconcile.
        reconcile: The function of the user.
    """

    def __init__(self, informer: Informer[Any], reconcile: Reconcile) -> None:
        self._informer = informer
        self._reconcile = reconcile
        self._deleted: dict[str, str] = {}  # uids of deleted objects, until their last call

    def has(self, uid: str) -> bool:
        """Returns whether this replica has the shard of an object."""
        shards = self._informer._shards
        return shards is None or shards.has(uid)

    def deleted(self, key: str, uid: str) -> None:
        """Notes a deletion, for the call that follows."""
        self._deleted[key] = uid

    async def __call__(self, key: str) -> Requeue | None:
        """Calls the user's function, unless the key is of another shard."""
        meta = self._informer.store.meta(key)
        uid = self._deleted.get(key) if meta is None else meta.uid
        if uid is None:
            return None
        if meta is not None:
            self._deleted.pop(key, None)
        elif self._informer._lacks_shards and self.has(uid):
            return Requeue(after=RETRY_SECONDS)  # the shard was lost and is back: is the object?
        result = await self._call(key, uid) if self.has(uid) else None
        if meta is None and result is None and self._deleted.get(key) == uid:
            del self._deleted[key]
        return result

    async def _call(self, key: str, uid: str) -> Requeue | None:
        source = self._informer._shard_source
        if not isinstance(source, Shards):
            return await call(self._reconcile, key)
        try:
            async with source.hold(uid):
                return await call(self._reconcile, key)
        except LeadershipLost:
            if self.has(uid):  # that of another block
                raise
            return None


class ShardedFeed(FilteredFeed):
    """Adds the keys of changed objects, but not those of objects whose shard was lost.

    Objects of a new shard have a low priority.

    Args:
        informer: The informer.
        name: The name of the controller, for the log.
        predicate: The predicate for updates, or None.
        calls: Gets the deletions.
    """

    def __init__(self, informer: Informer[Any], name: str, predicate: Predicate | None, calls: ShardedCalls) -> None:
        super().__init__(informer, name, predicate)
        self._calls = calls
        self._grows = False  # objects of new shards arrive

    async def run(self, queue: WorkQueue[str]) -> None:
        """Adds the keys of all objects, then those of changes, until it is cancelled."""
        source = self.informer._shard_source
        ignore = None if source is None else source.subscribe(self._changed)
        try:
            await super().run(queue)
        finally:
            if ignore is not None:
                ignore()

    def _changed(self, shards: ShardSet) -> None:
        self._grows = True

    def _keys(self, changes: Changes[Any], entry: Entry) -> Iterable[str]:
        version = entry.old if entry.new is None else entry.new
        if version is None or not self._calls.has(version.uid):
            return ()
        if entry.new is None:
            self._calls.deleted(entry.key, version.uid)
        return super()._keys(changes, entry)

    def _priority(self, entry: Entry, *, live: bool) -> int:
        return LOW_PRIORITY if self._grows and entry.kind == "added" else super()._priority(entry, live=live)

    def _taken(self, changes: Changes[Any]) -> None:
        if not changes.queue.depth and not self.informer._lacks_shards:
            self._grows = False
