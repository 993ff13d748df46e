"""What is random in a cluster: uids, hashes, suffixes, addresses and times, drawn from a `random.Random`.

Uses only what gives the same in every version of Python: `random()`, `getrandbits()`, and arithmetic that is exact.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache
from typing import TypeVar

_T = TypeVar("_T")

NOW = 1_774_828_800
"""2026-03-30T00:00:00Z: nothing in a cluster is younger."""
DAY = 86_400
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Of Kubernetes' generated names: no vowels, nothing that looks like another."""
SUFFIXES = len(ALPHABET) ** 5
MINUTES = [f"{each // 60:02}:{each % 60:02}" for each in range(1440)]
SECONDS = [f"{each:02}Z" for each in range(60)]


def uid(rng: random.Random) -> str:
    """A version 4 UUID."""
    text = f"{rng.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:]}"


def sha256(rng: random.Random) -> str:
    """64 hexadecimal digits."""
    return f"{rng.getrandbits(256):064x}"


def version(rng: random.Random) -> str:
    """A resourceVersion of a cluster that has seen some hundred million changes."""
    return str(100_000_000 + int(rng.random() * 899_999_999))


def version_at(rng: random.Random, seconds: int) -> str:
    """The resourceVersion of what was written at this time and never since: some hundred changes a second."""
    return str(900_000_000 - (NOW - seconds) * 100 - int(rng.random() * 100))


def pick(rng: random.Random, among: Sequence[_T]) -> _T:
    """One of these."""
    return among[int(rng.random() * len(among))]


def some(rng: random.Random, among: Sequence[_T], count: int) -> list[_T]:
    """So many different ones, in their order; all, if there are no more."""
    left, found = len(among), list[_T]()
    for each in among:
        if rng.random() * left < count - len(found):
            found.append(each)
        left -= 1
    return found


def chance(rng: random.Random, share: float) -> bool:
    """True in such a share of cases."""
    return rng.random() < share


def between(rng: random.Random, least: int, most: int) -> int:
    """An integer of these or between."""
    return least + int(rng.random() * (most - least + 1))


def suffix(turn: int, salt: int) -> str:
    """Five characters, another one for each turn below 14 million: those of a salt are a permutation."""
    number = (turn * 5_915_587 + salt) % SUFFIXES
    found = ""
    for _ in range(5):
        number, digit = divmod(number, 27)
        found += ALPHABET[digit]
    return found


def template_hash(rng: random.Random) -> str:
    """As `pod-template-hash` has it: 8 to 10 characters of the alphabet."""
    return "".join(pick(rng, ALPHABET) for _ in range(pick(rng, (8, 9, 9, 10, 10, 10))))


@cache
def _day(number: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=number)).isoformat()


def moment(seconds: int) -> str:
    """`"2026-03-14T09:26:53Z"`."""
    days, rest = divmod(seconds, DAY)
    return f"{_day(days)}T{MINUTES[rest // 60]}:{SECONDS[rest % 60]}"


def micro(seconds: int, micros: int) -> str:
    """`"2026-03-14T09:26:53.589793Z"`."""
    return f"{moment(seconds)[:-1]}.{micros:06}Z"


def age(rng: random.Random, most_days: int) -> int:
    """The time at which something began: seldom long ago, in seconds since 1970."""
    drawn = rng.random()
    return NOW - 600 - int(drawn * drawn * drawn * most_days * DAY)
