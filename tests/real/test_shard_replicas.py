"""Replicas as processes on a real kube-apiserver: killed, stopped, started, ended."""

from __future__ import annotations

import asyncio
import itertools
import math
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import tests
from tests.support.clusters import RealCluster
from tests.support.shard_process import COUNT, LEASE
from tests.support.waiting import until

ROOT = Path(tests.__file__).parents[1]


class Replica:
    """A process with shards.

    Attributes:
        process: The process.
        times: By shard, the times from which and until which it had it.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.times: dict[int, list[list[float]]] = {index: [] for index in range(COUNT)}
        self.owned: set[int] = set()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            time, _, owned = line.decode().rstrip("\n").partition(" ")
            self._set({int(index) for index in owned.split(",") if index}, float(time))

    def _set(self, owned: set[int], now: float) -> None:
        for index in self.owned - owned:
            self.times[index][-1][1] = now
        for index in owned - self.owned:
            self.times[index].append([now, math.inf])
        self.owned = owned

    async def kill(self) -> None:
        """Kills the process."""
        self.process.kill()
        await self._end()
        self._set(set(), asyncio.get_running_loop().time())

    def stop(self) -> None:
        """Stops the process by SIGSTOP: from here on it does nothing."""
        self.process.send_signal(signal.SIGSTOP)
        self._set(set(), asyncio.get_running_loop().time())

    def go_on(self) -> None:
        """Ends `stop`."""
        self.process.send_signal(signal.SIGCONT)

    async def terminate(self) -> int:
        """Ends the process in good order, and returns its exit code."""
        self.process.terminate()
        return await self._end()

    async def _end(self) -> int:
        code = await self.process.wait()
        await self._reader
        return code


@asynccontextmanager
async def running(real: RealCluster, *identities: str) -> AsyncIterator[list[Replica]]:
    options = real.connect_options
    found = [
        Replica(
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.support.shard_process",
                real.url, options["token"], options["ca"], real.namespace, identity,
                stdout=PIPE, cwd=ROOT,
            )
        )
        for identity in identities
    ]  # fmt: skip
    try:
        yield found
    finally:
        for each in found:
            if each.process.returncode is None:
                each.process.kill()
                await each._end()


def fair(*replicas: Replica) -> bool:
    loads = [len(each.owned) for each in replicas]
    owned = sorted(index for each in replicas for index in each.owned)
    return owned == list(range(COUNT)) and max(loads) - min(loads) <= 1


def gaps(*replicas: Replica, since: float = 0.0) -> list[float]:
    """Returns the seconds between two replicas of a shard; below 0: both had it."""
    found = []
    for index in range(COUNT):
        times = sorted(times for each in replicas for times in each.times[index])
        found += [then[0] - first[1] for first, then in itertools.pairwise(times) if first[1] > since]
    return found


async def test_shards_move_without_overlap(real: RealCluster) -> None:
    async with running(real, "a", "b", "c", "d") as first:
        a, b, c, d = first
        await until(lambda: fair(a, b, c, d), within=60)
        started = asyncio.get_running_loop().time()

        await a.kill()
        await until(lambda: fair(b, c, d), within=30)
        b.stop()
        await until(lambda: not set(range(COUNT)) - c.owned - d.owned, within=30)
        await asyncio.sleep(1)
        b.go_on()
        await until(lambda: fair(b, c, d), within=30)
        died = gaps(*first, since=started)
        assert len(died) >= 4
        assert 0 <= min(died) <= max(died) <= LEASE + 1

        scaling = asyncio.get_running_loop().time()
        async with running(real, "e", "f", "g") as more:
            await until(lambda: fair(b, c, d, *more), within=60)
            assert [await each.terminate() for each in (*more, d)] == [0, 0, 0, 0]
            await until(lambda: fair(b, c), within=60)
            scaled = gaps(*first, *more, since=scaling)
        assert len(scaled) >= 6
        assert 0 <= min(scaled) <= max(scaled) <= 2
