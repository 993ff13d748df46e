"""The grammar of paths.

    path    = step { "." name | bracket }      the first step is a name or a bracket
    name    = one or more characters except `.`, `[`, `]`, `"` and white space
    bracket = `["` JSON string `"]`            a name with any characters, such as dots
            | `[*]`                            each element of a list, each value of an object

A name matches a member of an object, never an element of a list.
"""

from __future__ import annotations

import enum
import re
from typing import Final, TypeAlias

import msgspec

from kinform._errors import OptionError


class Star(enum.Enum):
    """The type of `STAR`, the step `[*]`."""

    STAR = "[*]"


STAR: Final = Star.STAR
Path: TypeAlias = tuple[str | Star, ...]

_NAME = re.compile(r'[^.\[\]"\s]+')
_WITHOUT_ESCAPES = re.compile(r'"([^"\\\x00-\x1f]*)"')


def parse(text: str, *, field: str) -> Path:
    """Parses a path.

    Args:
        text: The path.
        field: Name of the option, for the error message.

    Raises:
        OptionError: The path is not valid. The message points at the character.
    """
    if not isinstance(text, str):
        raise OptionError(field, text, "a path as a string")
    steps: list[str | Star] = []
    at = 0
    while not steps or at < len(text):
        if text.startswith("[*]", at):
            steps.append(STAR)
            at += 3
        elif text.startswith("[", at):
            name, at = _quoted(text, at, field)
            steps.append(name)
        else:
            if steps:
                if text[at] != ".":
                    raise _error(field, text, at, "a dot or a bracket")
                at += 1
            match = _NAME.match(text, at)
            if match is None:
                raise _error(field, text, at, "a name")
            steps.append(match[0])
            at = match.end()
    return tuple(steps)


def format_path(path: Path) -> str:
    """Formats a path as `parse` reads it."""
    steps = (
        "[*]" if step is STAR else f".{step}" if _NAME.fullmatch(step) else f"[{msgspec.json.encode(step).decode()}]"
        for step in path
    )
    return "".join(steps).removeprefix(".")


def _quoted(text: str, at: int, field: str) -> tuple[str, int]:
    if not text.startswith('["', at):
        raise _error(field, text, at + 1, 'a string in quotes, or * (as in ["a.b/c"] and [*])')
    match = _WITHOUT_ESCAPES.match(text, at + 1)
    name, end = (match[1], match.end()) if match else _with_escapes(text, at + 1, field)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise _error(field, text, at + 2, "a string without lone surrogates") from None
    if not text.startswith("]", end):
        raise _error(field, text, end, "a closing bracket")
    return name, end + 1


def _with_escapes(text: str, at: int, field: str) -> tuple[str, int]:
    import json  # 0.1 MiB, and few names have escapes

    try:
        return json.JSONDecoder().raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise _error(field, text, error.pos, "a JSON string") from None


def _error(field: str, text: str, at: int, allowed: str) -> OptionError:
    return OptionError(field, text, f"{allowed}: {text[:at]}^{text[at:]} (^ at character {at + 1})")
