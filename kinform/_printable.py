"""Texts of other programs in messages: without control characters, and bounded."""

from __future__ import annotations

from collections.abc import Sequence

# A key is a namespace of at most 63 characters, a slash, and a name of at most 253.
MAX_KEY = 320
MAX_LISTED = 5

NOT_SHOWN = "(not shown)"
"""Stands in an error for a value that may be or have a secret."""


class _TypeName(str):
    def __repr__(self) -> str:
        return f"a value of type {self}"


def type_of(value: object) -> str:
    """Returns the name of the type of a value, which an error shows instead of it."""
    return _TypeName(type(value).__name__)


def printable(text: str | None, limit: int = MAX_KEY) -> str:
    """Escapes control characters of a text, and cuts it at `limit` characters.

    Escapes all characters that Python does not regard as printable. These include line ends, the sequences that
    control a terminal, and the characters that change the direction of the text.
    """
    start = (text or "")[: limit + 1]
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in start)
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def in_seconds(timeout: float | None) -> str:
    """Returns a timeout that has passed, for messages: `"59.5 s"`.

    A negative one is the rest of a deadline that had passed: `"0 s"`. None cannot pass.
    """
    return f"{max(timeout or 0, 0):.2f}".rstrip("0").rstrip(".") + " s"


def without_documents(text: str | None) -> str:
    """Replaces everything in braces by `{...}`.

    A server quotes whole objects in some of its messages, also Secrets: as JSON, or as a struct of Go.
    """
    start, brace, rest = (text or "").partition("{")
    end = rest.rpartition("}")[2]
    return f"{start}{{...}}{'' if '{' in end else end}" if brace else start


def listed(names: Sequence[str]) -> str:
    """Lists at most `MAX_LISTED` names, such as keys, and counts the others."""
    shown = ", ".join(printable(name) for name in names[:MAX_LISTED])
    return shown if len(names) <= MAX_LISTED else f"{shown} and {len(names) - MAX_LISTED} more"
