"""Memory of the keys that wait in a work queue."""

from __future__ import annotations

import pytest

from benchmarks.harness.waiting import wait_until_idle
from kinform.cli._process_memory import Gauge
from tests.memory.follower import TRIMMED_SECONDS
from tests.memory.test_idle import MIB, ready, start

KEYS = 100_000

PROGRAM = """
import asyncio, sys
from kinform.controllers import WorkQueue

async def main(how, count):
    queue = WorkQueue()
    for number in range(count):
        key = f"namespace-{number % 40}/web-7d9f-{number:06d}"
        if how == "ready":
            queue.add(key)
        else:
            queue.add_after(key, 600 + number / 1000)
    stats = queue.stats()
    assert stats.depth + stats.delayed == count
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def held(how: str, keys: int) -> float:
    with start(PROGRAM, how, str(keys)) as process:
        try:
            ready(process)
            gauge = Gauge(process.pid)
            wait_until_idle(gauge, 30.0, idle_seconds=TRIMMED_SECONDS)
            return gauge.rss() / MIB
        finally:
            process.kill()


@pytest.mark.parametrize("how", ["ready", "delayed"])
def test_waiting_keys_take_little(how: str, capsys: pytest.CaptureFixture[str]):
    taken = held(how, KEYS) - held(how, 0)
    with capsys.disabled():
        print(f"\n{KEYS} {how} keys: {taken:.1f} MiB, {taken * MIB / KEYS:.0f} bytes each")
    assert taken <= 20
