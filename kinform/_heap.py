"""The C heap of the process: returns its free memory to the system."""

from __future__ import annotations

import contextlib
import ctypes

_can_trim = False
with contextlib.suppress(OSError, AttributeError):  # not every C library has malloc_trim
    _trim = ctypes.CDLL(None).malloc_trim
    _can_trim = True


def trim_heap() -> None:
    """Returns free memory of the C heap to the system.

    The time is in proportion to the heap of the whole process: call it from a thread if the heap may be large. Releases
    the GIL.
    """
    if _can_trim:
        _trim(0)
