"""The gates of `quick`; all figures that gates and targets name are measured.

A target whose figure does not exist would be reported as not measured for ever.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import subprocess
import sys
from contextlib import nullcontext
from typing import Any

import pytest

from benchmarks import quick
from benchmarks.harness.process import ROOT
from benchmarks.harness.results import Record
from benchmarks.memory import runs
from benchmarks.memory.modes import MODES
from benchmarks.quick import GATES, Gate
from benchmarks.report.targets import WRITE_AND_RAW_SECONDS, check_targets
from tests.benchmarks.results_maker import figure

Name = tuple[str, str]
"""A group and a name in it, or a mode and its figure."""


def gate(ratio: float, bound: float = 0.5) -> Record:
    return {"record": "gate", "what": "some figure", "ratio": ratio, "bound": bound, "of": "naive"}


# The verdict


def test_ratios_within_their_bounds_pass() -> None:
    assert quick.verdict([gate(0.1), gate(0.5)]) == 0
    assert "EXCEEDED" not in quick.table([gate(0.1), gate(0.5)])


def test_one_exceeded_bound_fails_and_is_marked() -> None:
    records = [gate(0.1), gate(0.501), gate(0.2)]
    assert quick.verdict(records) == 1
    marked = [line for line in quick.table(records).splitlines() if line.endswith("EXCEEDED")]
    (line,) = marked
    assert line.split() == ["some", "figure", "0.501", "0.500", "naive", "EXCEEDED"]


# The figures


@pytest.fixture(scope="module")
def selected() -> set[str]:
    """The tests that `quick` runs."""
    return _collected("-k", quick.TESTS)


@pytest.fixture(scope="module")
def names() -> dict[Name, str]:
    """The tests of `benchmarks/micro` by group and name."""
    return {_named(each): each for each in _collected()}


def _collected(*options: str) -> set[str]:
    pytest.importorskip("pytest_benchmark")
    pytest.importorskip("orjson")
    command = [sys.executable, "-m", "pytest", "benchmarks/micro", "--collect-only", "-q", "-p", "no:cacheprovider"]
    # pytest-benchmark refuses to run in a worker of pytest-xdist.
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_XDIST_WORKER"}
    output = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, check=True, env=environment
    ).stdout
    return {line for line in output.splitlines() if "::" in line}


def _named(test: str) -> Name:
    """The group of a test, from its mark, and its parameter."""
    found = re.fullmatch(r"benchmarks/micro/(\w+)\.py::(\w+)\[(.*)\]", test)
    assert found is not None, test
    function = getattr(importlib.import_module(f"benchmarks.micro.{found[1]}"), found[2])
    (group,) = (mark.kwargs["group"] for mark in function.pytestmark if mark.name == "benchmark")
    return group, found[3]


@pytest.fixture
def measured(
    selected: set[str], names: dict[Name, str], monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[Name, float], list[Record]]:
    """Runs `quick` with made-up figures. Returns the figures and the records."""
    figures = dict[Name, float]()

    def known(group: str, name: str) -> float:
        return figures.setdefault((group, name), 1_000.0 + 7 * len(figures))

    def resident(source: object, mode: str) -> dict[str, float]:
        assert mode in MODES
        found = {"rss.idle": 100.0}
        for phase in runs.PHASES:
            found[f"cpu.{phase}"] = known(mode, f"{phase}_cpu")
            for part in ("peak", "held"):
                found[f"rss.{phase}_{part}"] = 100.0 + known(mode, f"{phase}_{part}")
        return found

    def speed(options: argparse.Namespace) -> list[Record]:
        assert options.k == quick.TESTS
        run = [each for each, test in names.items() if test in selected]
        return [{"group": g, "name": name, "figures": {"ns": figure(known(g, name))}} for g, name in run]

    monkeypatch.setattr(quick, "Process", lambda *command, **options: nullcontext())
    monkeypatch.setattr(runs, "Source", lambda process: None)
    monkeypatch.setattr(runs, "resident", resident)
    monkeypatch.setattr("benchmarks.speed.measure", speed)
    parser = argparse.ArgumentParser()
    quick.arguments(parser)
    options = parser.parse_args([], argparse.Namespace(benchmark="quick", seed=0))
    return figures, list(quick.measure(options))


def test_each_gate_reports_the_ratio_of_its_figures(measured: tuple[dict[Name, float], list[Record]]) -> None:
    figures, found = measured
    assert [each["what"] for each in found] == [each.what for each in GATES]
    for each, record in zip(GATES, found, strict=True):
        ours, theirs = each.ours, (each.theirs[0] or each.ours[0], each.theirs[1])
        assert record["ratio"] == pytest.approx(figures[ours] / figures[theirs])
        assert record["bound"] == each.bound
        assert record["of"] in theirs


def test_each_gate_compares_kinform_with_something_else() -> None:
    for each in GATES:
        assert each.ours != each.theirs
        assert each.ours[0] in ("kinform", "events") or each.ours[1].startswith("kinform")
        assert "kinform" not in "".join(each.theirs)


def test_a_gate_on_an_unknown_figure_is_an_error(
    measured: tuple[dict[Name, float], list[Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        quick, "GATES", (Gate("nothing", ("raw, random order", "no such thing"), ("", "dict of bytes"), 1.0),)
    )
    with pytest.raises(KeyError):
        list(quick.measure(argparse.Namespace(benchmark="quick", seed=0, objects=9, rounds=1)))


def test_targets_of_reads_and_scanner_name_known_figures(names: dict[Name, str]) -> None:
    assert {(group, "kinform") for group, _ in WRITE_AND_RAW_SECONDS} <= set(names)
    records: list[dict[str, Any]] = [
        {"benchmark": "speed", "group": group, "name": name, "figures": {"ns": figure(9.0), "gb_per_s": figure(2.5)}}
        for group, name in names
    ]
    found = [
        each
        for each in check_targets(records)
        if each["target"].startswith(("time of ", "keys", "speed of the scanner"))
    ]
    assert len(found) == len(WRITE_AND_RAW_SECONDS) + 7
    assert {each["state"] for each in found} == {"reached"}
