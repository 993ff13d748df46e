"""The phases that every peer goes through, in a process that is read from outside.

    sync        the first sync
    storm       an update burst: one update event for each object
    unchanged   a relist in which no object has changed
    tenth       a relist in which one object in ten has changed, if asked for
    changed     a relist in which every object has changed
    lost        a relist in which a tenth of the objects is missing: they were deleted while no watch was open
    deleted     events that delete 90 % of the objects

In addition, one process follows an empty collection (`idle`), and one only the objects that were left in the end
(`fresh`). After each phase come some seconds of waiting, and then the time until the process is at rest, which is seen
from outside: it uses no CPU time. All peers are waited for in the same way. Then a digest of the process is compared
with the server's: if they differ, the phase has no figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.harness.digest import WrongContent, agree
from benchmarks.harness.process import Process, ProcessDied
from benchmarks.harness.text import Column
from benchmarks.harness.timeline import Timeline
from benchmarks.harness.waiting import wait_until_idle
from benchmarks.peers.catalogue import Peer
from benchmarks.peers.phase import BRIEF_SECONDS, IDLE_TIMEOUT, SETTLE_SECONDS, Figures, phase, rates

NOT_RUN = "not run, because an earlier phase failed"
PHASES = {
    "sync": "first sync",
    "storm": "update burst",
    "unchanged": "relist, nothing changed",
    "tenth": "relist, a tenth changed",
    "changed": "relist, all changed",
    "lost": "relist, a tenth deleted",
    "deleted": "90 % deleted",
    "fresh": "new process",
}
"""The titles of the phases."""
COUNTED = {"sync": "objects", "storm": "events", "unchanged": "objects", "changed": "objects"}
"""The phases in which every object is read, and what is counted in each."""

MEMORY: tuple[Column, ...] = (
    ("idle", "idle.rss", "MiB"),
    ("first sync: peak", "sync.peak", "MiB"),
    ("first sync: at rest", "sync.rss_at_rest", "MiB"),
    ("bytes per object", "bytes_per_object", ""),
    ("relist, nothing changed: peak", "unchanged.peak", "MiB"),
    ("relist, nothing changed: 5 s later", "unchanged.rss", "MiB"),
    ("relist, all changed: peak", "changed.peak", "MiB"),
    ("relist, all changed: 5 s later", "changed.rss", "MiB"),
    ("90 % deleted: 5 s later", "deleted.rss", "MiB"),
    ("new process: at rest", "fresh.rss_at_rest", "MiB"),
)
CPU_TIME: tuple[Column, ...] = (
    ("first sync: objects per CPU second", "sync.per_cpu_second", ""),
    ("first sync, until at rest: objects per CPU second", "sync.per_total_cpu_second", ""),
    ("first sync: elapsed time", "sync.seconds", "s"),
    ("update burst: events per CPU second", "storm.per_cpu_second", ""),
    ("update burst, until at rest: events per CPU second", "storm.per_total_cpu_second", ""),
    ("relist, nothing changed: CPU time", "unchanged.cpu_seconds", "s"),
    ("relist, nothing changed, until at rest: CPU time", "unchanged.total_cpu_seconds", "s"),
    ("relist, all changed: CPU time", "changed.cpu_seconds", "s"),
    ("relist, all changed, until at rest: CPU time", "changed.total_cpu_seconds", "s"),
)


class Source:
    """A server process.

    Attributes:
        do: Sends it a command.
        about: Its address, and what it serves.
    """

    def __init__(self, process: Process) -> None:
        self.do = process.do
        self.about = process.do("open")

    def start(self, peer: Peer) -> Process:
        """Starts a process of this peer on the collection."""
        about = {name: self.about[name] for name in ("url", "ca", "resource")} | {"token": None}
        return Process(peer.command, environment=peer.environment, **about, mode=peer.mode, **peer.options)


class Lifecycle:
    """The run of a peer through all phases.

    Args:
        peer: The peer.
        source: Serves the collection.
        empty: Serves an empty collection of the same kind.
        timeout: Seconds that a phase may take. A peer that never recovers fails then.
        whole: Compare whole objects, if the peer keeps them; else only their identity.
        tenth: Include the phase `tenth`.
        reads: The number of objects to read when the process is idle. The sizes of all objects are read too. Only
            kinform has these commands.

    Attributes:
        figures: The figures. A failed phase has none.
        failures: Phase to the reason of its failure.
        timeline: The resident memory over time.
    """

    def __init__(
        self,
        peer: Peer,
        source: Source,
        empty: Source,
        *,
        timeout: float = 120.0,
        whole: bool = True,
        tenth: bool = False,
        reads: int = 0,
    ) -> None:
        self._peer = peer
        self._source = source
        self._empty = empty
        self._timeout = timeout
        self._whole = whole
        self._tenth = tenth
        self._reads = reads
        self.figures = Figures()
        self.failures: dict[str, str] = {}
        self.timeline: dict[str, Any] = {}
        self.versions: dict[str, str] = {}

    def run(self) -> None:
        """Runs all phases.

        Raises:
            ProcessDied, WrongContent: The first sync failed.
        """
        with self._empty.start(self._peer) as idle:
            idle.do("connect")
            idle.do("sync")
            wait_until_idle(idle.gauge, IDLE_TIMEOUT)
            self.figures |= {"idle.rss": idle.gauge.rss(), "idle.pss": idle.gauge.pss()}
            self.versions = idle.do("versions")  # after the reading: finding them takes memory
        self._source.do("reset")
        with self._source.start(self._peer) as process:
            process.do("connect")
            timeline = Timeline(process.gauge)
            try:
                self._run_phases(process, timeline)
            finally:
                self.timeline = timeline.stop()
        if "deleted" in self.failures:
            return
        try:
            with self._source.start(self._peer) as fresh:
                fresh.do("connect")
                with self._phase("fresh", fresh, None, BRIEF_SECONDS):
                    fresh.do("sync", timeout=self._timeout)
                self._check(fresh)
        except (ProcessDied, WrongContent) as error:
            self._fail("fresh", str(error))

    def _run_phases(self, process: Process, timeline: Timeline) -> None:
        source, figures, objects = self._source, self.figures, self._source.about["objects"]
        with self._phase("sync", process, timeline, SETTLE_SECONDS):
            process.do("sync", timeout=self._timeout)
        self._check(process)
        if self._reads:
            figures["read_seconds"] = process.do("read", count=self._reads)
            figures |= {f"{name}_bytes": size for name, size in process.do("sizes").items()}
        figures["storm.events"] = source.do("prepare", events=objects)["events"]
        self._change("storm", process, timeline, "send", BRIEF_SECONDS)
        self._change("unchanged", process, timeline, "expire", SETTLE_SECONDS)
        if self._tenth:
            source.do("prepare", change=0.1)
            self._change("tenth", process, timeline, "expire", SETTLE_SECONDS)
        source.do("prepare", change=1.0)
        self._change("changed", process, timeline, "expire", SETTLE_SECONDS)
        source.do("prepare", delete=0.1)
        self._change("lost", process, timeline, "expire", BRIEF_SECONDS)
        source.do("prepare", delete=0.9)
        self._change("deleted", process, timeline, "send", SETTLE_SECONDS)

    def _change(self, name: str, process: Process, timeline: Timeline, command: str, settle: float) -> None:
        """Changes the collection, and waits until the peer has seen all of it."""
        if self.failures:  # its content is out of date from then on
            self.failures[name] = NOT_RUN
            return
        self.figures[f"{name}.before"] = process.gauge.rss()
        try:
            with self._phase(name, process, timeline, settle):
                if self._source.do(command) is None or (version := self._source.do("mark")) is None:
                    raise ProcessDied("it no longer watches")
                process.do("reach", version=str(version), timeout=self._timeout)
            self._check(process)
        except (ProcessDied, WrongContent) as error:
            self._fail(name, str(error))

    def _fail(self, name: str, reason: str) -> None:
        self.figures = {key: value for key, value in self.figures.items() if not key.startswith(f"{name}.")}
        self.failures[name] = reason

    @contextmanager
    def _phase(self, name: str, process: Process, timeline: Timeline | None, settle: float) -> Iterator[None]:
        """Measures the block, and marks its start in the timeline."""
        if timeline is not None:
            timeline.phase(name)
        with phase(self.figures, name, process.gauge, settle):
            yield

    def _check(self, process: Process) -> None:
        less = {} if self._whole else {"whole": False}
        server, client = self._source.do("digest", **less), process.do("digest", timeout=self._timeout, **less)
        if not agree(server, client):
            counts = f"the copy has {client['objects']:,} objects, the server has {server['objects']:,}"
            raise WrongContent(f"its copy differs from the server ({counts})")


def derived(found: Figures, objects: int) -> Figures:
    """Computes figures per object and per CPU second from the others."""
    values, more = {name: value or 0.0 for name, value in found.items()}, Figures()
    more["bytes_per_object"] = (values["sync.rss_at_rest"] - values["idle.rss"]) / objects
    for name, counted in COUNTED.items():
        more |= rates(found, name, values.get("storm.events", 0.0) if counted == "events" else objects)
    return more
