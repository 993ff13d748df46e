"""How a watch is going, told on standard error: while it is not synced, when it fails, when it is well again.

On a terminal a line in motion; in a pipe a line for each thing that is new, and the same again no more often
than every ten seconds.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from typing import TYPE_CHECKING

from kinform._errors import KinformError
from kinform.cli._process_memory import mib

if TYPE_CHECKING:
    from rich.status import Status

    from kinform import Informer

TICK = 0.2
QUIET = 2.0
SAME_AGAIN = 10.0


class News:
    """What is told on standard error of one informer.

    Args:
        resource: What it follows.
        moving: Whether a terminal is to have a line in motion until it is synced.

    Attributes:
        last: The last error since it was live, or None.
    """

    def __init__(self, resource: str, *, moving: bool) -> None:
        self.last: KinformError | None = None
        self._resource = resource
        self._told: tuple[str, float] = ("", 0.0)
        self._status: Status | None = None
        self._moving = moving and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    @staticmethod
    def replace_logs() -> None:
        """Silences the loggers that say the same: the reflector's of errors, the informer's of giving up."""
        for name in ("kinform.reflector", "kinform.informer"):
            logging.getLogger(name).propagate = False
            logging.getLogger(name).addHandler(logging.NullHandler())

    def error(self, error: KinformError) -> None:
        """Tells an error that was recovered from."""
        self.last = error
        text, now = str(error), time.monotonic()
        if text != self._told[0] or now - self._told[1] >= SAME_AGAIN:
            self._told = (text, now)
            self.say(text)

    def say(self, text: str) -> None:
        """Tells a line."""
        line = f"kinform: {text}"
        if self._status is not None:
            self._status.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)

    async def follow(self, informer: Informer) -> None:
        """Tells how it goes for as long as it goes."""
        state = None
        next_word = time.monotonic() + QUIET
        while True:
            now = informer.state
            if now == "live" or len(informer.store):
                self.close()
            elif self._moving:
                self._show(_progress(informer))
            elif time.monotonic() >= next_word:
                self.say(_progress(informer))
                next_word = time.monotonic() + SAME_AGAIN
            if now != state:
                self._changed(informer, state, now)
                state = now
            await asyncio.sleep(TICK)

    def _changed(self, informer: Informer, before: str | None, now: str) -> None:
        if now == "live":
            if self.last is not None:
                self.say(f"{self._resource}: live again, {len(informer.store):,} objects")
            self.last = None
            self._told = ("", 0.0)
        elif before is not None and now not in ("syncing", "starting"):
            self.say(f"{self._resource}: {now}")

    def _show(self, text: str) -> None:
        if self._status is None:
            from rich.console import Console

            self._status = Console(stderr=True).status(text)
            self._status.start()
        self._status.update(text)

    def close(self) -> None:
        """Ends the line in motion."""
        if self._status is not None:
            self._status.stop()
            self._status = None


def _progress(informer: Informer) -> str:
    return f"{informer.resource}: {informer.state}, {mib(informer.stats().wire_bytes)} MiB received"
