"""The page of the soak: the matrix, failures, and sections without records."""

from __future__ import annotations

import pytest

from benchmarks.harness.results import Record, of
from benchmarks.report.page import page
from benchmarks.report.reliability import reliability
from benchmarks.soak.matrix import NO_FAULT
from tests.benchmarks.results_maker import all_records


@pytest.fixture
def records() -> list[Record]:
    return all_records()


def cell(records: list[Record], start: str) -> Record:
    (found,) = of(records, "soak", record="cell", fault="410", start=start)
    return found


def row(records: list[Record], first: str) -> list[str]:
    (line,) = [line for line in reliability(records).splitlines() if line.startswith(f"| {first} | ") and " / " in line]
    return [each.strip() for each in line.strip("|").split("|")]


def text(records: list[Record]) -> str:
    """Returns the page, with each paragraph on one line."""
    return " ".join(reliability(records).split())


def test_a_start_has_its_seconds_and_its_requests(records: list[Record]) -> None:
    cell(records, "stream")["figures"] = {"seconds": 1.256, "requests": 3}
    assert row(records, "410")[2] == "1.26 / 3"
    assert len(row(records, NO_FAULT)) == 5


def test_a_start_that_fails_a_check_is_bold_and_counted(records: list[Record]) -> None:
    assert "They were equal in 8 of 8 starts. In 8 of 8 starts, kinform sent" in text(records)
    cell(records, "list")["equal"] = False
    cell(records, "relist")["bounded"] = False
    bold = [each.startswith("**") for each in row(records, "410")]
    assert bold == [False, True, False, False, True]
    assert "They were equal in 7 of 8 starts. In 7 of 8 starts, kinform sent" in text(records)


def test_a_fault_that_cannot_happen_is_a_dash_and_not_counted(records: list[Record]) -> None:
    cell(records, "list")["applied"] = False
    assert row(records, "410")[1] == "-"
    assert "They were equal in 7 of 7 starts." in text(records)


def test_a_snapshot_that_was_not_read_is_counted(records: list[Record]) -> None:
    assert "2 of 2 starts from a snapshot read it." in text(records)
    cell(records, "snapshot")["loaded"] = False
    assert "1 of 2 starts from a snapshot read it." in text(records)


def test_faults_without_recovery_are_counted(records: list[Record]) -> None:
    title = "faults after which kinform did not recover"
    assert f"| {title} | 0 |" in reliability(records)
    of(records, "soak", record="run", kind="simulator")[0]["stuck"].append("410")
    assert f"| {title} | 1 |" in reliability(records)


def test_sections_without_records_are_left_out(records: list[Record]) -> None:
    assert "## Faults of a real control plane" in reliability(records)
    without = [each for each in records if each.get("kind") != "control-plane"]
    assert "## Faults of a real control plane" not in reliability(without)
    assert "## Fault matrix" in reliability(without)
    assert reliability([each for each in records if each["benchmark"] != "soak"]) == ""


def test_the_benchmark_page_does_not_list_the_run(records: list[Record]) -> None:
    assert "| `soak` |" in reliability(records)
    assert "| `soak` |" not in page(records)
