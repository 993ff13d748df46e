"""Replicas as processes on a real kube-apiserver: killed, stopped, started, ended.

Each object has at most one replica at any time, and has one again in time. The output of the replicas and the audit log
of the server show it.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

import kinform
import tests
from tests.support.audit import audit_events, audit_flags, written_config_maps
from tests.support.clusters import RealCluster, real_cluster
from tests.support.controlplane.pool import ControlPlanePool
from tests.support.shard_process import CONFIGS, COUNT, LEASE, Line
from tests.support.waiting import until

ROOT = Path(tests.__file__).parents[1]
OBJECTS = 300


class Work(msgspec.Struct):
    """The work of a replica on an object.

    Attributes:
        begin: The time of its begin.
        acted: The time of its last action.
        end: The time of its end, or of the death of the replica.
        died: The replica was killed or stopped.
    """

    begin: float
    acted: float = math.inf
    end: float = math.inf
    died: bool = False


class Replica:
    """A process with shards.

    Attributes:
        process: The process.
        owned: Its shards.
        works: Its works on each object, by uid.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.owned: list[int] = []
        self.works: dict[str, list[Work]] = {}
        self._reader = asyncio.create_task(self._read())

    @property
    def handled(self) -> set[str]:
        """The objects that it works on."""
        return {uid for uid, works in self.works.items() if works[-1].end == math.inf}

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for text in self.process.stdout:
            line = msgspec.json.decode(text, type=Line)
            if line.owned is not None:
                self.owned = line.owned
            elif line.begins:
                self.works.setdefault(line.begins, []).append(Work(line.at))
            else:
                work = self.works[line.ends][-1]
                work.acted, work.end = line.acted, min(work.end, line.at)

    def _die(self) -> float:
        now = time.monotonic()
        self.owned = []
        for uid in self.handled:
            work = self.works[uid][-1]
            work.end, work.died = now, True
        return now

    async def kill(self) -> None:
        """Kills the process."""
        self.process.kill()
        now = time.monotonic()
        await self._end()
        self._die()
        for work in (work for works in self.works.values() for work in works):
            work.acted, work.end = min(work.acted, now), min(work.end, now)

    def stop(self) -> None:
        """Stops the process by SIGSTOP: from here on it does nothing."""
        self.process.send_signal(signal.SIGSTOP)
        self._die()

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


@pytest.fixture
async def audited(control_plane_pool: ControlPlanePool, tmp_path: Path) -> AsyncIterator[RealCluster]:
    """A server that writes its audit log to `tmp_path`."""
    async with real_cluster(await control_plane_pool.get(*audit_flags(tmp_path))) as cluster:
        yield cluster


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


async def create_objects(cluster: RealCluster) -> None:
    await cluster.create("first")  # the cluster deletes all ConfigMaps of its namespace later
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:  # type: ignore[arg-type]
        objects = ({"metadata": {"name": f"c{each}", "namespace": cluster.namespace}} for each in range(1, OBJECTS))
        while some := list(itertools.islice(objects, 20)):
            await asyncio.gather(*(api.create(CONFIGS, obj) for obj in some))


def covered(*replicas: Replica) -> bool:
    """Returns whether these replicas have all objects, and each its share."""
    loads = [len(each.owned) for each in replicas]
    owned = sorted(index for each in replicas for index in each.owned)
    handled = [uid for each in replicas for uid in each.handled]
    return owned == list(range(COUNT)) and max(loads) - min(loads) <= 1 and len(handled) == len(set(handled)) == OBJECTS


def changes(*replicas: Replica) -> list[tuple[Work, Work]]:
    """Returns each two works on an object that follow one another."""
    found: list[tuple[Work, Work]] = []
    for uid in {uid for each in replicas for uid in each.works}:
        works = sorted((work for each in replicas for work in each.works.get(uid, [])), key=lambda work: work.begin)
        found += itertools.pairwise(works)
    return found


async def test_replicas_that_die_and_scale_share_no_object(audited: RealCluster, tmp_path: Path) -> None:
    await create_objects(audited)
    async with running(audited, "a", "b", "c", "d") as first:
        a, b, c, d = first
        await until(lambda: covered(a, b, c, d), within=60)
        started = time.monotonic()
        await a.kill()
        await until(lambda: covered(b, c, d), within=30)
        b.stop()
        await until(lambda: covered(c, d), within=30)
        b.go_on()
        await until(lambda: covered(b, c, d), within=30)
        assert await b.terminate() == 0
        await until(lambda: covered(c, d), within=30)
        async with running(audited, "e", "f", "g", "h") as more:
            await until(lambda: covered(c, d, *more), within=60)
            replicas = [*first, *more]
            assert [await each.terminate() for each in (c, d, *more)] == [0] * 6

    found = [(before, after) for before, after in changes(*replicas) if before.end > started]
    died = [after.begin - before.end for before, after in found if before.died]
    scaled = [after.begin - before.end for before, after in found if not before.died]
    apart = min(after.begin - before.acted for before, after in found)
    print(
        f"{len(found)} changes of the replica of an object, at least {apart:.3f} s apart; "
        f"uncovered for at most {max(died):.2f} s after a death and {max(scaled):.2f} s at scaling"
    )
    assert len(died) > OBJECTS / 4
    assert len(scaled) > OBJECTS / 4
    assert apart >= 0
    assert max(died) <= LEASE + 1
    assert max(scaled) <= 2
    check_writes(tmp_path, audited.namespace)


def check_writes(folder: Path, namespace: str) -> None:
    """Checks that no token of an object falls, and that each has one replica."""
    last: dict[str, tuple[int, str]] = {}
    for config in written_config_maps(audit_events(folder, namespace)):
        uid, token, replica = config["metadata"]["uid"], int(config["data"]["token"]), config["data"]["replica"]
        before, owner = last.get(uid, (0, ""))
        assert token > before or (token, replica) == (before, owner)
        last[uid] = token, replica
    assert len(last) == OBJECTS
