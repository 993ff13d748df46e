"""The oracle of blobs: differences from a template in, an object out.

Written from the comments in kinform_ext/coder/*.h; it shares no code with the coder. It is slow, and trusts its input:
a blob that is not valid raises ValueError or IndexError.
"""

from __future__ import annotations

import datetime
import enum
import ipaddress
import re
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

MIN_LINKED = 6
MIN_LINKED_DECIMAL = 5
MIN_PART = 3
MAX_SPECIAL = 255
MAX_SPECIALS = 1024
SLOT_IS_TEXT = 0x8000

_WORD = re.compile(rb"[A-Za-z0-9._\x80-\xff-]+")
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d(?P<micro>\.\d{6})?Z(?![A-Za-z0-9._\x80-\xff-])")
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
        steps: The operations, in the order of the walk.
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


def unpack_uuid(packed: bytes) -> bytes:
    """Returns the text of a UUID."""
    return str(uuid.UUID(bytes=packed)).encode()


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


class _Next(NamedTuple):
    word: int
    kind: Kind
    head: range


@dataclass
class _Walk:
    blob: bytes
    template: Template
    identity: Identity
    raw: bytearray = field(default_factory=bytearray)
    steps: list[Step] = field(default_factory=list)
    first: dict[int, int] = field(default_factory=dict)  # by word: the first word of its value that was replaced
    replaced: dict[int, tuple[bytes, int]] = field(default_factory=dict)  # by first word: the last text and its value
    shift: int = 0  # seconds

    def __post_init__(self) -> None:
        template, payload = self.template, Bytes(self.blob)
        self.parts, theirs = self.identity.parts(), template.identity.parts()
        self.stops = bytearray(len(template.words))
        for n, word in template.specials.items():
            self.stops[n] = word.type is Type.OWN and self.parts[word.part] != theirs[word.part]
        if (time := self.identity.seconds()) and (before := template.identity.seconds()):
            self.shift_times(time - before)
        first = payload.varint()
        self.slots = template.lists[(first >> 1 & 3) - 1] if first >> 1 & 3 else ()
        self.used = [True] * len(self.slots)
        if first & 1:
            bitmap = payload.take((len(self.slots) + 7) // 8)
            self.used = [bool(bitmap[i // 8] >> i % 8 & 1) for i in range(len(self.slots))]
        self.waiting = [slot for slot, is_used in zip(self.slots, self.used, strict=True) if is_used]
        self.opening = range(payload.at)
        self.heads = Bytes(self.blob, payload.at)
        for _ in range(first >> 3):
            payload.varint()
        self.payload, self.end_of_heads = payload, payload.at
        self.named = self.read_head(0)

    def shift_times(self, shift: int) -> None:
        self.shift = shift
        for n, word in self.template.specials.items():
            self.stops[n] |= word.is_time

    def read_head(self, last: int) -> _Next | None:
        """Reads the next explicit operation; `last`: the word after the last one."""
        start = self.heads.at
        if start == self.end_of_heads:
            return None
        head = self.heads.varint()
        return _Next(last + (head >> 2), Kind(head & 3), range(start, self.heads.at))

    def next(self, n: int) -> _Next:
        """Returns the next word, from word n on, that is not just copied.

        Without one it is the number of words.
        """
        stop = self.stops.find(1, n)
        found = _Next(stop if stop >= 0 else len(self.stops), Kind.EXPECTED, range(0))
        if self.waiting and n <= (word := self.waiting[0] & ~SLOT_IS_TEXT) <= found.word:
            found = _Next(word, Kind.GENERIC if self.waiting[0] & SLOT_IS_TEXT else Kind.NATIVE, range(0))
        if self.named and n <= self.named.word <= found.word:
            return self.named
        if found.kind is not Kind.EXPECTED:
            self.waiting.pop(0)
        return found

    def run(self) -> Reading:
        template, words = self.template, self.template.words
        n = copied = 0  # the next word, and the next byte of the template
        while True:
            found = self.next(n)
            if found.kind is Kind.STRUCTURE:
                self.copy(copied, max(copied, template.runs[found.word - 1][1] if found.word else 0))
                n = self.run_structure(found)
                if n == len(words):
                    break
                copied = words[n].start
            elif found.word == len(words):
                self.copy(copied, len(template.raw))
                break
            else:
                word = words[found.word]
                self.copy(copied, word.start)
                self.run_word(found)
                n, copied = found.word + (3 if word.is_time else 1), word.stop
            if found.head:
                self.named = self.read_head(n)
        if self.payload.at != len(self.blob) or self.heads.at != self.end_of_heads or self.waiting:
            raise ValueError("the blob has more than its object needs")
        return Reading(bytes(self.raw), self.steps, self.opening, self.slots, self.used)

    def copy(self, start: int, stop: int) -> None:
        """Copies bytes of the template."""
        self.raw += self.template.raw[start:stop]

    def run_structure(self, found: _Next) -> int:
        """Reads a structure, and returns the word at which the walk continues."""
        start = self.payload.at
        landing = found.word + self.payload.zigzag()
        self.write(found, start, self.literal(None))
        return landing

    def run_word(self, found: _Next) -> None:
        """Writes a word that is replaced, or expected."""
        start, expected = self.payload.at, self.expect(found.word)
        text, value = self.read(found, expected)
        is_expected = found.kind is Kind.EXPECTED
        self.write(found, start, text, expected.why if is_expected else "")
        if not is_expected or expected.why == "time":
            self.replace(found.word, text, value)

    def write(self, found: _Next, start: int, text: bytes, why: str = "") -> None:
        """Writes text whose payload began at `start`."""
        payload = range(start, self.payload.at)
        self.steps.append(Step(found.kind, found.word, found.head, payload, text, len(self.raw), why))
        self.raw += text

    def expect(self, n: int) -> _Expected:
        word, value = self.template.words[n], self.template.value(n)
        if word.type is Type.OWN and self.parts[word.part]:
            return _Expected(self.parts[word.part], 0, word.part)
        if n in self.first:
            return _Expected(*self.replaced[self.first[n]], "link")
        if self.shift and word.is_time:
            value += self.shift * (1 if word.type is Type.TIME else 10**6)
            return _Expected(_format(word.type, value), value, "time")
        return _Expected(self.template.text(n), value, "")

    def replace(self, n: int, text: bytes, value: int) -> None:
        if n not in self.template.specials:
            return
        if n not in self.first:
            for linked in (n, *self.template.links[n]):
                if linked in self.first:
                    break
                self.first[linked] = n
                self.stops[linked] = True
        self.replaced[self.first[n]] = text, value
        word = self.template.words[n]
        if word.is_time:
            self.shift_times(word.seconds(value) - word.seconds(self.template.value(n)))

    def read(self, found: _Next, expected: _Expected) -> tuple[bytes, int]:
        """Returns the text of a word and its value."""
        word, payload = self.template.words[found.word], self.payload
        match found.kind:
            case Kind.EXPECTED:
                return expected.text, expected.value
            case Kind.SAME:
                return self.template.text(found.word), self.template.value(found.word)
            case Kind.GENERIC:
                return self.literal(None if expected.why == "time" else expected.text), self.template.value(found.word)
        match word.type:
            case Type.HEX:
                return payload.take((word.stop - word.start) // 2).hex().encode(), 0
            case Type.UUID:
                return unpack_uuid(payload.take(16)), 0
            case Type.MICRO:
                seconds = expected.value // 10**6 + payload.zigzag()
                value = seconds * 10**6 + int.from_bytes(payload.take(3), "little")
            case Type.DECIMAL | Type.IP | Type.TIME:
                value = expected.value + payload.zigzag()
            case _:
                raise ValueError(f"a {word.type.value} has no value")
        return _format(word.type, value), value

    def literal(self, expected: bytes | None) -> bytes:
        """Reads a literal; `expected`: the text that it may share affixes with."""
        payload = self.payload
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
