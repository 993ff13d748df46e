"""Checks of what a caller passed in; each raises OptionError with field, value and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from kinform._errors import OptionError


def match(field: str, value: object, pattern: re.Pattern[str], allowed: str) -> None:
    """A string of this shape."""
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise OptionError(field, value, allowed)


def instance(field: str, value: object, type: type[object], allowed: str) -> None:
    """An instance of this type."""
    if not isinstance(value, type):
        raise OptionError(field, value, allowed)


def strings(field: str, value: object, allowed: str) -> tuple[str, ...]:
    """An iterable of strings, and no lone string; returns them as a tuple."""
    # A lone string is iterable too, and each of its letters would pass for a name.
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise OptionError(field, value, allowed)
    strings = tuple(value)
    for string in strings:
        instance(field, string, str, allowed)
    return strings


def one_of(field: str, value: object, allowed: tuple[str, ...]) -> None:
    """One of a few words."""
    if value not in allowed:
        raise OptionError(field, value, " or ".join(f'"{choice}"' for choice in allowed))


def number(field: str, value: object, allowed: str, holds: Callable[[float], bool]) -> None:
    """A number for which this holds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not holds(value):
        raise OptionError(field, value, allowed)


def positive(field: str, value: object) -> None:
    """A finite number above 0."""
    number(field, value, "a positive number of seconds", lambda n: 0 < n < float("inf"))


def whole(field: str, value: object, least: int, allowed: str) -> None:
    """A whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise OptionError(field, value, allowed)
