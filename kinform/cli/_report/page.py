"""The report as one HTML page: no other file, no request, no object contents.

The charts are inline SVG. The page sorts its tables by a small script, and is complete without it.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files

from kinform.cli._report.section import Bar, Cell, Document, Section


def render(document: Document) -> str:
    """Returns the page."""
    folder = files("kinform.cli._report")
    style, script = (folder.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(document.title)}</title><style>{style}</style></head><body><main>",
        f"<header><h1>{escape(document.title)}</h1><p>{escape(document.subtitle)}</p></header>",
        '<dl class="headline">',
        *(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for value, name in document.headline),
        "</dl>",
        *(_section(each) for each in document.sections),
        f"</main><script>{script}</script></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _section(section: Section) -> str:
    parts = [f"<section><h2>{escape(section.title)}</h2><p>{escape(section.text)}</p>"]
    if section.bars:
        parts.append(_chart(section.bars, section.title))
    if section.head:
        parts += _table(section)
    if section.code:
        parts.append(f"<pre><code>{escape(section.code)}</code></pre>")
    return "\n".join([*parts, "</section>"])


def _table(section: Section) -> list[str]:
    numbers = [any(row[place].value is not None for row in section.rows) for place in range(len(section.head))]
    head = "".join(
        f'<th scope="col"{_class(number)}><button type="button">{escape(name)}</button></th>'
        for name, number in zip(section.head, numbers, strict=True)
    )
    return [
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>',
        *(
            f"<tr>{''.join(_cell(cell, number) for cell, number in zip(row, numbers, strict=True))}</tr>"
            for row in section.rows
        ),
        "</tbody></table></div>",
    ]


def _cell(cell: Cell, number: bool) -> str:
    value = "" if cell.value is None else f' data-value="{cell.value!r}"'
    return f"<td{_class(number)}{value}>{escape(cell.text)}</td>"


def _class(number: bool) -> str:
    return ' class="number"' if number else ""


def _chart(bars: list[Bar], title: str) -> str:
    """A bar chart. Texts outside of the SVG keep their size on a narrow screen."""
    longest = max(bar.value for bar in bars) or 1.0
    rows = [
        f'<div class="bar{" ours" if bar.is_ours else ""}"><span>{escape(bar.label)}</span>'
        f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{escape(bar.text)}">'
        f'<rect width="{max(0.3, 100 * bar.value / longest):.2f}" height="10"/></svg>'
        f"<span>{escape(bar.text)}</span></div>"
        for bar in bars
    ]
    return f'<div class="chart" aria-label="{escape(title)}">\n' + "\n".join(rows) + "\n</div>"
