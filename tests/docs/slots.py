"""`python -m tests.docs.slots`: draws how a pod is encoded.

The picture is part of the page about compression. The pod comes from the generator of `kinform.testing`, the table
encodes it, and an oracle reads the blob. So the picture, and the regions of the page that are marked by
`<!-- from the coder: NAME -->`, show what the code does now. Each run draws the same.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from html import escape

from kinform.testing._objects.catalogue import CATALOGUE
from kinform.testing._objects.kinds import dump
from kinform_ext._table import Dump, Table
from tests.docs.markdown import DOCS, ROOT
from tests.support.oracles.blob_reader import Bytes, Kind, Reading, Step
from tests.support.oracles.dump_reader import Record, read_dump
from tests.support.oracles.prune import FieldPath, prune_object
from tests.support.oracles.template import Template, Type

PAGE = DOCS / "explanation" / "compression.md"
PICTURE = DOCS / "explanation" / "compression.svg"

OBJECTS = 400
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

_REGION = re.compile(r"(<!-- from the coder: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


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

    def expected(self, style: str) -> list[Step]:
        """Returns the steps without bytes, of one class of colours."""
        return [step for step in self.reading.steps if step.kind is Kind.EXPECTED and self.style(step) == style]


@cache
def encoded() -> Encoded:
    """Encodes pods, and returns the one that shows most with few bytes."""
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
            if one.reading.slots and len(one.template.raw) <= MAX_TEMPLATE_BYTES:
                found.append(one)
    return max(found, key=lambda one: (_variety(one), -len(one.record.blob), one.record.identity))


def _variety(one: Encoded) -> int:
    styles = {one.style(step) for step in one.reading.steps}
    rows = {re.sub(r"\d+", "", row.meaning) for row in rows_of(one)}
    return len(styles) + len(rows) + len({step.why for step in one.reading.steps})


# The bytes of a blob


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
    explicit, number = first >> 3, first >> 1 & 3
    rows = [
        Row(blob[: source.at], f"{_count(explicit, 'word') if explicit else 'no word'} named below, slot list {number}")
    ]
    if source.at < reading.opening.stop:
        unused = reading.used.count(False)
        meaning = f"bitmap: {unused} of {len(reading.slots)} slots not used"
        rows.append(Row(blob[source.at : reading.opening.stop], meaning))
    marks = {id(step): str(number) for number, step in enumerate(one.written(), 1)}
    for step in one.written():
        if step.head:
            kind = {Kind.NATIVE: "value", Kind.GENERIC: "text", Kind.STRUCTURE: "structure", Kind.SAME: "same"}[
                step.kind
            ]
            rows.append(Row(_slice(blob, step.head), f"names word {marks[id(step)]}: {kind}"))
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


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


# The picture

WIDTH = 860
MARGIN = 20
COLUMNS = 112  # characters of a line of the template
CHARACTER = (WIDTH - 2 * MARGIN) / COLUMNS
LINE = 27
ROW = 21
HEX_COLUMNS = 12  # bytes in a line of a row
TEXT_COLUMNS = 38

_COLOURS = {
    # class: fill and line in light mode, in dark mode
    "time": ("#cfe3ff", "#2f6fd0", "#1d3a66", "#7fb2ff"),
    "hex": ("#e6d6fb", "#7d4cc2", "#3f2b63", "#bf9bf2"),
    "uuid": ("#fbd3e6", "#c03c7e", "#5e2343", "#f090bf"),
    "ip": ("#cdeed6", "#23894a", "#1c4a2c", "#74d493"),
    "decimal": ("#c9eef0", "#147f86", "#144a4e", "#66cfd6"),
    "text": ("#ffe0bd", "#b9690b", "#5c3a12", "#f5b25f"),
    "own": ("#f1f1f1", "#6d6d6d", "#30343a", "#a7adb6"),
    "link": ("#f1f1f1", "#a37800", "#30343a", "#dcb84e"),
    "shift": ("#f1f1f1", "#2f6fd0", "#30343a", "#7fb2ff"),
    "head": ("#e4e6ea", "#4f5660", "#3a4048", "#c2c8d0"),
}
_LEGEND = {
    "time": "time",
    "hex": "hexadecimal",
    "uuid": "UUID",
    "ip": "IPv4 address",
    "decimal": "decimal",
    "text": "text",
    "own": "own part",
    "link": "link",
    "shift": "shifted time",
}


def drawn() -> str:
    """Returns the picture as SVG."""
    one = encoded()
    parts: list[str] = []
    name = one.record.identity.name.decode()
    y = _heading(
        parts, 30, f"Template: pod {one.template.identity.name.decode()}, {len(one.template.raw):,} bytes of JSON"
    )
    y = _template(parts, y + 6, one)
    y = _legend(parts, y + 2, one)
    y = _heading(parts, y + 40, f"Blob: pod {name}, {one.record.size:,} bytes of JSON in {len(one.record.blob)} bytes")
    y = _rows(parts, y + 8, one)
    height = y + MARGIN - 6
    light = "".join(_style(name, fill, line) for name, (fill, line, _, _) in _COLOURS.items())
    dark = "".join(_style(name, fill, line) for name, (_, _, fill, line) in _COLOURS.items())
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img">
<title>A pod as differences from its template</title>
<style>
text {{ font: 12px system-ui, sans-serif; fill: #1c1f23; }}
.code {{ font: 11.5px ui-monospace, "DejaVu Sans Mono", Consolas, monospace; white-space: pre; }}
.heading {{ font-size: 14px; font-weight: 600; }}
.mark {{ font-size: 9px; font-weight: 700; }}
.soft {{ fill: #5a616b; }}
.card {{ fill: #ffffff; stroke: #d5d9de; }}
rect {{ rx: 3px; stroke-width: 1px; }}
.none {{ stroke-dasharray: 3 2; }}
{light}@media (prefers-color-scheme: dark) {{
text {{ fill: #e6e8eb; }}
.soft {{ fill: #a9b0ba; }}
.card {{ fill: #1e2228; stroke: #3a4048; }}
{dark}}}
</style>
<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:g}"/>
{chr(10).join(parts)}
</svg>
"""


def _style(name: str, fill: str, line: str) -> str:
    return f"rect.{name} {{ fill: {fill}; stroke: {line}; }} text.{name} {{ fill: {line}; }}\n"


def _heading(parts: list[str], y: float, text: str) -> float:
    parts.append(f'<text class="heading" x="{MARGIN}" y="{y:g}">{escape(text)}</text>')
    return y


def _code(parts: list[str], x: float, y: float, text: str, classes: str = "") -> None:
    """Draws text of a fixed width, whatever font there is."""
    width = f'textLength="{len(text) * CHARACTER:.2f}" lengthAdjust="spacingAndGlyphs"'
    parts.append(
        f'<text class="code{classes}" x="{x:.2f}" y="{y:g}" {width} xml:space="preserve">{escape(text)}</text>'
    )


def _lines(one: Encoded) -> list[tuple[int, int]]:
    """Returns the lines of the template: no word is split."""
    words = one.template.words
    lines, start = [], 0
    while start < len(one.template.raw):
        stop = min(start + COLUMNS, len(one.template.raw))
        for word in words:
            if word.start < stop < word.stop:
                stop = word.start
        lines.append((start, stop))
        start = stop
    return lines


def _template(parts: list[str], y: float, one: Encoded) -> float:
    marks = {id(step): number for number, step in enumerate(one.written(), 1)}
    for start, stop in _lines(one):
        y += LINE
        shown = one.template.raw[start:stop].decode()
        for step in one.reading.steps:
            word = one.template.words[step.word] if step.word < len(one.template.words) else None
            if word is None or not start <= word.start < stop:
                continue
            x, style = MARGIN + (word.start - start) * CHARACTER, one.style(step)
            width = 2 if step.kind is Kind.STRUCTURE else (word.stop - word.start) * CHARACTER
            dashed = " none" if step.kind is Kind.EXPECTED else ""
            parts.append(f'<rect class="{style}{dashed}" x="{x:.2f}" y="{y - 12:g}" width="{width:.2f}" height="16"/>')
            if id(step) in marks:
                parts.append(f'<text class="mark {style}" x="{x:.2f}" y="{y - 14:g}">{marks[id(step)]}</text>')
        _code(parts, MARGIN, y, shown)
    return y + LINE / 2


def _legend(parts: list[str], y: float, one: Encoded) -> float:
    used = {one.style(step) for step in one.reading.steps}
    for title, styles, dashed in (
        ("Replaced, with bytes in the blob:", ("time", "hex", "uuid", "ip", "decimal", "text"), ""),
        ("Replaced without bytes:", ("own", "link", "shift"), " none"),
    ):
        y += ROW
        parts.append(f'<text class="soft" x="{MARGIN}" y="{y:g}">{title}</text>')
        x = MARGIN + 210.0
        for style in styles:
            if style in used:
                parts.append(f'<rect class="{style}{dashed}" x="{x:g}" y="{y - 10:g}" width="14" height="12"/>')
                parts.append(f'<text x="{x + 19:g}" y="{y:g}">{_LEGEND[style]}</text>')
                x += 36 + 7 * len(_LEGEND[style])
    return y


def _rows(parts: list[str], y: float, one: Encoded) -> float:
    step = 3 * CHARACTER
    right = MARGIN + 28 + HEX_COLUMNS * step + 10
    for row in rows_of(one):
        lines = [row.data[at : at + HEX_COLUMNS] for at in range(0, len(row.data), HEX_COLUMNS)]
        for number, data in enumerate(lines):
            y += ROW
            width = (3 * len(data) - 1) * CHARACTER + 8
            parts.append(
                f'<rect class="{row.style}" x="{MARGIN + 24:g}" y="{y - 13:g}" width="{width:.2f}" height="18"/>'
            )
            _code(parts, MARGIN + 28, y, data.hex(" "))
            if number == 0:
                if row.mark:
                    parts.append(
                        f'<text class="{row.style}" x="{MARGIN}" y="{y:g}" font-weight="700">{row.mark}</text>'
                    )
                parts.append(f'<text x="{right:.2f}" y="{y:g}">{escape(row.meaning)}</text>')
                shown = row.text if len(row.text) <= TEXT_COLUMNS else f"{row.text[: TEXT_COLUMNS - 1]}…"
                if shown:
                    _code(parts, WIDTH - MARGIN - TEXT_COLUMNS * CHARACTER, y, shown)
    y += ROW + 6
    counts = Counter(one.style(step) for step in one.reading.steps if step.kind is Kind.EXPECTED)
    nouns = {"own": "own part", "link": "link", "shift": "shifted time"}
    listed = ", ".join(_count(counts[style], noun) for style, noun in nouns.items() if counts[style])
    parts.append(f'<text class="soft" x="{MARGIN}" y="{y:g}">No bytes: {listed}.</text>')
    return y


# The page


def caption() -> str:
    """Returns the sizes in the picture, as a sentence."""
    one = encoded()
    written = [step for step in one.written() if step.payload]
    free = len(one.reading.steps) - len(one.written())
    return (
        f"The pod has {one.record.size:,} bytes of JSON, and its blob {len(one.record.blob)} bytes. "
        f"{_count(len(written), 'word').capitalize()} of the template are replaced by bytes of the blob, "
        f"and {_count(free, 'word')} without any byte.\n"
    )


def filled(page: str) -> str:
    """Returns the page with every region as the coder has it now."""
    return _REGION.sub(lambda found: f"{found[1]}\n{REGIONS[found['name']]()}\n{found[3]}", page)


REGIONS = {"caption": caption}


def main() -> int:
    """Writes the picture and the regions."""
    PICTURE.write_text(drawn())
    PAGE.write_text(filled(PAGE.read_text()))
    for path in (PICTURE, PAGE):
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
