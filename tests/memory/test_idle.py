"""Memory of a process that has imported kinform and connected."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kinform.cli._process_memory import Gauge
from tests.support.kubeconfig import write_contexts

ROOT = Path(__file__).parents[2]
MIB = float(1 << 20)

CONNECTED = """
import asyncio, sys
import kinform

async def main():
    async with kinform.connect(sys.argv[1]):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""

FULL_CLIENT = """
import asyncio, sys
from kubernetes_asyncio import client, config

async def main():
    configuration = client.Configuration()
    if sys.argv[1].startswith("http"):
        configuration.host = sys.argv[1]
    else:
        await config.load_kube_config(sys.argv[1], client_configuration=configuration)
    async with client.ApiClient(configuration):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


def resident(program: str, *arguments: str) -> float:
    """Measures the RSS of a new process after its first line, in MiB."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        rss = Gauge(process.pid).rss()
        process.communicate(timeout=30)
    assert process.returncode == 0
    return rss / MIB


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from Linux' /proc")
@pytest.mark.parametrize(("by", "limit"), [("url", 42), ("kubeconfig", 44)])
def test_an_idle_process_takes_less_than_the_full_client(
    by: str, limit: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A kubeconfig needs a YAML parser, which takes more memory in Python 3.13."""
    target = "http://127.0.0.1:1" if by == "url" else str(write_contexts(tmp_path / "config", "shop"))
    lean, full = resident(CONNECTED, target), resident(FULL_CLIENT, target)
    with capsys.disabled():
        print(f"\nidle, connected by {by}: kinform {lean:.1f} MiB, kubernetes_asyncio alone {full:.1f} MiB")
    assert lean <= limit
    assert lean < full - 25
