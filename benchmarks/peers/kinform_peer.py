"""kinform in its own process, with one informer and one handler, as in a program.

Reads the commands of `benchmarks.peers`, and more. Its modes are `auto`, `list`, `stream`, and `metadata` for metadata
only. It runs on asyncio, or on uvloop on request. `url` can be a kubeconfig too; `account` is the folder of a service
account, as in a pod. Its memory is read from outside. It measures the delays of its own event loop on request, since no
other process can.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from array import array
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec

import kinform
from benchmarks.harness.commands import carry_out
from kinform._transport.credentials import InClusterSource

TICK = 0.001
DIGEST_SLICE = 50
"""Objects that go into a digest before the event loop gets control."""


class KinformPeer:
    """The commands: each is a public method."""

    def __init__(
        self,
        *,
        url: str | None,
        resource: str,
        mode: str = "auto",
        account: str | None = None,
        ca: str | None = None,
        token: str | None = None,
        handler: bool = True,
        gzip: bool = False,
        keep: list[str] | None = None,
        drop: list[str] | None = None,
        keep_last: dict[str, int] | None = None,
        namespaces: list[str] | None = None,
        label_selector: str = "",
        shard: list[int] | None = None,
    ) -> None:
        metadata = mode == "metadata"
        self._keeps_whole_objects = not metadata and keep is None and drop is None
        if account is not None:
            InClusterSource.folder = Path(account)
        self._calls = 0
        self._has_handler = handler
        self._url, self._ca, self._token, self._resource = url, ca, token, resource
        self._scope = kinform.Scope(
            namespaces=namespaces,
            label_selector=label_selector,
            metadata_only=metadata,
            shard=None if shard is None else (shard[0], shard[1]),
        )
        self._prune = (
            None
            if keep is None and drop is None
            else kinform.Prune(keep=keep or (), drop=drop or (), keep_last=keep_last or {})
        )
        self._options = kinform.WatchOptions(
            initial="auto" if metadata else mode,  # type: ignore[arg-type]
            compression="gzip" if gzip else "identity",
            backoff=kinform.Backoff(initial=0.1, maximum=0.5),  # relists follow each other faster than in a cluster
        )
        self._informer: kinform.Informer
        self._started: list[kinform.Connection | kinform.Informer] = []
        self._ticker: asyncio.Task[None] | None = None
        self._late = array("d")
        self._busy = array("d")

    async def versions(self) -> dict[str, str]:
        """Returns the versions of Python and of the packages."""
        # Imported here, as in other commands, because they take more than a megabyte.
        import platform

        from benchmarks.harness.machine import versions

        return {"python": platform.python_version()} | versions()

    async def connect(self) -> None:
        """Connects and creates the informer, which does nothing yet."""
        connection = await kinform.connect(self._url, ca=self._ca, token=self._token).__aenter__()
        self._started.append(connection)
        self._informer = kinform.Informer(
            connection, self._resource, scope=self._scope, prune=self._prune, options=self._options
        )
        if self._has_handler:

            @self._informer.on_change
            def changed(key: str) -> None:
                self._calls += 1

    async def sync(self) -> None:
        """Starts the informer.

        Returns when it is synced and the handler was called for everything.
        """
        self._started.append(await self._informer.__aenter__())
        await self._informer.synced()
        await self._drain()

    async def reach(self, *, version: str) -> int:
        """Waits until the store has seen this version and the handler was called.

        Returns the calls so far.
        """
        await self._informer.wait_for(version)
        await self._drain()
        return self._calls

    async def _drain(self) -> None:
        while self._informer.stats().queue_depth:
            await asyncio.sleep(TICK)

    async def digest(self, *, whole: bool = True) -> dict[str, Any]:
        """Returns the digest of the store. Decodes every object."""
        from benchmarks.harness.digest import Digest, Identified

        digest, store = Digest(), self._informer.store
        for number, key in enumerate(store.keys()):
            if (raw := store.raw(key)) is not None:
                if whole and self._keeps_whole_objects:
                    digest.add_whole(key, msgspec.json.decode(raw))
                else:
                    about = msgspec.json.decode(raw, type=Identified).metadata
                    digest.add(key, about.uid, about.resourceVersion, about.labels)
            if number % DIGEST_SLICE == 0:
                await asyncio.sleep(0)
        return digest.result()

    async def read(self, *, count: int) -> float:
        """Returns the CPU seconds to get an object as a dict, over `count` random ones."""
        import random

        store = self._informer.store
        keys = list(store.keys())
        picked = random.Random(1).sample(keys, min(count, len(keys)))
        start = time.thread_time()
        for key in picked:
            store.get(key)
        return (time.thread_time() - start) / len(picked)

    async def sizes(self) -> dict[str, float]:
        """Returns the average bytes of an object's blob and of its name."""
        keys = list(self._informer.store.keys())
        names = sum(len(key.rpartition("/")[2]) for key in keys)
        blobs = self._informer._collection.writer.contents.table.stats()["blob_bytes"]
        return {"blob": blobs / len(keys), "name": names / len(keys)}

    async def stats(self) -> Any:
        """Returns the informer's stats."""
        return msgspec.to_builtins(self._informer.stats())

    async def watch_loop(self) -> None:
        """Starts to record the delays of a ticker of one millisecond."""
        self._late, self._busy = array("d"), array("d")
        self._ticker = asyncio.create_task(self._tick())

    async def delays(self) -> dict[str, float]:
        """Stops the ticker and returns its delays in seconds.

        `busy` is the CPU time of the loop's thread.

        A delay that was not busy was caused by other processes.
        """
        assert self._ticker is not None
        self._ticker.cancel()
        late, busy = sorted(self._late), sorted(self._busy)
        at = max(len(late) * 99 // 100 - 1, 0)
        found = {"p99": late[at], "longest": late[-1], "busy_p99": busy[at], "busy_longest": busy[-1]}
        return {"ticks": len(late), **found}

    async def _tick(self) -> None:
        while True:
            start, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK)
            self._late.append(time.perf_counter() - start - TICK)
            self._busy.append(time.thread_time() - used)

    async def end(self) -> None:
        """Stops everything that was started."""
        async with AsyncExitStack() as stack:
            for each in self._started:
                stack.push_async_exit(each)


async def main(options: dict[str, Any]) -> None:
    """Carries out commands until standard input ends."""
    logging.getLogger("kinform").setLevel(logging.ERROR)  # the server's 410s are intended
    await carry_out(KinformPeer(**options))


def new_uvloop() -> asyncio.AbstractEventLoop:
    """Creates an event loop of uvloop, which processes without it do not import."""
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    with asyncio.Runner(loop_factory=new_uvloop if given.pop("uvloop", False) else None) as runner:
        runner.run(main(given))
