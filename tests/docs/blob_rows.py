"""The pod in the picture about compression: its template, and its blob by bytes.

The pod comes from the generator of `kinform.testing`, the table encodes it, and an oracle reads the blob. Each run
finds the same.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import cache

from kinform.testing._objects.catalogue import CATALOGUE
from kinform.testing._objects.kinds import dump
from kinform_ext._table import Dump, Table
from tests.support.oracles.blob_reader import Bytes, Kind, Reading, Step
from tests.support.oracles.dump_reader import Record, read_dump
from tests.support.oracles.prune import FieldPath, prune_object
from tests.support.oracles.template import Template, Type

OBJECTS = 800
MAX_TEMPLATE_BYTES = 1150
MAX_BLOB_BYTES = 60
KEPT: list[FieldPath] = [
    ("metadata", "creationTimestamp"),
    ("metadata", "labels"),
    ("metadata", "ownerReferences", ..., "name"),
    ("spec", "nodeName"),
    ("status", "conditions", ..., "type"),
    ("status", "conditions", ..., "lastTransitionTime"),
    ("status", "podIP"),
    ("status", "startTime"),
    ("status", "containerStatuses", ..., "image"),
    ("status", "containerStatuses", ..., "containerID"),
]


@dataclass(frozen=True)
class Encoded:
    """An object of a collection, and how it is encoded.

    Attributes:
        template: Its template.
        record: Its record.
        reading: How its blob is read.
    """

    template: Template
    record: Record
    reading: Reading

    def style(self, step: Step) -> str:
        """Returns the class of colours of a word that is replaced."""
        if step.kind is Kind.EXPECTED:
            return {"link": "link", "time": "shift"}.get(step.why, "own")
        return self.template.words[step.word].type.name.lower() if step.kind is Kind.NATIVE else "text"

    def written(self) -> list[Step]:
        """Returns the steps that take bytes of the blob."""
        return [step for step in self.reading.steps if step.kind is not Kind.EXPECTED]

    def is_of_one_owner(self) -> bool:
        """Returns whether the object and its template are pods of one owner."""
        mine, its = self.record.identity, self.template.identity
        return (mine.namespace, mine.name.rpartition(b"-")[0]) == (its.namespace, its.name.rpartition(b"-")[0])


@cache
def encoded() -> Encoded:
    """Encodes pods, and returns the one that shows most with few bytes.

    Its blob names a word and uses slots, and its template is a pod of the same owner.
    """
    table = Table()
    for obj in itertools.islice(CATALOGUE["pods"][1](1), OBJECTS):
        metadata, raw = obj["metadata"], dump(prune_object(obj, keep=KEPT))
        identity = metadata["namespace"], metadata["name"], metadata["uid"], metadata["resourceVersion"]
        table.put(0, *identity, raw, False, 0)
    made = Dump(table)
    contents = read_dump(b"".join(iter(lambda: made.read(1 << 16), b"")))
    found = []
    for record in contents.records:
        if record.codec and not record.is_frame and not record.number and len(record.blob) <= MAX_BLOB_BYTES:
            one = Encoded(contents.templates[record.codec - 1], record, contents.reading(record))
            names_a_word = any(step.head for step in one.reading.steps)
            if (
                names_a_word
                and one.reading.slots
                and one.is_of_one_owner()
                and len(one.template.raw) <= MAX_TEMPLATE_BYTES
            ):
                found.append(one)
    return max(found, key=lambda one: (_variety(one), -len(one.record.blob), one.record.identity))


def _variety(one: Encoded) -> int:
    styles = {one.style(step) for step in one.reading.steps}
    rows = {re.sub(r"\d+", "", row.meaning) for row in rows_of(one)}
    return len(styles) + len(rows) + len({step.why for step in one.reading.steps})


# The bytes of a blob

_KINDS = {Kind.NATIVE: "a value", Kind.GENERIC: "a text", Kind.STRUCTURE: "a structure", Kind.SAME: "no change"}


@dataclass(frozen=True)
class Row:
    """A run of bytes of a blob.

    Attributes:
        data: The bytes.
        meaning: Their meaning.
        text: The text that they stand for in the object, or `""`.
        style: The class of colours.
        mark: The number of the word in the picture, or `""`.
    """

    data: bytes
    meaning: str
    text: str = ""
    style: str = "head"
    mark: str = ""


def rows_of(one: Encoded) -> list[Row]:
    """Returns all bytes of a blob, in order."""
    blob, reading = one.record.blob, one.reading
    source = Bytes(blob)
    first = source.varint()
    named, number, has_bitmap = first >> 3, first >> 1 & 3, first & 1
    sum_ = f"8 * {named} + 2 * {number} + {has_bitmap}"
    bitmap = "a bitmap" if has_bitmap else "no bitmap"
    rows = [Row(blob[: source.at], f"{sum_}: {count(named, 'named word')}, slot list {number}, {bitmap}")]
    if source.at < reading.opening.stop:
        unused = reading.used.count(False)
        meaning = f"bitmap: {unused} of {len(reading.slots)} slots not used"
        rows.append(Row(blob[source.at : reading.opening.stop], meaning))
    marks = {id(step): str(number) for number, step in enumerate(one.written(), 1)}
    for step in one.written():
        if step.head:
            data, mark = _slice(blob, step.head), marks[id(step)]
            passed = Bytes(data).varint() >> 2
            meaning = f"4 * {passed} + {step.kind.value}: {count(passed, 'word')} passed, then {_KINDS[step.kind]}"
            rows.append(Row(data, meaning, mark=mark))
    for step in one.written():
        if step.payload:
            text = step.text.decode(errors="replace")
            rows.append(Row(_slice(blob, step.payload), _meaning(one, step), text, one.style(step), marks[id(step)]))
    return rows


def _meaning(one: Encoded, step: Step) -> str:
    payload = Bytes(_slice(one.record.blob, step.payload))
    if step.kind is Kind.NATIVE:
        type_ = one.template.words[step.word].type
        if type_ in (Type.HEX, Type.UUID):
            return type_.value
        return f"{type_.value}, {payload.zigzag():+,}" + (" s" if type_ in (Type.TIME, Type.MICRO) else "")
    jump = f"jump {payload.zigzag():+}, " if step.kind is Kind.STRUCTURE else ""
    head = payload.varint()
    if head & 1:
        return f"{jump}entry {head >> 1} of the literals"
    affixes = ""
    if head & 4:
        lengths = payload.take(1)[0]
        prefix, suffix = (payload.varint(), payload.varint()) if lengths == 255 else (lengths & 15, lengths >> 4)
        affixes = f", {prefix}+{suffix} as before"
    return f"{jump}{'packed' if head & 2 else 'plain'} text{affixes}"


def _slice(data: bytes, place: range) -> bytes:
    return data[place.start : place.stop]


def count(number: int, noun: str) -> str:
    """Returns a number with its noun."""
    return f"{number} {noun}{'s' * (number != 1)}"
