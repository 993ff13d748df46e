"""The gate of `python -m benchmarks quick`: what it says of a ratio, and that what it compares is measured at all.

And of the aims the same: what they judge by has to exist, or they would be told as not measured for ever.
"""

from __future__ import annotations

import argparse
import importlib
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
from benchmarks.report.targets import RAWS, aims
from tests.benchmarks.results_maker import figure

Name = tuple[str, str]
"""A group, and who is in it; or a mode, and its figure."""


def gate(ratio: float, bound: float = 0.5) -> Record:
    return {"record": "gate", "what": "some figure", "ratio": ratio, "bound": bound, "of": "naive"}


# What it says


def test_within_all_bounds_it_passes() -> None:
    assert quick.verdict([gate(0.1), gate(0.5)]) == 0
    assert "BEYOND" not in quick.table([gate(0.1), gate(0.5)])


def test_beyond_one_bound_it_fails_and_the_table_marks_that_one() -> None:
    records = [gate(0.1), gate(0.501), gate(0.2)]
    assert quick.verdict(records) == 1
    marked = [line for line in quick.table(records).splitlines() if line.endswith("BEYOND")]
    (line,) = marked
    assert line.split() == ["some", "figure", "0.501", "0.500", "of", "naive", "BEYOND"]


# What it measures


@pytest.fixture(scope="module")
def asked() -> set[str]:
    """The tests that it has pytest-benchmark run."""
    return _collected("-k", quick.GROUPS)


@pytest.fixture(scope="module")
def names() -> dict[Name, str]:
    """The tests of `benchmarks/micro` by group and name."""
    return {_named(each): each for each in _collected()}


def _collected(*options: str) -> set[str]:
    pytest.importorskip("pytest_benchmark")
    pytest.importorskip("orjson")
    command = [sys.executable, "-m", "pytest", "benchmarks/micro", "--collect-only", "-q", "-p", "no:cacheprovider"]
    told = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {line for line in told.splitlines() if "::" in line}


def _named(test: str) -> Name:
    """Its group, as its mark has it, and its parameter."""
    found = re.fullmatch(r"benchmarks/micro/(\w+)\.py::(\w+)\[(.*)\]", test)
    assert found is not None, test
    function = getattr(importlib.import_module(f"benchmarks.micro.{found[1]}"), found[2])
    (group,) = (mark.kwargs["group"] for mark in function.pytestmark if mark.name == "benchmark")
    return group, found[3]


@pytest.fixture
def measured(
    asked: set[str], names: dict[Name, str], monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[Name, float], list[Record]]:
    """What each thing is given as its figure, and what the gate makes of these; nothing is really measured."""
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
        assert options.k == quick.GROUPS
        chosen = [each for each, test in names.items() if test in asked]
        return [{"group": g, "name": name, "figures": {"ns": figure(known(g, name))}} for g, name in chosen]

    monkeypatch.setattr(quick, "Process", lambda *command, **options: nullcontext())
    monkeypatch.setattr(runs, "Source", lambda process: None)
    monkeypatch.setattr(runs, "resident", resident)
    monkeypatch.setattr("benchmarks.speed.measure", speed)
    parser = argparse.ArgumentParser()
    quick.arguments(parser)
    options = parser.parse_args([], argparse.Namespace(benchmark="quick", seed=0))
    return figures, list(quick.measure(options))


def test_every_gate_is_told_with_the_ratio_of_the_two_figures_that_it_names(
    measured: tuple[dict[Name, float], list[Record]],
) -> None:
    figures, told = measured
    assert [each["what"] for each in told] == [each.what for each in GATES]
    for each, record in zip(GATES, told, strict=True):
        ours, theirs = each.ours, (each.theirs[0] or each.ours[0], each.theirs[1])
        assert record["ratio"] == pytest.approx(figures[ours] / figures[theirs])
        assert record["bound"] == each.bound
        assert record["of"] in theirs


def test_every_gate_compares_kinform_with_something_else() -> None:
    for each in GATES:
        assert each.ours != each.theirs
        assert each.ours[0] in ("kinform", "events") or each.ours[1].startswith("kinform")
        assert "kinform" not in "".join(each.theirs)


def test_a_gate_that_names_what_is_not_measured_is_an_error(
    measured: tuple[dict[Name, float], list[Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick, "GATES", (Gate("nothing", ("raw", "no such thing"), ("", "dict of bytes"), 1.0),))
    with pytest.raises(KeyError):
        list(quick.measure(argparse.Namespace(benchmark="quick", seed=0, objects=9, rounds=1)))


def test_what_the_aims_judge_reads_and_the_scanner_by_is_measured(names: dict[Name, str]) -> None:
    assert {(group, name) for group, name, _ in RAWS} <= set(names)
    records: list[dict[str, Any]] = [
        {"benchmark": "speed", "group": group, "name": name, "figures": {"ns": figure(9.0), "gb_per_s": figure(2.0)}}
        for group, name in names
    ]
    judged = [each for each in aims(records) if each["aim"].startswith(("raw", "get", "keys", "scanner"))]
    assert len(judged) == len(RAWS) + 5
    assert {each["state"] for each in judged} == {"reached"}
