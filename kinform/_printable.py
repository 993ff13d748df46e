"""Texts of other programs in messages: without control characters, and bounded."""

from __future__ import annotations


def printable(text: str | None, limit: int) -> str:
    """Escapes control characters of a text, and cuts it at `limit` characters.

    Escapes all characters that Python does not regard as printable. These include line ends, the sequences that
    control a terminal, and the characters that change the direction of the text.
    """
    start = (text or "")[: limit + 1]
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in start)
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."
