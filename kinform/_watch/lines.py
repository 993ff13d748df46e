"""Splits a body into lines of any length.

Each byte is searched once, and copied at most twice.
"""

from __future__ import annotations

from collections import deque


class Lines:
    """The lines of one body.

    Args:
        ends: True: each complete line keeps its line feed.

    Attributes:
        ready: The complete lines that were not taken yet.
    """

    def __init__(self, *, ends: bool = False) -> None:
        self.ready: deque[bytes] = deque()
        self._end = b"\n" if ends else b""
        self._cut: list[bytes] = []  # the chunks of the line that is not complete

    def feed(self, chunk: bytes) -> None:
        """Adds the next bytes of the body."""
        first, *others = chunk.split(b"\n")
        self._cut.append(first)
        if others:
            self.ready.append(b"".join((*self._cut, self._end)))
            self._cut = [others.pop()]
            self.ready.extend([line + self._end for line in others] if self._end else others)

    @property
    def rest(self) -> bytes:
        """The line that is not complete, or `b""`."""
        return b"".join(self._cut)

    @property
    def cut(self) -> bool:
        """True if the bytes so far end within a line."""
        return any(self._cut)

    def finish(self) -> None:
        """Takes the rest as a line."""
        self.ready.append(self.rest)
        self._cut = []

    def clear(self) -> None:
        """Removes everything."""
        self.ready.clear()
        self._cut = []
