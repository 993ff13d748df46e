"""The buffer that sockets are read into, shared by all connections of a thread.

A protocol copies out what it needs before it returns to the event loop, so one buffer is enough. Its memory goes
back to the system after a second without a read: a process whose watches are all quiet keeps none of it.
"""

from __future__ import annotations

import asyncio
import mmap
import threading

READ_BYTES = 256 << 10
QUIET_SECONDS = 1.0


class ReadBuffer:
    """A buffer of 256 KiB that occupies memory only while connections read.

    Attributes:
        view: The buffer. Its contents are valid until the protocol returns to the event loop.
    """

    def __init__(self) -> None:
        self._pages = mmap.mmap(-1, READ_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.view = memoryview(self._pages)
        self._loop: asyncio.AbstractEventLoop | None = None  # which has a timer for this buffer
        self._quiet = True  # no read since the timer was set

    def note_read(self) -> None:
        """Postpones the release of the memory; call it for each read, from the event loop."""
        self._quiet = False
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # a loop that was closed never runs its timers
            self._loop = loop
            loop.call_later(QUIET_SECONDS, self._release_if_quiet, loop)

    def _release_if_quiet(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            return
        if self._quiet:
            self._pages.madvise(mmap.MADV_DONTNEED)
            self._loop = None
        else:
            self._quiet = True
            loop.call_later(QUIET_SECONDS, self._release_if_quiet, loop)


class _ThreadBuffers(threading.local):
    def __init__(self) -> None:
        self.plaintext, self.ciphertext = ReadBuffer(), ReadBuffer()


_thread_buffers = _ThreadBuffers()


def read_buffer() -> ReadBuffer:
    """Returns the buffer of this thread."""
    return _thread_buffers.plaintext


def ciphertext_buffer() -> ReadBuffer:
    """Returns the buffer of this thread for what is to be decrypted."""
    return _thread_buffers.ciphertext
