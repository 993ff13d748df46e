"""A program with threads on `kinform.sync`, which measures its event loop.

Reads the commands `connect`, `sync`, `reach` and `digest` of `benchmarks.peers`, and two more, which start and stop
threads that read the store.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
import time
from array import array
from threading import Event, Thread
from typing import Any

import msgspec

import kinform.sync
from benchmarks.harness.digest import Digest

TICK = 0.001


class SyncPeer:
    """The commands: each is a public method."""

    def __init__(self, *, url: str, resource: str, ca: str | None, token: str | None, mode: str = "auto") -> None:
        self._api = kinform.sync.connect(url, ca=ca, token=token)
        options = kinform.WatchOptions(initial=mode)  # type: ignore[arg-type]
        self._informer = kinform.sync.Informer(self._api, resource, options=options)
        self._stop = Event()
        self._threads: list[Thread] = []
        self._reads: list[int] = []
        self._since = 0.0
        self._late = array("d")
        self._ticker: asyncio.Task[None] | None = None

    def connect(self) -> None:
        """Opens the connection."""
        self._api.__enter__()

    def sync(self) -> None:
        """Starts the informer; returns when it is synced."""
        self._informer.__enter__()
        self._informer.synced()

    def reach(self, *, version: str) -> float:
        """Waits until the store has seen this version; returns the seconds since `read`."""
        self._informer.wait_for(version)
        return time.perf_counter() - self._since

    def read(self, *, readers: int, pause: float, switch_interval: float, computes: float) -> None:
        """Starts threads that read random objects, and the ticker in the event loop.

        Args:
            readers: Number of threads.
            pause: Seconds that a thread sleeps after each read; 0: it reads without a pause.
            switch_interval: Seconds for `sys.setswitchinterval`.
            computes: Seconds that a thread computes after each read.
        """
        sys.setswitchinterval(switch_interval)
        self._stop.clear()
        self._late = array("d")
        self._reads = [0] * readers
        keys = list(self._informer.store)
        self._threads = [Thread(target=self._follow, args=(number, keys, pause, computes)) for number in range(readers)]
        self._informer._lifetime.post(self._start_ticker)
        self._since = time.perf_counter()
        for thread in self._threads:
            thread.start()

    def stop(self) -> dict[str, float]:
        """Stops the threads; returns delays in seconds, and reads per second."""
        seconds = time.perf_counter() - self._since
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._informer._lifetime.run(self._stop_ticker)
        late = sorted(self._late)
        return {
            "ticks": len(late),
            "p99": late[max(len(late) * 99 // 100 - 1, 0)],
            "longest": late[-1],
            "reads_per_second": sum(self._reads) / seconds,
        }

    def digest(self, *, whole: bool = True) -> dict[str, Any]:
        """Returns the digest of the store. Decodes every object."""
        digest = Digest()
        for key in self._informer.store:
            if (raw := self._informer.store.raw(key)) is not None:
                digest.add_whole(key, msgspec.json.decode(raw))
        return digest.result()

    def close(self) -> None:
        """Stops everything."""
        self._informer.__exit__(None, None, None)
        self._api.__exit__(None, None, None)

    def _follow(self, number: int, keys: list[str], pause: float, computes: float) -> None:
        chosen = random.Random(number)
        while not self._stop.is_set():
            self._informer.store.get(chosen.choice(keys))
            self._reads[number] += 1
            if pause:
                time.sleep(pause)
            if computes:
                end = time.perf_counter() + computes
                while time.perf_counter() < end:
                    pass

    def _start_ticker(self) -> None:
        self._ticker = asyncio.get_running_loop().create_task(self._tick())

    def _stop_ticker(self) -> None:
        assert self._ticker is not None
        self._ticker.cancel()

    async def _tick(self) -> None:
        while True:
            start = time.perf_counter()
            await asyncio.sleep(TICK)
            self._late.append(time.perf_counter() - start - TICK)


def main(options: dict[str, Any]) -> None:
    """Carries out commands until standard input ends."""
    logging.getLogger("kinform").setLevel(logging.ERROR)
    peer = SyncPeer(**options)
    try:
        for line in sys.stdin:
            command = json.loads(line)
            print(json.dumps(getattr(peer, command["do"])(**command["with"])), flush=True)
    finally:
        peer.close()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
