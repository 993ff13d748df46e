"""kinform in a process of its own, as a program that uses it would have it: one informer, and a function that it calls.

Obeys the orders of `benchmarks.peers`, and some more. Modes: `auto`, `list`, `stream`, and `metadata`, which asks for
metadata alone. It measures nothing of its own memory; whoever started it looks from outside. Delays of its event loop
it does measure, if it is asked to: nobody else can.
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

TICK = 0.001
OBJECTS_A_TURN = 50
"""Objects that are gone through for a digest between two turns of the loop."""


class Subject:
    """Each order is a method."""

    def __init__(
        self,
        *,
        url: str,
        resource: str,
        mode: str = "auto",
        ca: str | None = None,
        token: str | None = None,
        handler: bool = True,
        gzip: bool = False,
        keep: list[str] | None = None,
        drop: list[str] | None = None,
        namespaces: list[str] | None = None,
        label_selector: str = "",
    ) -> None:
        metadata = mode == "metadata"
        self._whole = not metadata and keep is None and drop is None
        self._handled = 0
        self._handler = handler
        self._url, self._ca, self._token, self._resource = url, ca, token, resource
        self._scope = kinform.Scope(namespaces=namespaces, label_selector=label_selector, metadata_only=metadata)
        self._prune = None if keep is None and drop is None else kinform.Prune(keep=keep or (), drop=drop or ())
        self._options = kinform.WatchOptions(
            initial="auto" if metadata else mode,  # type: ignore[arg-type]
            compression="gzip" if gzip else "identity",
        )
        self._informer: kinform.Informer
        self._started: list[kinform.Connection | kinform.Informer] = []
        self._ticker: asyncio.Task[None] | None = None
        self._late = array("d")
        self._busy = array("d")

    async def versions(self) -> dict[str, str]:
        """Of all that takes part."""
        # More than a megabyte, which is not to be measured; likewise below.
        import importlib.metadata
        import platform

        names = ("kinform", "aiohttp", "kubernetes-asyncio", "msgspec", "zstandard")
        return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in names}

    async def connect(self) -> None:
        """Connects and makes the informer, which does nothing yet."""
        connection = await kinform.connect(self._url, ca=self._ca, token=self._token).__aenter__()
        self._started.append(connection)
        self._informer = kinform.Informer(
            connection, self._resource, scope=self._scope, prune=self._prune, options=self._options
        )
        if self._handler:

            @self._informer.on_change
            def changed(key: str) -> None:
                self._handled += 1

    async def sync(self) -> None:
        """Starts the informer; returns when its first state was complete, and the handler knows it."""
        self._started.append(await self._informer.__aenter__())
        await self._informer.synced()
        await self._all_handled()

    async def reach(self, *, version: str) -> int:
        """Returns when the store has seen this version and the handler was told: how often it was called so far."""
        await self._informer.wait_for(version)
        await self._all_handled()
        return self._handled

    async def _all_handled(self) -> None:
        while self._informer.stats().queue_depth:
            await asyncio.sleep(TICK)

    async def digest(self, *, whole: bool = True) -> dict[str, Any]:
        """What identifies the content, every object decoded."""
        from benchmarks.harness.digest import Digest, Identified

        digest, store = Digest(), self._informer.store
        for number, key in enumerate(store.keys()):
            if (raw := store.raw(key)) is not None:
                if whole and self._whole:
                    digest.add_whole(key, msgspec.json.decode(raw))
                else:
                    about = msgspec.json.decode(raw, type=Identified).metadata
                    digest.add(key, about.uid, about.resourceVersion, about.labels)
            if number % OBJECTS_A_TURN == 0:
                await asyncio.sleep(0)
        return digest.result()

    async def read(self, *, count: int) -> float:
        """Seconds of CPU time that it takes to get one object as a dict, of so many that are picked by chance."""
        import random

        store = self._informer.store
        keys = list(store.keys())
        picked = random.Random(1).sample(keys, min(count, len(keys)))
        begun = time.thread_time()
        for key in picked:
            store.get(key)
        return (time.thread_time() - begun) / len(picked)

    async def sizes(self) -> dict[str, float]:
        """Bytes an object that are the object's own: its blob, and its name."""
        keys = list(self._informer.store.keys())
        names = sum(len(key.rpartition("/")[2]) for key in keys)
        blobs = self._informer._collection.writer.contents.table.stats()["blob_bytes"]
        return {"blob": blobs / len(keys), "name": names / len(keys)}

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
