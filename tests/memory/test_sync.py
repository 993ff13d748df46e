"""Memory of kinform.sync, beyond that of kinform."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.harness.process import ROOT
from benchmarks.harness.waiting import wait_until_idle
from kinform.cli._process_memory import Gauge
from tests.memory.conftest import serving
from tests.memory.follower import MIB

ASYNCHRONOUS = """
import asyncio, sys
import kinform

async def main():
    async with kinform.connect(sys.argv[1]) as api, kinform.Informer(api, "v1/pods") as pods:
        await pods.synced()
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

BLOCKING = """
import sys
import kinform.sync

with kinform.sync.connect(sys.argv[1]) as api, kinform.sync.Informer(api, "v1/pods") as pods:
    pods.synced()
    print("ready", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Returns an environment with compiled modules.

    A process that compiles them takes more memory.
    """
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        "PYTHONPATH": str(ROOT),
        "PYTHONPYCACHEPREFIX": str(tmp_path_factory.mktemp("bytecode")),
    }
    subprocess.run([sys.executable, "-c", "import kinform.sync"], cwd=ROOT, env=environment, check=True)
    return environment


class Program:
    """A process that prints a line when it is ready."""

    def __init__(self, text: str, environment: dict[str, str], *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", text, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def resident(self) -> int:
        """Waits until the process is ready and at rest, and returns its resident bytes."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        gauge = Gauge(self._process.pid)
        wait_until_idle(gauge, 20.0, idle_seconds=3.0)
        return gauge.rss()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def test_an_idle_program_with_threads_takes_little_more(
    bytecode: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with serving("pods", 1) as source:
        asynchronous, blocking = (Program(text, bytecode, source.url) for text in (ASYNCHRONOUS, BLOCKING))
        try:
            more = (blocking.resident() - asynchronous.resident()) / MIB
        finally:
            asynchronous.close()
            blocking.close()
    with capsys.disabled():
        print(f"\nidle program of kinform.sync: {more:.2f} MiB more than one of kinform")
    assert more <= 1.5
