"""Measures the first sync and updates from a real kube-apiserver.

The server sends protobuf on request, as to controllers in Go. kube-apiserver and etcd run on this machine, with TLS and
tokens. Each pod is created, and then gets its status, by its own requests: 20,000 pods take some minutes. In an update
burst, a label of some pods changes, each by its own request, so the events come one by one. Each client runs in a new
process. The identity of its objects is compared with a LIST. CPU time is counted until the process is at rest. Bytes
per object are measured above the process after it has connected and before it has objects. The servers are those of the
tests, built with Go. Without them, this benchmark reports the reason and measures nothing.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator

from benchmarks.harness.arguments import count, only, selected
from benchmarks.harness.digest import same_objects
from benchmarks.harness.process import Process
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Column, rows
from benchmarks.peers.catalogue import CLIENT_GO, CLIENT_GO_PROTOBUF, KINFORM, KINFORM_UVLOOP, KUBE_RS, Peer
from benchmarks.peers.compare import progress
from benchmarks.peers.live_pods import LivePods
from benchmarks.peers.phase import SETTLE_SECONDS, Figures, phase, rates
from tests.support.controlplane import build
from tests.support.controlplane.plane import ControlPlane

CLIENTS = (KINFORM, KINFORM_UVLOOP, KUBE_RS, CLIENT_GO, CLIENT_GO_PROTOBUF)
EVENTS = 2_000
"""The pods that an update burst changes, at most."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--objects", type=count, default=20_000, metavar="N", help="number of pods; default: %(default)s"
    )
    only(parser)
    parser.add_argument("--rounds", type=count, default=3, help="number of rounds; default: %(default)s")


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each peer."""
    try:
        binaries = build.find_or_build(progress)
    except build.ControlPlaneUnavailable as error:
        yield {"benchmark": options.benchmark, "record": "absent", "peer": "kube-apiserver", "why": str(error)}
        return
    rounds: dict[str, list[Figures]] = {}
    clients = [peer for peer in CLIENTS if selected(peer.name, options)]
    events = min(EVENTS, options.objects)
    plane = ControlPlane(binaries)
    try:
        asyncio.run(plane.start())
        progress(f"creating {options.objects:,} pods on a real kube-apiserver")
        pods = LivePods(plane)
        pods.create(options.objects, options.seed)
        _, raw_bytes = pods.digest()
        for number in range(options.rounds):
            for peer in clients:
                if not peer.absent:
                    progress(f"{peer.name}, a real kube-apiserver, round {number + 1}")
                    rounds.setdefault(peer.name, []).append(_run(plane, pods, peer, options.objects, events))
    finally:
        plane.close()
    for peer in clients:
        about: Record = {"benchmark": options.benchmark, "peer": peer.name, "family": peer.family}
        if peer.absent:
            yield about | {"record": "absent", "why": peer.absent}
        else:
            about |= {"objects": options.objects, "events": events, "raw_bytes": raw_bytes}
            about |= {"record": "client", "servers": build.versions()}
            yield about | {"figures": spreads(rounds[peer.name])}


def _run(plane: ControlPlane, pods: LivePods, peer: Peer, objects: int, events: int) -> Figures:
    """Runs a first sync and an update burst."""
    about = {"url": plane.url, "resource": "v1/pods", "ca": str(plane.ca), "token": plane.tokens["reader"]}
    found = Figures()
    with Process(peer.command, environment=peer.environment, **about, mode=peer.mode, **peer.options) as process:
        process.do("connect")
        before = process.gauge.rss()
        with phase(found, "sync", process.gauge, SETTLE_SECONDS):
            process.do("sync")
        _check(pods, process, peer)
        with phase(found, "storm", process.gauge, SETTLE_SECONDS):
            process.do("reach", version=pods.update(events))
        _check(pods, process, peer)
    found["bytes_per_object"] = ((found["sync.rss_at_rest"] or 0.0) - before) / objects
    return found | rates(found, "sync", objects) | rates(found, "storm", events)


def _check(pods: LivePods, process: Process, peer: Peer) -> None:
    if not same_objects(pods.digest()[0], process.do("digest")):
        raise SystemExit(f"real: {peer.name} holds other objects than the server; no figures are reported")


COLUMNS: tuple[Column, ...] = (
    ("first sync: at rest", "sync.rss_at_rest", "MiB"),
    ("first sync: peak", "sync.peak", "MiB"),
    ("bytes per object above the connected process", "bytes_per_object", ""),
    ("first sync: elapsed time", "sync.seconds", "s"),
    ("first sync: objects per CPU second", "sync.per_cpu_second", ""),
    ("first sync, until at rest: objects per CPU second", "sync.per_total_cpu_second", ""),
    ("update burst, until at rest: events per CPU second", "storm.per_total_cpu_second", ""),
)


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    lines = []
    for each in records:
        lines.append(f"{each['peer']}: absent: {each['why']}" if each["record"] == "absent" else each["peer"])
        lines += rows(COLUMNS, each.get("figures", {}))
    return "\n".join(lines)
