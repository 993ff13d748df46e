"""Memory of each of many small informers, and memory that remains after training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.process import Process, python
from benchmarks.harness.waiting import wait_until_idle
from tests.memory.conftest import SERVER
from tests.memory.follower import MIB
from tests.support.tls import CERTIFICATES

OBJECTS = 200
MANY = 30
SUBJECT = python("benchmarks/store/many.py")

TRAINING = """
import asyncio
from pathlib import Path
from random import Random

from kinform._codec.training import choose
from kinform._worker_thread import trim_heap, in_thread

def anonymous():
    return int(Path("/proc/self/smaps_rollup").read_text().split("Anonymous:")[1].split()[0]) << 10

async def main():
    rng = Random(1)
    samples = [b'{"metadata":{"name":"pod-%d"},"spec":"%x"}' % (i, rng.randrange(16**800)) for i in range(800)]
    await in_thread(trim_heap)
    before = anonymous()
    await in_thread(choose, samples, 20_000)
    await in_thread(trim_heap)
    print(anonymous() - before)

asyncio.run(main())
"""


@pytest.mark.parametrize(("tls", "most"), [(False, 0.25), (True, 0.37)])
def test_each_of_many_small_informers_takes_little(tls: bool, most: float) -> None:
    """The limit over TLS is below the 0.5 MiB of asyncio and OpenSSL by default."""
    certificate, ca = (str(CERTIFICATES / name) if tls else None for name in ("server.pem", "ca.pem"))
    served: dict[str, Any] = {
        "resource": "services",
        "objects": OBJECTS,
        "seed": 0,
        "corpus": None,
        "certificate": certificate,
    }
    with Process(SERVER, **served) as server:
        about = server.do("open")
        held = []
        for resource, informers in (("v1/nothings", 1), (about["resource"], MANY)):
            with Process(SUBJECT, url=about["url"], resource=resource, ca=ca, informers=informers) as process:
                assert process.do("objects") == (OBJECTS * MANY if informers == MANY else 0)
                wait_until_idle(process.gauge, 20.0, idle_seconds=1.5)
                held.append(process.gauge.rss())
    assert held[1] - held[0] <= most * MANY * MIB


def test_training_leaves_no_memory_in_its_thread() -> None:
    left = subprocess.run(
        [sys.executable, "-c", TRAINING], cwd=Path(__file__).parents[2], capture_output=True, check=True
    )
    assert int(left.stdout) < MIB // 4
