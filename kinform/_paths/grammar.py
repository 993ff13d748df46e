"""The grammar of paths: text in, steps out.

    path  = step { "." name | bracket }        the first step may be a name or a bracket
    name  = one or more characters, none of them `.`, `[`, `]`, `"` or white space
    bracket = `["` any JSON string `"]`        a name with dots in it
            | `[*]`                            each element of a list, each value of an object

Names match members of objects only. Reads no object; knows nothing of the programs that paths are compiled to.
"""

from __future__ import annotations

import enum
import json
import re
from typing import Final, TypeAlias

from kinform._errors import OptionError


class Star(enum.Enum):
    """The type of `STAR`, the step `[*]`."""

    STAR = "[*]"


STAR: Final = Star.STAR
Path: TypeAlias = tuple[str | Star, ...]

_NAME = re.compile(r'[^.\[\]"\s]+')
_DECODER = json.JSONDecoder()


def parse(text: str, *, field: str) -> Path:
    """Reads one path.

    Args:
        text: The path, as in the grammar above.
        field: The option it comes from, for the error.

    Raises:
        OptionError: It is no path; the text points at the character.
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
                    raise _wrong(field, text, at, "a dot or a bracket")
                at += 1
            match = _NAME.match(text, at)
            if match is None:
                raise _wrong(field, text, at, "a name")
            steps.append(match[0])
            at = match.end()
    return tuple(steps)


def _quoted(text: str, at: int, field: str) -> tuple[str, int]:
    if not text.startswith('["', at):
        raise _wrong(field, text, at + 1, 'a string in quotes, or * (as in ["a.b/c"] and [*])')
    try:
        name, end = _DECODER.raw_decode(text, at + 1)
        name.encode()
    except UnicodeEncodeError:
        raise _wrong(field, text, at + 2, "no half of a surrogate pair") from None
    except json.JSONDecodeError as error:
        raise _wrong(field, text, error.pos, "a JSON string") from None
    if not text.startswith("]", end):
        raise _wrong(field, text, end, "a closing bracket")
    return name, end + 1


def _wrong(field: str, text: str, at: int, allowed: str) -> OptionError:
    return OptionError(field, text, f"{allowed}: {text[:at]}^{text[at:]} (^ at character {at + 1})")
