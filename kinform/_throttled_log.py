"""Limits repeated messages: an error that lasts for days must not fill a disk."""

from __future__ import annotations

import logging
import time

REPEAT_SECONDS = 600.0


class ThrottledLog:
    """Logs at most one message of each category in `REPEAT_SECONDS`."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._logged: dict[str, tuple[float, int]] = {}  # time of the last message, and how many were suppressed since

    def warning(self, category: str, message: str) -> None:
        """Logs the message, or counts it if one of its category was logged recently."""
        self._throttle(logging.WARNING, category, message)

    def error(self, category: str, message: str) -> None:
        """Logs the message as an error; limited as a warning is."""
        self._throttle(logging.ERROR, category, message)

    def _throttle(self, level: int, category: str, message: str) -> None:
        last, suppressed = self._logged.get(category, (float("-inf"), 0))
        now = time.monotonic()
        if now - last < REPEAT_SECONDS:
            self._logged[category] = (last, suppressed + 1)
            return
        self._logged[category] = (now, 0)
        self._log.log(level, "%s%s", message, f" (and {suppressed} similar ones since the last)" if suppressed else "")
