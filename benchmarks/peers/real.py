"""A first sync from a real kube-apiserver, which serves protobuf to who asks for it, as real controllers do.

kube-apiserver and etcd on this machine, TLS and tokens; pods are created and given a status one by one, so there are
fewer of them. Each peer in a fresh process; who the objects are is compared with a LIST. What is held is told beyond
what the process held when it was connected. The servers are those of the tests, built by Go; without them nothing is
measured, and that is said.
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
from benchmarks.harness.text import Row, rows
from benchmarks.peers.catalogue import PEERS, Peer, go
from benchmarks.peers.compare import say
from tests.support.controlplane import build
from tests.support.controlplane.plane import ControlPlane

NAMES = ("kinform", "kube-rs, streaming, cleared", "client-go, WatchList, transform")
PROTOBUF = go("client-go, WatchList, transform, protobuf", "protobuf")
AT_ONCE = 32
SETTLE = 5.0


class Refused(Exception):
    """The API server does not take what is to be followed."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--objects", type=count, default=2_000, metavar="N", help="pods; %(default)s")
    parser.add_argument("--rounds", type=count, default=3)


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """A record a peer."""
    try:
        binaries = build.find_or_build(say)
    except build.ControlPlaneUnavailable as error:
        yield {"benchmark": options.benchmark, "record": "absent", "peer": "kube-apiserver", "why": str(error)}
        return
    peers = [peer for peer in PEERS if peer.name in NAMES] + [PROTOBUF]
    plane = ControlPlane(binaries)
    try:
        asyncio.run(plane.start())
        say(f"creating {options.objects:,} pods on a real kube-apiserver")
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
    """Creates pods; a digest of what the server then has, and how large it is as JSON."""
    pods = make("pods", count, seed)[1]
    headers = {"Authorization": f"Bearer {plane.tokens['admin']}"}
    connector = aiohttp.TCPConnector(ssl=plane.tls_context(), limit=AT_ONCE)
    async with aiohttp.ClientSession(plane.url, headers=headers, connector=connector) as session:
        for name in sorted({pod["metadata"]["namespace"] for pod in pods} - {"default", "kube-system"}):
            await _send(session, "POST", "/api/v1/namespaces", {"metadata": {"name": name}}, (201, 409))
        classes = {pod["spec"].get("priorityClassName"): pod["spec"].get("priority", 0) for pod in pods}
        for name, value in sorted((name, value) for name, value in classes.items() if name):
            body = {"metadata": {"name": name}, "value": value}
            await _send(session, "POST", "/apis/scheduling.k8s.io/v1/priorityclasses", body, (201, 409))
        turns = asyncio.Semaphore(AT_ONCE)

        async def put(pod: Object) -> None:
            async with turns:
                path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods"
                made = await _send(session, "POST", path, _new(pod), (201,))
                made["status"] = pod["status"]
                await _send(session, "PUT", f"{path}/{made['metadata']['name']}/status", made, (200,))

        await asyncio.gather(*map(put, pods))
        async with session.get("/api/v1/pods") as answer:
            body = await answer.read()
            items = (await answer.json())["items"]
    digest = Digest()
    for found in items:
        metadata = found["metadata"]
        key = f"{metadata['namespace']}/{metadata['name']}"
        digest.add(key, metadata["uid"], metadata["resourceVersion"], metadata.get("labels"))
    return digest.result(), len(body)


def _new(pod: Object) -> Object:
    """The pod as who creates it sends it."""
    kept = ("name", "namespace", "labels", "annotations", "ownerReferences")
    metadata = {name: value for name, value in pod["metadata"].items() if name in kept}
    left = ("priority", "preemptionPolicy")  # the server's to fill in
    return {"metadata": metadata, "spec": {name: value for name, value in pod["spec"].items() if name not in left}}


async def _send(session: aiohttp.ClientSession, method: str, path: str, body: Object, good: tuple[int, ...]) -> Object:
    async with session.request(method, path, json=body) as answer:
        told: Object = await answer.json()
        if answer.status not in good:
            raise Refused(f"{method} {path}: {answer.status}: {told.get('message')}")
        return told


def _sync(plane: ControlPlane, peer: Peer, expected: dict[str, Any], objects: int) -> dict[str, float | None]:
    about = {"url": plane.url, "resource": "v1/pods", "ca": str(plane.ca), "token": plane.tokens["reader"]}
    say(f"{peer.name}, a real kube-apiserver")
    with Process(peer.command, environment=peer.environment, **about, mode=peer.mode) as process:
        process.do("connect")
        before = process.gauge.rss()
        process.gauge.forget_peak()
        cpu = process.gauge.cpu_seconds()
        process.do("sync")
        spent, peak = process.gauge.cpu_seconds() - cpu, process.gauge.peak()
        time.sleep(SETTLE)
        process.gauge.until_quiet(60.0)
        rss, here = process.gauge.rss(), process.do("digest")
        if not same_objects(expected, here):
            raise SystemExit(f"real: {peer.name} holds other objects than the server; no figure is told")
    return {
        "sync.cpu_seconds": spent,
        "sync.per_cpu_second": objects / max(spent, 0.01),
        "sync.peak": peak,
        "sync.quiet_rss": rss,
        "quiet.bytes_per_object": (rss - before) / objects,
    }


COLUMNS: tuple[Row, ...] = (
    ("whole process, quiet", "sync.quiet_rss", "MiB"),
    ("first sync: peak", "sync.peak", "MiB"),
    ("bytes an object, beyond connected", "quiet.bytes_per_object", ""),
    ("objects a CPU second", "sync.per_cpu_second", ""),
)


def table(records: list[Record]) -> str:
    """The result for people."""
    lines = []
    for each in records:
        lines.append(f"{each['peer']}: absent: {each['why']}" if each["record"] == "absent" else each["peer"])
        lines += rows(COLUMNS, each.get("figures", {}))
    return "\n".join(lines)
