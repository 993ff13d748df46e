"""Functions that are called for what happens: one queue, one at a time, in the order of what happened.

One queue for all handlers of an informer, so that for one object `on_delete` never overtakes `on_add`. Who must
not wait for another's slow handler reads `changes()`, which has a queue of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeVar

from kinform._dispatch.event_decoder import EventDecoder
from kinform._dispatch.invoke import Handler, TimeSlice, invoke
from kinform._dispatch.queue import Entry, Queue
from kinform._errors import OptionError
from kinform._events import Added, Deleted, Updated
from kinform_ext._version import Change, Version

F = TypeVar("F", bound=Handler)
Occasion = Literal["added", "updated", "deleted"]


class Handlers:
    """An informer's handlers and what waits for them."""

    def __init__(self, retell: EventDecoder, name: str, bound: int) -> None:
        self.queue = Queue(bound)
        self._retell = retell
        self._name = name
        self._time_slice = TimeSlice()
        self._known: dict[str, list[tuple[Handler, int]]] = {"added": [], "updated": [], "deleted": []}

    def add(self, occasion: Occasion, handler: F, present: Iterator[Version] | None = None) -> F:
        """Registers a handler for what happens from here on; `present` is told to it alone, as added.

        Raises:
            OptionError: It is not callable.
        """
        if not callable(handler):
            raise OptionError("handler", handler, "a callable")
        # What waits already happened before it came, and is in what is present.
        self._known[occasion].append((handler, self.queue.pushed))
        if present is not None:
            self.queue.push(Entry("present", only=handler, present=present))
        return handler

    def push(self, change: Change) -> None:
        """Takes a change, if anybody wants to know."""
        if any(self._known.values()):
            self.queue.push(Entry.of(change))

    def present(self, present: Iterator[Version]) -> None:
        """Tells all handlers there are of what was there before anything was written, as added."""
        if any(self._known.values()):
            self.queue.push(Entry("present", present=present))

    async def run(self) -> None:
        """Calls handlers until the queue is closed."""
        while entry := await self.queue.pop():
            for found in entry.present or ():
                added = Entry("added", found.key, found, only=entry.only)
                added.number = entry.number
                await self._handle(added)
            await self._handle(entry)

    async def _handle(self, entry: Entry) -> None:
        await self._time_slice.end()
        if entry.only is not None:
            handlers = [entry.only]
        else:
            known = self._known.get(entry.kind, [])
            handlers = [handler for handler, since in known if entry.number > since]
        event = self._retell(entry) if handlers else None
        for handler in handlers:
            match event:
                case Updated(_, new, old):
                    await invoke(handler, self._name, entry.key, old, new)
                case Added(_, found) | Deleted(_, found):
                    await invoke(handler, self._name, entry.key, found)
