"""The present activity of a command, on standard error."""

from __future__ import annotations

import os
import sys


class Activity:
    """Shows what a command does: an animated line in a terminal, nothing in a pipe."""

    def __init__(self) -> None:
        self._status = None
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            from rich.console import Console

            self._status = Console(stderr=True).status("connecting")

    def __enter__(self) -> Activity:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, what: str) -> None:
        """Shows another activity."""
        if self._status is not None:
            self._status.update(what)
