"""kinform in a process of its own, as a program that uses it would have it: one informer, nothing set but its start.

It measures nothing of its own memory; whoever started it looks from outside. Delays of its event loop it does
measure, if it is asked to: nobody else can.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from array import array
from contextlib import AsyncExitStack
from typing import Any

import msgspec

import kinform
from benchmarks.harness.digest import Digest

TICK = 0.001
OBJECTS_A_TURN = 50
"""Objects that are gone through for a digest between two turns of the loop."""


class Metadata(msgspec.Struct, gc=False):
    """What a handler reads of an object: enough for its key."""

    name: str
    namespace: str = ""
    resourceVersion: str = ""


class Keyed(msgspec.Struct, gc=False):
    """An object, as far as a controller wants it that only queues keys."""

    metadata: Metadata


class Subject:
    """Each order is a method."""

    def __init__(self, *, url: str, resource: str, initial: str) -> None:
        self._url = url
        self._resource = resource
        self._options = kinform.WatchOptions(initial=initial)  # type: ignore[arg-type]
        self._informer: kinform.Informer
        self._started: list[kinform.Connection | kinform.Informer] = []
        self._handled = 0
        self._key = ""
        self._last = ""
        self._news = asyncio.Event()
        self._ticker: asyncio.Task[None] | None = None
        self._late = array("d")
        self._busy = array("d")

    async def connect(self) -> None:
        """Connects and makes the informer, which does nothing yet."""
        connection = await kinform.connect(self._url).__aenter__()
        self._started.append(connection)
        self._informer = kinform.Informer(connection, self._resource, type=Keyed, options=self._options)

    async def sync(self) -> float:
        """Starts the informer; the seconds until its first state was complete."""
        begun = time.perf_counter()
        self._started.append(await self._informer.__aenter__())
        await self._informer.synced()
        return time.perf_counter() - begun

    async def reach(self, *, version: int) -> None:
        """Returns when the store has seen this version."""
        await self._informer.wait_for(str(version))

    async def listen(self) -> None:
        """From here on one handler is called for each update, and learns the key."""

        @self._informer.on_update
        def updated(old: Keyed | None, new: Keyed) -> None:
            self._key = f"{new.metadata.namespace}/{new.metadata.name}"
            self._handled += 1
            self._last = new.metadata.resourceVersion
            if not self._news.is_set():
                self._news.set()

    async def handle(self, *, version: int) -> int:
        """Returns when the handler has been called for this version: how often it was called so far."""
        while self._last != str(version):
            self._news.clear()
            await self._news.wait()
        return self._handled

    async def digest(self) -> dict[str, Any]:
        """What identifies the content, every object decoded, and up to where it is."""
        digest, store = Digest(), self._informer.store
        for number, key in enumerate(store.keys()):
            if (raw := store.raw(key)) is not None:
                digest.add_whole(key, msgspec.json.decode(raw))
            if number % OBJECTS_A_TURN == 0:
                await asyncio.sleep(0)
        return digest.result()

    async def stats(self) -> Any:
        """What the informer says of itself."""
        return msgspec.to_builtins(self._informer.stats())

    async def watch_loop(self) -> None:
        """Begins to note how late a ticker of a millisecond is. It takes some CPU time itself."""
        self._late, self._busy = array("d"), array("d")
        self._ticker = asyncio.create_task(self._tick())

    async def delays(self) -> dict[str, float]:
        """How late the ticker was since: seconds. `busy` is the time that the loop's thread computed in between.

        What is late and not busy was held up by other processes.
        """
        assert self._ticker is not None
        self._ticker.cancel()
        late, busy = sorted(self._late), sorted(self._busy)
        at = max(len(late) * 99 // 100 - 1, 0)
        found = {"p99": late[at], "longest": late[-1], "busy_p99": busy[at], "busy_longest": busy[-1]}
        return {"ticks": len(late), **found}

    async def _tick(self) -> None:
        while True:
            begun, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK)
            self._late.append(time.perf_counter() - begun - TICK)
            self._busy.append(time.thread_time() - used)

    async def leave(self) -> None:
        """Stops what was started."""
        async with AsyncExitStack() as stack:
            for each in self._started:
                stack.push_async_exit(each)


async def main() -> None:
    """Obeys until its standard input ends."""
    logging.getLogger("kinform").setLevel(logging.ERROR)  # of what the server is ordered to do it need not warn
    subject = Subject(**json.loads(sys.argv[1]))
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    try:
        while line := await orders.readline():
            order = json.loads(line)
            print(json.dumps(await getattr(subject, order["do"])(**order["with"])), flush=True)
    finally:
        await subject.leave()


if __name__ == "__main__":
    asyncio.run(main())
