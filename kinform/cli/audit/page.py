"""The report as one HTML page: no other file, no request, no object contents.

The charts are inline SVG. The page sorts its tables by a small script, and is complete without it.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files

from kinform.cli.audit.report import Report
from kinform.cli.audit.sections import Bar, Cell, Section, headline, sections


def render(report: Report) -> str:
    """Returns the page."""
    folder = files("kinform.cli.audit")
    style, script = (folder.joinpath(name).read_text() for name in ("page.css", "page.js"))
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(report.cluster)}: kinform audit</title><style>{style}</style></head><body><main>",
        f"<header><h1>{_text(report.cluster)}</h1>",
        f"<p>kinform audit, {_text(report.taken_at)}, read in {report.seconds:.1f} s</p></header>",
        '<dl class="headline">',
        *(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in headline(report)),
        "</dl>",
        *(_section(each) for each in sections(report)),
        f"</main><script>{script}</script></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _section(section: Section) -> str:
    parts = [f"<section><h2>{_text(section.title)}</h2><p>{_text(section.text)}</p>"]
    if section.bars:
        parts.append(_chart(section.bars, section.title))
    numbers = [any(row[place].value is not None for row in section.rows) for place in range(len(section.head))]
    head = "".join(
        f'<th scope="col"{_class(number)}><button type="button">{_text(name)}</button></th>'
        for name, number in zip(section.head, numbers, strict=True)
    )
    parts.append(f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>')
    parts += [
        f"<tr>{''.join(_cell(cell, number) for cell, number in zip(row, numbers, strict=True))}</tr>"
        for row in section.rows
    ]
    parts.append("</tbody></table></div></section>")
    return "\n".join(parts)


def _cell(cell: Cell, number: bool) -> str:
    value = "" if cell.value is None else f' data-value="{cell.value!r}"'
    return f"<td{_class(number)}{value}>{_text(cell.text)}</td>"


def _class(number: bool) -> str:
    return ' class="number"' if number else ""


def _chart(bars: list[Bar], title: str) -> str:
    """A bar chart. Texts outside of the SVG keep their size on a narrow screen."""
    longest = max(bar.value for bar in bars) or 1.0
    rows = [
        f'<div class="bar{" ours" if bar.is_ours else ""}"><span>{_text(bar.label)}</span>'
        f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{_text(bar.text)}">'
        f'<rect width="{max(0.3, 100 * bar.value / longest):.2f}" height="10"/></svg>'
        f"<span>{_text(bar.text)}</span></div>"
        for bar in bars
    ]
    return f'<div class="chart" aria-label="{_text(title)}">\n' + "\n".join(rows) + "\n</div>"


def _text(text: str) -> str:
    return escape(text)
