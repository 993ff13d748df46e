"""The soak against a real kube-apiserver and etcd: kills, freezes, compaction.

Both are programs of this machine, as in the tests. kinform follows over TLS, with a token, through a TCP proxy. The
faults are SIGKILL and SIGSTOP of either program, a compaction, and faults of the network. A fault is over when a write
succeeds, which is tried again and again while the programs start.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from random import Random

from benchmarks.harness.arguments import selected
from benchmarks.harness.results import Record
from benchmarks.soak.live import CONFIGMAPS, ConfigMapLoad
from benchmarks.soak.watched import Follower, WatchedRun
from tests.support.controlplane import build
from tests.support.controlplane.plane import ControlPlane
from tests.support.proxy import Proxy

OBJECTS = 500
PAGE_SIZE = 100
LONGEST_OUTAGE = 5.0


class PlaneTarget:
    """The target of faults: a control plane, its network, and a generator."""

    def __init__(self, plane: ControlPlane, proxy: Proxy, random: Random) -> None:
        self.plane = plane
        self.proxy = proxy
        self._random = random

    async def some_time(self) -> None:
        """Waits for a random part of the longest outage."""
        await asyncio.sleep(LONGEST_OUTAGE * self._random.uniform(0.1, 1.0))


async def _kill_apiserver(target: PlaneTarget) -> None:
    target.plane.apiserver.kill()
    await target.some_time()
    target.plane.apiserver.start()


async def _kill_etcd(target: PlaneTarget) -> None:
    target.plane.etcd.kill()
    await target.some_time()
    target.plane.etcd.start()


async def _kill_both(target: PlaneTarget) -> None:
    target.plane.apiserver.kill()
    target.plane.etcd.kill()
    await target.some_time()
    target.plane.etcd.start()
    target.plane.apiserver.start()


async def _freeze_apiserver(target: PlaneTarget) -> None:
    await target.plane.freeze()
    await target.some_time()
    await target.plane.thaw()


async def _freeze_etcd(target: PlaneTarget) -> None:
    target.plane.etcd.freeze()
    await target.some_time()
    target.plane.etcd.thaw()


async def _compact(target: PlaneTarget) -> None:
    await target.plane.compact()


async def _expire(target: PlaneTarget) -> None:
    await target.plane.compact()
    await _kill_apiserver(target)


async def _reset(target: PlaneTarget) -> None:
    target.proxy.reset_connections()


async def _blackhole(target: PlaneTarget) -> None:
    target.proxy.stop_forwarding()
    await asyncio.sleep(LONGEST_OUTAGE)
    target.proxy.resume_forwarding()


FAULTS: dict[str, Callable[[PlaneTarget], Awaitable[None]]] = {
    "kube-apiserver killed (SIGKILL), then started": _kill_apiserver,
    "etcd killed (SIGKILL), then started": _kill_etcd,
    "both killed, then started": _kill_both,
    "kube-apiserver frozen (SIGSTOP)": _freeze_apiserver,
    "etcd frozen (SIGSTOP)": _freeze_etcd,
    "etcd compacted": _compact,
    "etcd compacted, and kube-apiserver killed and started": _expire,
    "connections reset": _reset,
    "network without a sound, longer than the deadlines": _blackhole,
}


def measure(options: argparse.Namespace) -> list[Record]:
    """Returns the records of the run, or the reason why the servers are missing."""
    try:
        binaries = build.find_or_build()
    except build.ControlPlaneUnavailable as error:
        return [{"kind": "control-plane", "record": "absent", "why": str(error)}]
    plane = ControlPlane(binaries)
    try:
        records = asyncio.run(_soak(plane, options))
    finally:
        plane.close()
    return [{"kind": "control-plane", **each} for each in records]


async def _soak(plane: ControlPlane, options: argparse.Namespace) -> list[Record]:
    await plane.start()
    random = Random(f"soak {options.seed}")
    load = ConfigMapLoad(plane.url, plane.tokens["admin"], plane.tls_context(), OBJECTS, random)
    async with Proxy(plane.url) as proxy:
        try:
            await load.create()
            follower = Follower(CONFIGMAPS, proxy.url, ca=str(plane.ca), token=plane.tokens["reader"])
            with follower.process:
                await follower.do("open", initial="auto", page_size=PAGE_SIZE)
                run = WatchedRun(follower, load)
                async with run.running():
                    await _inject_all(run, PlaneTarget(plane, proxy, random), random, options)
                records = await run.records()
                await follower.do("end")
        finally:
            await load.close()
    records[0] |= {"objects": OBJECTS, "servers": build.versions(), "tls": True}
    return records


async def _inject_all(run: WatchedRun, target: PlaneTarget, random: Random, options: argparse.Namespace) -> None:
    start, kinds = time.monotonic(), list[str]()
    while (passed := time.monotonic() - start) < options.seconds:
        if not kinds:
            kinds = [kind for kind in FAULTS if selected(kind, options)]
            random.shuffle(kinds)
        kind = kinds.pop()
        seconds = await run.inject(kind, FAULTS[kind](target))
        shown = "STUCK" if seconds is None else f"{seconds:.2f} s to recover"
        print(f"control-plane: {passed:.0f} s: {kind}: {shown}", file=sys.stderr, flush=True)
        if not await run.checkpoint(content=True):
            print(f"control-plane: {run.differences}", file=sys.stderr, flush=True)
