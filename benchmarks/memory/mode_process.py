"""A mode in its own process, which reads commands and can run under memray.

It measures nothing itself: memray writes a capture, and the process is read from outside.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
from contextlib import AbstractContextManager
from typing import Any

import kinform
from benchmarks.memory.modes import MODES, Mode

INTERVAL_MS = 5
"""Milliseconds between two points of the timeline."""


class ModeProcess:
    """The commands: each is a public method."""

    def __init__(self, *, url: str, ca: str | None, resource: str, mode: str) -> None:
        self._url = url
        self._ca = ca
        self._resource = resource
        self._name = mode
        self._connection: kinform.Connection
        self._mode: Mode
        self._tracker: AbstractContextManager[Any]

    async def track(self, *, capture: str, every_allocation: bool) -> None:
        """Starts a memray capture.

        Args:
            capture: The file to write.
            every_allocation: Record each Python object, without native stacks; else the arenas that objects are in,
                with native stacks.
        """
        import memray  # takes memory, which processes without memray must not have

        gc.collect()
        self._tracker = memray.Tracker(
            capture,
            native_traces=not every_allocation,
            trace_python_allocators=every_allocation,
            memory_interval_ms=INTERVAL_MS,
        )
        self._tracker.__enter__()

    async def untrack(self) -> None:
        """Ends the capture."""
        self._tracker.__exit__(None, None, None)

    async def connect(self, *, checked: bool = True) -> None:
        """Connects and creates the mode, which does nothing yet."""
        self._connection = await kinform.connect(self._url, ca=self._ca).__aenter__()
        self._mode = MODES[self._name](self._connection, self._resource, checked=checked)

    async def sync(self) -> None:
        """Starts to follow. Returns when the initial state is complete."""
        await self._mode.start()
        await self._mode.reach(1)

    async def reach(self, *, version: int) -> None:
        """Waits until a state of this version is complete."""
        await self._mode.reach(version)

    async def digest(self) -> dict[str, Any]:
        """Returns the digest of the content."""
        return self._mode.digest()

    async def close(self) -> None:
        """Stops everything that was started."""
        await self._mode.stop()
        await self._connection.__aexit__(None, None, None)


async def main() -> None:
    """Carries out commands until standard input ends."""
    # Decoded JSON has no cycles, and looking for them takes four fifths of the decoding time.
    gc.set_threshold(100_000, 50, 1000)
    logging.getLogger("kinform").setLevel(logging.ERROR)  # the server's 410s are intended
    process = ModeProcess(**json.loads(sys.argv[1]))
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        command = json.loads(line)
        print(json.dumps(await getattr(process, command["do"])(**command["with"])), flush=True)
    await process.close()


if __name__ == "__main__":
    asyncio.run(main())
