"""The soak against the simulator: random faults of all kinds while pods change.

The simulator and a TCP proxy run in this process, kinform in another one. Faults follow each other in random order:
each kind once, then each kind again. Each affects an open watch, the next watch, or the next complete state. The load
goes on meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from collections.abc import Callable, Iterator
from random import Random

from benchmarks.harness.arguments import selected
from benchmarks.harness.results import Record
from benchmarks.soak.faults import KINDS, MATCHES, OUTAGES, REQUEST_FAULTS, FaultTarget, RequestFault, is_state_request
from benchmarks.soak.load import PODS, PodLoad
from benchmarks.soak.watched import Follower, WatchedRun
from kinform.testing import Forbidden, RecordedRequest, Server
from tests.support.proxy import Proxy

HISTORY = 20_000
"""Writes that the server keeps: a LIST under load must not be too old for its watch."""
LONGEST_OUTAGE = 1.5
CONTENT_CHECKS = 20
"""Comparisons of all values of all objects. After each fault, their versions are compared."""
QUIET_PARTS = 500
"""Between two faults, there is this part of all changes without a fault."""
MAX_OBJECTS_BEFORE = 200
USE_SECONDS = 15.0
"""Seconds within which a fault must have found a request."""
PAGE_SIZE = 500


def measure(options: argparse.Namespace) -> list[Record]:
    """Returns the records of the run."""
    return [{"kind": "simulator", **each} for each in asyncio.run(_soak(options))]


async def _soak(options: argparse.Namespace) -> list[Record]:
    random = Random(f"soak {options.seed}")
    server = Server(seed=options.seed, history=HISTORY, bookmark_interval=1.0)
    load = PodLoad(server, options.objects, random)
    async with server, Proxy(server.url) as proxy:
        follower = Follower(PODS, proxy.url)
        with follower.process:
            await follower.do("open", initial="auto", page_size=PAGE_SIZE)
            target = FaultTarget(server, proxy, random, LONGEST_OUTAGE)
            run = WatchedRun(follower, load)
            async with run.running():
                await _inject_all(run, target, load, options)
            records = await run.records()
            await follower.do("end")
    records[0] |= {"objects": options.objects}
    return records


async def _inject_all(run: WatchedRun, target: FaultTarget, load: PodLoad, options: argparse.Namespace) -> None:
    server, start = target.server, time.monotonic()
    next_content = options.events / CONTENT_CHECKS
    kinds = _kinds(target.random, options)
    while load.made < options.events:
        await load.wait_for(options.events // QUIET_PARTS)
        kind = next(kinds)
        if kind in OUTAGES:
            await run.inject(kind, OUTAGES[kind](target))
        else:
            await run.inject(kind, _apply(REQUEST_FAULTS[kind], target, load))
        server.heal()
        server.requests.clear()
        content = load.made >= next_content
        equal = await run.checkpoint(content=content)
        if content or not equal:
            next_content = load.made + options.events / CONTENT_CHECKS
            text = f"{load.made:,} events, {run.injected:,} faults, {time.monotonic() - start:.0f} s"
            print(f"simulator: {text}: {'equal' if equal else run.differences}", file=sys.stderr, flush=True)
    await run.checkpoint(content=True)


def _kinds(random: Random, options: argparse.Namespace) -> Iterator[str]:
    """Yields the kinds in random order, without an end."""
    number = 0
    while True:
        kinds = [kind for kind in KINDS if selected(kind, options) and number < _most(kind)]
        random.shuffle(kinds)
        yield from kinds
        number += 1


def _most(kind: str) -> float:
    most = None if kind in OUTAGES else REQUEST_FAULTS[kind].most
    return math.inf if most is None else most


async def _apply(fault: RequestFault, target: FaultTarget, load: PodLoad) -> None:
    """Applies a fault to a request; returns when it has had its effect."""
    server, random = target.server, target.random
    after = random.randrange(MAX_OBJECTS_BEFORE)
    made = fault.make(after)
    if not (fault.breaks_streams and random.random() < 0.5 and server.interrupt(made)):
        initial = fault.requests != "all" or random.random() < 0.5
        server.fault(made, when=_matching(fault, initial))
        if fault.requests in ("list", "later page"):
            server.fault(Forbidden(), when=MATCHES["streaming list"])  # which kinform replaces by a LIST, this time
        if initial:
            server.compact()
        server.disconnect()
        deadline = time.monotonic() + USE_SECONDS
        while server.faults_left and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
    await load.wait_for(after + 1)


def _matching(fault: RequestFault, initial: bool) -> Callable[[RecordedRequest], bool]:
    matches = MATCHES[fault.requests]
    return lambda request: matches(request) and (is_state_request(request) or not initial)
