"""The dispatcher of one informer: passes each change to all listeners.

Listeners are handlers, key handlers, parts of kinform that take owners, and the readers of `changes()`. Holds queues
of records and keys. Never knows a store or a stream.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, Protocol

from kinform._decoding import T
from kinform._dispatch.changes import Changes
from kinform._dispatch.event_decoder import EventDecoder
from kinform._dispatch.handlers import Handlers
from kinform._dispatch.key_handlers import KeyHandlers
from kinform._dispatch.queue import Entry, Queue
from kinform._errors import KinformError
from kinform._loop_binding import LoopBinding
from kinform_ext._table import Change, Version

Present = Callable[[], Iterator[Version]]
"""Returns an iterator over all objects that the store has at the time of the call."""


class KeyListener(Protocol):
    """A part of kinform that takes keys in the step that changes the store.

    It never raises. Those of `owner_listeners` take the owners of the objects instead of their keys.
    """

    def changed(self, keys: Iterable[str]) -> None:
        """Takes the keys of changed objects."""
        ...

    def present(self, keys: Iterator[str]) -> None:
        """Takes the keys of objects that are there, or that are passed again."""
        ...


class Dispatcher(Generic[T]):
    """Passes each change of a collection to all listeners.

    Args:
        type: The type that objects are decoded to.
        name: The name of the informer, for the log.
        bound: Number of events that can wait for a slow reader. If more wait, events of one object are merged.

    Attributes:
        handlers: The functions that take objects.
        key_handlers: The functions that take keys.
        key_listeners: The parts of kinform that take keys.
        owner_listeners: The parts of kinform that take the owners of objects.
        binding: The event loop of the informer, as soon as it starts. Before that, nothing can be read.
        failure: The error that ended the informer, or None.
        ended: Set as long as the informer has failed or stopped.
        on_failure: A function that is called when it fails.
    """

    def __init__(self, type: type[T], name: str, bound: int) -> None:
        self._decoder = EventDecoder(type, name)
        self._name = name
        self._bound = bound
        # By number. Unlike a set, it can be copied while another thread releases a reader.
        self._readers: weakref.WeakValueDictionary[int, Changes[T]] = weakref.WeakValueDictionary()
        self._made = 0  # readers
        self._resyncs = False  # there was one
        self.handlers = Handlers(self._decoder, name, bound)
        self.key_handlers = KeyHandlers(name)
        self.key_listeners: list[KeyListener] = []
        self.owner_listeners: list[KeyListener] = []
        self.binding = LoopBinding(name)
        self.failure: Exception | None = None
        self.ended = asyncio.Event()
        self.on_failure: Callable[[], None] = lambda: None

    def open(self) -> None:
        """Starts, or starts again after `close`. Handlers stay registered.

        Raises:
            KinformError: It has started in another event loop, and was not closed.
        """
        self.binding.bind()
        self.failure = None
        self.ended = asyncio.Event()  # a new one, as the event loop may be another one than last time
        self.handlers.queue.open()

    @property
    def has_listeners(self) -> bool:
        """True if there is a handler of any kind, or a reader that has not ended."""
        if self.handlers.registered or self.key_handlers.registered or self.key_listeners or self.owner_listeners:
            return True
        return any(not reader.queue.closed for reader in self._alive())

    def dispatch(self, change: Change) -> None:
        """Passes one change to all listeners."""
        self.handlers.push(change)
        self.dispatch_keys((change.key,))
        for reader in self._alive():
            reader.queue.push(Entry.of(change))

    def dispatch_keys(self, keys: Sequence[str]) -> None:
        """Passes the keys of changed objects."""
        self.key_handlers.push_all(keys)
        for listener in self.key_listeners:
            listener.changed(keys)

    def dispatch_owners(self, owners: Sequence[str]) -> None:
        """Passes the owners of changed objects."""
        for listener in self.owner_listeners:
            listener.changed(owners)

    def dispatch_present(
        self, present: Present, keys: Callable[[], Iterator[str]], owners: Callable[[], Iterator[str]]
    ) -> None:
        """Passes all objects of a state, their keys and their owners, as added."""
        self.handlers.push_present(present())
        self.key_handlers.push_all(keys())
        for listener in self.key_listeners:
            listener.present(keys())
        for listener in self.owner_listeners:
            listener.present(owners())
        for reader in self._alive():
            reader.queue.push(Entry("present", present=present()))

    def resync(
        self,
        objects: Callable[[], Iterator[Version | None]],
        keys: Callable[[], Iterator[str]],
        owners: Callable[[], Iterator[str]],
    ) -> None:
        """Passes all objects again, as updates of themselves, their keys and their owners.

        Args:
            objects: Gives the objects: see `Queue.resync`.
            keys: Gives the keys.
            owners: Gives the owners.
        """
        self._resyncs = True
        self.handlers.resync(objects())
        self.key_handlers.resync(keys())
        for listener in self.key_listeners:
            listener.present(keys())
        for listener in self.owner_listeners:
            listener.present(owners())
        for reader in self._alive():
            reader.queue.resync(objects())

    def resume(self) -> None:
        """Continues resyncs that had to wait."""
        if self._resyncs:
            self.handlers.queue.resume()
            for reader in self._alive():
                reader.queue.resume()

    @property
    def awaits_synced(self) -> bool:
        """True if a reader of `changes()` has not been notified of a complete copy."""
        return any(not reader.synced for reader in self._alive())

    def dispatch_synced(self, *, complete: bool) -> None:
        """Notifies each reader of `changes()`, once, that a complete state has come in.

        Args:
            complete: The state lacks no skipped object. Otherwise only readers that allow this are notified.
        """
        for reader in self._alive():
            if complete or reader.allow_skipped:
                reader.notify_synced()

    def changes(self, present: Present, *, synced: bool, allow_skipped: bool) -> Changes[T]:
        """Returns a new reader of `changes()`. It is closed if the informer has ended.

        Args:
            present: Gives the objects that the reader gets first, as added.
            synced: True if these objects are a complete copy.
            allow_skipped: See `dispatch_synced`.
        """
        reader = Changes(
            self._decoder,
            Queue(self._bound),
            present(),
            synced=synced,
            allow_skipped=allow_skipped,
            check=self.check_started,
            failure=lambda: self.failure,
        )
        if self.ended.is_set():
            reader.queue.close()
        self._made += 1
        self._readers[self._made] = reader
        return reader

    def _alive(self) -> list[Changes[T]]:
        return [reader for found in self._readers.valuerefs() if (reader := found()) is not None]

    def check_started(self) -> None:
        """Checks that the informer was started, in the event loop of the caller.

        Raises:
            KinformError: It was not started, or the caller is elsewhere.
        """
        self.binding.check()
        if not self.binding.bound:
            raise KinformError(f"{self._name}: the informer has not started: enter its block first")

    def fail(self, failure: Exception) -> None:
        """Ends all `changes()` with an error; what waits in them is dropped."""
        self.failure = failure
        self._end()
        self.on_failure()

    def close(self) -> None:
        """Ends the handlers and all `changes()`; what waits in them is dropped."""
        self.handlers.queue.close()
        self.key_handlers.clear()
        self._end()
        self.binding.release()

    def _end(self) -> None:
        self.ended.set()
        for reader in self._alive():
            reader.queue.close()

    # Counts

    @property
    def undecodable(self) -> int:
        """Events that were skipped, because the object did not fit the type."""
        return self._decoder.undecodable

    @property
    def handler_errors(self) -> int:
        """Calls of handlers of all kinds that raised."""
        return self.handlers.invoke.errors + self.key_handlers.invoke.errors

    @property
    def queue_depth(self) -> int:
        """Events and keys that wait for handlers."""
        return self.handlers.queue.depth + self.key_handlers.depth

    @property
    def changes_depth(self) -> list[int]:
        """Events that wait in each `changes()`."""
        return [reader.queue.depth for reader in self._alive()]

    @property
    def dropped_old(self) -> int:
        """`Updated` events whose old version was released, because too many bytes waited."""
        return self.handlers.queue.dropped_old + sum(reader.queue.dropped_old for reader in self._alive())
