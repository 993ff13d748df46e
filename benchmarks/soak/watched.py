"""A run: a follower under faults, measured and compared with the truth.

Knows neither the server nor the faults. Each fault is a coroutine that returns when the server works again. Then the
load writes once more, and the follower must reach this version.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec

from benchmarks.harness.process import Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spread
from benchmarks.soak.copies import Differences, Version
from benchmarks.soak.follower import OPTIONS
from benchmarks.soak.slope import MemoryRecord

PROGRAM = "benchmarks/soak/follower.py"
WAITS = ("headers_timeout", "silence_timeout", "watch_timeout", "max_object_bytes")
"""Options of the follower that decide how long it takes to recover."""
RECOVERY_SECONDS = 60.0
"""Seconds after the end of a fault after which a follower counts as stuck."""


@asynccontextmanager
async def in_background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs tasks during the block; the failure of a task ends the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in work]
        yield
        for task in tasks:
            task.cancel()


class Load(Protocol):
    """The writes to a server, and its state."""

    made: int

    async def run(self) -> None: ...
    async def probe(self) -> str: ...
    async def pause(self) -> None: ...
    def resume(self) -> None: ...
    async def truth(self) -> Mapping[str, Version]: ...


class Follower:
    """kinform in its own process.

    Its commands run in a thread, so that the server and the proxy in this process continue.

    Attributes:
        process: The process.
    """

    def __init__(self, resource: str, url: str, *, ca: str | None = None, token: str | None = None) -> None:
        self.process = Process(python(PROGRAM), url=url, resource=resource, ca=ca, token=token)
        self._one_at_a_time = asyncio.Lock()

    async def do(self, command: str, **options: Any) -> Any:
        """Sends a command and returns the answer."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(self.process.do, command, **options)

    async def reach(self, version: str, within: float = RECOVERY_SECONDS) -> float | None:
        """Waits until the store has reached a version.

        Returns the time, or None after `within` seconds.
        """
        at: float | None = await self.do("reach", version=version, within=within)
        return at


class WatchedRun:
    """A follower and a load, with the figures of a run.

    Attributes:
        differences: The differences between the copies and the truth, over all checkpoints.
        checkpoints: The number of checkpoints.
        injected: The number of faults.
        stuck: Faults after which the follower did not recover.
        recoveries: Seconds to recover, by kind of fault.
    """

    def __init__(self, follower: Follower, load: Load) -> None:
        self._follower = follower
        self._load = load
        self._memory = MemoryRecord(follower.process.gauge)
        self._start = 0.0
        self.differences = Differences()
        self.checkpoints = self.injected = 0
        self.stuck: list[str] = []
        self.recoveries: dict[str, list[float]] = defaultdict(list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Waits for the first copy, then runs the load and samples the memory."""
        await self._follower.reach(await self._load.probe())
        self._start = time.monotonic()
        async with in_background(self._load.run(), self._memory.run()):
            self._load.resume()
            yield

    async def inject(self, kind: str, fault: Awaitable[None]) -> float | None:
        """Runs a fault to its end.

        Returns the seconds to recover, or None if the follower is stuck.
        """
        await fault
        self.injected += 1
        version, start = await self._load.probe(), time.monotonic()
        at = await self._follower.reach(version)
        if at is None:
            self.stuck.append(kind)
            return None
        self.recoveries[kind].append(max(0.0, at - start))
        return at - start

    async def checkpoint(self, *, content: bool) -> bool:
        """Pauses the load, and compares both copies with the truth.

        Args:
            content: Compare all values of the objects in the store, not only their versions.

        Returns:
            True if both are equal to it.
        """
        await self._load.pause()
        self.checkpoints += 1
        if await self._follower.reach(await self._load.probe()) is None:
            self.stuck.append("checkpoint")
        truth, copies = await self._load.truth(), await self._follower.do("copies", content=content)
        equal = [self.differences.compare(truth, copy) for copy in copies.values()]
        self._load.resume()
        return all(equal)

    async def records(self) -> list[Record]:
        """Returns a record of the run, and one of each kind of fault."""
        report = await self._follower.do("report")
        seconds = time.monotonic() - self._start
        run: Record = {
            "record": "run",
            "events": self._load.made,
            "seconds": seconds,
            "faults": self.injected,
            "kinds": len(self.recoveries),
            "checkpoints": self.checkpoints,
            "errors": report["errors"],
            "calls": report["calls"],
            "without_old": report["without_old"],
            "stuck": self.stuck,
            "options": {name: getattr(OPTIONS, name) for name in WAITS} | msgspec.to_builtins(OPTIONS.backoff),
            "examples": [*self.differences.examples, *report["examples"]],
            "figures": {
                "lost": self.differences.lost,
                "invented": self.differences.invented,
                "wrong": self.differences.wrong,
                "order": sum(report["violations"].values()),
                "requests_per_second": report["requests"] / seconds,
                "events_per_second": self._load.made / seconds,
                **self._memory.figures(),
            },
        }
        faults = [
            {"record": "fault", "fault": kind, "count": len(found), "figures": {"recovery": spread(found)}}
            for kind, found in self.recoveries.items()
        ]
        return [run, *faults]
