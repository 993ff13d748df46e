"""Memory of `kinform audit` on a cluster with 100,000 namespaces."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.harness.process import ROOT
from kinform.cli._process_memory import Gauge

BYTES_PER_NAMESPACE = 300

SERVER = """
import asyncio, sys
from kinform.testing import Server

async def main():
    async with Server() as server:
        for number in range(int(sys.argv[1])):
            name = f"tenant-{number:06}"
            server.put("v1/namespaces", {"metadata": {"name": name}})
            server.put("v1/configmaps", {"metadata": {"name": "kube-root-ca.crt", "namespace": name}})
        print(server.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)

asyncio.run(main())
"""


@contextmanager
def serving(namespaces: int) -> Iterator[str]:
    """A server with a config map in each namespace; yields its URL."""
    command = [sys.executable, "-c", SERVER, str(namespaces)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def peak(url: str) -> int:
    """Returns the peak of the resident bytes of an audit."""
    command = [sys.executable, "-m", "kinform", "audit", "--server", url, "--lease-seconds", "0", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        gauge, highest = Gauge(process.pid), 0
        while process.poll() is None:
            try:
                highest = max(highest, gauge.peak())
            except OSError:
                break  # it has just ended
            time.sleep(0.02)
        assert process.wait() == 0
    return highest


def test_an_audit_takes_few_bytes_for_each_namespace() -> None:
    with serving(1_000) as few:
        small = peak(few)
    with serving(100_000) as many:
        large = peak(many)
    assert large - small <= 99_000 * BYTES_PER_NAMESPACE
