"""Measures the drop-in Watch next to the Watch of each client.

The figure is events per second of CPU time. A loop reads MODIFIED events of pods, and touches the type and the key,
`raw_object`, or `object` of each. It runs in a process of its own, for a fixed CPU time after a warm-up. In each round
both loops of a client follow the same server, one after the other. They use the same HTTP client, and its work counts.
The bias: a loop with kinform reads the key as `event.key`, which the originals do not have; they read
`event["object"]`. At the end, a loop that keeps nothing reads many events, and its memory is compared.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import Any

from benchmarks.harness.arguments import count, only, plain, selected
from benchmarks.harness.process import SERVER, Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spread
from benchmarks.harness.text import MIB

LOOP = "benchmarks/dropin/loop.py"
CLIENTS = ("kubernetes_asyncio", "kubernetes.aio", "kubernetes")
TOUCHES = ("type and key", "raw_object", "object")
EVENTS_AHEAD = 10_000_000
"""Events that the server can send: more than a loop reads."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--objects", type=count, default=1_000, metavar="N", help="number of pods; default: %(default)s"
    )
    parser.add_argument("--rounds", type=count, default=3, help="number of rounds; default: %(default)s")
    parser.add_argument("--seconds", type=float, default=2.0, help="CPU time of a loop; default: %(default)s")
    parser.add_argument(
        "--events", type=count, default=1_000_000, metavar="N", help="events of the memory test; default: %(default)s"
    )
    only(parser)
    plain(parser)


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each client and touch, and one for the memory.

    Raises:
        SystemExit: A loop with more than two events per object did not see every object.
    """
    clients = [each for each in CLIENTS if selected(each, options) and _is_installed(each)]
    with Process(
        python(SERVER), resource="pods", objects=options.objects, seed=options.seed, corpus=None, tls=not options.plain
    ) as server:
        for client in clients:
            for touch in TOUCHES:
                rounds = [_round(server, client, touch, options) for _ in range(options.rounds)]
                yield {
                    "benchmark": options.benchmark,
                    "record": "speed",
                    "client": client,
                    "touch": touch,
                    "figures": {name: spread(each[name] for each in rounds) for name in rounds[0]},
                }
        if clients:
            yield {"benchmark": options.benchmark, "record": "memory", "client": clients[0]} | growth(
                server, clients[0], options.events
            )


def _is_installed(client: str) -> bool:
    return importlib.util.find_spec(client.partition(".")[0]) is not None


def _round(server: Process, client: str, touch: str, options: argparse.Namespace) -> dict[str, float]:
    theirs, ours = (_run(server, client, touch, kinform, options.seconds) for kinform in (False, True))
    for name in ("original", "kinform"):
        found = theirs if name == "original" else ours
        if found["objects"] != options.objects and found["events"] > 2 * options.objects:
            raise SystemExit(f"dropin: a wrong answer: {name} saw {found['objects']} of {options.objects} objects")
    rates = {name: found["events"] / found["cpu_seconds"] for name, found in (("original", theirs), ("kinform", ours))}
    return {**rates, "ratio": rates["kinform"] / rates["original"]}


def _run(server: Process, client: str, touch: str, kinform: bool, seconds: float) -> dict[str, Any]:
    with _loop(server, client, touch, kinform) as process, _sending(server):
        found: dict[str, Any] = process.do("follow", seconds=seconds)
        return found


def growth(server: Process, client: str, events: int) -> dict[str, int]:
    """Returns the memory of a loop that keeps nothing, early and at the end."""
    with _loop(server, client, "type and key", True) as process, _sending(server):
        process.do("follow", events=events // 10)
        early = process.gauge.rss()
        process.do("follow", events=events - events // 10)
        return {"events": events, "rss_after_a_tenth": early, "rss_at_the_end": process.gauge.rss()}


def _loop(server: Process, client: str, touch: str, kinform: bool) -> Process:
    """Starts a loop in a new process. It opens its watch at its first command."""
    about = server.do("open")
    server.do("reset")
    server.do("prepare_churn", events=EVENTS_AHEAD)
    given = {"client": client, "touch": touch, "kinform": kinform}
    process = Process(python(LOOP), url=about["url"], ca=about["ca"], **given)
    process.do("connect")
    return process


@contextmanager
def _sending(server: Process) -> Iterator[None]:
    """Sends events as soon as the loop opens its watch."""
    with ThreadPoolExecutor() as threads:
        sent = threads.submit(server.do, "send")
        yield
        sent.result()


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    lines = ["events per second of CPU time, median over rounds"]
    for client, found in groupby((each for each in records if each["record"] == "speed"), itemgetter("client")):
        lines.append(f"\n{client:22}{'original':>12}{'kinform':>12}{'ratio':>8}{'min':>8}")
        for each in found:
            figures = each["figures"]
            rates = "".join(f"{figures[name]['median']:12,.0f}" for name in ("original", "kinform"))
            ratio = f"{figures['ratio']['median']:8.1f}{figures['ratio']['min']:8.1f}"
            lines.append(f"  {each['touch']:20}{rates}{ratio}")
    for each in records:
        if each["record"] == "memory":
            sizes = " to ".join(f"{each[name] / MIB:.1f}" for name in ("rss_after_a_tenth", "rss_at_the_end"))
            lines.append(f"\nmemory over {each['events']:,} events, after the first tenth: {sizes} MiB")
    return "\n".join(lines)
