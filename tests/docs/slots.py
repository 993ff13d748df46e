"""`python -m tests.docs.slots`: draws how a pod is encoded.

The picture is part of the page about compression. `blob_rows` encodes the pod and reads its blob. So the picture, and
the regions of the page that are marked by `<!-- from the coder: NAME -->`, show what the code does now. Each run draws
the same.
"""

from __future__ import annotations

import itertools
import re
import sys
import textwrap
from collections import Counter
from html import escape

from tests.docs.blob_rows import Encoded, count, encoded, rows_of
from tests.docs.markdown import DOCS, ROOT
from tests.support.oracles.blob_reader import Kind

PAGE = DOCS / "explanation" / "compression.md"
PICTURE = DOCS / "explanation" / "compression.svg"

_REGION = re.compile(r"(<!-- from the coder: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


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
        cuts = {start, stop}
        for step in one.reading.steps:
            word = one.template.words[step.word] if step.word < len(one.template.words) else None
            if word is None or not start <= word.start < stop:
                continue
            cuts |= {word.start, word.stop}
            x, style = MARGIN + (word.start - start) * CHARACTER, one.style(step)
            width = 2 if step.kind is Kind.STRUCTURE else (word.stop - word.start) * CHARACTER
            dashed = " none" if step.kind is Kind.EXPECTED else ""
            parts.append(f'<rect class="{style}{dashed}" x="{x:.2f}" y="{y - 12:g}" width="{width:.2f}" height="16"/>')
            if id(step) in marks:
                parts.append(f'<text class="mark {style}" x="{x:.2f}" y="{y - 14:g}">{marks[id(step)]}</text>')
        for left, right in itertools.pairwise(sorted(cuts)):  # each word on its box, whatever the font
            _code(parts, MARGIN + (left - start) * CHARACTER, y, one.template.raw[left:right].decode())
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
    listed = ", ".join(count(counts[style], noun) for style, noun in nouns.items() if counts[style])
    name, overhead = len(one.record.identity.name), one.record.overhead
    for line in (
        f"Without bytes: {listed}.",
        f"The record adds {overhead} bytes: {name} for the name, and {overhead - name} for the uid, the "
        "resourceVersion and its header.",
    ):
        parts.append(f'<text class="soft" x="{MARGIN}" y="{y:g}">{line}</text>')
        y += ROW
    return y - ROW


# The page


def caption() -> str:
    """Returns the sizes in the picture, as a sentence."""
    one = encoded()
    written = [step for step in one.written() if step.payload]
    free = len(one.reading.steps) - len(one.written())
    text = (
        f"The pod has {one.record.size:,} bytes of JSON. Its blob has {len(one.record.blob)} bytes, and its record "
        f"with the blob {len(one.record.blob) + one.record.overhead} bytes. {count(len(written), 'word')} of the "
        f"template are replaced by bytes of the blob, and {count(free, 'word')} without any byte."
    )
    return textwrap.fill(text, 120) + "\n"


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
