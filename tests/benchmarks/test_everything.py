"""`python -m benchmarks all`: repeats after a stop or a failure, and limits."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import everything, report
from benchmarks.harness.results import Record

PROGRAM = """
import pathlib, sys, time
name, file = sys.argv[1:3]
with open(file, "a") as log:
    print(name, file=log)
if name == "slow":
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", file=open(file, "a"))
        raise
sys.exit(name == "broken" and not pathlib.Path(file).with_suffix(".mended").exists())
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replaces benchmarks by a program that logs its name here. Skips the page."""
    file = tmp_path / "log"
    popen = everything.subprocess.Popen

    def start(command: list[str]) -> object:
        assert command[1:3] == ["-m", "benchmarks"]
        return popen([sys.executable, "-c", PROGRAM, command[3], str(file)])

    monkeypatch.setattr(everything.subprocess, "Popen", start)
    monkeypatch.setattr(everything, "STATE", tmp_path / "state/all.json")
    monkeypatch.setattr(everything, "commit", lambda: "c0ffee-dirty")
    monkeypatch.setattr(report, "main", lambda arguments: 0)
    return file


def all_of(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch, runs: Record) -> tuple[int, list[str]]:
    """Runs `all` with these runs. Returns its exit code and what it has started."""
    log.write_text("")
    monkeypatch.setattr(everything, "RUNS", runs)
    code = everything.main(["--results", str(tmp_path / "results.jsonl")])
    return code, log.read_text().split()


def test_all_repeats_only_the_runs_that_failed(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = {"first": 1.0, "broken": 1.0, "last": 1.0}
    assert all_of(tmp_path, log, monkeypatch, runs) == (1, ["first", "broken", "last"])
    assert "failed: broken: exit code 1" in capfd.readouterr().err
    log.with_suffix(".mended").touch()
    assert all_of(tmp_path, log, monkeypatch, runs) == (0, ["broken"])
    assert "2 of 3 runs are complete" in capfd.readouterr().err
    assert all_of(tmp_path, log, monkeypatch, runs) == (0, ["first", "broken", "last"])


def test_all_continues_where_it_was_stopped(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {"first": 1.0, "stopped": 1.0, "last": 1.0}
    failure = everything._failure

    def stop(command: list[str], seconds: float) -> str | None:
        if command[3] == "stopped":
            raise KeyboardInterrupt
        return failure(command, seconds)

    monkeypatch.setattr(everything, "_failure", stop)
    with pytest.raises(KeyboardInterrupt):
        all_of(tmp_path, log, monkeypatch, runs)
    monkeypatch.setattr(everything, "_failure", failure)
    assert all_of(tmp_path, log, monkeypatch, runs) == (0, ["stopped", "last"])


@pytest.mark.parametrize("changed", ["commit", "results"])
def test_all_begins_anew_on_other_code_or_results(
    changed: str, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = {"first": 1.0, "broken": 1.0}
    all_of(tmp_path, log, monkeypatch, runs)
    if changed == "commit":
        monkeypatch.setattr(everything, "commit", lambda: "decaf")
    else:
        tmp_path /= "other"
    assert all_of(tmp_path, log, monkeypatch, runs) == (1, ["first", "broken"])


def test_a_run_that_exceeds_its_share_is_interrupted(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    started = all_of(tmp_path, log, monkeypatch, {"slow": 0.01, "last": 1.0})
    assert started[0] == 1
    assert started[1] in (["slow", "interrupted", "last"], ["slow", "last"])  # interrupted before it sleeps
    assert "failed: slow: not complete after 0.0 min" in capfd.readouterr().err


def test_a_run_may_use_the_time_that_earlier_runs_left(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = dict[str, float]()

    def record(command: list[str], seconds: float) -> None:
        shares[command[3]] = seconds

    monkeypatch.setattr(everything, "_failure", record)
    all_of(tmp_path, log, monkeypatch, {"first": 1.0, "second": 2.0, "third": 3.0})
    assert shares["first"] == 60 < 120 < shares["second"] <= 180 < shares["third"] <= 360


def test_a_run_that_is_ended_leaves_the_shares_of_others(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares, clock = dict[str, float](), [0.0]

    def exceed(command: list[str], seconds: float) -> str:
        shares[command[3]] = seconds
        clock[0] += seconds + 9
        return "not complete"

    monkeypatch.setattr(everything, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(everything, "_failure", exceed)
    all_of(tmp_path, log, monkeypatch, {"first": 1.0, "second": 2.0})
    assert shares == {"first": 60, "second": 120}
