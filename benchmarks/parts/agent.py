"""Measures a log agent on one node of a large cluster."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack

import msgspec

from benchmarks.harness.process import Process, python
from benchmarks.parts.programs import at_rest, check
from benchmarks.peers.catalogue import KINFORM
from kinform.testing import Server
from tests.support.tls import CERTIFICATES, tls_front

AGENT = python("benchmarks/parts/log_agent.py")
NAMESPACES, PODS, PODS_ELSEWHERE, CHANGES = 100_000, 30, 1_000, 5
NODE = "node-7"
LATEST = 10.0
"""Seconds within which the agent must read a changed label."""


class Agent(msgspec.Struct, frozen=True):
    """Memory, delay and requests of an agent.

    Attributes:
        more: Bytes above a process that follows an empty collection.
        delay: The most seconds until it reads a changed label.
        requests: The number of its requests for each resource.
    """

    more: float
    delay: float
    requests: dict[str, int]


async def measure_agent(*, tls: bool) -> Agent:
    """Starts an agent, checks the labels it reads, and measures it.

    Raises:
        SystemExit: The agent had other pods or labels than the server.
    """
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server())
        ca = str(CERTIFICATES / "ca.pem") if tls else None
        url = await stack.enter_async_context(tls_front(server.url)) if tls else server.url
        pods = _fill(server)
        with Process(KINFORM.command, url=url, ca=ca, resource="v1/secrets", handler=False) as process:
            for command in ("connect", "sync"):
                await asyncio.to_thread(process.do, command)
            idle = await asyncio.to_thread(at_rest, process)
        before = len(server.requests)
        with Process(AGENT, url=url, ca=ca, node=NODE) as agent:
            check("log agent", sorted(await asyncio.to_thread(agent.do, "start")), sorted(pods))
            held = await asyncio.to_thread(at_rest, agent)
            delay = max([await _change(server, agent, key, number) for number, key in enumerate(pods[:CHANGES])])
            requests = Counter(str(each.resource) for each in server.requests[before:])
        return Agent(more=held - idle, delay=delay, requests=dict(requests))


def _fill(server: Server) -> list[str]:
    """Creates the objects of the cluster. Returns the keys of the pods on the node."""
    names = server.generate("v1/namespaces", NAMESPACES)
    pods = [f"{name}/web-0" for name in names[:: NAMESPACES // PODS][:PODS]]
    for key in pods:
        namespace, _, name = key.partition("/")
        metadata = {"namespace": namespace, "name": name, "labels": {"app": "web"}}
        server.put("v1/pods", {"metadata": metadata, "spec": {"nodeName": NODE}})
    server.generate("v1/pods", PODS_ELSEWHERE)
    return pods


async def _change(server: Server, agent: Process, pod: str, number: int) -> float:
    """Changes a label of a pod's namespace.

    Returns the seconds until the agent reads it.
    """
    namespace = pod.partition("/")[0]
    labels = {"kubernetes.io/metadata.name": namespace, "tenant": f"t{number}"}
    server.put("v1/namespaces", {"metadata": {"name": namespace, "labels": labels}})
    changed = time.monotonic()
    while (found := await asyncio.to_thread(agent.do, "labels", pod=pod))["namespace"] != labels:
        if time.monotonic() > changed + LATEST:
            check("log agent", found["namespace"], labels)
    return time.monotonic() - changed
