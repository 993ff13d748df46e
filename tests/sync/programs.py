"""Conditions that programs in threads wait for."""

from __future__ import annotations

import time
from collections.abc import Callable

POLL_SECONDS = 0.01


def until(condition: Callable[[], object], *, within: float = 10.0) -> None:
    """Waits until the condition holds.

    Raises:
        TimeoutError: It did not hold in `within` seconds.
    """
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(POLL_SECONDS)
