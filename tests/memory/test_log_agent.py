"""Memory and requests of a log agent on a node of a large cluster."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest

from benchmarks.harness.process import Process, python
from benchmarks.harness.waiting import wait_until_idle
from kinform.testing import Server
from tests.memory.conftest import SUBJECT
from tests.memory.follower import MIB, TRIMMED_SECONDS
from tests.support.tls import CERTIFICATES, tls_front
from tests.support.waiting import until

NAMESPACES = 100_000
PODS = 30
NODE = "node-7"
AGENT = python("tests/memory/log_agent.py")


async def at_rest(process: Process) -> int:
    """Returns the resident bytes of a process that has nothing to do."""
    await asyncio.to_thread(wait_until_idle, process.gauge, 20.0, idle_seconds=TRIMMED_SECONDS)
    return process.gauge.rss()


async def do(process: Process, command: str, **options: Any) -> Any:
    """Sends a command, while the server in this process answers requests."""
    return await asyncio.to_thread(process.do, command, **options)


@pytest.mark.parametrize(("tls", "most"), [(False, 1.25), (True, 2.6)])
async def test_a_log_agent_holds_only_the_labels_it_reads(
    tls: bool, most: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """The target is 1 MiB; two equal processes differ by a part of one.

    Over TLS it is missed: each watch has a connection, and so its own state of OpenSSL.
    """
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server())
        ca = str(CERTIFICATES / "ca.pem") if tls else None
        url = await stack.enter_async_context(tls_front(server.url)) if tls else server.url
        names = server.generate("v1/namespaces", NAMESPACES)
        pods = [f"{name}/web-0" for name in names[:: NAMESPACES // PODS][:PODS]]
        for key in pods:
            namespace, _, name = key.partition("/")
            metadata = {"namespace": namespace, "name": name, "labels": {"app": "web"}}
            server.put("v1/pods", {"metadata": metadata, "spec": {"nodeName": NODE}})
        server.generate("v1/pods", 1_000)  # of other nodes
        with Process(SUBJECT, url=url, ca=ca, resource="v1/secrets", handler=False) as process:
            for command in ("connect", "sync"):
                await do(process, command)
            idle = await at_rest(process)
        requests = len(server.requests)
        for _ in range(2):  # also after a restart
            with Process(AGENT, url=url, ca=ca, node=NODE) as agent:
                assert sorted(await do(agent, "start")) == sorted(pods)
                asked = Counter(each.params["fieldSelector"] for each in server.requests[requests:])
                requests += asked.total()
                held = await at_rest(agent)
                delays = []
                for number, key in enumerate(pods[:5]):
                    namespace = key.partition("/")[0]
                    labels = {"tenant": f"t{number}"}
                    server.put("v1/namespaces", {"metadata": {"name": namespace, "labels": labels}})
                    changed = time.monotonic()
                    while (await do(agent, "labels", pod=key))["namespace"] != labels:
                        assert time.monotonic() < changed + 10
                    delays.append(time.monotonic() - changed)
                assert len(server.requests) == requests  # the watches brought the changes
            await until(lambda: server.watchers == 0)
            with capsys.disabled():
                more = (held - idle) / MIB
                print(
                    f"\na log agent with {PODS} pods{' over TLS' if tls else ''}: {more:.2f} MiB above idle, "
                    f"a changed label after {max(delays) * 1e3:.0f} ms, {asked.total()} requests"
                )
            assert asked.pop(f"spec.nodeName={NODE}") == 1
            assert asked == {f"metadata.name={key.partition('/')[0]}": 1 for key in pods}
            assert held <= idle + most * MIB
