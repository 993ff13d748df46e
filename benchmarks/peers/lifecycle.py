"""What a process goes through, and what it takes: the same life for every peer, read from outside.

A first sync, a storm of as many updates as there are objects, a relist in which nothing and one in which everything
has changed, one in which a tenth has gone unseen, 90 % deleted; beside it a process on an empty collection, and one
that is given only what was left. After each phase there are some seconds, and the time until the process is quiet.
Then a digest of what it holds is compared with the server's: where they differ no figure of the phase is told.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.harness.digest import agree
from benchmarks.harness.gauge import QUIET_SECONDS
from benchmarks.harness.process import Died, Process
from benchmarks.harness.timeline import Timeline
from benchmarks.peers.catalogue import Peer

QUIET_LIMIT = 120.0
"""Seconds that work in the background may take."""
SETTLE = 5.0
"""Seconds between the end of a phase and the reading of what is left of it."""
BRIEF = 1.0
"""Likewise, where it is not asked whether memory comes back."""

TICK = 0.01
PHASES = {"sync": "objects", "storm": "events", "unchanged": "objects", "changed": "objects"}
"""Those in which every object comes by, and what is counted in each."""

Figures = dict[str, float | None]


class Wrong(Exception):
    """The content is not what the server has: no figure is told."""


class Source:
    """A server in a process of its own, and what it says of itself.

    Attributes:
        do: Gives it an order.
        about: Where it is, what it serves.
    """

    def __init__(self, process: Process, *, ca: str | None = None) -> None:
        self.do = process.do
        self.gauge = process.gauge
        self.about = process.do("open")
        self.ca = ca

    def peer(self, peer: Peer, **more: Any) -> Process:
        """A fresh process of this peer, which will follow what is served."""
        about = {"url": self.about["url"], "resource": self.about["resource"], "ca": self.ca, "token": None}
        return Process(peer.command, environment=peer.environment, **about, mode=peer.mode, **more)


class Life:
    """One life of one peer.

    Args:
        peer: Who.
        source: Serves the collection.
        nothing: Serves none of the same kind.
        patience: Seconds after which a phase is given up: what a library never recovers from ends there.
        whole: All that is in the objects is compared, where the peer has it; else who they are.
        tenth: There is a relist in which one object in ten has changed, too.
        reads: So many objects are read when all is quiet, and the sizes of all are asked for, of who knows the orders.

    Attributes:
        figures: What was found; of a phase that was given up, nothing.
        gave_up: Phases that did not come to their end, and why.
        timeline: What it held over time.
    """

    def __init__(
        self,
        peer: Peer,
        source: Source,
        nothing: Source,
        *,
        patience: float = 120.0,
        whole: bool = True,
        tenth: bool = False,
        reads: int = 0,
    ) -> None:
        self._peer = peer
        self._source = source
        self._nothing = nothing
        self._patience = patience
        self._whole = whole
        self._tenth = tenth
        self._reads = reads
        self.figures = Figures()
        self.gave_up: dict[str, str] = {}
        self.timeline: dict[str, Any] = {}
        self.versions: dict[str, str] = {}

    def run(self) -> None:
        """Goes through all of it."""
        with self._nothing.peer(self._peer) as idle:
            idle.do("connect")
            idle.do("sync")
            self._until_quiet(idle)
            self.figures |= {"idle.rss": idle.gauge.rss(), "idle.pss": idle.gauge.pss()}
            self.versions = idle.do("versions")  # only now: telling them takes memory
        self._source.do("reset")
        with self._source.peer(self._peer) as process:
            process.do("connect")
            timeline = Timeline(process.pid)
            try:
                self._live(process, timeline)
            finally:
                self.timeline = timeline.stop()
        if "deleted" in self.gave_up:
            return
        try:
            with self._source.peer(self._peer) as fresh:
                fresh.do("connect")
                with self._phase("fresh", fresh, None, BRIEF):
                    fresh.do("sync", patience=self._patience)
                self._check("fresh", fresh)
        except (Died, Wrong) as error:
            self._give_up("fresh", str(error))

    def _live(self, process: Process, timeline: Timeline) -> None:
        source, figures, objects = self._source, self.figures, self._source.about["objects"]
        with self._phase("sync", process, timeline, SETTLE):
            process.do("sync", patience=self._patience)
        self._check("sync", process)
        if self._reads:
            figures["read_seconds"] = process.do("read", count=self._reads)
            figures |= {f"{name}_bytes": size for name, size in process.do("sizes").items()}
        figures["storm.events"] = source.do("prepare", events=objects)["events"]
        self._happens("storm", process, timeline, "go", BRIEF)
        self._happens("unchanged", process, timeline, "expire", SETTLE)
        if self._tenth:
            source.do("prepare", change=0.1)
            self._happens("tenth", process, timeline, "expire", SETTLE)
        source.do("prepare", change=1.0)
        self._happens("changed", process, timeline, "expire", SETTLE)
        source.do("prepare", delete=0.1)
        self._happens("lost", process, timeline, "expire", BRIEF)
        source.do("prepare", delete=0.9)
        self._happens("deleted", process, timeline, "go", SETTLE)

    def _happens(self, name: str, process: Process, timeline: Timeline, order: str, settle: float) -> None:
        """Something happens at the server, and the peer comes to know all of it, if it ever does."""
        if self.gave_up:  # who is stale after one phase is so in the next
            self.gave_up[name] = "after that"
            return
        self.figures[f"{name}.before"] = process.gauge.rss()
        try:
            with self._phase(name, process, timeline, settle):
                if self._source.do(order) is None or (version := self._source.do("mark")) is None:
                    raise Died("it watches no more")
                process.do("reach", version=str(version), patience=self._patience)
            self._check(name, process)
        except (Died, Wrong) as error:
            self._give_up(name, str(error))

    def _give_up(self, name: str, why: str) -> None:
        self.figures = {key: value for key, value in self.figures.items() if not key.startswith(f"{name}.")}
        self.gave_up[name] = why

    @contextmanager
    def _phase(self, name: str, process: Process, timeline: Timeline | None, settle: float) -> Iterator[None]:
        """Notes what goes on in the block, and after it: what is held soon, and once all is quiet; the peak up to then.

        CPU seconds are those of the block, and in all those until it is quiet: work in the background counts, too.
        """
        gauge, found = process.gauge, self.figures
        if timeline is not None:
            timeline.phase(name)
        gauge.forget_peak()
        begun, cpu = time.perf_counter(), gauge.cpu_seconds()
        yield
        found[f"{name}.seconds"] = time.perf_counter() - begun
        found[f"{name}.cpu_seconds"] = gauge.cpu_seconds() - cpu
        time.sleep(settle)
        found[f"{name}.rss"] = gauge.rss()
        self._until_quiet(process)
        found |= {f"{name}.quiet_rss": gauge.rss(), f"{name}.quiet_pss": gauge.pss(), f"{name}.peak": gauge.peak()}
        found[f"{name}.all_cpu_seconds"] = gauge.cpu_seconds() - cpu

    def _until_quiet(self, process: Process) -> None:
        """Waits until it does nothing any more."""
        process.gauge.until_quiet(QUIET_LIMIT, quiet=QUIET_SECONDS if self._peer.background else BRIEF)

    def _check(self, phase: str, process: Process) -> None:
        less = {} if self._whole else {"whole": False}
        there, here = self._source.do("digest", **less), process.do("digest", patience=self._patience, **less)
        if not agree(there, here):
            counts = f"{here['objects']:,} objects, the server {there['objects']:,}"
            raise Wrong(f"after {phase} it holds other objects than the server ({counts})")


def derived(found: Figures, objects: int) -> Figures:
    """Figures that follow from others of the same life: an object, a CPU second."""
    values, more = {name: value or 0.0 for name, value in found.items()}, Figures()
    more["quiet.bytes_per_object"] = (values["sync.quiet_rss"] - values["idle.rss"]) / objects
    for name, count in PHASES.items():
        if f"{name}.cpu_seconds" in values:
            pieces = values["storm.events"] if count == "events" else objects
            for part in ("cpu_seconds", "all_cpu_seconds"):
                # A tick is the least that can be told apart.
                more[f"{name}.per_{part.removesuffix('s')}"] = pieces / max(values[f"{name}.{part}"], TICK)
    return more
