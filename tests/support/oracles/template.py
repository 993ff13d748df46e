"""The oracle of templates: the words of an object, with their types and values.

Written from the comments in kinform_ext/coder/template.h, own.h and values.h; it shares no code with the coder. Slow.
"""

from __future__ import annotations

import datetime
import enum
import ipaddress
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

MIN_LINKED = 6
MIN_LINKED_DECIMAL = 5
MIN_PART = 3
MAX_SPECIAL = 255
MAX_SPECIALS = 1024

_WORD = re.compile(rb"[A-Za-z0-9._\x80-\xff-]+")
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d(?P<micro>\.\d{6})?Z(?![A-Za-z0-9._\x80-\xff-])")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SECOND = datetime.timedelta(seconds=1)
_MICROSECOND = datetime.timedelta(microseconds=1)


class Type(enum.Enum):
    """The type of a word."""

    TEXT = "text"
    DECIMAL = "decimal"
    HEX = "hexadecimal"
    UUID = "UUID"
    IP = "IPv4 address"
    TIME = "time"
    MICRO = "time with microseconds"
    KEY = "key"
    OWN = "own part"


class Word(NamedTuple):
    """A word of a template, `raw[start:stop]`.

    Attributes:
        start: Its first byte.
        stop: The byte after it.
        type: How it can be replaced.
        part: The name of the own part that it is, or `""`.
    """

    start: int
    stop: int
    type: Type
    part: str = ""

    @property
    def is_time(self) -> bool:
        """Returns whether it is a time, which takes three numbers of words."""
        return self.type in (Type.TIME, Type.MICRO)

    def seconds(self, value: int) -> int:
        """Returns the whole seconds of its value; only of a time."""
        return value // 10**6 if self.type is Type.MICRO else value


class Identity(NamedTuple):
    """The identity of an object, as its record has it."""

    namespace: bytes
    name: bytes
    uid: bytes
    resource_version: bytes

    def parts(self) -> dict[str, bytes]:
        """Returns the parts that a word may be, by precedence; an absent part is empty."""
        group, dash, last = self.name.rpartition(b"-")
        outer, outer_dash, middle = group.rpartition(b"-")
        space_group, space_dash, space_last = self.namespace.rpartition(b"-")
        return {
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
            "resourceVersion": self.resource_version,
            "stem": self.name.rpartition(b".")[0],
            "group": group,
            "group with dash": group + dash,
            "outer": outer,
            "outer with dash": outer + outer_dash,
            "last": last if dash else b"",
            "middle": middle if outer_dash else b"",
            "third": outer.rpartition(b"-")[2] if b"-" in outer else b"",
            "first": self.name.partition(b"-")[0] if dash else b"",
            "last of namespace": space_last if space_dash else b"",
            "group of namespace": space_group,
        }

    def seconds(self) -> int:
        """Returns the time in the name of an event; 0: it has none."""
        stem, _, digits = self.name.rpartition(b".")
        if not stem or not re.fullmatch(rb"[0-9a-f]{16}", digits):
            return 0
        seconds = int(digits, 16) // 10**9
        return seconds if int(digits, 16) < 2**63 and seconds <= 7258118399 else 0


@dataclass
class Template:
    """A template: an object, and what the objects coded against it share."""

    raw: bytes
    identity: Identity
    literals: Sequence[bytes]
    lists: Sequence[Sequence[int]]

    @cached_property
    def runs(self) -> list[tuple[int, int]]:
        """Returns the first byte of each run and the byte after it; a time is three runs."""
        return [match.span() for match in _WORD.finditer(self.raw)]

    @cached_property
    def specials(self) -> dict[int, Word]:
        """Returns its special words, by number."""
        parts = {text: part for part, text in reversed(self.identity.parts().items())}
        found: dict[int, Word] = {}
        passed = 0
        for n, (start, stop) in enumerate(self.runs):
            if start < passed or self._is_key(stop) or not MIN_PART <= stop - start <= MAX_SPECIAL:
                continue
            if len(found) == MAX_SPECIALS:
                break
            text, time = self.raw[start:stop], _TIME.match(self.raw, start)
            if text in parts:
                found[n] = Word(start, stop, Type.OWN, parts[text])
            elif time and _value_of_time(time[0]) is not None:
                passed = time.end()
                found[n] = Word(start, passed, Type.MICRO if time["micro"] else Type.TIME)
            elif len(text) >= (MIN_LINKED_DECIMAL if _type(text) is Type.DECIMAL else MIN_LINKED):
                found[n] = Word(start, stop, _type(text))
        counts = Counter(self.raw[word.start : word.stop] for word in found.values())
        return {
            n: word
            for n, word in found.items()
            if word.part or word.is_time or counts[self.raw[word.start : word.stop]] > 1
        }

    @cached_property
    def words(self) -> list[Word]:
        """Returns its words, by number.

        The runs after the first one of a time are words too: a structure may end there.
        """
        return [
            self.specials.get(n) or Word(start, stop, Type.KEY if self._is_key(stop) else _type(self.raw[start:stop]))
            for n, (start, stop) in enumerate(self.runs)
        ]

    def _is_key(self, stop: int) -> bool:
        return self.raw[stop : stop + 2] == b'":'

    def text(self, n: int) -> bytes:
        """Returns the bytes of word n."""
        return self.raw[self.words[n].start : self.words[n].stop]

    def value(self, n: int) -> int:
        """Returns the value of word n; 0 if its type has none."""
        return _value(self.words[n].type, self.text(n))

    @cached_property
    def links(self) -> dict[int, list[int]]:
        """Returns for each special word the later ones of its value or part."""
        found: dict[bytes, list[int]] = {}
        for n in self.specials:
            found.setdefault(self.text(n), []).append(n)
        return {n: same[at + 1 :] for same in found.values() for at, n in enumerate(same)}


def _type(word: bytes) -> Type:
    if re.fullmatch(rb"0|[1-9]\d{0,17}", word):
        return Type.DECIMAL
    if re.fullmatch(rb"(?:0|[1-9]\d{0,2})(?:\.(?:0|[1-9]\d{0,2})){3}", word) and max(map(int, word.split(b"."))) < 256:
        return Type.IP
    if re.fullmatch(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", word):
        return Type.UUID
    if 8 <= len(word) <= 1024 and len(word) % 2 == 0 and re.fullmatch(rb"[0-9a-f]+", word):
        return Type.HEX
    return Type.TEXT


def _value_of_time(text: bytes) -> int | None:
    """Returns the seconds or microseconds of a time; None: it does not exist."""
    try:
        time = datetime.datetime.fromisoformat(text.decode())
    except ValueError:
        return None
    return (time - _EPOCH) // (_MICROSECOND if b"." in text else _SECOND) if 1970 <= time.year <= 2199 else None


def _value(type_: Type, text: bytes) -> int:
    match type_:
        case Type.DECIMAL:
            return int(text)
        case Type.IP:
            return int(ipaddress.IPv4Address(text.decode()))
        case Type.TIME | Type.MICRO:
            value = _value_of_time(text)
            assert value is not None
            return value
    return 0


def format_value(type_: Type, value: int) -> bytes:
    """Returns the text of a value: of a decimal, an address or a time."""
    if type_ is Type.DECIMAL:
        return b"%d" % value
    if type_ is Type.IP:
        return str(ipaddress.IPv4Address(value)).encode()
    time = _EPOCH + value * (_SECOND if type_ is Type.TIME else _MICROSECOND)
    written = time.strftime("%Y-%m-%dT%H:%M:%S")
    return (written + (f".{time.microsecond:06}Z" if type_ is Type.MICRO else "Z")).encode()
