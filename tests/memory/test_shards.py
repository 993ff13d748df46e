"""Memory of replicas that share 100,000 objects, beyond that of an idle one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import pytest

from benchmarks.harness.process import ROOT
from benchmarks.harness.waiting import wait_until_idle
from kinform.cli._process_memory import Gauge
from tests.memory.conftest import serving
from tests.memory.follower import MIB, TRIMMED_SECONDS, Source

OBJECTS = 100_000
REPLICAS = 4

PROGRAM = """
import asyncio, json, sys
import kinform
from kinform.controllers import Shards

async def follow(api, resource, scope, shards=None):
    async with kinform.Informer(api, resource, scope=scope) as informer:
        while await asyncio.to_thread(sys.stdin.readline):
            while shards is not None and len(shards.stats().owned) != 2:
                await asyncio.sleep(0.1)
            await informer.synced()
            print(len(informer.store), flush=True)

async def main(url, resource, shard=None, leases=""):
    async with kinform.connect(url) as api, kinform.connect(leases or url) as other:
        if not leases:
            await follow(api, resource, kinform.Scope(shard=shard and tuple(shard)))
            return
        async with Shards(other, "shop/shares", count=8) as shards:
            await follow(api, resource, kinform.Scope(shards=shards), shards)

asyncio.run(main(**json.loads(sys.argv[1])))
"""


class Replica:
    """A process that follows a collection, or a part of it."""

    def __init__(self, **settings: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps(settings)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def size(self) -> int:
        """Waits until it is synced, and returns its number of objects."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def measure(self) -> tuple[int, int]:
        """Returns its number of objects, and its resident bytes at rest."""
        self.size()
        gauge = Gauge(self._process.pid)
        wait_until_idle(gauge, 30.0, idle_seconds=TRIMMED_SECONDS)
        return self.size(), gauge.rss()


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    with serving("pods", OBJECTS) as source:
        yield source


@pytest.fixture(scope="module")
def leases() -> Iterator[str]:
    """A server of Leases."""
    command = [sys.executable, "-m", "kinform.testing", "--until-stdin-closes"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()


@pytest.fixture(scope="module")
def idle(source: Source) -> int:
    """Measures a process that follows an empty collection."""
    with Replica(url=source.url, resource="v1/nothings") as replica:
        return replica.measure()[1]


@pytest.fixture(scope="module")
def whole(source: Source) -> int:
    """Measures a process that follows all objects."""
    with Replica(url=source.url, resource=source.resource) as replica:
        size, rss = replica.measure()
    assert size == OBJECTS
    return rss


@pytest.mark.parametrize("shards", ["fixed", "moving"])
def test_each_replica_takes_its_share(
    source: Source, leases: str, idle: int, whole: int, shards: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fixed, moving = [{"shard": [index, REPLICAS]} for index in range(REPLICAS)], [{"leases": leases}] * REPLICAS
    with ExitStack() as stack:
        settings: Sequence[dict[str, Any]] = fixed if shards == "fixed" else moving
        replicas = [stack.enter_context(Replica(url=source.url, resource=source.resource, **each)) for each in settings]
        measured = [replica.measure() for replica in replicas]
    assert sum(size for size, _ in measured) == OBJECTS
    with capsys.disabled():
        print(
            f"\n{shards} shards: idle {idle / MIB:.1f} MiB, all objects {whole / MIB:.1f} MiB, replicas "
            + ", ".join(f"{size:,} objects {rss / MIB:.1f} MiB" for size, rss in measured)
        )
    for size, rss in measured:
        assert rss <= 1.1 * (idle + (whole - idle) * size / OBJECTS)
