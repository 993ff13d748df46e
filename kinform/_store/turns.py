"""The turns of the threads of a store: readers give way to the writer.

Python runs one thread at a time. A thread that waits for its turn gets it after the switch interval, 5 ms
(`sys.setswitchinterval`), and several busy threads take turns. A writer on an event loop needs two turns for each piece
of data from the network, so that a few threads that read without a pause would slow it down many times. A short sleep
of a reader hands over the turn at once. Only while events arrive: otherwise the writer needs no turn.
"""

from __future__ import annotations

from threading import get_ident
from time import perf_counter, sleep

READ_SECONDS = 0.0005
"""Seconds of reading after which a reader gives way."""
PAUSE_SECONDS = 1e-6
"""Seconds that it sleeps. The system makes it longer, about 50 us, in which another thread wakes up."""
ACTIVE_SECONDS = 0.5
"""Seconds after a write in which readers give way."""


class Turns:
    """Lets the writer run while other threads read without a pause."""

    def __init__(self) -> None:
        self._writer = 0
        self._wrote = float("-inf")
        self._gave_way = 0.0  # any thread: only one of them runs at a time

    def note_write(self) -> None:
        """Notes that the calling thread writes."""
        self._writer = get_ident()
        self._wrote = perf_counter()

    def give_way(self) -> None:
        """Sleeps shortly if the turn of the calling thread is over.

        The writer never sleeps.
        """
        if get_ident() == self._writer:
            return
        now = perf_counter()
        if now - self._gave_way > READ_SECONDS and now - self._wrote < ACTIVE_SECONDS:
            sleep(PAUSE_SECONDS)
            self._gave_way = perf_counter()
