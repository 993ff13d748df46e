"""Stops reads from a socket for a full queue, and collects small reads.

A kube-apiserver sends each watch event by itself. A read, its decryption and the wake-up of the reader cost more CPU
time than the event. So after two small reads in quick succession the socket is not read for some milliseconds, while
the kernel collects what arrives. One event alone is never delayed.

Source: NAPI and interrupt coalescing of network drivers, which pause interrupts under load for the same reason.
"""

from __future__ import annotations

import asyncio

SMALL_READ_BYTES = 32 << 10
COLLECT_SECONDS = 0.01


class ReadFlow:
    """Pauses and resumes the reads of one connection.

    Args:
        transport: The transport of the connection.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._ready_since = float("-inf")  # the last read, or the end of the last collection
        self._collecting = False
        self._full = False

    def note_read(self, nbytes: int) -> None:
        """Starts a collection after two small reads in quick succession."""
        now = self._loop.time()
        if nbytes < SMALL_READ_BYTES and now - self._ready_since < COLLECT_SECONDS and not self._collecting:
            self._collecting = True
            self._loop.call_later(COLLECT_SECONDS, self._end_collection)
            self._transport.pause_reading()
        self._ready_since = now

    def set_full(self, full: bool) -> None:
        """Stops reading while the queue of the reader is full."""
        if full != self._full:
            self._full = full
            self._apply()

    def _end_collection(self) -> None:
        self._collecting = False
        self._ready_since = self._loop.time()
        self._apply()

    def _apply(self) -> None:
        if self._transport.is_closing():
            return
        if self._full or self._collecting:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
