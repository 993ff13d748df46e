"""The writes of a soak to a simulated server: changes of a constant set of pods.

Updates change a pod as controllers do, and keep its size. A deleted pod comes back as it was at first, with a new uid.
So the store holds about the same bytes at any time, and growth of the process is a leak.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random

import msgspec

from benchmarks.corpus import Object
from benchmarks.soak.copies import Version, content_digest
from kinform.testing import Server

PODS = "v1/pods"
SLICE = 50
"""Writes before the event loop gets control."""
PAUSE = 0.02
"""Seconds from one slice to the next, at least."""
POLL = 0.02
MAX_WAIT = 0.1
"""Seconds to wait until the open watches have sent a slice.

A fault can keep a watch from that. Without a watch, each slice waits so long, and leaves the processor to a LIST.
"""
DELETIONS = 0.05
"""The share of writes that delete a pod. As many create one."""
SKEW = 4
"""Updates are skewed: half of the pods get a sixth of them, so that a lost event stays visible for seconds."""
MAX_ABSENT = 0.05
"""The largest share of pods that do not exist."""


class PodLoad:
    """Writes to the pods of a server, in a task.

    Args:
        server: The server.
        objects: The number of pods.
        random: The generator of the changes.
        pause: Seconds from one slice of changes to the next, at least.

    Attributes:
        made: The number of writes so far.
    """

    def __init__(self, server: Server, objects: int, random: Random, pause: float = PAUSE) -> None:
        self._server = server
        self._random = random
        self._pause = pause
        self._present = server.generate(PODS, objects)
        self._absent: list[str] = []
        self._first = {key: _without_identity(server.get(PODS, key)) for key in self._present}
        self._running = asyncio.Event()
        self.made = 0

    async def run(self) -> None:
        """Writes until it is cancelled, except while it is paused."""
        loop = asyncio.get_running_loop()
        while True:
            while not self._running.is_set():  # a pause can follow before the waiter runs
                await self._running.wait()
            start = loop.time()
            for _ in range(SLICE):
                self.write()
            if self._server.watchers:
                with suppress(TimeoutError):
                    await self._server.wait_until_sent(timeout=MAX_WAIT)
            else:
                await asyncio.sleep(MAX_WAIT)
            await asyncio.sleep(max(0.0, start + self._pause - loop.time()))

    def write(self) -> str:
        """Writes once at random; returns the resourceVersion."""
        self.made += 1
        chance = self._random.random()
        if self._absent and (chance < DELETIONS or len(self._absent) > MAX_ABSENT * len(self._first)):
            key = self._take(self._absent)
            self._present.append(key)
            return self._server.put(PODS, self._first[key])
        if chance > 1 - DELETIONS and len(self._present) > 1:
            key = self._take(self._present)
            self._absent.append(key)
            return self._server.delete(PODS, key)
        return self._server.touch(PODS, self._present[int(len(self._present) * self._random.random() ** SKEW)])

    async def probe(self) -> str:
        """Writes once; returns the resourceVersion."""
        return self.write()

    async def pause(self) -> None:
        """Stops the writes until `resume`."""
        self._running.clear()

    def resume(self) -> None:
        """Starts or continues the writes."""
        self._running.set()

    async def wait_for(self, writes: int) -> None:
        """Waits until this number of further writes were made."""
        wanted = self.made + writes
        while self.made < wanted:
            await asyncio.sleep(POLL)

    async def truth(self) -> dict[str, Version]:
        """Returns the pods of the server: uid, resourceVersion and digest by key."""
        found: dict[str, Version] = {}
        for key, (uid, version) in self._server.versions(PODS).items():
            raw = self._server.raw(PODS, key)
            assert raw is not None
            found[key] = (uid, version, content_digest(msgspec.json.decode(raw)))
        return found

    def _take(self, keys: list[str]) -> str:
        at = self._random.randrange(len(keys))
        keys[at], keys[-1] = keys[-1], keys[at]
        return keys.pop()


def _without_identity(found: Object | None) -> Object:
    assert found is not None
    set_by_server = ("uid", "resourceVersion", "creationTimestamp")
    return {
        **found,
        "metadata": {name: value for name, value in found["metadata"].items() if name not in set_by_server},
    }
