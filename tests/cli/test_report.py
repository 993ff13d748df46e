"""The tables of a report, in lines of a given width."""

from __future__ import annotations

import re

import pytest

from kinform.cli._report import terminal
from kinform.cli._report.section import Cell, Document, Section, count_cell, text_cell


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("status.containerStatuses[*].lastState.terminated", ["status.containerStatuses[*].", "lastState.terminated"]),
        ("rbac.authorization.k8s.io/v1/clusterrolebindings", ["rbac.authorization.k8s.io/v1/", "clusterrolebindings"]),
        ("it may watch all pods, version 1.2, of this one", ["it may watch all pods, version", "1.2, of this one"]),
        ("x" * 40, ["x" * 30, "x" * 10]),
        ("metadata.name", ["metadata.name"]),
    ],
)
def test_a_narrow_column_breaks_after_dots_and_slashes(
    text: str, lines: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "PIPE_WIDTH", 44)  # 30 for the text
    section = Section(
        "Sizes", "", ["path", "objects"], [[text_cell(text), count_cell(1_000_000)], [Cell("-"), Cell("-", -1)]]
    )
    terminal.print_document(Document("title", "subtitle", [], [section]))
    rows = capsys.readouterr().out.splitlines()
    first = next(number for number, row in enumerate(rows) if "1,000,000" in row)
    found = [re.split(r"\s{2,}", row.strip())[0] for row in rows[first : first + len(lines)]]
    assert found == lines
    assert max(map(len, rows)) <= 44
