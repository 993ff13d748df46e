"""The common base of programs on asyncio, and the loop that reads their commands.

A task follows the collection. If it ends, the command that waits for it fails with its error: a program that cannot
continue does not keep the benchmark waiting.
"""

from __future__ import annotations

import asyncio
import json
import sys
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from benchmarks.harness.commands import Program, carry_out
from benchmarks.peers.python.peer import Peer


class Follower(Peer):
    """A program that follows the collection in a task.

    Attributes:
        synced: Set when the store holds the complete initial state.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.synced = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._awaited: int | None = None
        self._reached = asyncio.Event()

    @abstractmethod
    async def connect(self) -> None:
        """Creates the client."""

    @abstractmethod
    async def follow(self) -> None:
        """Follows the collection. Never returns."""

    async def close(self) -> None:
        """Closes the client after the task has ended."""

    def handle(self, version: str) -> None:
        """Counts the call, and notifies `reach`."""
        super().handle(version)
        if self._awaited is not None and self._newest >= self._awaited:
            self._reached.set()

    async def sync(self) -> None:
        """Starts to follow. Returns when the initial state is complete."""
        self._task = asyncio.create_task(self.follow())
        await self._wait(self.synced)

    async def reach(self, *, version: str | int) -> int:
        """Waits until the handler was called for this version.

        Returns the number of calls so far.
        """
        if self._newest < int(version):
            self._awaited = int(version)
            self._reached.clear()
            await self._wait(self._reached)
            self._awaited = None
        return self.calls

    async def digest(self, *, whole: bool = True) -> dict[str, Any]:
        """Returns the digest of the store."""
        return self.digest_of_store(whole)

    async def versions(self) -> dict[str, str]:
        """Returns the versions of Python and of the packages."""
        return self.package_versions()

    async def end(self) -> None:
        """Stops to follow, and ignores the task's error."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                self._task.exception()
        await self.close()

    async def _wait(self, event: asyncio.Event) -> None:
        assert self._task is not None
        waiting = asyncio.create_task(event.wait())
        await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not event.is_set():
            waiting.cancel()
            self._task.result()
            raise RuntimeError("the program has stopped following the collection")


def run(program: Callable[..., Program]) -> None:
    """Carries out commands until standard input ends.

    The last argument has the options of the program.
    """
    asyncio.run(_run(program))


async def _run(program: Callable[..., Program]) -> None:
    await carry_out(program(**json.loads(sys.argv[1])))
