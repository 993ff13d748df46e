"""Memory of informers that stop and start again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.harness.process import Process
from benchmarks.harness.waiting import wait_until_idle
from kinform.cli._process_memory import Gauge
from tests.memory.conftest import SERVER
from tests.memory.follower import MIB, TRIMMED_SECONDS, Source
from tests.memory.programs import ready, start

KIB = 1 << 10
ROUNDS = 1_000

AGAIN = """
import asyncio, sys
import kinform

async def main(url):
    async with kinform.connect(url) as api, kinform.Factory(api) as factory:
        kept = factory.informer("v1/services")
        while line := await asyncio.to_thread(sys.stdin.readline):
            for _ in range(int(line)):
                async with factory.informer("v1/services") as services, kept:
                    services.on_change(lambda key: None)
                    await services.synced(timeout=60)
            assert not factory.informers
            print("ready", len(asyncio.all_tasks()), flush=True)

asyncio.run(main(sys.argv[1]))
"""

LAZY = """
import asyncio, sys
import kinform

async def main(url):
    async with (
        kinform.connect(url) as api,
        kinform.Informer(api, "v1/namespaces", start="lazy", idle_timeout=0.1) as namespaces,
    ):
        while line := await asyncio.to_thread(sys.stdin.readline):
            reader = namespaces.changes()  # keeps it awake
            await namespaces.synced(timeout=60)
            print("ready", len(namespaces.store), flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            await reader.aclose()
            while namespaces.state != "idle":
                await asyncio.sleep(0.1)
            print("ready", flush=True)

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def few_services() -> Iterator[str]:
    """Serves very few objects; yields the URL."""
    with Process(SERVER, resource="services", objects=5, seed=0, corpus=None) as server:
        yield server.do("open")["url"]


def test_an_idle_informer_returns_the_memory_of_its_store(
    namespaces: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second use is measured: the first one fills buffers of the process."""
    namespaces.process.do("reset")
    held = []
    with start(LAZY, namespaces.url) as process:
        assert process.stdin is not None
        for objects in (True, False, True, False):
            process.stdin.write("\n")
            process.stdin.flush()
            assert bool(ready(process)) is objects
            wait_until_idle(Gauge(process.pid), 30.0, idle_seconds=TRIMMED_SECONDS)
            held.append(Gauge(process.pid).rss())
        process.stdin.close()
        assert process.wait(10) == 0
    _, before, live, idle = held
    with capsys.disabled():
        print(f"\na lazy informer: {(live - before) / MIB:.1f} MiB, idle again {(idle - before) / MIB:.1f} MiB")
    assert live - before >= 2 * MIB
    assert idle - before <= 0.25 * (live - before)


def test_starting_and_stopping_often_keeps_nothing(few_services: str, capsys: pytest.CaptureFixture[str]) -> None:
    held: list[tuple[int, int, set[str]]] = []
    with start(AGAIN, few_services) as process:
        assert process.stdin is not None
        for rounds in (ROUNDS // 4, ROUNDS):
            process.stdin.write(f"{rounds}\n")
            process.stdin.flush()
            tasks = ready(process)
            wait_until_idle(Gauge(process.pid), 30.0, idle_seconds=TRIMMED_SECONDS)
            held.append((Gauge(process.pid).rss(), len(os.listdir(Path("/proc", str(process.pid), "fd"))), tasks))
        process.stdin.close()
        assert process.wait(10) == 0
    (before, files, tasks), (after, files_after, tasks_after) = held
    with capsys.disabled():
        print(f"\n{ROUNDS} starts and stops of two informers that share: {(after - before) / KIB:.0f} KiB")
    assert (files, tasks) == (files_after, tasks_after)
    assert after - before <= 512 * KIB
