"""A process that follows a collection: controlled, and measured from outside."""

from __future__ import annotations

from benchmarks.harness.process import Process
from benchmarks.harness.waiting import wait_until_rss

MIB = 1 << 20
NOISE = MIB
"""Bytes by which two processes with the same work differ."""
TRIMMED_SECONDS = 5.0
"""Seconds without work after which a process has returned free memory. kinform does that 2 to 4 s after a write."""
RETURN_SECONDS = 10.0
"""Seconds within which unused memory must be returned to the system."""


class Source:
    """The process of a server, and the collection that it serves."""

    def __init__(self, process: Process) -> None:
        self.process = process
        about = process.do("open")
        self.url, self.resource = about["url"], about["resource"]


class Follower:
    """A process that is synced and idle.

    Attributes:
        gauge: Measures the process.
        idle: Resident bytes of a process with an empty collection.
        steady: Resident bytes of this process at first.
    """

    def __init__(self, source: Source, process: Process, idle: int) -> None:
        self._source = source.process
        self._process = process
        self.gauge = process.gauge
        self.idle = idle
        self.steady = process.gauge.rss()

    @property
    def marginal(self) -> int:
        """Bytes that the initial objects take."""
        return self.steady - self.idle

    @property
    def slack(self) -> float:
        """Bytes by which the same content may exceed its initial size."""
        return max(0.05 * self.marginal, 2 * MIB) + NOISE

    def relist(self, *, changed: float = 0.0) -> int:
        """Changes a share of the objects, forces a relist, and returns the peak."""
        if changed:
            self._source.do("prepare", change=changed)
        self.gauge.reset_peak()
        self._process.do("reach", version=str(self._source.do("expire")))
        return self.gauge.peak()

    def delete(self, share: float) -> None:
        """Deletes a share of the objects."""
        self._source.do("prepare", delete=share)
        self._process.do("reach", version=str(self._source.do("send")))

    def churn(self, events: int) -> int:
        """Sends this number of updates, to one object after the other; returns the peak."""
        self._source.do("prepare_churn", events=events)
        self.gauge.reset_peak()
        self._process.do("reach", version=str(self._source.do("send")))
        return self.gauge.peak()

    def settled(self, most: float) -> int:
        """Waits until the process takes at most this number of bytes.

        Gives up after `RETURN_SECONDS`. Also checks that it still holds every object.

        Returns:
            The resident bytes.
        """
        held = wait_until_rss(self.gauge, most, RETURN_SECONDS)
        assert self._process.do("digest") == self._source.do("digest")
        return held
