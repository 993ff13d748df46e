"""Random numbers for waits, so that many clients do not act at the same moment."""

from __future__ import annotations

import os


def random_fraction() -> float:
    """Returns a random number from 0 up to 1. The module `random` takes 0.2 MiB."""
    return int.from_bytes(os.urandom(4), "little") / (1 << 32)


def varied(seconds: float, part: float) -> float:
    """Adds a random part to seconds, or subtracts it.

    Args:
        seconds: The seconds.
        part: The largest random part, as a fraction of the seconds.
    """
    return seconds * (1 + part * (2 * random_fraction() - 1))
