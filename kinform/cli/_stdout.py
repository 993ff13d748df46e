"""Lines to standard output, written by a thread of their own.

A pipe whose reader is slow (`| less`) holds that thread, never the event loop: the stream goes on being read,
and what waits is bounded by whoever waits for `drained`. Writes to the file descriptor and not to
`sys.stdout`, whose lock a thread that hangs would keep for ever.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
from collections import deque
from contextlib import suppress

WAITING_BYTES = 1 << 20
"""Beyond so many bytes `drained` waits."""


class Lines:
    """Standard output, line by line. To be made inside a running event loop.

    Attributes:
        closed: Set once no more can be written.
        error: Why, where it is not that the reader has gone.
    """

    def __init__(self, descriptor: int = 1) -> None:
        self.closed = asyncio.Event()
        self.error: OSError | None = None
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._finishing = False
        self._drained = asyncio.Event()
        self._drained.set()
        self._thread = threading.Thread(target=self._run, name="kinform lines", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Adds a line, which brings its own end."""
        with self._changed:
            self._waiting.append(line)
            self._waiting_bytes += len(line)
            if self._waiting_bytes > WAITING_BYTES:
                self._drained.clear()
            self._changed.notify()

    async def drained(self) -> None:
        """Waits until little waits."""
        await self._drained.wait()

    def hung_up(self) -> bool:
        """Whether the reader of a pipe is gone, which writing alone would tell too late."""
        poll = select.poll()
        poll.register(self._descriptor, 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))

    def finish(self, timeout: float) -> None:
        """Writes what waits, within so many seconds."""
        with self._changed:
            self._finishing = True
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._finishing)
                piece = memoryview(b"".join(self._waiting))
                self._waiting.clear()
                self._waiting_bytes = 0
            if not piece:
                return
            self._tell(self._drained)
            try:
                while piece:
                    piece = piece[os.write(self._descriptor, piece) :]
            except OSError as error:
                self.error = None if isinstance(error, BrokenPipeError) else error
                self._tell(self.closed)
                return

    def _tell(self, event: asyncio.Event) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(event.set)
