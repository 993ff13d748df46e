"""Measures how threads that read a store delay the event loop of `kinform.sync`.

Each row is an update burst: the events come as fast as the server sends them, while threads read random objects as
dicts. A task on the event loop sleeps for one millisecond, again and again; the delay is the time by which it wakes up
late. Python runs one thread at a time, and lets another one run after the switch interval (`sys.setswitchinterval`).
Threads that read give way to the loop while events arrive; threads that compute do not. Percentiles are over the
wake-ups. With threads that compute, a burst takes longer, so it has a tenth of the events.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import msgspec

from benchmarks.corpus import MADE
from benchmarks.harness.arguments import count, plain
from benchmarks.harness.digest import agree
from benchmarks.harness.process import SERVER, Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Column, rows
from benchmarks.peers.catalogue import Peer
from benchmarks.peers.compare import progress
from benchmarks.peers.lifecycle import Source

PEER = Peer(
    name="kinform.sync",
    family="kinform",
    command=tuple(python("benchmarks/peers/sync_peer.py")),
    mode="auto",
)


COMPUTING = "other work after each read"
"""Marks the title of a load that also computes."""


class Load(msgspec.Struct, frozen=True):
    """Threads that read.

    Attributes:
        readers: Number of threads.
        pause: Seconds between two reads of a thread.
        switch_interval: Seconds after which Python lets another thread run; its default is 5 ms.
        computes: Seconds that a thread computes after each read.
    """

    readers: int
    pause: float = 0.0
    switch_interval: float = 0.005
    computes: float = 0.0

    def events(self, burst: int) -> int:
        """Returns the number of events of its burst: `burst`, or a tenth of it."""
        return max(burst // 10, 1) if self.computes else burst

    @property
    def title(self) -> str:
        """The title of its row."""
        if not self.readers:
            return "no readers"
        what = f"{self.pause * 1e3:g} ms between two reads" if self.pause else "without a pause"
        if self.computes:
            what = f"{self.computes * 1e3:g} ms of {COMPUTING}"
        who = "1 reader" if self.readers == 1 else f"{self.readers} readers"
        return f"{who}, {what}, switch interval {self.switch_interval * 1e3:g} ms"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--kind", choices=sorted(MADE), default="pods", help="kind of the objects; default: %(default)s"
    )
    parser.add_argument("--objects", type=count, default=5_000, help="number of objects; default: %(default)s")
    parser.add_argument("--events", type=count, default=50_000, help="events of a burst; default: %(default)s")
    parser.add_argument("--readers", type=count, default=8, help="number of threads; default: %(default)s")
    parser.add_argument("--rounds", type=count, default=3, help="number of rounds; default: %(default)s")
    plain(parser)


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each load."""
    readers = options.readers
    loads = [
        Load(0),
        Load(1),
        Load(readers, pause=0.01),
        Load(readers, pause=0.001),
        Load(readers),
        Load(readers, computes=0.01),
        Load(readers, computes=0.01, switch_interval=0.0005),
    ]
    served = {"resource": options.kind, "objects": options.objects, "seed": options.seed, "corpus": None}
    with Process(python(SERVER), **served, tls=not options.plain) as server:
        source = Source(server)
        rounds = [_round(source, loads, options.events) for _ in range(options.rounds)]
    for load in loads:
        yield {
            "benchmark": options.benchmark,
            "record": "load",
            "kind": options.kind,
            "objects": options.objects,
            "events": load.events(options.events),
            "load": load.title,
            "figures": spreads([found[load] for found in rounds]),  # type: ignore[misc]
        }


def _round(source: Source, loads: list[Load], events: int) -> dict[Load, dict[str, float]]:
    figures: dict[Load, dict[str, float]] = {}
    source.do("reset")
    with source.start(PEER) as process:
        process.do("connect")
        process.do("sync")
        for load in loads:
            progress(load.title)
            sent = load.events(events)
            source.do("prepare", events=sent)
            process.do("read", **msgspec.to_builtins(load))
            seconds = process.do("reach", version=str(source.do("send")))
            figures[load] = process.do("stop") | {"events_per_second": sent / seconds}
            if not agree(source.do("digest"), process.do("digest")):
                raise SystemExit("threads: kinform holds other objects than the server; no figures are reported")
    return figures


COLUMNS: tuple[Column, ...] = (
    ("delay: p99", "p99", "ms"),
    ("delay: longest", "longest", "ms"),
    ("events per second", "events_per_second", ""),
    ("reads per second", "reads_per_second", ""),
)


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    first = records[0]
    lines = [f"{first['objects']:,} {first['kind']}, {first['events']:,} events; median, min, max"]
    for each in records:
        lines += [f"\n{each['load']}", *rows(COLUMNS, each["figures"])]
    return "\n".join(lines)
