"""The oracle of blobs: differences from a template in, an object out.

Written from the comments in kinform_ext/coder/*.h; it shares no code with the coder. It is slow, and trusts its input:
a blob that is not valid raises ValueError or IndexError.
"""

from __future__ import annotations

import datetime
import enum
import ipaddress
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

MIN_LINKED = 6
MIN_LINKED_DECIMAL = 5
MIN_PART = 3
SLOT_IS_TEXT = 0x8000

_WORD = re.compile(rb"[A-Za-z0-9._\x80-\xff-]+")
_TIME = re.compile(rb"(?<![A-Za-z0-9._\x80-\xff-])\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z(?![A-Za-z0-9._\x80-\xff-])")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SECOND = datetime.timedelta(seconds=1)
_MICROSECOND = datetime.timedelta(microseconds=1)
_PACKED = b"abcdefghijklmnopqrstuvwxyz0123456789-."


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


class Kind(enum.IntEnum):
    """An operation on a word."""

    NATIVE = 0
    GENERIC = 1
    STRUCTURE = 2
    SAME = 3
    EXPECTED = 4  # not written: the word is what the walk expects


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
    part: str


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
        space_group, _, space_last = self.namespace.rpartition(b"-")
        return {
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
            "resourceVersion": self.resource_version,
            "stem": self.name.rpartition(b".")[0],
            "group": group,
            "group with dash": group + dash if group else b"",
            "outer": outer,
            "outer with dash": outer + outer_dash if outer else b"",
            "last": last if dash else b"",
            "middle": middle if outer_dash else b"",
            "third": outer.rpartition(b"-")[2] if b"-" in outer else b"",
            "first": self.name.partition(b"-")[0] if dash else b"",
            "last of namespace": space_last if space_group or b"-" in self.namespace else b"",
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
    def words(self) -> list[Word]:
        """Returns its words in order."""
        found: list[Word] = []
        parts = {text: part for part, text in reversed(self.identity.parts().items()) if len(text) >= MIN_PART}
        times = {match.start(): match for match in _TIME.finditer(self.raw) if _value_of_time(match[0]) is not None}
        passed = 0
        for match in _WORD.finditer(self.raw):
            start, stop = match.span()
            if start < passed:
                continue
            type_, part = _type(match[0]), ""
            if self.raw[start - 1 : start] == b'"' and self.raw[stop : stop + 2] == b'":':
                type_ = Type.KEY
            elif match[0] in parts:
                type_, part = Type.OWN, parts[match[0]]
            elif start in times:
                stop = passed = times[start].end()
                type_ = Type.MICRO if times[start][1] else Type.TIME
            found.append(Word(start, stop, type_, part))
        return found

    def text(self, n: int) -> bytes:
        """Returns the bytes of word n."""
        return self.raw[self.words[n].start : self.words[n].stop]

    @cached_property
    def links(self) -> dict[int, list[int]]:
        """Returns for each word that is linked the later words of its value."""
        found: dict[bytes, list[int]] = {}
        for n, word in enumerate(self.words):
            least = MIN_LINKED_DECIMAL if word.type is Type.DECIMAL else MIN_LINKED
            if word.type not in (Type.KEY, Type.OWN) and word.stop - word.start >= least:
                found.setdefault(self.text(n), []).append(n)
        return {n: same[at + 1 :] for same in found.values() for at, n in enumerate(same)}


@dataclass
class Step:
    """An operation on a template, or a word that is expected to be replaced.

    Attributes:
        kind: The operation.
        word: The word of the template.
        head: The bytes of the blob that name word and operation; empty if a slot does, or the walk.
        payload: The bytes of the blob for the new text.
        text: The text in the object.
        at: Its place in the object.
        why: Why the walk expects the text, or `""`.
    """

    kind: Kind
    word: int
    head: range
    payload: range
    text: bytes
    at: int
    why: str = ""


@dataclass
class Reading:
    """A blob that was read.

    Attributes:
        raw: The object.
        steps: The operations, in the order of the template.
        opening: The bytes before the heads: the first number, and the bitmap.
        slots: The slot list that the blob uses.
        used: For each slot, whether the blob uses it.
    """

    raw: bytes
    steps: list[Step]
    opening: range
    slots: Sequence[int]
    used: list[bool]


class Bytes:
    """Bytes, read from the front."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def take(self, size: int) -> bytes:
        """Returns the next bytes."""
        if size > len(self.data) - self.at:
            raise ValueError("the bytes end too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def varint(self) -> int:
        """Reads a number, seven bits a byte, the lowest first."""
        n = shift = 0
        while (byte := self.take(1)[0]) & 128:
            n |= (byte & 127) << shift
            shift += 7
        return n | byte << shift

    def zigzag(self) -> int:
        """Reads a number with the sign in its lowest bit."""
        return unzigzag(self.varint())


def unzigzag(n: int) -> int:
    """Returns the number whose sign is in the lowest bit."""
    return n >> 1 ^ -(n & 1)


def read_blob(blob: bytes, template: Template, identity: Identity) -> Reading:
    """Reads the object that a blob stands for."""
    return _Walk(blob, template, identity).run()


class _Expected(NamedTuple):
    text: bytes
    value: int
    why: str
    is_shifted: bool = False  # a time that is expected to be shifted


@dataclass
class _Head:
    word: int
    kind: Kind
    at: range


@dataclass
class _Walk:
    blob: bytes
    template: Template
    identity: Identity
    raw: bytearray = field(default_factory=bytearray)
    steps: list[Step] = field(default_factory=list)
    first: dict[int, int] = field(default_factory=dict)  # by word: the first word of its value that was replaced
    replaced: dict[int, tuple[bytes, int]] = field(default_factory=dict)  # by first word: the last text and its value
    shift: int | None = None  # seconds; None: no time was replaced

    def __post_init__(self) -> None:
        mine, theirs = self.identity.parts(), self.template.identity.parts()
        words = self.template.words
        self.parts = mine
        self.stops = bytearray(len(words))
        for n, word in enumerate(words):
            self.stops[n] = word.type is Type.OWN and mine[word.part] != theirs[word.part]
        if (time := self.identity.seconds()) and (before := self.template.identity.seconds()):
            self.shift_times(time - before, 0)

    def shift_times(self, shift: int, start: int) -> None:
        if self.shift is None:
            for n in range(start, len(self.stops)):
                self.stops[n] |= self.template.words[n].type in (Type.TIME, Type.MICRO)
        self.shift = shift

    def expect(self, n: int) -> _Expected:
        word = self.template.words[n]
        if word.type is Type.OWN and self.parts[word.part]:
            return _Expected(self.parts[word.part], 0, word.part)
        if n in self.first:
            return _Expected(*self.replaced[self.first[n]], "link")
        value = _value(word.type, self.template.text(n))
        if self.shift and word.type in (Type.TIME, Type.MICRO):
            value += self.shift * (1 if word.type is Type.TIME else 10**6)
            return _Expected(_format(word.type, value), value, "time", is_shifted=True)
        return _Expected(self.template.text(n), value, "")

    def replace(self, n: int, text: bytes, value: int) -> None:
        word = self.template.words[n]
        if n not in self.first:
            self.first[n] = n
            for other in itertools.takewhile(lambda n: n not in self.first, self.template.links.get(n, ())):
                self.first[other] = n
                self.stops[other] = True
        self.replaced[self.first[n]] = text, value
        if word.type in (Type.TIME, Type.MICRO):
            unit = 1 if word.type is Type.TIME else 10**6
            self.shift_times(value // unit - _value(word.type, self.template.text(n)) // unit, n + 1)

    def run(self) -> Reading:
        template, words = self.template, self.template.words
        payload = Bytes(self.blob)
        first = payload.varint()
        slots = template.lists[(first >> 1 & 3) - 1] if first >> 1 & 3 else ()
        used = [True] * len(slots)
        if first & 1:
            bitmap = payload.take((len(slots) + 7) // 8)
            used = [bool(bitmap[i // 8] >> i % 8 & 1) for i in range(len(slots))]
        opening = range(payload.at)
        heads = Bytes(self.blob, payload.at)
        for _ in range(first >> 3):
            payload.varint()
        end_of_heads = payload.at
        waiting = [i for i, is_used in enumerate(used) if is_used]

        def next_head(last: int) -> _Head | None:
            if heads.at == end_of_heads:
                return None
            start, number = heads.at, heads.varint()
            return _Head(last + unzigzag(number >> 2), Kind(number & 3), range(start, heads.at))

        n = copied = 0  # the next word, and the next byte of the template
        head = next_head(0)
        while True:
            stop = self.stops.find(1, n)
            word, kind, named = stop if stop >= 0 else len(words), Kind.EXPECTED, None
            if head and n <= head.word <= word:
                word, kind, named = head.word, head.kind, head
            if waiting:
                slot = slots[waiting[0]]
                if n <= slot & ~SLOT_IS_TEXT < word + (named is None):
                    word, named = slot & ~SLOT_IS_TEXT, None
                    kind = Kind.GENERIC if slot & SLOT_IS_TEXT else Kind.NATIVE
                    waiting.pop(0)
            at = range(0) if named is None else named.at
            start = payload.at
            if kind is Kind.STRUCTURE:
                stopped = max(copied, words[word - 1].stop if word else 0)
                self.raw += template.raw[copied:stopped]
                landing = word + payload.zigzag()
                text = self.literal(payload, None)
                self.steps.append(Step(kind, word, at, range(start, payload.at), text, len(self.raw)))
                self.raw += text
                head = next_head(landing)
                n = landing
                if n == len(words):
                    break
                copied = words[n].start
                continue
            if word == len(words):
                self.raw += template.raw[copied:]
                break
            self.raw += template.raw[copied : words[word].start]
            expected = self.expect(word)
            text, value = self.text(kind, word, payload, expected)
            self.steps.append(
                Step(kind, word, at, range(start, payload.at), text, len(self.raw), self.why(kind, expected))
            )
            self.raw += text
            if kind is not Kind.EXPECTED or expected.is_shifted:
                self.replace(word, text, value)
            copied = words[word].stop
            n = word + 1
            if named is not None:
                head = next_head(word)
        if payload.at != len(self.blob) or head or waiting:
            raise ValueError("the blob has more than its object needs")
        return Reading(bytes(self.raw), self.steps, opening, slots, used)

    @staticmethod
    def why(kind: Kind, expected: _Expected) -> str:
        return expected.why if kind is Kind.EXPECTED else ""

    def text(self, kind: Kind, n: int, payload: Bytes, expected: _Expected) -> tuple[bytes, int]:
        """Returns the text of a word and its value."""
        word, own_value = self.template.words[n], _value(self.template.words[n].type, self.template.text(n))
        if kind is Kind.EXPECTED:
            return expected.text, expected.value
        if kind is Kind.SAME:
            return self.template.text(n), own_value
        if kind is Kind.GENERIC:
            return self.literal(payload, expected.text), own_value
        match word.type:
            case Type.HEX:
                return payload.take((word.stop - word.start) // 2).hex().encode(), 0
            case Type.UUID:
                digits = payload.take(16).hex()
                ends = (8, 12, 16, 20, 32)
                return "-".join(digits[a:b] for a, b in zip((0, *ends), ends, strict=False)).encode(), 0
            case Type.MICRO:
                seconds = expected.value // 10**6 + payload.zigzag()
                value = seconds * 10**6 + int.from_bytes(payload.take(3), "little")
            case Type.DECIMAL | Type.IP | Type.TIME:
                value = expected.value + payload.zigzag()
            case _:
                raise ValueError(f"a {word.type.value} has no value")
        return _format(word.type, value), value

    def literal(self, payload: Bytes, expected: bytes | None) -> bytes:
        """Reads a literal."""
        head = payload.varint()
        if head & 1:
            return self.template.literals[head >> 1]
        before = after = b""
        if head & 4:
            lengths = payload.take(1)[0]
            prefix, suffix = (payload.varint(), payload.varint()) if lengths == 255 else (lengths & 15, lengths >> 4)
            if expected is None or prefix + suffix > len(expected):
                raise ValueError("a literal has more affixes than are expected")
            before, after = expected[:prefix], expected[len(expected) - suffix :]
        size = head >> 3
        between = _unpack(payload.take(size // 3 * 2 + size % 3), size) if head & 2 else payload.take(size)
        return before + between + after


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


def _format(type_: Type, value: int) -> bytes:
    if type_ is Type.DECIMAL:
        return b"%d" % value
    if type_ is Type.IP:
        return str(ipaddress.IPv4Address(value)).encode()
    time = _EPOCH + value * (_SECOND if type_ is Type.TIME else _MICROSECOND)
    written = time.strftime("%Y-%m-%dT%H:%M:%S")
    return (written + (f".{time.microsecond:06}Z" if type_ is Type.MICRO else "Z")).encode()


def _unpack(packed: bytes, size: int) -> bytes:
    """Unpacks characters: three in two bytes, the rest a byte each."""
    text = bytearray()
    for at in range(0, size // 3 * 2, 2):
        n = int.from_bytes(packed[at : at + 2], "little")
        text += bytes(_PACKED[digit % 38] for digit in (n // 1444, n // 38, n))
    return bytes(text + bytes(_PACKED[digit] for digit in packed[size // 3 * 2 :]))
