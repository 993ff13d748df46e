"""Random values of a cluster: uids, hashes, name suffixes and times.

Uses only `random()`, `getrandbits()` and exact arithmetic, so that each Python version gives the same values.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache
from typing import TypeVar

_T = TypeVar("_T")

NOW = 1_774_828_800
"""2026-03-30T00:00:00Z, in seconds since 1970. Every generated object is older."""
DAY = 86_400
NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""The characters of generateName suffixes: no vowels and no look-alikes."""
_SUFFIX_LENGTH = 5
_SUFFIXES = len(NAME_ALPHABET) ** _SUFFIX_LENGTH
_SUFFIX_STEP = 5_915_587  # has no factor in common with _SUFFIXES
_MINUTES = [f"{minute // 60:02}:{minute % 60:02}" for minute in range(1440)]
_SECONDS = [f"{second:02}Z" for second in range(60)]


def uid(rng: random.Random) -> str:
    """Returns a version 4 UUID."""
    digits = f"{rng.getrandbits(128):032x}"
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def sha256(rng: random.Random) -> str:
    """Returns 64 hexadecimal digits."""
    return f"{rng.getrandbits(256):064x}"


def resource_version(rng: random.Random) -> str:
    """Returns a resourceVersion of a cluster with some hundred million writes."""
    return str(100_000_000 + int(rng.random() * 899_999_999))


def resource_version_at(rng: random.Random, seconds: int) -> str:
    """Returns the resourceVersion of a write at this time, at 100 writes per second."""
    return str(900_000_000 - (NOW - seconds) * 100 - int(rng.random() * 100))


def pick(rng: random.Random, items: Sequence[_T]) -> _T:
    """Returns one of the items."""
    return items[int(rng.random() * len(items))]


def sample(rng: random.Random, items: Sequence[_T], count: int) -> list[_T]:
    """Returns `count` of the items in their order, or all where there are fewer."""
    left, sampled = len(items), list[_T]()
    for item in items:
        if rng.random() * left < count - len(sampled):
            sampled.append(item)
        left -= 1
    return sampled


def chance(rng: random.Random, probability: float) -> bool:
    """Returns True with this probability."""
    return rng.random() < probability


def between(rng: random.Random, low: int, high: int) -> int:
    """Returns an integer from `low` to `high`, both included."""
    return low + int(rng.random() * (high - low + 1))


def suffix(index: int, salt: int) -> str:
    """Returns five characters, distinct for each index below 14 million of one salt."""
    number = (index * _SUFFIX_STEP + salt) % _SUFFIXES
    characters = ""
    for _ in range(_SUFFIX_LENGTH):
        number, digit = divmod(number, len(NAME_ALPHABET))
        characters += NAME_ALPHABET[digit]
    return characters


def template_hash(rng: random.Random) -> str:
    """Returns 8 to 10 characters, as in the label `pod-template-hash`."""
    return "".join(pick(rng, NAME_ALPHABET) for _ in range(pick(rng, (8, 9, 9, 10, 10, 10))))


@cache
def _date(days: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=days)).isoformat()


def timestamp(seconds: int) -> str:
    """Returns a metav1.Time: `"2026-03-14T09:26:53Z"`."""
    days, rest = divmod(seconds, DAY)
    return f"{_date(days)}T{_MINUTES[rest // 60]}:{_SECONDS[rest % 60]}"


def micro_timestamp(seconds: int, microseconds: int) -> str:
    """Returns a metav1.MicroTime: `"2026-03-14T09:26:53.589793Z"`."""
    return f"{timestamp(seconds)[:-1]}.{microseconds:06}Z"


def past_time(rng: random.Random, max_days: int) -> int:
    """Returns a time in seconds since 1970, most often a recent one.

    It is at least ten minutes before `NOW`.
    """
    drawn = rng.random()
    return NOW - 600 - int(drawn * drawn * drawn * max_days * DAY)
