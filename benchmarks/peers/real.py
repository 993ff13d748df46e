"""Measures the first sync from a real kube-apiserver.

The server sends protobuf on request, as to controllers in Go. kube-apiserver and etcd run on this machine, with TLS and
tokens. Each pod is created, and then gets its status, by its own requests. So there are fewer pods than in other
benchmarks. Each client runs in a new process. The identity of its objects is compared with a LIST. Bytes per object are
measured above the process after it has connected and before it has objects. The servers are those of the tests, built
with Go. Without them, this benchmark reports the reason and measures nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator
from typing import Any

import aiohttp

from benchmarks.corpus import Object, make
from benchmarks.harness.arguments import count
from benchmarks.harness.digest import Digest, same_objects
from benchmarks.harness.process import Process
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Column, rows
from benchmarks.harness.waiting import wait_until_idle
from benchmarks.peers.catalogue import PEERS, Peer, go
from benchmarks.peers.compare import progress
from benchmarks.peers.lifecycle import CPU_TICK, SETTLE_SECONDS
from tests.support.controlplane import build
from tests.support.controlplane.plane import ControlPlane

NAMES = ("kinform", "kube-rs, streaming, cleared", "client-go, WatchList, transform")
PROTOBUF = go("client-go, WatchList, transform, protobuf", "protobuf")
CONCURRENCY = 32
IDLE_TIMEOUT = 60.0


class Refused(Exception):
    """The API server refused to create an object."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--objects", type=count, default=2_000, metavar="N", help="number of pods; default: %(default)s"
    )
    parser.add_argument("--rounds", type=count, default=3, help="number of rounds; default: %(default)s")


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each peer."""
    try:
        binaries = build.find_or_build(progress)
    except build.ControlPlaneUnavailable as error:
        yield {"benchmark": options.benchmark, "record": "absent", "peer": "kube-apiserver", "why": str(error)}
        return
    peers = [peer for peer in PEERS if peer.name in NAMES] + [PROTOBUF]
    plane = ControlPlane(binaries)
    try:
        asyncio.run(plane.start())
        progress(f"creating {options.objects:,} pods on a real kube-apiserver")
        expected, raw_bytes = asyncio.run(_fill(plane, options.objects, options.seed))
        versions = build.versions()
        for peer in peers:
            about: Record = {"benchmark": options.benchmark, "peer": peer.name, "family": peer.family}
            if peer.absent:
                yield about | {"record": "absent", "why": peer.absent}
                continue
            rounds = [_sync(plane, peer, expected, options.objects) for _ in range(options.rounds)]
            about |= {"objects": options.objects, "raw_bytes": raw_bytes, "servers": versions}
            yield about | {"record": "sync", "figures": spreads(rounds)}
    finally:
        plane.close()


async def _fill(plane: ControlPlane, count: int, seed: int) -> tuple[dict[str, Any], int]:
    """Creates pods.

    Returns the digest of the server's objects, and their size as JSON.
    """
    pods = make("pods", count, seed)[1]
    headers = {"Authorization": f"Bearer {plane.tokens['admin']}"}
    connector = aiohttp.TCPConnector(ssl=plane.tls_context(), limit=CONCURRENCY)
    async with aiohttp.ClientSession(plane.url, headers=headers, connector=connector) as session:
        for name in sorted({pod["metadata"]["namespace"] for pod in pods} - {"default", "kube-system"}):
            await _send(session, "POST", "/api/v1/namespaces", {"metadata": {"name": name}}, (201, 409))
        classes = {pod["spec"].get("priorityClassName"): pod["spec"].get("priority", 0) for pod in pods}
        for name, value in sorted((name, value) for name, value in classes.items() if name):
            body = {"metadata": {"name": name}, "value": value}
            await _send(session, "POST", "/apis/scheduling.k8s.io/v1/priorityclasses", body, (201, 409))
        concurrent = asyncio.Semaphore(CONCURRENCY)

        async def put(pod: Object) -> None:
            async with concurrent:
                path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods"
                created = await _send(session, "POST", path, _new(pod), (201,))
                created["status"] = pod["status"]
                await _send(session, "PUT", f"{path}/{created['metadata']['name']}/status", created, (200,))

        await asyncio.gather(*map(put, pods))
        async with session.get("/api/v1/pods") as response:
            body = await response.read()
            items = (await response.json())["items"]
    digest = Digest()
    for found in items:
        metadata = found["metadata"]
        key = f"{metadata['namespace']}/{metadata['name']}"
        digest.add(key, metadata["uid"], metadata["resourceVersion"], metadata.get("labels"))
    return digest.result(), len(body)


def _new(pod: Object) -> Object:
    """The pod as its creator sends it."""
    kept = ("name", "namespace", "labels", "annotations", "ownerReferences")
    metadata = {name: value for name, value in pod["metadata"].items() if name in kept}
    defaulted = ("priority", "preemptionPolicy")  # the server sets these
    return {"metadata": metadata, "spec": {name: value for name, value in pod["spec"].items() if name not in defaulted}}


async def _send(session: aiohttp.ClientSession, method: str, path: str, body: Object, good: tuple[int, ...]) -> Object:
    async with session.request(method, path, json=body) as response:
        found: Object = await response.json()
        if response.status not in good:
            raise Refused(f"{method} {path}: {response.status}: {found.get('message')}")
        return found


def _sync(plane: ControlPlane, peer: Peer, expected: dict[str, Any], objects: int) -> dict[str, float | None]:
    about = {"url": plane.url, "resource": "v1/pods", "ca": str(plane.ca), "token": plane.tokens["reader"]}
    progress(f"{peer.name}, a real kube-apiserver")
    with Process(peer.command, environment=peer.environment, **about, mode=peer.mode) as process:
        process.do("connect")
        before = process.gauge.rss()
        process.gauge.reset_peak()
        cpu = process.gauge.cpu_seconds()
        process.do("sync")
        spent, peak = process.gauge.cpu_seconds() - cpu, process.gauge.peak()
        time.sleep(SETTLE_SECONDS)
        wait_until_idle(process.gauge, IDLE_TIMEOUT)
        rss, found = process.gauge.rss(), process.do("digest")
        if not same_objects(expected, found):
            raise SystemExit(f"real: {peer.name} holds other objects than the server; no figures are reported")
    return {
        "sync.cpu_seconds": spent,
        "sync.per_cpu_second": objects / max(spent, CPU_TICK),
        "sync.peak": peak,
        "sync.rss_at_rest": rss,
        "bytes_per_object": (rss - before) / objects,
    }


COLUMNS: tuple[Column, ...] = (
    ("first sync: at rest", "sync.rss_at_rest", "MiB"),
    ("first sync: peak", "sync.peak", "MiB"),
    ("bytes per object above the connected process", "bytes_per_object", ""),
    ("objects per CPU second", "sync.per_cpu_second", ""),
)


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    lines = []
    for each in records:
        lines.append(f"{each['peer']}: absent: {each['why']}" if each["record"] == "absent" else each["peer"])
        lines += rows(COLUMNS, each.get("figures", {}))
    return "\n".join(lines)
