"""Threads that meet in many states, because Python switches between them often."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def switching_after(seconds: float) -> Iterator[None]:
    """Makes Python run another thread after this time; its default is 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
