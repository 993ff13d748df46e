"""A writer of lines to standard output, with a thread of its own.

A pipe with a slow reader (`| less`) blocks that thread and never the event loop. The informer goes on reading the
watch. A caller bounds the buffer: it awaits `drain` after each line. The thread writes to the file descriptor and not
to `sys.stdout`: a blocked thread would hold the lock of `sys.stdout` forever.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
from collections import deque
from contextlib import suppress

MAX_BUFFERED_BYTES = 1 << 20
"""The size of the buffer above which `drain` waits."""


class StdoutWriter:
    """Writes lines to standard output. Must be created inside a running event loop.

    Attributes:
        closed: Set once nothing more can be written.
        error: The reason, or None if the reader of the pipe closed it.
    """

    def __init__(self, descriptor: int = 1) -> None:
        self.closed = asyncio.Event()
        self.error: OSError | None = None
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._buffer: deque[bytes] = deque()
        self._buffered_bytes = 0
        self._changed = threading.Condition()
        self._finishing = False
        self._drained = asyncio.Event()
        self._drained.set()
        self._thread = threading.Thread(target=self._run, name="kinform stdout", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Appends a line to the buffer. The line includes its line end."""
        with self._changed:
            self._buffer.append(line)
            self._buffered_bytes += len(line)
            if self._buffered_bytes > MAX_BUFFERED_BYTES:
                self._drained.clear()
            self._changed.notify()

    async def drain(self) -> None:
        """Waits until the buffer is below its limit."""
        await self._drained.wait()

    def reader_is_gone(self) -> bool:
        """Returns whether the reader of the pipe closed it. Works without a write."""
        poll = select.poll()
        poll.register(self._descriptor, 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))

    def finish(self, timeout: float) -> None:
        """Writes the rest of the buffer and ends the thread, within `timeout` seconds."""
        with self._changed:
            self._finishing = True
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._buffer or self._finishing)
                rest = memoryview(b"".join(self._buffer))
                self._buffer.clear()
                self._buffered_bytes = 0
            if not rest:
                return
            self._set(self._drained)
            try:
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            except OSError as error:
                self.error = None if isinstance(error, BrokenPipeError) else error
                self._set(self.closed)
                return

    def _set(self, event: asyncio.Event) -> None:
        with suppress(RuntimeError):  # the loop is closed, so no task waits for the event
            self._loop.call_soon_threadsafe(event.set)
