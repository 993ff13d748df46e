"""A log that does not repeat itself: one line of a sort in a while, and then how many were left out.

A cluster that refuses for a day must not fill a disk.
"""

from __future__ import annotations

import logging
import time

REPEAT_SECONDS = 600.0


class ThrottledLog:
    """Warnings through a logger, of each sort no more than one in `REPEAT_SECONDS`."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._told: dict[str, tuple[float, int]] = {}

    def warning(self, sort: str, message: str) -> None:
        """Logs the message, unless one of its sort was logged a short while ago: then it is counted."""
        last, unsaid = self._told.get(sort, (float("-inf"), 0))
        now = time.monotonic()
        if now - last < REPEAT_SECONDS:
            self._told[sort] = (last, unsaid + 1)
            return
        self._told[sort] = (now, 0)
        self._log.warning("%s%s", message, f" (and {unsaid} more of this sort since the last word)" if unsaid else "")
