"""The turns of the threads of a store: readers give way to the writer.

Python runs one thread at a time. A thread that waits for its turn gets it after the switch interval, 5 ms
(`sys.setswitchinterval`), and several busy threads take turns. A writer on an event loop needs many turns for each
piece of data from the network, because each read from a socket and each TLS record gives up the turn. So a few threads
that read without a pause would slow it down many times.

Here, a thread that reads without a pause does so in slices. A short sleep between two slices hands over the turn at
once. If several threads read, they queue, so that only one of them and the writer compete for the turn. And the first
in the queue goes on sleeping while the writer is busy. It knows that by its sleeps, which last too long if another
thread has the turn at their end.
"""

from __future__ import annotations

from threading import Lock, get_ident, local
from time import perf_counter, sleep

READ_SECONDS = 0.0005
"""Seconds of a slice, after which a reader gives way."""
QUIET_READ_SECONDS = 0.002
"""Seconds of a slice while no events arrive. A reader that is alone then does not give way."""
ACTIVE_SECONDS = 0.5
"""Seconds after a write in which more events are expected."""
PAUSE_SECONDS = 1e-6
"""Seconds of a sleep. The system makes it longer, about 70 us, in which another thread wakes up."""
LATE_SECONDS = 0.00015
"""Seconds by which a sleep lasts too long if the writer is busy."""
MAX_PAUSE_SECONDS = 0.003
"""Seconds after which the next slice begins although the writer is busy."""
SHARED_SECONDS = 0.05
"""Seconds in which a slice of another reader shows that a reader is not alone."""
AWAY_SECONDS = 0.0001
"""Seconds between two reads after which a reader needs no pause, because it made one."""
QUEUE_SECONDS = 0.1
"""Seconds after which a reader leaves the queue, whatever happened: a fork copies a queue without its threads."""


class Slice(local):
    """The slice of a thread.

    Attributes:
        end: The time at which it ends.
    """

    end = 0.0


class Turns:
    """Lets the writer run while other threads read without a pause."""

    def __init__(self) -> None:
        self._writer = 0
        self._wrote = float("-inf")
        self._slice = Slice()
        # The last slice. Any thread writes these: only one of them runs at a time.
        self._reader = 0
        self._end = float("-inf")
        self._shared = float("-inf")  # the last time when it was followed by one of another reader
        self._queue = Lock()

    def note_write(self) -> None:
        """Notes that the calling thread writes."""
        self._writer = get_ident()
        self._wrote = perf_counter()

    def give_way(self) -> None:
        """Sleeps if the slice of the calling thread is over.

        The writer never sleeps.
        """
        now = perf_counter()
        own = self._slice
        if now < own.end:
            return
        thread = get_ident()
        if thread == self._writer:
            return
        active = now - self._wrote < ACTIVE_SECONDS
        if now - own.end < AWAY_SECONDS:
            if now - self._shared < SHARED_SECONDS:
                now = self._wait(active)
            elif active:
                sleep(PAUSE_SECONDS)
                now = perf_counter()
        if thread != self._reader:
            if now - self._end < SHARED_SECONDS:
                self._shared = now
            self._reader = thread
        own.end = self._end = now + (READ_SECONDS if active else QUIET_READ_SECONDS)

    def _wait(self, active: bool) -> float:
        """Waits for the end of the other slice and for an idle writer; returns the time."""
        first = self._queue.acquire(timeout=QUEUE_SECONDS)
        try:
            now = perf_counter()
            while True:
                end = max(now, self._end) + PAUSE_SECONDS
                sleep(end - now)
                now = perf_counter()
                busy = active and now - end > LATE_SECONDS
                if now >= self._end and (not busy or now - self._end > MAX_PAUSE_SECONDS):
                    self._end = now + READ_SECONDS  # before the next one leaves the queue
                    return now
        finally:
            if first:
                self._queue.release()
