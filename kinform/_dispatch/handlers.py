"""Handlers: functions that take an object, called in the order of the changes.

One call at a time. All handlers of an informer share a queue, so that for one object `on_delete` never overtakes
`on_add`. A reader of `changes()` has a queue of its own, and does not wait for a slow handler.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Literal

from kinform._checks import require_handler
from kinform._decoding import T
from kinform._dispatch.event_decoder import EventDecoder, Kept
from kinform._dispatch.invoke import Handler, Invoker, TimeSlice
from kinform._dispatch.queue import Entry, Queue
from kinform._events import Added, Deleted, Updated
from kinform_ext._table import Change, Version

EventKind = Literal["added", "updated", "deleted"]


class Handlers(Generic[T]):
    """The handlers of one informer, and the changes that wait for them.

    Args:
        decoder: Decodes the changes.
        name: The name of the informer, for the log.
        bound: Changes up to which nothing is merged.

    Attributes:
        queue: The changes that wait.
        invoke: Calls the handlers.
    """

    def __init__(self, decoder: EventDecoder[T], name: str, bound: int) -> None:
        self.queue = Queue(bound)
        self._decoder = decoder
        self.invoke = Invoker(name)
        self._kept: Kept = {}
        self._time_slice = TimeSlice()
        # With each handler the number of the last change before it was registered.
        self._registered: dict[str, list[tuple[Handler, int]]] = {"added": [], "updated": [], "deleted": []}

    def add(self, event_kind: EventKind, handler: Handler, present: Iterator[Version] | None = None) -> None:
        """Registers a handler for later changes.

        Args:
            event_kind: Which changes it gets.
            handler: The function.
            present: Objects that it alone gets first, as added.

        Raises:
            OptionError: The handler is not callable with the arguments of this event.
        """
        require_handler(handler, "old, new" if event_kind == "updated" else "object")
        # Changes that wait now happened before the registration: `present` includes them.
        self._registered[event_kind].append((handler, self.queue.pushed))
        self.queue.seal()
        if present is not None:
            self.queue.push(Entry("present", only=handler, present=present))

    @property
    def registered(self) -> bool:
        """True if there is a handler."""
        return any(self._registered.values())

    def resync(self, objects: Iterator[Version | None]) -> None:
        """Passes objects again to the handlers of updates: see `Queue.resync`."""
        if self._registered["updated"]:
            self.queue.resync(objects)

    def push(self, change: Change) -> None:
        """Queues a change, if there is a handler."""
        if self.registered:
            self.queue.push(Entry.of(change))

    def push_present(self, present: Iterator[Version]) -> None:
        """Queues the objects of a loaded state for all handlers, as added."""
        if self.registered:
            self.queue.push(Entry("present", present=present))

    async def run(self) -> None:
        """Calls handlers until the queue is closed."""
        try:
            while entry := await self.queue.pop():
                for version in entry.present or ():
                    added = Entry("added", version.key, version, only=entry.only)
                    added.number = entry.number
                    await self._handle(added)
                await self._handle(entry)
        finally:
            self._kept.clear()

    async def _handle(self, entry: Entry) -> None:
        await self._time_slice.end()
        if entry.only is not None:
            handlers = [entry.only]
        else:
            registered = self._registered.get(entry.kind, [])
            handlers = [handler for handler, since in registered if entry.number > since]
        # An update that no handler gets may be one to skip. Then a deletion needs the version before it.
        needed = handlers or (entry.kind == "updated" and self._registered["deleted"])
        event = self._decoder(entry, self._kept) if needed else None
        for handler in handlers:
            match event:
                case Updated(_, new, old):
                    await self.invoke(handler, entry.key, old, new)
                case Added(_, found) | Deleted(_, found):
                    await self.invoke(handler, entry.key, found)
