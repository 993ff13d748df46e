"""One process that follows a collection, ordered about, read from outside, and asked in the end what it holds."""

from __future__ import annotations

from benchmarks.harness.process import Process
from benchmarks.harness.waiting import wait_until_rss

MIB = 1 << 20
NOISE = MIB
"""Bytes by which processes differ that did the same."""
BACK_WITHIN = 10.0
"""Seconds in which memory that is needed no longer has to be back with the system."""


class Source:
    """The server's process, and what it serves."""

    def __init__(self, process: Process) -> None:
        self.process = process
        about = process.do("open")
        self.url, self.resource = about["url"], about["resource"]


class Follower:
    """The process, once it holds everything and has nothing to do.

    Attributes:
        gauge: Reads it.
        idle: Bytes of a process that holds nothing.
        steady: Bytes that this one held at first.
    """

    def __init__(self, source: Source, process: Process, idle: int) -> None:
        self._source = source.process
        self._process = process
        self.gauge = process.gauge
        self.idle = idle
        self.steady = process.gauge.rss()

    @property
    def marginal(self) -> int:
        """Bytes for the objects that it held at first."""
        return self.steady - self.idle

    @property
    def slack(self) -> float:
        """Bytes by which the same content may take more than it did at first."""
        return max(0.05 * self.marginal, 2 * MIB) + NOISE

    def relist(self, *, changed: float = 0.0) -> int:
        """Makes it list anew, after a share of the objects has changed; returns the peak."""
        if changed:
            self._source.do("prepare", change=changed)
        self.gauge.reset_peak()
        self._process.do("reach", version=str(self._source.do("expire")))
        return self.gauge.peak()

    def delete(self, share: float) -> None:
        """Has a share of the objects deleted."""
        self._source.do("prepare", delete=share)
        self._process.do("reach", version=str(self._source.do("send")))

    def churn(self, events: int) -> int:
        """Has the objects updated in turn, so often in all; returns the peak."""
        self._source.do("prepare_churn", events=events)
        self.gauge.reset_peak()
        self._process.do("reach", version=str(self._source.do("send")))
        return self.gauge.peak()

    def back(self, most: float) -> int:
        """Bytes that it holds once that is no more than so many, or it had the time to get there.

        Memory that is back because objects were lost does not count.
        """
        held = wait_until_rss(self.gauge, most, BACK_WITHIN)
        assert self._process.do("digest") == self._source.do("digest")
        return held
