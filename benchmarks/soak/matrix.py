"""The fault matrix: each fault of the server and of the network, at each start.

Starts:

    list        a LIST in pages, then a watch
    stream      a streaming list
    snapshot    a snapshot on disk, then a watch that continues from it
    relist      an informer that is synced, and whose history the server drops

A request fault is applied to the first request of the start that it can be applied to. An outage begins with the first
bytes of an answer. A start ends when kinform has a change that was written after the fault.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from random import Random
from typing import Any

from benchmarks.harness.arguments import selected
from benchmarks.harness.results import Record
from benchmarks.soak.copies import Differences
from benchmarks.soak.faults import KINDS, MATCHES, OUTAGES, REQUEST_FAULTS, FaultTarget, is_state_request
from benchmarks.soak.load import PODS, PodLoad
from benchmarks.soak.watched import Follower, in_background
from kinform.testing import Server
from tests.support.proxy import Proxy

NO_FAULT = "no fault"
STARTS = ("list", "stream", "snapshot", "relist")
OBJECTS = 200
PAGE_SIZE = 50
CHANGES = 100
"""Changes that a start from a snapshot and a relist have to catch up with."""
PAUSE = 0.2
"""Seconds from one slice of changes to the next. Faults need changes, but few."""
OBJECTS_BEFORE = 20
LONGEST_OUTAGE = 1.5
WITHIN = 30.0
MAX_MORE_REQUESTS = 12
"""The most requests that a fault may add to those of a start without one."""


def measure(options: argparse.Namespace) -> list[Record]:
    """Returns a record for each fault and start."""
    kinds = [NO_FAULT, *(kind for kind in KINDS if selected(kind, options))]
    return [{"kind": "matrix", **each} for each in asyncio.run(_measure(kinds, options.seed))]


async def _measure(kinds: list[str], seed: int) -> list[Record]:
    random, cells = Random(f"matrix {seed}"), list[Record]()
    server = Server(seed=seed, bookmark_interval=1.0)
    server.put("v1/namespaces", {"metadata": {"name": "kube-system"}})  # identifies the cluster of a snapshot
    load = PodLoad(server, OBJECTS, random, PAUSE)
    with tempfile.TemporaryDirectory() as folder:
        async with server, Proxy(server.url) as proxy:
            follower, target = Follower(PODS, proxy.url), FaultTarget(server, proxy, random, LONGEST_OUTAGE)
            with follower.process:
                await follower.do("open", initial="auto", page_size=PAGE_SIZE)  # imports what each start needs
                await follower.do("end")
                async with in_background(load.run()):
                    for kind in kinds:
                        row = [_Cell(kind, start, target, load, follower) for start in STARTS]
                        found = [await cell.run(f"{folder}/{len(cells)}") for cell in row]
                        shown = ", ".join(f"{each['start']} {each['figures']['seconds']:.2f} s" for each in found)
                        print(f"matrix: {kind}: {shown}", file=sys.stderr, flush=True)
                        cells += found
    normal = {each["start"]: each["figures"]["requests"] for each in cells[: len(STARTS)]}
    for each in cells:
        each["objects"] = OBJECTS
        each["bounded"] = each["figures"]["requests"] <= normal[each["start"]] + MAX_MORE_REQUESTS
    return cells


class _Cell:
    """A start under a fault."""

    def __init__(self, kind: str, start: str, target: FaultTarget, load: PodLoad, follower: Follower) -> None:
        self._kind = kind
        self._start = start
        self._target = target
        self._load = load
        self._follower = follower
        self._snapshot: str | None = None

    async def run(self, snapshot: str) -> Record:
        """Starts under the fault, and returns the record; `snapshot` is a free path."""
        target, load, follower = self._target, self._load, self._follower
        self._snapshot = snapshot if self._start == "snapshot" else None
        before = await self._prepare()
        version = [load.write() for _ in range(CHANGES)][-1]
        load.resume()
        start = time.monotonic()
        injecting = asyncio.create_task(self._inject())
        if self._start == "relist":
            target.server.compact()
            target.server.disconnect()
        else:
            await self._open()
        await follower.reach(version, WITHIN)
        await injecting
        at = await follower.reach(await load.probe(), WITHIN)
        await load.pause()
        await follower.reach(await load.probe(), WITHIN)
        applied = not target.server.faults_left
        target.server.heal()
        differences, report = Differences(), await follower.do("report")
        truth, copies = await load.truth(), await follower.do("copies", content=True)
        equal = [differences.compare(truth, copy) for copy in copies.values()]
        await follower.do("end")
        figures: dict[str, Any] = {"requests": report["requests"] - before}
        figures["seconds"] = WITHIN if at is None else at - start
        record = {"record": "cell", "fault": self._kind, "start": self._start, "applied": applied}
        if self._start == "snapshot":
            record["loaded"] = report["snapshot_loaded"]
        examples = [*differences.examples, *report["examples"]]
        equal_copies = at is not None and all(equal) and not report["violations"]
        return record | {"equal": equal_copies, "examples": examples, "figures": figures}

    async def _prepare(self) -> int:
        """Brings the follower to the state before the start.

        Returns the requests that it has sent.
        """
        if self._start not in ("snapshot", "relist"):
            return 0
        await self._open()
        await self._follower.reach(await self._load.probe(), WITHIN)
        if self._start == "snapshot":
            await self._follower.do("end")  # which writes it
            return 0
        requests: int = (await self._follower.do("report"))["requests"]
        return requests

    async def _open(self) -> None:
        initial = "list" if self._start == "list" else "auto"
        await self._follower.do("open", initial=initial, page_size=PAGE_SIZE, snapshot=self._snapshot)

    async def _inject(self) -> None:
        """Applies the fault; returns when an outage is over."""
        target, kind = self._target, self._kind
        if kind in OUTAGES:
            sent = target.proxy.bytes_to_client
            await target.proxy.wait_until(lambda proxy: proxy.bytes_to_client > sent, within=WITHIN)
            await OUTAGES[kind](target)
        elif kind != NO_FAULT:
            fault, relist = REQUEST_FAULTS[kind], self._start == "relist"
            matches = MATCHES[fault.requests]
            target.server.fault(
                fault.make(OBJECTS_BEFORE),
                when=lambda request: matches(request) and (is_state_request(request) or not relist),
            )
