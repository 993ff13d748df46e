"""The handle of an informer on its collection: opens it, and closes it.

A handle opens its collection in a task, so that a wait that is cancelled does not break off the start. Never decodes an
object.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection as Several
from typing import Any

from kinform._dispatch.dispatcher import Dispatcher
from kinform._errors import KinformError
from kinform._informer.background import start_background
from kinform._informer.collection import Collection
from kinform._listwatch.stream import Stream
from kinform._stats import State

log = logging.getLogger("kinform.informer")


class Handle:
    """The part of an informer that starts and ends.

    Args:
        collection: The collection, which other handles may share.
        dispatcher: The listeners of this handle.

    Attributes:
        entered: The block of the informer, or of its factory, was entered and not left.
        left: The block was left.
        opened: The handle is one of those of the running collection.
    """

    def __init__(self, collection: Collection, dispatcher: Dispatcher[Any]) -> None:
        self.entered = self.left = self.opened = False
        self._collection = collection
        self._dispatcher = dispatcher
        self._opening: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Starts to open the collection, in the background.

        Raises:
            KinformError: The handle is entered already, or it was entered in another event loop.
        """
        if self.entered:
            raise KinformError(f"{self._collection.name}: the informer is running already: its block was not left")
        self._dispatcher.open()
        self.entered, self.left = True, False
        self._opening = asyncio.create_task(self._open(), name=f"kinform start of {self._collection.name}")

    async def wait_open(self) -> None:
        """Waits until the collection is open.

        Raises:
            SnapshotError: kinform must not use the path of the snapshot.
            KinformError: The block was not entered, or was left.
        """
        await self.wait_opening()
        if not self.opened:
            self.check()

    async def wait_opening(self) -> None:
        """Waits until the collection is open, or cannot be opened."""
        if self._opening is not None and not self._opening.done():
            await asyncio.wait([self._opening])  # which goes on if this is cancelled

    async def _open(self) -> None:
        try:
            await self._collection.open(self._dispatcher)
        except Exception as error:
            why = error if isinstance(error, KinformError) else type(error).__name__
            log.error("%s: cannot start: %s", self._collection.name, why)
            self._dispatcher.fail(error)
            self._collection.wake()
            return
        self._tasks = [
            start_background(self._collection.name, "handlers", self._dispatcher.handlers.run()),
            start_background(self._collection.name, "key handlers", self._dispatcher.key_handlers.run()),
        ]
        self.opened = True

    async def leave(self) -> None:
        """Ends all that the handle has started. The last handle stops the collection."""
        self.entered, self.left = False, True
        opening = [] if self._opening is None else [self._opening]
        for task in [*opening, *self._tasks]:
            task.cancel()
        try:
            await asyncio.gather(*opening, return_exceptions=True)
        finally:
            try:
                await self._collection.close(self._dispatcher, self._tasks)
            finally:  # readers and waits must see the end, even if this is cancelled
                self.opened, self._opening = False, None
                self._dispatcher.close()
                self._collection.wake()

    @property
    def state(self) -> State:
        """The state that users see."""
        if self.left or self._dispatcher.binding.forked:
            return "stopped"
        if self._dispatcher.failure is not None:
            return "failed"
        return self._collection.state if self.opened else "starting"

    def streams(self) -> Several[Stream]:
        """Returns the streams, for waits.

        Raises:
            KinformError: See `check`.
        """
        self.check()
        return self._collection.streams.values()

    def check(self) -> None:
        """Checks that there is something to wait for.

        Raises:
            KinformError: The informer is not running. If it has failed: the error that ended it.
        """
        if (failure := self._dispatcher.failure) is not None:
            raise failure.with_traceback(None)  # raised again and again it would collect frames
        if not self.entered:
            raise KinformError(f"{self._collection.name}: the informer is not running")
