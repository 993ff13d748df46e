"""Progress of `kinform watch` on stderr: the initial sync, errors, and recovery.

A terminal shows an animated line until the initial sync. A pipe gets a line for each new state or error. The same line
is repeated at most every ten seconds.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from kinform._errors import KinformError
from kinform.cli._process_memory import mib
from kinform.cli._rows import state_words

if TYPE_CHECKING:
    from rich.status import Status

    from kinform import Informer

POLL_SECONDS = 0.2
FIRST_LINE_SECONDS = 2.0
MIN_REPEAT_SECONDS = 10.0


class ProgressReporter:
    """Writes the progress of one informer to stderr.

    Args:
        resource: The informer's resource, as the messages name it.
        animate: Whether a terminal shows an animated line until the initial sync.

    Attributes:
        last_error: The last error since the informer was live, or None.
    """

    def __init__(self, resource: str, *, animate: bool) -> None:
        self.last_error: KinformError | None = None
        self._resource = resource
        self._last_line: tuple[str, float] = ("", 0.0)
        self._status: Status | None = None
        self._animate = animate and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    @staticmethod
    def silence_loggers() -> None:
        """Silences the loggers whose warnings this class reports as well."""
        for name in ("kinform.reflector", "kinform.informer"):
            logging.getLogger(name).propagate = False
            logging.getLogger(name).addHandler(logging.NullHandler())

    def report_error(self, error: KinformError) -> None:
        """Reports an error from which the informer recovers. Suppresses quick repetitions."""
        self.last_error = error
        self.report(str(error))

    def report(self, text: str) -> None:
        """Writes a line to stderr, unless it repeats the last one within seconds."""
        now = time.monotonic()
        if text != self._last_line[0] or now - self._last_line[1] >= MIN_REPEAT_SECONDS:
            self._last_line = (text, now)
            self.write_line(text)

    def write_line(self, text: str) -> None:
        """Writes a line to stderr, above the animated line."""
        line = f"kinform: {text}"
        if self._status is not None:
            self._status.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)

    async def follow(self, informer: Informer[Any]) -> None:
        """Reports the informer's states until the task is cancelled."""
        previous = None
        next_line = time.monotonic() + FIRST_LINE_SECONDS
        while True:
            state = informer.state
            if state == "live" or len(informer.store):
                self.close()
            elif self._animate:
                self._show(_sync_progress(informer))
            elif time.monotonic() >= next_line:
                self.write_line(_sync_progress(informer))
                next_line = time.monotonic() + MIN_REPEAT_SECONDS
            if state != previous:
                self._report_state(informer, previous, state)
                previous = state
            await asyncio.sleep(POLL_SECONDS)

    def _report_state(self, informer: Informer[Any], previous: str | None, state: str) -> None:
        if state == "live":
            if self.last_error is not None:
                self.write_line(f"{self._resource}: live again, {object_count(len(informer.store))}")
            self.last_error = None
            self._last_line = ("", 0.0)
        elif previous is not None and state not in ("syncing", "starting"):
            self.write_line(f"{self._resource}: {state_words(state)}")

    def _show(self, text: str) -> None:
        if self._status is None:
            from rich.console import Console

            self._status = Console(stderr=True).status(text)
            self._status.start()
        self._status.update(text)

    def close(self) -> None:
        """Removes the animated line."""
        if self._status is not None:
            self._status.stop()
            self._status = None


def object_count(count: int) -> str:
    """Formats a number of objects: `"1 object"`, `"1,234 objects"`."""
    return f"{count:,} object{'' if count == 1 else 's'}"


def _sync_progress(informer: Informer[Any]) -> str:
    return f"{informer.resource}: {state_words(informer.state)}, {mib(informer.stats().wire_bytes)} MiB received"
