r"""The grammar of paths.

    path    = step { "." name | bracket }      the first step is a name or a bracket
    name    = one or more characters except `.`, `[`, `]`, `{`, `}`, `"`, `/`, `*`, `\` and white space;
              the first one is not `$`
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
from kinform._paths.known_fields import dead_end, kind_of
from kinform._paths.notations import translate


class Star(enum.Enum):
    """The type of `STAR`, the step `[*]`."""

    STAR = "[*]"


STAR: Final = Star.STAR
Path: TypeAlias = tuple[str | Star, ...]

_NAME = re.compile(r'(?!\$)[^.\[\]{}"/*\\\s]+')
_WITHOUT_ESCAPES = re.compile(r'"([^"\\\x00-\x1f]*)"')


def parse(text: str, *, field: str) -> Path:
    """Parses a path.

    Args:
        text: The path.
        field: Name of the option, for the error message.

    Raises:
        OptionError: The path is not valid, and the message points at the character; or no object of Kubernetes can
            have such a field. The message has a hint if the path is in another notation.
    """
    if not isinstance(text, str):
        raise OptionError(field, text, "a path as a string")
    try:
        path = _parse(text)
    except _SyntaxError as error:
        at = error.at
        raise OptionError(
            field, text, f"{error.allowed}{_hint(text)}: {text[:at]}^{text[at:]} (^ at character {at + 1})"
        ) from None
    if length := dead_end(path):
        hint = did_you_mean(_repair(path, length))
        where = f"{format_path(path[:length])} is {kind_of(path[:length])}"
        raise OptionError(field, text, f"a path that can match{hint}: {where}")
    return path


def did_you_mean(path: Path | None) -> str:
    """Returns a hint for the text of an error; `""` without a path."""
    return "" if path is None else f" (did you mean {format_path(path)}?)"


class _SyntaxError(ValueError):
    """A path is not valid at a character."""

    def __init__(self, at: int, allowed: str) -> None:
        self.at = at
        self.allowed = allowed


def _hint(text: str) -> str:
    try:
        path = _parse(translate(text))
    except _SyntaxError:
        return ""
    return "" if dead_end(path) else did_you_mean(path)


def _repair(path: Path, length: int) -> Path | None:
    """Returns the likely path for a path with a dead end, or None."""
    if kind_of(path[:length]) == "a list":
        repaired: Path = (*path[:length], STAR, *path[length:])
        return None if dead_end(repaired) else repaired
    names = [step for step in path[length - 1 :] if isinstance(step, str)]
    if path[:2] in (("metadata", "labels"), ("metadata", "annotations")) and len(names) == len(path) - 2:
        return (*path[:2], ".".join(names))  # a key with dots that was not quoted
    return None


def _parse(text: str) -> Path:
    steps: list[str | Star] = []
    at = 0
    while not steps or at < len(text):
        if text.startswith("[*]", at):
            steps.append(STAR)
            at += 3
        elif text.startswith("[", at):
            name, at = _quoted(text, at)
            steps.append(name)
        else:
            if steps:
                if text[at] != ".":
                    raise _SyntaxError(at, "a dot or a bracket")
                at += 1
            match = _NAME.match(text, at)
            if match is None:
                raise _SyntaxError(at, "a name")
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


def _quoted(text: str, at: int) -> tuple[str, int]:
    if not text.startswith('["', at):
        raise _SyntaxError(at + 1, 'a string in quotes, or * (as in ["a.b/c"] and [*])')
    match = _WITHOUT_ESCAPES.match(text, at + 1)
    name, end = (match[1], match.end()) if match else _with_escapes(text, at + 1)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise _SyntaxError(at + 2, "a string without lone surrogates") from None
    if not text.startswith("]", end):
        raise _SyntaxError(end, "a closing bracket")
    return name, end + 1


def _with_escapes(text: str, at: int) -> tuple[str, int]:
    import json  # 0.1 MiB, and few names have escapes

    try:
        return json.JSONDecoder().raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise _SyntaxError(error.pos, "a JSON string") from None
