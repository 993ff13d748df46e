"""Memory of an idle process: kinform with one informer, and each further watch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from benchmarks.harness.process import Process
from benchmarks.harness.waiting import wait_until_idle
from kinform.cli._process_memory import Gauge
from tests.memory.conftest import SERVER
from tests.memory.follower import MIB, TRIMMED_SECONDS
from tests.memory.programs import ready, start
from tests.support.kubeconfig import write_contexts
from tests.support.tls import CERTIFICATES

FOLLOW = """
import asyncio, pathlib, sys
import kinform

async def main(target):
    async with kinform.connect(target) as api, kinform.Informer(api, "v1/pods") as pods:
        await pods.synced()
        assert len(pods.store) == 1
        print("ready", *sys.modules, flush=True)
        await asyncio.Event().wait()

folder = sys.argv[2:]
if folder:
    from kinform._transport.credentials import InClusterSource
    InClusterSource.folder = pathlib.Path(*folder)
asyncio.run(main(sys.argv[1] or None))
"""

FULL_CLIENT = """
import asyncio, sys
from kubernetes_asyncio import client

async def main():
    async with client.ApiClient(client.Configuration(host=sys.argv[1])):
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

WATCHES = """
import asyncio, sys
import kinform
from kinform._transport.base import Request

OPTIONS = {"watch": "true", "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
WATCH = Request(path="/api/v1/pods", params=(*OPTIONS.items(), ("allowWatchBookmarks", "true")), watch=True)

async def read(response, synced):
    size = 0
    async for chunk in response.chunks():
        size += len(chunk)
        if b"initial-events-end" in chunk:
            assert size > 200_000
            synced.set()
        del chunk

async def open_watch(api):
    synced = asyncio.Event()
    task = asyncio.create_task(read(await api.open(WATCH), synced))
    await synced.wait()
    return task

async def main(url, ca):
    async with kinform.connect(url, ca=ca) as api:
        reading = []
        while line := await asyncio.to_thread(sys.stdin.readline):
            for _ in range(int(line)):
                reading.append(await open_watch(api))
            print("ready", flush=True)
        for task in reading:
            assert not task.done()
            task.cancel()

asyncio.run(main(*sys.argv[1:]))
"""


OPENSSL_WATCHES = """
import socket, ssl, sys
from urllib.parse import urlsplit

BUFFER = bytearray(16384)
WATCH = "/api/v1/pods?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"

def open_watch(context, host, port):
    sock = context.wrap_socket(socket.create_connection((host, port)), server_hostname=host)
    sock.sendall(f"GET {WATCH} HTTP/1.1\\r\\nHost: {host}:{port}\\r\\n\\r\\n".encode())
    size, end = 0, b""
    while b"initial-events-end" not in end:
        count = sock.recv_into(BUFFER)
        assert count
        size += count
        end = end[-1000:] + BUFFER[max(0, count - 1000) : count]
    assert size > 200_000
    return sock

def main(url, ca):
    parts, context, watches = urlsplit(url), ssl.create_default_context(cafile=ca), []
    while line := sys.stdin.readline():
        for _ in range(int(line)):
            watches.append(open_watch(context, parts.hostname, parts.port))
        print("ready", flush=True)

main(*sys.argv[1:])
"""


class Idle(NamedTuple):
    """A process at rest.

    Attributes:
        mib: Its resident memory.
        modules: The names of its modules.
    """

    mib: float
    modules: set[str]


@pytest.fixture(scope="module")
def idle_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Idle]]:
    """Measures processes that have connected in different ways, all at the same time."""
    folder = tmp_path_factory.mktemp("idle")
    (folder / "token").write_text("t0")
    (folder / "ca.crt").write_bytes((CERTIFICATES / "ca.pem").read_bytes())
    served = {"resource": "pods", "objects": 1, "seed": 0, "corpus": None}
    with ExitStack() as stack:
        plain = stack.enter_context(Process(SERVER, **served)).do("open")["url"]
        secure = stack.enter_context(Process(SERVER, **served, tls=True))
        url = secure.do("open")["url"]
        host, port = url.removeprefix("https://").split(":")
        cluster = {"server": url, "certificate-authority": str(CERTIFICATES / "ca.pem")}
        user = dict.fromkeys(("client-certificate", "client-key"), str(CERTIFICATES / "first.pem"))
        config = write_contexts(folder / "config", "shop", user=user, clusters=[{"name": "shop", "cluster": cluster}])
        nowhere = {"HOME": str(folder), "KUBECONFIG": ""}
        processes = {
            "url": start(FOLLOW, plain),
            "kubeconfig": start(FOLLOW, str(config)),
            "pod": start(
                FOLLOW, "", str(folder), KUBERNETES_SERVICE_HOST=host, KUBERNETES_SERVICE_PORT=port, **nowhere
            ),
            "kubernetes_asyncio": start(FULL_CLIENT, plain),
        }
        for process in processes.values():
            stack.enter_context(process)
            stack.callback(process.kill)
        modules = {name: ready(process) for name, process in processes.items()}
        found = {}
        for name, process in processes.items():
            gauge = Gauge(process.pid)
            wait_until_idle(gauge, 20.0, idle_seconds=TRIMMED_SECONDS if not found else 0.1)
            found[name] = Idle(gauge.rss() / MIB, modules[name])
        yield found


@pytest.mark.parametrize(("by", "limit"), [("url", 28.5), ("kubeconfig", 30.5), ("pod", 30.5)])
def test_an_idle_process_takes_little(
    by: str, limit: float, idle_processes: dict[str, Idle], capsys: pytest.CaptureFixture[str]
) -> None:
    """Over TLS, but for a plain URL. It follows one object."""
    found, full = idle_processes[by], idle_processes["kubernetes_asyncio"].mib
    with capsys.disabled():
        print(f"\nidle, connected by {by}: kinform {found.mib:.1f} MiB, kubernetes_asyncio alone {full:.1f} MiB")
    assert not found.modules & {"aiohttp", "kubernetes_asyncio"}
    assert ("yaml" in found.modules) is (by == "kubeconfig")
    assert found.mib <= limit
    assert found.mib < full - 25


def kib_of_each_watch(program: str) -> float:
    """Measures each of 200 idle watches over TLS.

    A watch has received 40 pods, in large reads, before it is idle.
    """
    served = {"resource": "pods", "objects": 40, "seed": 0, "corpus": None}
    with Process(SERVER, **served, tls=True) as server:
        url = server.do("open")["url"]
        with start(program, url, str(CERTIFICATES / "ca.pem")) as process:
            assert process.stdin is not None
            found = []
            for count in (20, 180):
                process.stdin.write(f"{count}\n")
                process.stdin.flush()
                ready(process)
                wait_until_idle(Gauge(process.pid), 20.0, idle_seconds=1.0)
                found.append(Gauge(process.pid).rss())
            process.stdin.close()
            assert process.wait(10) == 0
    return (found[1] - found[0]) / 180 / 1024


def test_an_idle_watch_over_tls_takes_little(capsys: pytest.CaptureFixture[str]) -> None:
    """The limit is for what kinform adds to the same connections without kinform."""
    found, openssl = kib_of_each_watch(WATCHES), kib_of_each_watch(OPENSSL_WATCHES)
    with capsys.disabled():
        print(f"\n200 idle watches over TLS: {found:.1f} KiB each, of which OpenSSL takes {openssl:.1f} KiB")
    assert found - openssl <= 48
