"""The return of free memory of the C heap to the system.

A thread starts for each trim and ends with it. A thread pool would take 0.1 MiB in an idle process.
"""

from __future__ import annotations

import threading
from contextlib import suppress

from kinform_ext._table import trim_heap

_thread: threading.Thread | None = None


def start_trim() -> None:
    """Starts to trim the heap, unless a trim is running. Returns at once.

    Does nothing if no thread can start: the next call tries again.
    """
    global _thread
    if _thread is None or not _thread.is_alive():  # a thread does not survive a fork
        _thread = threading.Thread(target=trim_heap, name="kinform trim")
        with suppress(RuntimeError):  # the limit of threads of this process, or the interpreter ends
            _thread.start()
