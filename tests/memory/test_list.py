"""Memory of a process that lists without a client of Kubernetes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks.harness.process import ROOT
from benchmarks.harness.waiting import wait_until_idle
from kinform.cli._process_memory import Gauge
from tests.memory.follower import MIB
from tests.memory.programs import ready, start

PROGRAM = """
import asyncio, sys
import kinform

async def read(api):
    found = 0
    async for pod in api.list("v1/pods", page_size=0):
        found += bool(pod["spec"])
    assert found == 2000

async def main(url):
    async with kinform.connect(url) as api, kinform.Informer(api, "v1/namespaces") as namespaces:
        await namespaces.synced()
        print("ready", flush=True)
        sys.stdin.readline()
        await read(api)
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Runs a simulator with 2,000 pods: 16 MB of JSON."""
    command = [sys.executable, "-m", "kinform.testing", "--pods", "2000", "--namespaces", "1", "--until-stdin-closes"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as simulator:
        assert simulator.stdout is not None
        assert simulator.stdin is not None
        yield simulator.stdout.readline().strip()
        simulator.stdin.close()


def test_a_list_takes_no_page_in_memory(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The response is several times larger than the limit."""
    with start(PROGRAM, url) as process:
        assert process.stdin is not None
        ready(process)
        gauge = Gauge(process.pid)
        wait_until_idle(gauge, 20.0, idle_seconds=1.0)
        before = gauge.rss()
        gauge.reset_peak()
        process.stdin.write("read\n")
        process.stdin.flush()
        ready(process)
        more = (gauge.peak() - before) / MIB
        process.kill()
    with capsys.disabled():
        print(f"\na list of 2,000 pods in one response: {more:.1f} MiB more at the peak")
    assert more <= 4
