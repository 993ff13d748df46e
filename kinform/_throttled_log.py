"""Limits repeated messages: an error that lasts for days must not fill a disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

REPEAT_SECONDS = 600.0


class ThrottledLog:
    """Logs at most `burst` messages of each category in `REPEAT_SECONDS`."""

    def __init__(self, log: logging.Logger, burst: int = 1) -> None:
        self._log = log
        self._burst = burst
        # The start of the period, the messages since then, and how many were suppressed since the last of them.
        self._logged: dict[str, tuple[float, int, int]] = {}

    def warning(self, category: str, message: str) -> None:
        """Logs the message, or counts it if enough of its category were logged recently."""
        self._throttle(logging.WARNING, category, message)

    def error(self, category: str, message: str) -> None:
        """Logs the message as an error; limited as a warning is."""
        self._throttle(logging.ERROR, category, message)

    def exception(self, category: str, message: str, error: BaseException) -> None:
        """Logs that a function of the user has raised.

        The error is limited. At the level DEBUG, each exception is logged with its text, which may quote an object.
        """
        self.error(category, message)
        self._log.debug("%s", message, exc_info=error)

    def _throttle(self, level: int, category: str, message: str) -> None:
        start, logged, suppressed = self._logged.get(category, (float("-inf"), 0, 0))
        now = time.monotonic()
        if now - start >= REPEAT_SECONDS:
            start, logged = now, 0
        elif logged == self._burst:
            self._logged[category] = (start, logged, suppressed + 1)
            return
        self._logged[category] = (start, logged + 1, 0)
        note = f" (and {suppressed} similar ones since the last)" if suppressed else ""
        if logged + 1 == self._burst > 1:
            note += " (similar ones are only counted for some minutes)"
        self._log.log(level, "%s%s", message, note)


def function_name(function: Callable[..., Any]) -> str:
    """Returns the name of a user's function; of another callable, that of its class."""
    return getattr(function, "__qualname__", type(function).__name__)
