"""One mode in a process of its own, that obeys orders; under memray, if it is told to be.

It measures nothing: memray writes a capture, and whoever started it reads that, or looks at the process from outside.
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
"""Between two points of the time line."""


class Subject:
    """Each order is a method."""

    def __init__(self, *, url: str, resource: str, mode: str) -> None:
        self._url = url
        self._resource = resource
        self._name = mode
        self._connection: kinform.Connection
        self._mode: Mode
        self._tracker: AbstractContextManager[Any]

    async def track(self, *, capture: str, counted: bool) -> None:
        """Has memray write to a file from here on: where and when, with native stacks; or only how often, `counted`.

        When it counts it is told of each object that Python makes, else of the arenas that these lie in.
        """
        import memray  # it takes memory itself, which a process that is read from outside is not to have

        gc.collect()
        self._tracker = memray.Tracker(
            capture, native_traces=not counted, trace_python_allocators=counted, memory_interval_ms=INTERVAL_MS
        )
        self._tracker.__enter__()

    async def untrack(self) -> None:
        """Ends the capture."""
        self._tracker.__exit__(None, None, None)

    async def connect(self, *, checked: bool = True) -> None:
        """Connects, and makes the mode, which does nothing yet."""
        self._connection = await kinform.connect(self._url).__aenter__()
        self._mode = MODES[self._name](self._connection, self._resource, checked=checked)

    async def sync(self) -> None:
        """Begins to follow; returns when the first state is complete."""
        await self._mode.begin()
        await self._mode.reach(1)

    async def reach(self, *, version: int) -> None:
        """Returns when a state of this version is complete."""
        await self._mode.reach(version)

    async def digest(self) -> dict[str, Any]:
        """What identifies the content."""
        return self._mode.digest()

    async def leave(self) -> None:
        """Stops what was started."""
        await self._mode.end()
        await self._connection.__aexit__(None, None, None)


async def main() -> None:
    """Obeys until its standard input ends."""
    # There are no cycles in JSON to be found, and looking for them takes four fifths of the time of decoding it.
    gc.set_threshold(100_000, 50, 1000)
    logging.getLogger("kinform").setLevel(logging.ERROR)  # of what the server is ordered to do it need not warn
    subject = Subject(**json.loads(sys.argv[1]))
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        order = json.loads(line)
        print(json.dumps(await getattr(subject, order["do"])(**order["with"])), flush=True)
    await subject.leave()


if __name__ == "__main__":
    asyncio.run(main())
