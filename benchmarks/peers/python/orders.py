"""The loop that takes orders from standard input and answers them, for programs of asyncio; and what they share.

What follows the collection is a task of its own. If it ends, what waits for it ends in its error: a program that
cannot go on does not keep whoever ordered it waiting.
"""

from __future__ import annotations

import asyncio
import json
import sys
from abc import abstractmethod
from typing import Any

from benchmarks.peers.python.peer import Peer


class Follower(Peer):
    """A program that follows in a task.

    Attributes:
        synced: Set once the first state is complete in the store.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.synced = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._awaited: int | None = None
        self._reached = asyncio.Event()

    @abstractmethod
    async def connect(self) -> None:
        """Makes the client."""

    @abstractmethod
    async def follow(self) -> None:
        """Follows the collection and never returns."""

    async def leave(self) -> None:
        """Closes the client, if it is to be closed, once nothing follows any more."""

    def handle(self, version: str) -> None:
        """Counts, and tells who waits for this version."""
        super().handle(version)
        if self._awaited is not None and self._newest >= self._awaited:
            self._reached.set()

    async def sync(self) -> None:
        """Begins to follow; returns when the first state is complete."""
        self._task = asyncio.create_task(self.follow())
        await self._until(self.synced)

    async def reach(self, *, version: str | int) -> int:
        """Returns when the handler was called for that version: how often in all."""
        if self._newest < int(version):
            self._awaited = int(version)
            self._reached.clear()
            await self._until(self._reached)
            self._awaited = None
        return self.calls

    async def digest(self, *, whole: bool = True) -> dict[str, Any]:
        """What identifies the content of the store."""
        return self.told(whole)

    async def versions(self) -> dict[str, str]:
        """What takes part."""
        return self.taking_part()

    async def end(self) -> None:
        """Follows no more, whatever that was ending in."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                self._task.exception()
        await self.leave()

    async def _until(self, event: asyncio.Event) -> None:
        assert self._task is not None
        waiting = asyncio.create_task(event.wait())
        await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not event.is_set():
            waiting.cancel()
            self._task.result()
            raise RuntimeError("follows no more")


def obey(program: type[Follower]) -> None:
    """Runs the program until its standard input ends."""
    asyncio.run(_obey(program))


async def _obey(program: type[Follower]) -> None:
    follower = program(**json.loads(sys.argv[1]))
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    try:
        while line := await orders.readline():
            order = json.loads(line)
            print(json.dumps(await getattr(follower, order["do"])(**order["with"])), flush=True)
    finally:
        await follower.end()
