"""Shard selectors: parsing as in kube-apiserver, and matching.

An invalid selector raises ValueError with the message of the answer.
Source: `sharding` of apiserver and of apimachinery 1.36 (KEP-5866).
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

_CALL = re.compile(
    r"\s*shardRange\(\s*object\.metadata\.(?P<field>uid|namespace)\s*,"
    r"\s*'0x(?P<start>1?[0-9a-f]{16})'\s*,\s*'0x(?P<end>1?[0-9a-f]{16})'\s*\)\s*"
)


class ShardRange(msgspec.Struct, frozen=True, gc=False):
    """A range of hashes of a field, without its end."""

    field: str
    start: int
    end: int

    def matches(self, uid: str, namespace: str) -> bool:
        """Returns whether the hash of the object's field is in the range."""
        return self.start <= fnv_1a(uid if self.field == "uid" else namespace) < self.end


@lru_cache(1 << 17)
def fnv_1a(text: str) -> int:
    """Returns the FNV-1a hash of a text, with 64 bits."""
    number = 0xCBF29CE484222325
    for byte in text.encode():
        number = (number ^ byte) * 0x100000001B3 % 2**64
    return number


def parse_shards(text: str) -> tuple[ShardRange, ...]:
    """Parses a shard selector: an object must be in one of the ranges."""
    ranges = []
    for part in text.split("||") if text else ():
        call = _CALL.fullmatch(part)
        if call is None:
            raise ValueError(f"unexpected expression {part!r}; expected shardRange() call or || operator")
        start, end = int(call["start"], 16), int(call["end"], 16)
        if not start < end <= 2**64:
            raise ValueError(f"shard range start {start:#018x} must be less than end {end:#018x}")
        ranges.append(ShardRange(call["field"], start, end))
    if len({each.field for each in ranges}) > 1:
        raise ValueError("all shard ranges must use the same field")
    return tuple(ranges)


def format_shards(ranges: tuple[ShardRange, ...]) -> str:
    """Returns the selector of these ranges, as the server echoes it."""
    return " || ".join(
        f"shardRange(object.metadata.{each.field}, '0x{each.start:016x}', '0x{each.end:016x}')" for each in ranges
    )
