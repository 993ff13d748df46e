"""The oracle of blobs: differences from a template in, an object out.

Written from the comments in kinform_ext/coder/*.h; it shares no code with the coder. It is slow, and trusts its input:
a blob that is not valid raises ValueError or IndexError.
"""

from __future__ import annotations

import enum
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.support.oracles.template import Identity, Template, Type, format_value

SLOT_IS_TEXT = 0x8000

_PACKED = b"abcdefghijklmnopqrstuvwxyz0123456789-."


class Kind(enum.IntEnum):
    """An operation on a word."""

    NATIVE = 0
    GENERIC = 1
    STRUCTURE = 2
    SAME = 3
    EXPECTED = 4  # not written: the word is what the walk expects


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
            return _Expected(format_value(word.type, value), value, "time")
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
        return format_value(word.type, value), value

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


def _unpack(packed: bytes, size: int) -> bytes:
    """Unpacks characters: three in two bytes, the rest a byte each."""
    text = bytearray()
    for at in range(0, size // 3 * 2, 2):
        n = int.from_bytes(packed[at : at + 2], "little")
        text += bytes(_PACKED[digit % 38] for digit in (n // 1444, n // 38, n))
    return bytes(text + bytes(_PACKED[digit] for digit in packed[size // 3 * 2 :]))
